"""The shapes that Phraseanet reads and writes: the notification, a listed commit, the message on RabbitMQ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec


@dataclass(frozen=True, slots=True)
class Handover:
    """A commit as Phraseanet hands it to itself. What the sender left out is None; `hashes` may lack assets (A5)."""

    publisher: str
    assets: tuple[str, ...]
    token: str | None
    commit_id: str | None
    base_url: str | None
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str | None:
        """What makes two of them the same commit: its id, else its token (A30)."""
        return self.commit_id or self.token


def from_notification(body: Mapping[str, Any]) -> Handover:
    """What an enqueue request says (P4)."""
    return Handover(
        publisher=body["publisher"],
        assets=tuple(body["assets"]),
        token=body["token"],
        commit_id=body.get("commit_id"),
        base_url=body.get("base_url"),
        hashes=body.get("hashes", {}),
    )


class Listed(TypedDict):
    """What is read of an item of `GET /commits` (L4)."""

    id: str
    userId: str
    token: str
    assets: Annotated[list[str], msgspec.Meta(min_length=1)]
    hashes: NotRequired[dict[str, str]]


def from_listing(item: Listed, base_url: str) -> Handover:
    """What an item of `GET /commits` says; `base_url` is where the listing came from."""
    return Handover(
        publisher=item["userId"],
        assets=tuple(item["assets"]),
        token=item["token"],
        commit_id=item["id"],
        base_url=base_url,
        hashes=item.get("hashes", {}),
    )


def to_message(handover: Handover) -> list[dict[str, str]]:
    """The message of P5: element 0 names the publisher and what else is known, the others the assets (A5–A7, A25)."""
    known = {"commit_id": handover.commit_id, "token": handover.token, "base_url": handover.base_url}
    first = {"publisher": handover.publisher, "id": handover.publisher}
    first |= {name: value for name, value in known.items() if value is not None}
    assets = []
    for asset_id in handover.assets:
        digest = handover.hashes.get(asset_id)
        assets.append({"id": asset_id} if digest is None else {"id": asset_id, "hash": digest})
    return [first, *assets]


def from_message(message: list[dict[str, str]]) -> Handover:
    """The message of P6; element 0 may name the publisher by `publisher`, `publisher_id` or `id` (A6)."""
    first, *assets = message
    return Handover(
        publisher=first.get("publisher") or first.get("publisher_id") or first["id"],
        assets=tuple(asset["id"] for asset in assets),
        token=first.get("token"),
        commit_id=first.get("commit_id"),
        base_url=first.get("base_url"),
        hashes={asset["id"]: asset["hash"] for asset in assets if "hash" in asset},
    )
