"""RabbitMQ's rules without I/O: calls on channels go in, events come out.

What is imitated is a classic queue in RabbitMQ 3.10 to 3.13. Not imitated, and refused where it would matter:
priorities, single active consumers, quorum queues and streams, transactions, policies, permissions.
"""

from phrasim.broker.channel import Channel, Connection, Fetched, QueueDeclared
from phrasim.broker.core import Broker
from phrasim.broker.errors import AmqpChannelError, AmqpConnectionError, AmqpError
from phrasim.broker.events import (
    Confirmed,
    ConsumerCancelled,
    DeadLettered,
    Delivery,
    Dropped,
    Event,
    Returned,
)
from phrasim.broker.message import NO_PROPERTIES, FieldValue, Message, Properties, Table

__all__ = [
    "NO_PROPERTIES",
    "AmqpChannelError",
    "AmqpConnectionError",
    "AmqpError",
    "Broker",
    "Channel",
    "Confirmed",
    "Connection",
    "ConsumerCancelled",
    "DeadLettered",
    "Delivery",
    "Dropped",
    "Event",
    "Fetched",
    "FieldValue",
    "Message",
    "Properties",
    "QueueDeclared",
    "Returned",
    "Table",
]
