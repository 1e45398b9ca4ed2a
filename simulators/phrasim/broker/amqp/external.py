"""A real RabbitMQ in the place of the simulated broker: reached by its URL, and left as it was found."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.commands import Queue

from phrasim.broker.amqp.client import AmqpClient
from phrasim.broker.amqp.connecting import Connector, answered, farewell
from phrasim.broker.client import BrokerError, Depth
from phrasim.broker.record import BrokerRecord
from phrasim.documents import Messages
from phrasim.edge.edge import Edge

_OPERATOR = "phrasim: operator"

_logger = logging.getLogger(__name__)


class BrokerInUse(BrokerError):
    """The broker holds what others need: the message says what, and what would be right."""


class ExternalBroker:
    """`AnyBroker` over a real one, of which only the queues of `messages` are known."""

    core = None

    def __init__(self, connector: Connector, record: BrokerRecord, messages: Messages) -> None:
        self._connector = connector
        self._record = record
        self._messages = messages
        self._clients: list[AmqpClient] = []

    def connect(self, edge: Edge) -> AmqpClient:
        """As `AnyBroker.connect`."""
        client = AmqpClient(self._connector, edge, self._record, is_played=False)
        self._clients.append(client)
        return client

    @property
    def busy(self) -> bool:
        """As `AnyBroker.busy`, of the participants that phrasim plays."""
        return any(client.unsettled for client in self._clients)

    async def queues(self) -> Mapping[str, Depth]:
        """As `AnyBroker.queues`; `unacknowledged` is what the participants hold that phrasim plays."""
        held = [queue for client in self._clients for queue in client.unsettled.values()]
        found: dict[str, Depth] = {}
        async with _operating(self._connector) as connection:
            for channel in self._messages.channels.values():
                declared = await _declared_queue(connection, channel.queue)
                if declared is not None:
                    found[channel.queue] = Depth(declared.message_count or 0, held.count(channel.queue))
        return found

    def close(self) -> None:
        """As `AnyBroker.close`: a real broker goes on."""


@asynccontextmanager
async def borrowed(connector: Connector, messages: Messages) -> AsyncIterator[None]:
    """A block in which a run may use the queues of `messages`.

    They must be empty and nobody may consume them, else this raises `BrokerInUse`: the run would take others' messages
    for its own. Behind the block queues and exchanges that were not there before are deleted, and the others emptied;
    bindings between those stay.
    """
    async with _operating(connector) as connection:
        queues = await _unused(connection, messages)
        exchanges = [name for name in _exchanges(messages) if await _has_exchange(connection, name)]
    try:
        yield
    finally:
        try:
            await _give_back(connector, messages, queues, exchanges)
        except BrokerError as error:
            # What the run came to is not lost by it.
            _logger.warning("the broker could not be left as it was found: %s", error)


async def _give_back(connector: Connector, messages: Messages, queues: list[str], exchanges: list[str]) -> None:
    """Empty the queues that were there, and delete those and the exchanges that were not."""
    async with _operating(connector) as connection:
        working = await answered(connection.channel())
        for channel in messages.channels.values():
            if channel.queue in queues:
                await answered(working.queue_purge(channel.queue))
            else:
                await answered(working.queue_delete(channel.queue))
        for name in _exchanges(messages):
            if name not in exchanges:
                await answered(working.exchange_delete(name))


def _exchanges(messages: Messages) -> list[str]:
    return list(dict.fromkeys(channel.exchange for channel in messages.channels.values()))


async def hold_unused(connector: Connector, messages: Messages) -> None:
    """Raise `BrokerInUse` where the queues of `messages` are not for a run to use, as `borrowed` does."""
    async with _operating(connector) as connection:
        await _unused(connection, messages)


async def reached(connector: Connector) -> str:
    """Connect to a broker once; what it says that it is, such as `RabbitMQ 3.13.7`. Raises `BrokerError`."""
    async with _operating(connector) as connection:
        told = getattr(connection, "server_properties", None) or {}
        return f"{told.get('product', 'a broker')} {told.get('version', '')}".strip()


@asynccontextmanager
async def _operating(connector: Connector) -> AsyncIterator[AbstractConnection]:
    connection = await connector(_OPERATOR)
    try:
        yield connection
    finally:
        await farewell(connection)


async def _declared_queue(connection: AbstractConnection, queue: str) -> Queue.DeclareOk | None:
    """What is known of a queue; None if there is none. A refusal closes the channel, so each has one of its own."""
    channel = await answered(connection.channel())
    try:
        return await answered(channel.queue_declare(queue, passive=True))
    except BrokerError as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            return None
        raise


async def _has_exchange(connection: AbstractConnection, exchange: str) -> bool:
    channel = await answered(connection.channel())
    try:
        await answered(channel.exchange_declare(exchange, passive=True))
    except BrokerError as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            return False
        raise
    return True


async def _unused(connection: AbstractConnection, messages: Messages) -> list[str]:
    """The queues of `messages` that are there, which nobody uses. Raises `BrokerInUse`."""
    queues: list[str] = []
    for channel in messages.channels.values():
        found = await _declared_queue(connection, channel.queue)
        if found is None:
            continue
        if found.message_count or found.consumer_count:
            raise BrokerInUse(
                f"the queue {channel.queue!r} is in use (messages: {found.message_count}, "
                f"consumers: {found.consumer_count}); a run takes a virtual host of its own, "
                "such as amqp://HOST/phrasim, or empty queues that nobody consumes"
            )
        queues.append(channel.queue)
    return queues
