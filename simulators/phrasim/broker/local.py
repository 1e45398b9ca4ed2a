"""The in-process wire to the broker: clients call the core directly, and both edges record what passes."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from phrasim.broker.channel import Channel, Connection
from phrasim.broker.client import BrokerError, Depth, Incoming, not_taken
from phrasim.broker.core import Broker
from phrasim.broker.errors import AmqpError
from phrasim.broker.events import Confirmed, ConsumerCancelled, DeadLettered, Delivery, Dropped, Returned
from phrasim.broker.message import Message, Properties
from phrasim.broker.record import JSON, PERSISTENT, BrokerRecord, traceparent_of
from phrasim.clock import Clock
from phrasim.edge.context import Handled
from phrasim.edge.edge import Edge


class LocalBroker:
    """The broker as a participant of an in-process run: its rules, its edge, and its timers on the run's clock."""

    def __init__(self, core: Broker, record: BrokerRecord, clock: Clock) -> None:
        self.core = core
        self.record = record
        self._clock = clock
        self._clients: dict[Channel, LocalClient] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: int | None = None

    def connect(self, edge: Edge) -> "LocalClient":
        """A connection for the participant of that edge."""
        return LocalClient(self, edge)

    def open_channel(self, connection: Connection, client: "LocalClient") -> Channel:
        """A channel of that client's connection."""
        channel = connection.open_channel()
        self._clients[channel] = client
        return channel

    def disconnect(self, connection: Connection) -> None:
        """The client of that connection leaves."""
        self._clients = {channel: one for channel, one in self._clients.items() if channel.connection is not connection}
        connection.close()
        self.pump()

    @property
    def busy(self) -> bool:
        """As `AnyBroker.busy`."""
        return any(queue.unacked_count for queue in self.core.queues.values())

    async def queues(self) -> Mapping[str, Depth]:
        """As `AnyBroker.queues`."""
        return depths_of(self.core)

    def close(self) -> None:
        """As `AnyBroker.close`."""
        if self._timer is not None:
            self._timer.cancel()

    def pump(self) -> None:
        """Hand out what the broker has decided, and set the timer for what it will have to."""
        for event in self.core.drain():
            match event:
                case Delivery():
                    self._deliver(event)
                case ConsumerCancelled(channel, _):
                    self._clients[channel].end(BrokerError("the broker cancelled the consumer: its queue is gone"))
                case Confirmed(channel, _, ack):
                    self._clients[channel].confirmed = ack
                case Returned(channel, _, reply_text, _):
                    self._clients[channel].returned = reply_text
                case DeadLettered() | Dropped():
                    self.record.happened(event)
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
        delivery = self.record.delivers(client.edge.participant, message, event.queue, redelivered=event.redelivered)
        client.take(event, self.record.edge.tracer.handling(delivery.id, traceparent_of(message.properties)))


