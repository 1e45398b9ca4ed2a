"""The in-process wire to the broker: clients call the core directly, and both edges record what passes."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from phrasim.broker.channel import Channel
from phrasim.broker.client import BrokerError, Incoming
from phrasim.broker.core import Broker
from phrasim.broker.errors import AmqpError
from phrasim.broker.events import Confirmed as Confirmation
from phrasim.broker.events import ConsumerCancelled, DeadLettered, Delivery, Dropped, Returned
from phrasim.broker.message import Message, Properties
from phrasim.clock import Clock
from phrasim.documents import Messages
from phrasim.edge.body import journal_body
from phrasim.edge.context import Handled
from phrasim.edge.edge import Edge
from phrasim.journal import events as journal

PERSISTENT = 2
"""AMQP's delivery mode of a message that survives a restart."""

_JSON = "application/json"


class LocalBroker:
    """The broker as a participant of an in-process run: its rules, its edge, and its timers on the run's clock."""

    def __init__(self, broker: Broker, edge: Edge, clock: Clock, messages: Messages) -> None:
        self.core = broker
        self.edge = edge
        self._clock = clock
        self._messages = messages
        self._clients: dict[Channel, LocalClient] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: int | None = None

    def connect(self, edge: Edge) -> "LocalClient":
        """A connection for the participant of that edge."""
        channel = self.core.open_connection().open_channel()
        channel.confirm_select()
        client = self._clients[channel] = LocalClient(self, channel, edge)
        return client

    def disconnect(self, channel: Channel) -> None:
        """The client of that channel leaves."""
        self._clients.pop(channel, None)
        channel.connection.close()
        self.pump()

    @property
    def busy(self) -> bool:
        """Whether somebody works on a delivery."""
        return any(queue.unacked_count for queue in self.core.queues.values())

    def close(self) -> None:
        """Nothing more comes of itself: no message expires, none returns from a retry queue."""
        if self._timer is not None:
            self._timer.cancel()

    def operation_id(self, action: Literal["send", "receive"], channel: str | None) -> str | None:
        """The operation of messages.yaml that sending to, or receiving from, a channel is."""
        for operation in self._messages.operations.values():
            if (operation.action, operation.channel) == (action, channel):
                return operation.operation_id
        return None

    def channel_of(self, exchange: str, routing_key: str) -> str | None:
        """The channel of messages.yaml that a publish reaches."""
        channel = self._messages.for_routing_key(exchange, routing_key)
        return channel.name if channel else None

    def pump(self) -> None:
        """Hand out what the broker has decided, and set the timer for what it will have to."""
        for event in self.core.drain():
            match event:
                case Delivery():
                    self._deliver(event)
                case ConsumerCancelled(channel, _):
                    self._clients[channel].end()
                case Confirmation(channel, _, ack):
                    self._clients[channel].confirmed = ack
                case Returned(channel, _, reply_text, _):
                    self._clients[channel].returned = reply_text
                case DeadLettered(_, queue, reason, exchange, routing_key, _):
                    self.edge.note(
                        "dead-lettered", queue=queue, reason=reason, exchange=exchange, routingKey=routing_key
                    )
                case Dropped(_, queue, reason):
                    self.edge.note("dropped", queue=queue, reason=reason)
        self._set_timer()

    def _set_timer(self) -> None:
        deadline = self.core.next_deadline()
        if deadline == self._deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._deadline = deadline
        self._timer = None if deadline is None else self._clock.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._deadline = self._timer = None
        self.core.expire()
        self.pump()

    def _deliver(self, event: Delivery) -> None:
        message, client = event.message, self._clients[event.channel]
        headers = dict(message.properties.headers or {})
        traceparent = _text(headers.get("traceparent"))
        channel = self._messages.for_queue(event.queue)
        delivery = journal.Delivery(
            id=self.edge.tracer.next_id(),
            sender="broker",
            receiver=client.edge.participant,
            operation_id=self.operation_id("receive", channel.name if channel else None),
            publish=self.edge.tracer.correlation.bears(traceparent),
            queue=event.queue,
            exchange=message.exchange,
            routing_key=message.routing_key,
            redelivered=event.redelivered,
            properties=journal_properties(message.properties),
            body=journal_body(message.body, message.properties.content_type),
        )
        self.edge.journal.sent(delivery)
        client.take(event, self.edge.tracer.handling(delivery.id, traceparent), headers)


