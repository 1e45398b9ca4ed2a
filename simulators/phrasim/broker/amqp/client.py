"""The AMQP wire to a broker, simulated or real, for the participants that phrasim plays."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from phrasim.broker.amqp import connecting
from phrasim.broker.amqp.connecting import FAILURES, Connector, answered, farewell, reason_of
from phrasim.broker.client import BrokerError, Incoming, not_taken
from phrasim.broker.message import Properties
from phrasim.broker.record import JSON, PERSISTENT, BrokerRecord, journal_properties, traceparent_of
from phrasim.edge.edge import Edge
from phrasim.journal.events import Delivery


class AmqpClient:
    """A `BrokerClient` on a socket. It connects when it is first used, and again where the connection was lost.

    It publishes on one channel and does all else on another: an error closes the channel that it happened on, and a
    new one takes its place. Where the broker `is_played` a delivery bears a `traceparent` of its own; from a real one
    it bears that of its publish.
    """

    def __init__(self, connector: Connector, edge: Edge, record: BrokerRecord, *, is_played: bool) -> None:
        self.edge = edge
        self.record = record
        self.is_played = is_played
        self.unsettled: dict[int, str] = {}
        """The queues of deliveries that were neither acknowledged nor rejected, by the delivery tag."""
        self._connector = connector
        self._cancelled = False
        self._left = False
        self._connecting = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channels: dict[str, AbstractChannel] = {}
        self._consumption: _Consumption | None = None

    async def declare_exchange(self, name: str, exchange_type: str) -> None:
        """As `BrokerClient.declare_exchange`."""
        channel = await self._channel()
        await answered(channel.exchange_declare(exchange=name, exchange_type=exchange_type, durable=True))

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """As `BrokerClient.declare_queue`."""
        channel = await self._channel()
        await answered(channel.queue_declare(queue=name, durable=True, arguments=dict(arguments)))

    async def bind_queue(self, queue: str, exchange: str, routing_key: str) -> None:
        """As `BrokerClient.bind_queue`."""
        channel = await self._channel()
        await answered(channel.queue_bind(queue=queue, exchange=exchange, routing_key=routing_key))

    async def check_queue(self, name: str) -> None:
        """As `BrokerClient.check_queue`."""
        channel = await self._channel()
        await answered(channel.queue_declare(queue=name, passive=True))

    async def purge_queue(self, name: str) -> None:
        """As `BrokerClient.purge_queue`."""
        channel = await self._channel()
        await answered(channel.queue_purge(queue=name))

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """As `BrokerClient.publish`; a message without a queue, or refused by one, is a `BrokerError`."""
        channel = await self._channel("publishing")
        message = self.record.sends(self.edge, exchange, routing_key, body, headers)
        properties = Basic.Properties(
            content_type=JSON,
            headers=dict(message.properties["headers"]),
            delivery_mode=PERSISTENT,
            message_id=message.id,
        )
        try:
            async with asyncio.timeout(connecting.ANSWER_SECONDS):
                await channel.basic_publish(
                    body, exchange=exchange, routing_key=routing_key, properties=properties, mandatory=True
                )
        except PublishError as returned:
            raise not_taken(exchange, routing_key, str(getattr(returned.frame, "reply_text", returned))) from returned
        except DeliveryError as refused:
            raise not_taken(exchange, routing_key, None) from refused
        except FAILURES as error:
            reason = reason_of(error)
            self.record.lost(self.edge, message.id, reason)
            raise BrokerError(reason) from error

    async def consume(self, queue: str, prefetch: int) -> "_Consumption":
        """As `BrokerClient.consume`."""
        channel = await self._channel()
        consumption = self._consumption = _Consumption(self, channel, queue)
        await answered(channel.basic_qos(prefetch_count=prefetch))
        if not self._cancelled:
            await answered(consumption.begin())
        if self._cancelled:
            await consumption.cancel()
        return consumption

    async def cancel(self) -> None:
        """As `BrokerClient.cancel`."""
        self._cancelled = True
        if self._consumption is not None:
            await self._consumption.cancel()

    async def acknowledge(self, incoming: Incoming) -> None:
        """As `BrokerClient.acknowledge`."""
        channel = self._consuming()
        await answered(channel.basic_ack(incoming.delivery_tag))
        self.unsettled.pop(incoming.delivery_tag, None)

    async def reject(self, incoming: Incoming) -> None:
        """As `BrokerClient.reject`."""
        channel = self._consuming()
        await answered(channel.basic_reject(incoming.delivery_tag, requeue=False))
        self.unsettled.pop(incoming.delivery_tag, None)

    async def close(self) -> None:
        """As `BrokerClient.close`; a delivery that nobody took goes back with the rest. Never raises `BrokerError`."""
        self._left = True
        self.unsettled.clear()
        if self._consumption is not None:
            self._consumption.leave()
        connection, self._connection = self._connection, None
        if connection is not None:
            await farewell(connection)

    def _consuming(self) -> AbstractChannel:
        if self._consumption is None:
            raise BrokerError("nothing is consumed: there is nothing to settle")
        return self._consumption.channel

    async def _channel(self, purpose: str = "working") -> AbstractChannel:
        """The channel for publishing, or for all else; opened anew where it is closed."""
        async with self._connecting:
            if self._left:
                raise BrokerError("the client has left the broker")
            channel = self._channels.get(purpose)
            if channel is None or channel.is_closed:
                if self._connection is None or self._connection.is_closed:
                    self._connection = await self._connected()
                channel = await answered(self._connection.channel(on_return_raises=True))
                self._channels[purpose] = channel
            return channel

    async def _connected(self) -> AbstractConnection:
        """A new connection; whoever has left meanwhile leaves none behind."""
        connection = await self._connector(f"phrasim: {self.edge.participant}")
        if self._left:
            await farewell(connection)
            raise BrokerError("the client has left the broker")
        return connection


class _Consumption:
    """The deliveries of a queue on a channel, in order; an error or None is the last."""

    def __init__(self, client: AmqpClient, channel: AbstractChannel, queue: str) -> None:
        self.channel = channel
        self._client = client
        self._queue = queue
        self._consumer_tag: str | None = None
        self._deliveries: asyncio.Queue[_Arrived | BrokerError | None] = asyncio.Queue()

    async def begin(self) -> None:
        """Start to consume."""
        self.channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        self.channel.closing.add_done_callback(self._on_closed)
        answer = await self.channel.basic_consume(self._queue, self._on_delivery)
        self._consumer_tag = answer.consumer_tag

    async def cancel(self) -> None:
        """Consume no more, whether or not the broker answers in the time that a farewell may take."""
        tag, self._consumer_tag = self._consumer_tag, None
        if tag is not None and not self.channel.is_closed:
            with suppress(*FAILURES):
                async with asyncio.timeout(connecting.CLOSE_SECONDS):
                    await self.channel.basic_cancel(tag)
        self._deliveries.put_nowait(None)

    def leave(self) -> None:
        """Nobody takes any more."""
        while not self._deliveries.empty():
            arrived = self._deliveries.get_nowait()
            if isinstance(arrived, _Arrived):
                self._client.edge.journal.lost(arrived.message, "the consumer left")
        self._deliveries.put_nowait(None)

    def __aiter__(self) -> "_Consumption":
        return self

    async def __anext__(self) -> Incoming:
        arrived = await self._deliveries.get()
        if isinstance(arrived, BrokerError):
            raise arrived
        if arrived is None:
            raise StopAsyncIteration
        self._client.edge.journal.received(arrived.message)
        return arrived.incoming

    async def _on_delivery(self, delivered: DeliveredMessage) -> None:
        arrived = self._arrived(delivered)
        self._client.unsettled[arrived.incoming.delivery_tag] = self._queue
        self._deliveries.put_nowait(arrived)

    async def _on_cancel(self, _: Basic.Cancel) -> None:
        self._deliveries.put_nowait(BrokerError("the broker cancelled the consumer: its queue is gone"))

    def _on_closed(self, closing: "asyncio.Future[Any]") -> None:
        error = None if closing.cancelled() else closing.exception()
        reason = "the channel is closed" if error is None else reason_of(error)
        self._client.unsettled.clear()  # They go back to their queue.
        self._deliveries.put_nowait(BrokerError(reason))

    def _arrived(self, delivered: DeliveredMessage) -> "_Arrived":
        client, tracer = self._client, self._client.edge.tracer
        properties = _properties(delivered.header.properties)
        traceparent = traceparent_of(properties)
        message: str | Delivery
        if client.is_played and (known := tracer.correlation.arrived(traceparent)) is not None:
            message = message_id = known
        else:
            message = client.record.delivery(
                client.edge,
                client.edge.participant,
                self._queue,
                delivered.exchange or "",
                delivered.routing_key or "",
                publish=tracer.correlation.bears(traceparent),
                redelivered=bool(delivered.redelivered),
                properties=journal_properties(properties),
                body=delivered.body,
            )
            message_id = message.id
        incoming = Incoming(
            delivery_tag=delivered.delivery_tag or 0,
            exchange=delivered.exchange or "",
            routing_key=delivered.routing_key or "",
            redelivered=bool(delivered.redelivered),
            headers=dict(properties.headers or {}),
            content_type=properties.content_type,
            body=delivered.body,
            handled=tracer.handling(message_id, traceparent),
        )
        return _Arrived(incoming, message)


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A delivery, and what the journal is told once it is taken: its id, or all of it."""

    incoming: Incoming
    message: str | Delivery


def _properties(read: Basic.Properties) -> Properties:
    """The properties as they came, as the journal knows them."""
    return Properties(
        content_type=read.content_type,
        content_encoding=read.content_encoding,
        headers=read.headers,
        delivery_mode=read.delivery_mode,
        priority=read.priority,
        correlation_id=read.correlation_id,
        reply_to=read.reply_to,
        expiration=read.expiration,
        message_id=read.message_id,
        timestamp=read.timestamp,
        type=read.message_type,
        user_id=read.user_id,
        app_id=read.app_id,
        cluster_id=read.cluster_id or None,  # pamqp makes an absent one empty.
    )