class LocalClient:
    """A `BrokerClient` that calls the core; nothing waits but the consumer for its next delivery.

    It publishes on one channel and does all else on another: an error closes the channel that it happened on, and a
    new one takes its place.
    """

    def __init__(self, broker: LocalBroker, edge: Edge) -> None:
        self.edge = edge
        self.confirmed = True
        self.returned: str | None = None
        self._broker = broker
        self._connection = broker.core.open_connection()
        self._channel: Channel | None = None
        self._publishing: Channel | None = None
        self._deliveries: asyncio.Queue[Incoming | BrokerError | None] = asyncio.Queue()
        self._consumers: list[str] = []
        self._cancelled = False

    async def declare_exchange(self, name: str, exchange_type: str) -> None:
        """As `BrokerClient.declare_exchange`."""
        self._call(lambda channel: channel.exchange_declare(name, exchange_type, durable=True))

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """As `BrokerClient.declare_queue`."""
        self._call(lambda channel: channel.queue_declare(name, durable=True, arguments=arguments))

    async def bind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """As `BrokerClient.bind_queue`."""
        self._call(lambda channel: channel.queue_bind(queue, exchange, routing_key))

    async def check_queue(self, name: str) -> None:
        """As `BrokerClient.check_queue`."""
        self._call(lambda channel: channel.queue_declare(name, passive=True))

    async def purge_queue(self, name: str) -> None:
        """As `BrokerClient.purge_queue`."""
        self._call(lambda channel: channel.queue_purge(name))

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """As `BrokerClient.publish`; a message without a queue, or refused by one, is a `BrokerError`."""
        message = self._broker.record.sends(self.edge, exchange, routing_key, body, headers)
        properties = Properties(
            content_type=JSON,
            headers=message.properties["headers"],
            delivery_mode=PERSISTENT,
            message_id=message.id,
        )
        self.returned = None
        try:
            taken = self._publishing_channel().basic_publish(exchange, routing_key, body, properties, mandatory=True)
        except AmqpError as error:
            self._broker.record.lost(self.edge, message.id, str(error))
            raise BrokerError(str(error)) from error
        self._broker.record.taken(taken, message.id)
        self._broker.pump()
        if self.returned is not None or not self.confirmed:
            raise not_taken(exchange, routing_key, self.returned)

    async def consume(self, queue: str, prefetch: int) -> "LocalClient":
        """As `BrokerClient.consume`: the client is its own consumption."""
        self._deliveries = asyncio.Queue()
        if self._cancelled:
            self.end()
            return self
        self._call(lambda channel: channel.basic_qos(prefetch))
        self._call(lambda channel: self._consumers.append(channel.basic_consume(queue)))
        return self

    async def cancel(self) -> None:
        """As `BrokerClient.cancel`."""
        self._cancelled = True
        while self._consumers:
            self._call(lambda channel: channel.basic_cancel(self._consumers.pop()))
        self.end()

    async def acknowledge(self, incoming: Incoming) -> None:
        """As `BrokerClient.acknowledge`."""
        self._call(lambda channel: channel.basic_ack(incoming.delivery_tag))

    async def reject(self, incoming: Incoming) -> None:
        """As `BrokerClient.reject`."""
        self._call(lambda channel: channel.basic_reject(incoming.delivery_tag, requeue=False))

    async def close(self) -> None:
        """As `BrokerClient.close`; a delivery that nobody took goes back with the rest."""
        while not self._deliveries.empty():
            incoming = self._deliveries.get_nowait()
            if isinstance(incoming, Incoming):
                self.edge.journal.lost(incoming.handled.message_id, "the consumer left")
        self.end()
        self._broker.disconnect(self._connection)

    def __aiter__(self) -> "LocalClient":
        return self

    async def __anext__(self) -> Incoming:
        incoming = await self._deliveries.get()
        if isinstance(incoming, BrokerError):
            raise incoming
        if incoming is None:
            raise StopAsyncIteration
        self.edge.journal.received(incoming.handled.message_id)
        return incoming

    def take(self, event: Delivery, handled: Handled) -> None:
        """A delivery for this client."""
        message: Message = event.message
        self._deliveries.put_nowait(
            Incoming(
                delivery_tag=event.delivery_tag,
                exchange=message.exchange,
                routing_key=message.routing_key,
                redelivered=event.redelivered,
                headers=dict(message.properties.headers or {}),
                content_type=message.properties.content_type,
                body=message.body,
                handled=handled,
            )
        )

    def end(self, error: BrokerError | None = None) -> None:
        """There will be no more deliveries, because of an error or because nobody wants any."""
        self._deliveries.put_nowait(error)

    def _call(self, call: Callable[[Channel], object]) -> None:
        if self._channel is None or self._channel.closed:
            self._channel = self._broker.open_channel(self._connection, self)
        try:
            call(self._channel)
        except AmqpError as error:
            refused = BrokerError(str(error))
            if self._consumers:
                self._consumers.clear()
                self.end(refused)
            raise refused from error
        self._broker.pump()

    def _publishing_channel(self) -> Channel:
        if self._publishing is None or self._publishing.closed:
            self._publishing = self._broker.open_channel(self._connection, self)
            self._publishing.confirm_select()
        return self._publishing


def depths_of(core: Broker) -> dict[str, Depth]:
    """How full the queues of a simulated broker are."""
    return {name: Depth(queue.ready_count, queue.unacked_count) for name, queue in core.queues.items()}
