"""The workers' queues as values, read from deployed/messages.yaml (§4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phrasim.documents import Channel, Messages

ASSETS_INGEST, CREATE_RECORD, PULL_ASSETS = "assetsIngest", "createRecord", "pullAssets"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The settings `workers.queues.<base queue>.{ttl_retry,max_retry}`; None leaves what the document says."""

    ttl_retry_ms: int | None = None
    max_retry: int | None = None


@dataclass(frozen=True, slots=True)
class BaseQueue:
    """A queue that workers consume; its name is the `message_type` of what it holds.

    What is rejected there goes to the queue `waiting`, for a time. `max_retry` is the highest `count` at which a
    message is worked on; a queue without a limit loops, so that each message is rejected and comes back.
    """

    name: str
    waiting: str
    max_retry: int | None

    @property
    def failed(self) -> str:
        """Where a message goes that was tried too often; a queue that loops has no such queue."""
        return f"{self.name}_failed"

    @property
    def loops(self) -> bool:
        """Whether a message is rejected each time."""
        return self.max_retry is None

    def gives_up_at(self, count: int | None) -> bool:
        """Whether a message with that count was tried too often; None is that of one that never died."""
        return count is not None and self.max_retry is not None and count > self.max_retry


class Topology:
    """The queues of an installation, and what is declared before one of them is used."""

    def __init__(self, messages: Messages, settings: Mapping[str, QueueSettings] | None = None) -> None:
        self._channels = messages.channels
        self._settings = settings or {}
        self.exchanges = {channel.exchange: channel.exchange_type for channel in messages.channels.values()}
        """The types of the exchanges by name; all are durable."""
        written = messages.document["channels"]
        received = [one.channel for one in messages.operations.values() if one.action == "receive"]
        self.bases = {name: self._base(name, written[name]) for name in received}
        self._base_of = {base.waiting: base for base in self.bases.values()}

    def channel(self, queue: str) -> Channel:
        """Exchange and routing key of a queue. KeyError if there is no such queue."""
        return self._channels[queue]

    def arguments(self, queue: str) -> Mapping[str, str | int]:
        """The arguments of a queue's declaration."""
        declared = self._channels[queue].queue_arguments
        base = self._base_of.get(queue)
        ttl = self._setting(base.name).ttl_retry_ms if base is not None else None
        return declared if ttl is None else {**declared, "x-message-ttl": ttl}

    def declared_with(self, queue: str) -> tuple[str, ...]:
        """What is declared before a queue is used: a base queue brings the one along where its messages wait."""
        base = self.bases.get(queue)
        return (queue,) if base is None else (queue, base.waiting)

    def _base(self, name: str, written: Mapping[str, Any]) -> BaseQueue:
        limit, chosen = written.get("x-max-retry"), self._setting(name).max_retry
        return BaseQueue(
            name,
            waiting=str(self._channels[name].queue_arguments["x-dead-letter-routing-key"]),
            max_retry=limit if chosen is None or limit is None else chosen,
        )

    def _setting(self, base: str) -> QueueSettings:
        return self._settings.get(base, QueueSettings())
