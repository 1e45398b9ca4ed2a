"""What an AMQP server is told: its users, the limits it offers and those it keeps, and how it presents itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MIB = 1024 * 1024

HANDSHAKE_S = 10
"""Seconds from accepting to `connection.open`, as RabbitMQ's `handshake_timeout`."""

SILENCE_S = 3
"""Seconds for which a client that is not to be trusted has to wait for the end (RabbitMQ's `SILENT_CLOSE_DELAY`)."""

CLOSING_S = 30
"""Seconds for the client to answer `connection.close`, or the heartbeat if that is shorter (RabbitMQ's
`CLOSING_TIMEOUT`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`users` are passwords by user name. Defaults are RabbitMQ's, but for the memory.

    `frame_max` and `body_bytes_max` are in bytes. `held_bytes_max` is where publishers have to wait: bytes of all
    messages of one virtual host; it bounds the unfinished bodies of all connections, too. `arriving_bytes_max` bounds
    those of one connection, `unsent_bytes_max` what waits to be sent to one client before nothing more is read from it.
    """

    users: Mapping[str, str] = field(default_factory=lambda: {"guest": "guest"})
    version: str = "3.13.7"
    channel_max: int = 2047
    frame_max: int = 131072
    heartbeat_s: int = 60
    body_bytes_max: int = 128 * MIB
    arriving_bytes_max: int = 256 * MIB
    held_bytes_max: int = 512 * MIB
    unsent_bytes_max: int = MIB


def server_properties(settings: Settings) -> dict[str, Any]:
    """What `connection.start` tells of the broker, under RabbitMQ's names.

    Two capabilities of RabbitMQ are missing because they are not imitated: `consumer_priorities` and
    `direct_reply_to`.
    """
    return {
        "capabilities": {
            "publisher_confirms": True,
            "exchange_exchange_bindings": True,
            "basic.nack": True,
            "consumer_cancel_notify": True,
            "connection.blocked": True,
            "authentication_failure_close": True,
            "per_consumer_qos": True,
        },
        "cluster_name": "rabbit@phrasim",
        "information": "Simulated by phrasim",
        "platform": "Python",
        "product": "RabbitMQ",
        "version": settings.version,
    }
