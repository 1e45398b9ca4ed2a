"""How a participant speaks to a broker, whichever broker that is: the few calls that the protocol needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from phrasim.edge.context import Handled


class BrokerError(Exception):
    """The broker refused a call or did not take a message; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivery to be acknowledged or rejected. `handled` is what the task works on that takes it on."""

    delivery_tag: int
    exchange: str
    routing_key: str
    redelivered: bool
    headers: Mapping[str, Any]
    content_type: str | None
    body: bytes
    handled: Handled


class Consumption(Protocol):
    """The deliveries of one queue."""

    def __aiter__(self) -> "Consumption": ...

    async def __anext__(self) -> Incoming:
        """Wait for the next delivery; StopAsyncIteration when the queue or the connection is gone."""
        ...


class BrokerClient(Protocol):
    """One connection with one channel in confirm mode. Every call raises `BrokerError` where the broker refuses."""

    async def declare_exchange(self, name: str, exchange_type: str) -> None:
        """Declare a durable exchange."""
        ...

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Declare a durable queue."""
        ...

    async def bind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """Bind a queue to an exchange."""
        ...

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """Publish a persistent JSON message as mandatory and wait until the broker has taken it."""
        ...

    async def consume(self, queue: str, prefetch: int) -> Consumption:
        """Start to consume, with at most `prefetch` deliveries unacknowledged."""
        ...

    async def cancel(self) -> None:
        """Consume no more: the consumption ends behind what was delivered already."""
        ...

    async def acknowledge(self, incoming: Incoming) -> None:
        """The work on a delivery is done."""
        ...

    async def reject(self, incoming: Incoming) -> None:
        """A delivery cannot be worked on: it goes to the queue's dead-letter exchange."""
        ...

    async def close(self) -> None:
        """Leave; what is unacknowledged goes back to its queue."""
        ...
