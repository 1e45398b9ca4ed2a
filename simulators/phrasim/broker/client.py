"""How a participant speaks to a broker, whichever broker that is: the few calls that the protocol needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from phrasim.broker.core import Broker
from phrasim.edge.context import Handled
from phrasim.edge.edge import Edge


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
        """Wait for the next delivery; StopAsyncIteration behind `cancel`.

        Raises `BrokerError` when the queue or the connection is gone.
        """
        ...


class BrokerClient(Protocol):
    """A connection in confirm mode. Every call raises `BrokerError` where the broker refuses or cannot be reached."""

    async def declare_exchange(self, name: str, exchange_type: str) -> None:
        """Declare a durable exchange."""
        ...

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Declare a durable queue."""
        ...

    async def bind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """Bind a queue to an exchange."""
        ...

    async def check_queue(self, name: str) -> None:
        """Declare a queue passively: `BrokerError` where it is not there, whatever its arguments are."""
        ...

    async def purge_queue(self, name: str) -> None:
        """Drop the messages of a queue that no consumer holds."""
        ...

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """Publish a persistent JSON message as mandatory and wait until the broker has taken it."""
        ...

    async def consume(self, queue: str, prefetch: int) -> Consumption:
        """Start to consume, with at most `prefetch` deliveries unacknowledged."""
        ...

    async def cancel(self) -> None:
        """Consume no more, now and later: the consumption ends behind what was delivered already.

        It does so, too, where the broker does not answer; this never raises `BrokerError`.
        """
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


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages of a queue wait, and how many are with consumers."""

    ready: int
    unacknowledged: int


class AnyBroker(Protocol):
    """The broker of a run, on whichever wire it is reached."""

    @property
    def core(self) -> Broker | None:
        """The rules of a simulated one; None where it is real."""
        ...

    def connect(self, edge: Edge) -> BrokerClient:
        """A client for the participant of that edge; it connects when it is first used."""
        ...

    @property
    def busy(self) -> bool:
        """Whether somebody works on a delivery."""
        ...

    async def queues(self) -> Mapping[str, Depth]:
        """The queues that are known, by name. Raises `BrokerError` where the broker does not tell."""
        ...

    def close(self) -> None:
        """Nothing more comes of itself: no message expires, none returns from a retry queue."""
        ...


def not_taken(exchange: str, routing_key: str, returned: str | None) -> BrokerError:
    """What a publisher raises whose message the broker returned for the reason given, or, without one, refused."""
    reason = returned or "refused, as by a queue that is full"
    return BrokerError(f"the broker did not take the message for {exchange!r}, {routing_key!r}: {reason}")
