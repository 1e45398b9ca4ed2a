"""What the journal says of a broker: publishes and deliveries as messages, and what became of messages inside it."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

from phrasim.broker.events import DeadLettered, Dropped
from phrasim.broker.message import Message, Properties
from phrasim.documents import Messages
from phrasim.edge.body import journal_body
from phrasim.edge.context import remember
from phrasim.edge.edge import Edge
from phrasim.journal import events as journal
from phrasim.journal.events import Participant

PERSISTENT = 2
"""AMQP's delivery mode of a message that survives a restart."""

JSON = "application/json"


class HasHeaders(Protocol):
    """Properties of a message, of which only the headers are read."""

    @property
    def headers(self) -> Mapping[str, Any] | None:
        """The headers; None where there are none."""
        ...


class BrokerRecord:
    """Writes what passes the broker of a run into its journal; `edge` is the broker's own."""

    def __init__(self, edge: Edge, messages: Messages) -> None:
        self.edge = edge
        self._messages = messages
        self._foreign: OrderedDict[int, str] = OrderedDict()
        """Ids of publishes that no edge announced, by the number of the message in the broker."""
        self._on_their_way: OrderedDict[str, None] = OrderedDict()
        """Ids of publishes of which neither end knows yet what became of them."""

    def sends(
        self, edge: Edge, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any]
    ) -> journal.Publish:
        """A simulated participant publishes a persistent JSON message, now; its properties bear a `traceparent`.

        It bears its id as `message-id`, too, since a client library gives it one of its own otherwise.
        """
        tracer = edge.tracer
        message_id = tracer.next_id()
        traced = {**headers, "traceparent": tracer.traceparent(message_id)}
        message = journal.Publish(
            id=message_id,
            sender=edge.participant,
            receiver="broker",
            operation_id=self._operation_id("send", self._channel_of(exchange, routing_key)),
            cause=tracer.working_on(),
            exchange=exchange,
            routing_key=routing_key,
            properties={
                "content-type": JSON,
                "headers": traced,
                "delivery-mode": PERSISTENT,
                "message-id": message_id,
            },
            body=journal_body(body, JSON),
        )
        edge.journal.sent(message)
        remember(self._on_their_way, message_id, None)
        return message

    def lost(self, edge: Edge, publish: str, reason: str) -> None:
        """The sender knows no better than that its message was lost; unless the broker has taken it, it was."""
        if publish in self._on_their_way:
            del self._on_their_way[publish]
            edge.journal.lost(publish, reason)

    def arrives(
        self, sender: Participant, exchange: str, routing_key: str, properties: Properties, body: bytes
    ) -> str | journal.Publish:
        """A message has reached the broker: the id under which it was sent, or all of it where nobody announced it."""
        announced = self.edge.tracer.correlation.bears(traceparent_of(properties))
        if announced is not None and announced.startswith(f"{sender}-"):
            return announced
        return journal.Publish(
            id=self.edge.tracer.next_id(),
            sender=sender,
            receiver="broker",
            operation_id=self._operation_id("send", self._channel_of(exchange, routing_key)),
            exchange=legible(exchange),
            routing_key=legible(routing_key),
            properties=journal_properties(properties),
            body=journal_body(body, properties.content_type),
        )

    def taken(self, message: Message, publish: str | journal.Publish) -> None:
        """The broker has taken a message that arrived; one that its sender has given up stays lost."""
        if isinstance(publish, journal.Publish):
            self.edge.journal.received(publish)
            remember(self._foreign, message.seq, publish.id)
        elif publish in self._on_their_way:
            del self._on_their_way[publish]
            self.edge.journal.received(publish)

    def delivers(self, receiver: Participant, message: Message, queue: str, *, redelivered: bool) -> journal.Delivery:
        """The broker delivers a message from `queue`, now."""
        delivery = self.delivery(
            self.edge,
            receiver,
            queue,
            message.exchange,
            message.routing_key,
            publish=self._publish_of(message),
            redelivered=redelivered,
            properties=journal_properties(message.properties),
            body=message.body,
        )
        self.edge.journal.sent(delivery)
        return delivery

    def delivery(
        self,
        edge: Edge,
        receiver: Participant,
        queue: str,
        exchange: str,
        routing_key: str,
        *,
        publish: str | None,
        redelivered: bool,
        properties: dict[str, Any],
        body: bytes,
    ) -> journal.Delivery:
        """A delivery that gets its id from `edge`, the broker's own or that of who receives it."""
        channel = self._messages.for_queue(queue)
        return journal.Delivery(
            id=edge.tracer.next_id(),
            sender="broker",
            receiver=receiver,
            operation_id=self._operation_id("receive", channel.name if channel else None),
            publish=publish,
            queue=legible(queue),
            exchange=legible(exchange),
            routing_key=legible(routing_key),
            redelivered=redelivered,
            properties=properties,
            body=journal_body(body, properties.get("content-type")),
        )

    def happened(self, event: DeadLettered | Dropped) -> None:
        """Something became of a message inside the broker."""
        match event:
            case DeadLettered(message, queue, reason, exchange, routing_key, letter):
                publish = self._foreign.get(message.seq)
                if publish is not None:
                    remember(self._foreign, letter.seq, publish)
                self.edge.note(
                    "dead-lettered",
                    queue=legible(queue),
                    reason=reason,
                    exchange=legible(exchange),
                    routingKey=legible(routing_key),
                )
            case Dropped(_, queue, reason):
                self.edge.note("dropped", queue=None if queue is None else legible(queue), reason=reason)

    def _publish_of(self, message: Message) -> str | None:
        found = self._foreign.get(message.seq)
        return found or self.edge.tracer.correlation.bears(traceparent_of(message.properties))

    def _operation_id(self, action: Literal["send", "receive"], channel: str | None) -> str | None:
        """The operation of messages.yaml that sending to, or receiving from, a channel is."""
        for operation in self._messages.operations.values():
            if (operation.action, operation.channel) == (action, channel):
                return operation.operation_id
        return None

    def _channel_of(self, exchange: str, routing_key: str) -> str | None:
        """The channel of messages.yaml that a publish reaches."""
        channel = self._messages.for_routing_key(exchange, routing_key)
        return channel.name if channel else None


def traceparent_of(properties: HasHeaders) -> str | None:
    """The `traceparent` that a message bears in its headers."""
    found = (properties.headers or {}).get("traceparent")
    return found if isinstance(found, str) else None


def legible(text: str) -> str:
    """A text of a client as Unicode: AMQP lets any bytes be a name, and those that are not UTF-8 are shown as such."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def journal_properties(properties: Properties) -> dict[str, Any]:
    """AMQP properties as JSON, under their names in the AMQP specification; absent ones are left out."""
    return {
        field.replace("_", "-"): _json(getattr(properties, field))
        for field in Properties.__dataclass_fields__
        if getattr(properties, field) is not None
    }


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {legible(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # Off the wire a number is of a class of its own, which remembers its type there.
        return int(value)
    return float(value) if isinstance(value, float) else value
