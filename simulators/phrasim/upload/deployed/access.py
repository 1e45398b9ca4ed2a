"""Who may do what, once a caller is known: the table of PROTOCOL §2.4.

Nobody and a caller with an invalid Bearer get 401 before this is asked; a caller who may not gets 403.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from phrasim.service.credentials import LIST_COMMITS, AssetToken
from phrasim.upload.deployed.state import Commit

ADMINISTRATORS = ("admin", "uploader-admin")
"""The identity's roles that make an administrator (§2.4)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a Bearer is: a person, or a machine (`client_id` set, no `user_id`)."""

    user_id: str | None
    username: str
    email: str | None
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    client_id: str | None = None

    @property
    def is_administrator(self) -> bool:
        """Whether one of the roles says so."""
        return any(role in self.roles for role in ADMINISTRATORS)


class Identify(Protocol):
    """Tells whose a Bearer is; None for one that is unknown, expired or malformed."""

    async def __call__(self, token: str) -> Principal | None:
        """The principal behind `token`, which came without its scheme."""
        ...


Caller = Principal | AssetToken

Standing = Literal["administrator", "holder of its AssetToken", "lister of commits"]
"""What a caller is to a commit. Who is none of these, a user who is the owner for example, may nothing here."""

Act = Literal["open an asset", "read a commit", "acknowledge a commit", "list commits"]

MAY: Mapping[Act, tuple[Standing, ...]] = {
    "open an asset": ("administrator", "holder of its AssetToken"),
    "acknowledge a commit": ("administrator", "holder of its AssetToken"),
    "read a commit": ("administrator", "holder of its AssetToken", "lister of commits"),
    "list commits": ("administrator", "lister of commits"),
}
"""Acknowledging an asset is opening it. An asset that is not committed has no commit, and nobody opens it."""


def may(act: Act, caller: Caller, commit: Commit | None = None) -> bool:
    """Whether `caller` may do so; all but the listing concerns `commit`, and is refused to everybody where it is None.

    The deployed service says no for want of a token before it looks who asks: so the administrator gets 403 too.
    """
    if commit is None and act != "list commits":
        return False
    return any(standing in MAY[act] for standing in _standings(caller, commit))


def _standings(caller: Caller, commit: Commit | None) -> list[Standing]:
    if isinstance(caller, AssetToken):
        held = commit is not None and hmac.compare_digest(caller.token.encode(), commit.token.encode())
        return ["holder of its AssetToken"] if held else []
    found: list[Standing] = ["administrator"] if caller.is_administrator else []
    if LIST_COMMITS in caller.scopes:
        found.append("lister of commits")
    return found