class LocalClient:
    """A `BrokerClient` that calls the core; nothing waits but the consumer for its next delivery."""

    def __init__(self, broker: LocalBroker, channel: Channel, edge: Edge) -> None:
        self.edge = edge
        self.confirmed = True
        self.returned: str | None = None
        self._broker = broker
        self._channel = channel
        self._deliveries: asyncio.Queue[Incoming | None] = asyncio.Queue()
        self._consumers: list[str] = []

    async def declare_exchange(self, name: str, exchange_type: str) -> None:
        """As `BrokerClient.declare_exchange`."""
        self._call(lambda: self._channel.exchange_declare(name, exchange_type, durable=True))

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """As `BrokerClient.declare_queue`."""
        self._call(lambda: self._channel.queue_declare(name, durable=True, arguments=arguments))

    async def bind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """As `BrokerClient.bind_queue`."""
        self._call(lambda: self._channel.queue_bind(queue, exchange, routing_key))

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """As `BrokerClient.publish`; a message without a queue, or refused by one, is a `BrokerError`."""
        message = self._recorded(exchange, routing_key, body, headers)
        properties = Properties(content_type=_JSON, delivery_mode=PERSISTENT, headers=message.properties["headers"])
        self.returned = None
        try:
            self._channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
        except AmqpError as error:
            self.edge.journal.lost(message.id, str(error))
            raise BrokerError(str(error)) from error
        self.edge.journal.received(message.id)
        self._broker.pump()
        if self.returned is not None or not self.confirmed:
            reason = self.returned or "the queue is full"
            raise BrokerError(f"the broker did not take the message for {exchange!r}, {routing_key!r}: {reason}")

    async def consume(self, queue: str, prefetch: int) -> "LocalClient":
        """As `BrokerClient.consume`: the client is its own consumption."""
        self._call(lambda: self._channel.basic_qos(prefetch))
        self._call(lambda: self._consumers.append(self._channel.basic_consume(queue)))
        return self

    async def cancel(self) -> None:
        """As `BrokerClient.cancel`."""
        while self._consumers:
            self._call(lambda: self._channel.basic_cancel(self._consumers.pop()))
        self.end()

    async def acknowledge(self, incoming: Incoming) -> None:
        """As `BrokerClient.acknowledge`."""
        self._call(lambda: self._channel.basic_ack(incoming.delivery_tag))

    async def reject(self, incoming: Incoming) -> None:
        """As `BrokerClient.reject`."""
        self._call(lambda: self._channel.basic_reject(incoming.delivery_tag, requeue=False))

    async def close(self) -> None:
        """As `BrokerClient.close`; a delivery that nobody took goes back with the rest."""
        while not self._deliveries.empty():
            incoming = self._deliveries.get_nowait()
            if incoming is not None:
                self.edge.journal.lost(incoming.handled.message_id, "the consumer left")
        self.end()
        self._broker.disconnect(self._channel)

    def __aiter__(self) -> "LocalClient":
        return self

    async def __anext__(self) -> Incoming:
        incoming = await self._deliveries.get()
        if incoming is None:
            raise StopAsyncIteration
        self.edge.journal.received(incoming.handled.message_id)
        return incoming

    def take(self, event: Delivery, handled: Handled, headers: Mapping[str, Any]) -> None:
        """A delivery for this client."""
        message: Message = event.message
        self._deliveries.put_nowait(
            Incoming(
                delivery_tag=event.delivery_tag,
                exchange=message.exchange,
                routing_key=message.routing_key,
                redelivered=event.redelivered,
                headers=headers,
                content_type=message.properties.content_type,
                body=message.body,
                handled=handled,
            )
        )

    def end(self) -> None:
        """There will be no more deliveries."""
        self._deliveries.put_nowait(None)

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except AmqpError as error:
            raise BrokerError(str(error)) from error
        self._broker.pump()

    def _recorded(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any]) -> journal.Publish:
        tracer = self.edge.tracer
        message_id = tracer.next_id()
        traced = {**headers, "traceparent": tracer.traceparent(message_id)}
        message = journal.Publish(
            id=message_id,
            sender=self.edge.participant,
            receiver="broker",
            operation_id=self._broker.operation_id("send", self._broker.channel_of(exchange, routing_key)),
            cause=tracer.working_on(),
            exchange=exchange,
            routing_key=routing_key,
            properties={"content-type": _JSON, "delivery-mode": PERSISTENT, "headers": traced},
            body=journal_body(body, _JSON),
        )
        self.edge.journal.sent(message)
        return message


def journal_properties(properties: Properties) -> dict[str, Any]:
    """AMQP properties as JSON, under their names in the AMQP specification; absent ones are left out."""
    return {
        field.replace("_", "-"): _json(getattr(properties, field))
        for field in Properties.__dataclass_fields__
        if getattr(properties, field) is not None
    }


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
