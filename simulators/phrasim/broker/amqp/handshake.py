"""Who may enter, and with which limits: PLAIN, AMQPLAIN, and what `tune-ok` may ask for.

After `rabbit_auth_mechanism_plain`, `rabbit_auth_mechanism_amqplain` and `rabbit_reader` of RabbitMQ 3.10.
"""

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from phrasim.broker.amqp.frames import FRAME_MAX_MIN
from phrasim.broker.amqp.settings import Settings
from phrasim.broker.amqp.tables import MalformedTableError, decode_table, syntax_error
from phrasim.broker.errors import AmqpConnectionError, command_invalid, not_allowed

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

PROTOCOL_HEADERS = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09")
"""Those that are answered: 0-9-1, and 0-9, which RabbitMQ takes for the same. RabbitMQ speaks 0-8 too."""

MECHANISMS = "AMQPLAIN PLAIN"


@dataclass(frozen=True, slots=True)
class Limits:
    """What both sides have agreed on; a `channel_max` or `frame_max` of 0 is no limit, a `heartbeat_s` of 0 none."""

    channel_max: int
    frame_max: int
    heartbeat_s: int


def login(mechanism: str, response: bytes, users: Mapping[str, str]) -> str | None:
    """The name of the user who has logged in; None for a wrong name or password.

    Raises 503 for an unknown mechanism, 502 for a response that is none of its kind.
    """
    if mechanism == "PLAIN":
        name, password = _plain(response)
    elif mechanism == "AMQPLAIN":
        name, password = _amqplain(response)
    else:
        raise command_invalid(f"unknown authentication mechanism '{mechanism}'")
    # Somebody unknown is compared with too, so that the time taken does not tell who is known.
    expected = users.get(name)
    same = hmac.compare_digest(_bytes(password), _bytes(password + "-" if expected is None else expected))
    return name if same else None


def login_refused(mechanism: str) -> AmqpConnectionError:
    """403, which a client gets that has the capability `authentication_failure_close`."""
    return AmqpConnectionError(
        403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism "
        f"{mechanism}. For details see the broker logfile.",
    )


def agree(settings: Settings, channel_max: int, frame_max: int, heartbeat_s: int) -> Limits:
    """The limits that a client's `tune-ok` sets. Raises 530 for one that is beyond what was offered.

    The heartbeat is the client's own choice, as it is with RabbitMQ.
    """
    _check_limit("frame_max", FRAME_MAX_MIN, settings.frame_max, frame_max)
    _check_limit("channel_max", 1, settings.channel_max, channel_max)
    return Limits(channel_max, frame_max, heartbeat_s)


def _check_limit(name: str, least: int, offered: int, asked: int) -> None:
    if asked and asked < least:
        raise not_allowed(f"negotiated {name} = {asked} is lower than the minimum allowed value ({least})")
    if offered and (asked == 0 or asked > offered):
        detail = " (no limit)" if asked == 0 else ""
        raise not_allowed(f"negotiated {name} = {asked}{detail} is higher than the maximum allowed value ({offered})")


def _plain(response: bytes) -> tuple[str, str]:
    """Name and password of RFC 4616, whose first part, the identity to act as, has to be empty for RabbitMQ."""
    parts = response.split(b"\x00")
    if len(parts) != 3 or parts[0]:
        raise syntax_error(f"response {response!r} invalid")
    return _text(parts[1]), _text(parts[2])


def _amqplain(response: bytes) -> tuple[str, str]:
    """Name and password from a field table that comes without its length. RabbitMQ takes bytes for one of the two."""
    try:
        fields, _ = decode_table(struct.pack(">I", len(response)) + response)
    except MalformedTableError as error:
        raise syntax_error(str(error)) from error
    name, password = fields.get("LOGIN"), fields.get("PASSWORD")
    strings = isinstance(name, str) or isinstance(password, str)
    if not strings or not isinstance(name, str | bytes) or not isinstance(password, str | bytes):
        raise syntax_error(f"AMQPLAIN auth info with {sorted(fields)} is missing LOGIN or PASSWORD field")
    return _text(name), _text(password)


def _text(part: str | bytes) -> str:
    return part if isinstance(part, str) else part.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
