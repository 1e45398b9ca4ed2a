"""Who looks on: what passes an AMQP server, for a landscape that keeps a journal. To have none costs nothing."""

from typing import Protocol

from phrasim.broker.channel import Fetched
from phrasim.broker.errors import AmqpError
from phrasim.broker.events import DeadLettered, Delivery, Dropped, Returned
from phrasim.broker.message import Message, Properties


class Observer(Protocol):
    """Told of every message as it passes, in order; `user` is the name that the client logged in with.

    None of the methods may call the broker, nor raise: events that wait behind the one in hand would be lost.
    """

    def publishing(self, user: str, exchange: str, routing_key: str, properties: Properties, body: bytes) -> Properties:
        """A message has arrived; the broker gets it with the properties that are returned."""
        ...

    def published(self, user: str, outcome: Message | AmqpError) -> None:
        """The broker has taken the message of the last `publishing`, or has refused it."""
        ...

    def delivering(self, user: str, delivery: Delivery) -> Properties:
        """A delivery is about to be sent to a consumer, who gets it with the properties that are returned."""
        ...

    def fetching(self, user: str, fetched: Fetched) -> None:
        """A message is about to be sent as the answer to `basic.get`."""
        ...

    def happened(self, event: Returned | DeadLettered | Dropped) -> None:
        """What else became of a message; one is Returned to the publisher, of the others no client is told."""
        ...
