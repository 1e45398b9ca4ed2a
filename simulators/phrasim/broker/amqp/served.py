"""The simulated broker of a landscape on real ports: it is reached over AMQP, and its journal has what passes."""

from collections.abc import Callable, Mapping
from typing import Any

from phrasim.broker.amqp.client import AmqpClient
from phrasim.broker.amqp.connecting import Connector
from phrasim.broker.amqp.tables import Timestamp
from phrasim.broker.channel import Fetched
from phrasim.broker.client import Depth
from phrasim.broker.core import Broker
from phrasim.broker.errors import AmqpError
from phrasim.broker.events import DeadLettered, Delivery, Dropped, Returned
from phrasim.broker.local import depths_of
from phrasim.broker.message import Message, Properties
from phrasim.broker.record import BrokerRecord, traceparent_of
from phrasim.edge.edge import Edge
from phrasim.journal.events import Participant, Publish


class ServedBroker:
    """`AnyBroker` over the broker that an `AmqpServer` serves, and to which `connector` connects."""

    def __init__(self, core: Broker, record: BrokerRecord, connector: Connector) -> None:
        self.core = core
        self._record = record
        self._connector = connector

    def connect(self, edge: Edge) -> AmqpClient:
        """As `AnyBroker.connect`."""
        return AmqpClient(self._connector, edge, self._record, is_played=True)

    @property
    def busy(self) -> bool:
        """As `AnyBroker.busy`."""
        return any(queue.unacked_count for queue in self.core.queues.values())

    async def queues(self) -> Mapping[str, Depth]:
        """As `AnyBroker.queues`."""
        return depths_of(self.core)

    def close(self) -> None:
        """As `AnyBroker.close`: the server that serves it ends its timers."""


class JournalObserver:
    """The server's `Observer`: the broker's edge. `participant` tells who logs in by a name.

    A participant that phrasim plays is told the id of each delivery, in the header `traceparent` (DESIGN 7: between
    simulated parties only); what others receive is what was published.
    """

    def __init__(self, record: BrokerRecord, participant: Callable[[str], Participant], own: str) -> None:
        self._record = record
        self._participant = participant
        self._own = own
        self._arriving: str | Publish = ""

    def publishing(self, user: str, exchange: str, routing_key: str, properties: Properties, body: bytes) -> Properties:
        """As `Observer.publishing`."""
        self._arriving = self._record.arrives(self._participant(user), exchange, routing_key, properties, body)
        return properties

    def published(self, user: str, outcome: Message | AmqpError) -> None:  # noqa: ARG002
        """As `Observer.published`; that one of its own was refused, the sender's side records."""
        if not isinstance(outcome, AmqpError):
            self._record.taken(outcome, self._arriving)
        elif isinstance(self._arriving, Publish):
            self._record.edge.journal.lost(self._arriving, str(outcome))

    def delivering(self, user: str, delivery: Delivery) -> Properties:
        """As `Observer.delivering`."""
        properties = delivery.message.properties
        sent = self._record.delivers(
            self._participant(user), delivery.message, delivery.queue, redelivered=delivery.redelivered
        )
        if user != self._own:
            return properties
        passed_on = self._record.edge.tracer.passed_on(sent.id, traceparent_of(properties))
        return _for_own(properties, passed_on)

    def fetching(self, user: str, fetched: Fetched) -> None:
        """As `Observer.fetching`; the participants that phrasim plays consume, and fetch nothing."""
        self._record.delivers(self._participant(user), fetched.message, fetched.queue, redelivered=fetched.redelivered)

    def happened(self, event: Returned | DeadLettered | Dropped) -> None:
        """As `Observer.happened`; that a message was returned, its publisher is told."""
        if not isinstance(event, Returned):
            self._record.happened(event)


def _for_own(properties: Properties, traceparent: str) -> Properties:
    """The same properties with that `traceparent`, and with no time that a datetime does not reach.

    aiormq ends the connection over one, and again when it is delivered again.
    """
    values = {name: getattr(properties, name) for name in Properties.__dataclass_fields__}
    values["headers"] = {**_within_reach(properties.headers or {}), "traceparent": traceparent}
    if isinstance(properties.timestamp, int):
        values["timestamp"] = None
    return Properties(**values)


def _within_reach(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _within_reach(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_within_reach(inner) for inner in value]
    return int(value) if isinstance(value, Timestamp) else value
