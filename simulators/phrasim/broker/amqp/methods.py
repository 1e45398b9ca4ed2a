"""Methods (AMQP 0-9-1 §4.2.4): the frequent ones by hand, all others as pamqp's commands.

A payload is that of a method frame: class id, method id, arguments. Of pamqp only the commands are taken, as the list
of arguments and their types. Its own codec writes integers in tables with other types than RabbitMQ and takes some
truncated arguments; and what a command refuses to be made with (names with other signs than its pattern's, a ticket),
RabbitMQ takes.

Arguments are bound by their length and read to their end, else RabbitMQ answers 501; texts after `rabbit_misc.erl`.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any

from pamqp.base import Frame
from pamqp.commands import INDEX_MAPPING

from phrasim.broker.amqp.access import Request, RequestOk
from phrasim.broker.amqp.frames import frame_error, octets_text
from phrasim.broker.amqp.tables import (
    MalformedTableError,
    decode_table,
    encode_table,
    read_short_string,
    short_string,
    syntax_error,
)
from phrasim.broker.errors import AmqpConnectionError, AmqpUnansweredError, not_implemented

PUBLISH = b"\x00\x3c\x00\x28"
ACK = b"\x00\x3c\x00\x50"
REJECT = b"\x00\x3c\x00\x5a"
NACK = b"\x00\x3c\x00\x78"
"""The first four bytes of the methods that have a function of their own for being read."""

_IDS = Struct(">HH")
_INDEX = Struct(">I")
_TAG_AND_BITS = Struct(">4xQB")
_SETTLEMENT = Struct(">HHQB")
_DELIVER = b"\x00\x3c\x00\x3c"
_DELIVERED = Struct(">QB")
_GET_OK = Struct(">HHQB")
_RETURN = Struct(">HHH")
_COUNT = Struct(">I")

_REPLY_TEXT_BYTES_MAX = 255

_COMMANDS: dict[int, type[Frame]] = {
    **{index: command for index, command in INDEX_MAPPING.items() if issubclass(command, Frame)},
    Request.index: Request,
    RequestOk.index: RequestOk,
}
_ARGUMENTS = {
    index: tuple((name, command.amqp_type(name)) for name in command.attributes())
    for index, command in _COMMANDS.items()
}
"""For each method the names of its arguments, in order, and pamqp's words for their types."""


@lru_cache(maxsize=1024)
def parse_publish(payload: bytes) -> tuple[str, str, bool, bool]:
    """`basic.publish`: exchange, routing key, mandatory, immediate. Raises 501.

    Remembered, because a publisher's payload is mostly the same for every message. Names need not be UTF-8 here.
    """
    try:
        exchange, offset = read_short_string(payload, 6)
        routing_key, offset = read_short_string(payload, offset)
        bits = payload[offset]
    except IndexError:
        offset = -1
    if offset != len(payload) - 1:
        raise _undecodable(payload)
    return exchange, routing_key, bool(bits & 1), bool(bits & 2)


def parse_ack(payload: bytes) -> tuple[int, bool]:
    """`basic.ack`: delivery tag, multiple. Raises 501."""
    delivery_tag, bits = _tag_and_bits(payload)
    return delivery_tag, bits & 1 == 1


def parse_reject(payload: bytes) -> tuple[int, bool]:
    """`basic.reject`: delivery tag, requeue. Raises 501."""
    delivery_tag, bits = _tag_and_bits(payload)
    return delivery_tag, bits & 1 == 1


def parse_nack(payload: bytes) -> tuple[int, bool, bool]:
    """`basic.nack`: delivery tag, multiple, requeue. Raises 501."""
    delivery_tag, bits = _tag_and_bits(payload)
    return delivery_tag, bits & 1 == 1, bits & 2 == 2


def deliver(consumer_tag: str, delivery_tag: int, redelivered: bool, exchange: str, routing_key: str) -> bytes:
    """`basic.deliver`."""
    return b"".join(
        (
            _DELIVER,
            short_string(consumer_tag),
            _DELIVERED.pack(delivery_tag, redelivered),
            short_string(exchange),
            short_string(routing_key),
        )
    )


def get_ok(delivery_tag: int, redelivered: bool, exchange: str, routing_key: str, message_count: int) -> bytes:
    """`basic.get-ok`."""
    return b"".join(
        (
            _GET_OK.pack(60, 71, delivery_tag, redelivered),
            short_string(exchange),
            short_string(routing_key),
            _COUNT.pack(message_count),
        )
    )


def returned(reply_code: int, reply_text: str, exchange: str, routing_key: str) -> bytes:
    """`basic.return`."""
    return b"".join(
        (
            _RETURN.pack(60, 50, reply_code),
            short_string(reply_text),
            short_string(exchange),
            short_string(routing_key),
        )
    )


def ack(delivery_tag: int, multiple: bool = False) -> bytes:
    """`basic.ack`, with which the broker confirms."""
    return _SETTLEMENT.pack(60, 80, delivery_tag, multiple)


def nack(delivery_tag: int, multiple: bool = False) -> bytes:
    """`basic.nack`, with which the broker refuses; `requeue` is set, as RabbitMQ leaves it."""
    return _SETTLEMENT.pack(60, 120, delivery_tag, multiple | 2)


def decode(payload: bytes) -> Frame:
    """Read any method into pamqp's command; tables, short and long strings hold what `tables` says.

    Raises AmqpUnansweredError for a method nobody knows and for a malformed table, 501 for arguments that are too short
    or too long, which names the method, and 501 for a short string that is not UTF-8, which does not.
    """
    class_id, method_id = _IDS.unpack_from(payload)
    command_class = _COMMANDS.get(_INDEX.unpack_from(payload)[0])
    if command_class is None:
        raise _unanswered(not_implemented(f"unknown method {{{class_id},{method_id}}}"))
    command = command_class.__new__(command_class)
    offset = 4
    bits = mask = 0
    try:
        for name, kind in _ARGUMENTS[command.index]:
            if kind == "bit":
                if not mask:
                    bits = payload[offset]
                    offset += 1
                    mask = 1
                setattr(command, name, bits & mask != 0)
                mask <<= 1
            else:
                mask = 0
                value, offset = _READERS[kind](payload, offset)
                setattr(command, name, value)
    except (IndexError, struct.error) as error:
        raise _undecodable(payload) from error
    if offset != len(payload):
        raise _undecodable(payload)
    return command


def encode(command: Frame) -> bytes:
    """Write pamqp's command; what it holds is not checked against its patterns.

    Raises ValueError, TypeError or struct.error for what AMQP cannot express.
    """
    output = bytearray(_INDEX.pack(command.index))
    mask = 0
    for name, kind in _ARGUMENTS[command.index]:
        value = getattr(command, name)
        if kind == "bit":
            if not mask:
                output.append(0)
                mask = 1
            output[-1] |= mask * bool(value)
            mask <<= 1
        else:
            mask = 0
            output += _WRITERS[kind](value)
    return bytes(output)


def reply_text(text: str) -> str:
    """`text` as it fits a reply: RabbitMQ cuts a longer one to 252 bytes and three dots."""
    encoded = text.encode("utf-8", "surrogateescape")
    if len(encoded) <= _REPLY_TEXT_BYTES_MAX:
        return text
    return encoded[: _REPLY_TEXT_BYTES_MAX - 3].decode("utf-8", "surrogateescape") + "..."


def _tag_and_bits(payload: bytes) -> tuple[int, int]:
    try:
        delivery_tag, bits = _TAG_AND_BITS.unpack(payload)
    except struct.error:
        raise _undecodable(payload) from None
    return delivery_tag, bits


def _unanswered(error: AmqpConnectionError) -> AmqpUnansweredError:
    """The error as one of which the client is not told."""
    return AmqpUnansweredError(error.reply_code, error.reply_text)


def _undecodable(payload: bytes) -> AmqpConnectionError:
    return _of(payload, frame_error(f"cannot decode {octets_text(payload[4:])}"))


def _of(payload: bytes, error: AmqpConnectionError) -> AmqpConnectionError:
    error.class_id, error.method_id = _IDS.unpack_from(payload)
    return error


def _integer(layout: Struct) -> Callable[[bytes, int], tuple[int, int]]:
    return lambda payload, offset: (layout.unpack_from(payload, offset)[0], offset + layout.size)


def _read_utf8(payload: bytes, offset: int) -> tuple[str, int]:
    text, offset = read_short_string(payload, offset)
    # A byte that is no UTF-8 has become a lone surrogate, which UTF-8 has no place for.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise frame_error("Malformed UTF-8 in shortstr")
    return text, offset


def _read_long_string(payload: bytes, offset: int) -> tuple[str, int]:
    start = offset + 4
    end = start + _COUNT.unpack_from(payload, offset)[0]
    if end > len(payload):
        raise IndexError(end)
    return payload[start:end].decode("utf-8", "surrogateescape"), end


def _read_table(payload: bytes, offset: int) -> tuple[dict[str, Any], int]:
    # A table that reaches beyond the method is the method's fault (501), not the table's.
    if offset + 4 + _COUNT.unpack_from(payload, offset)[0] > len(payload):
        raise IndexError(offset)
    try:
        return decode_table(payload, offset)
    except MalformedTableError as error:
        raise _of(payload, _unanswered(syntax_error(str(error)))) from error
    except AmqpConnectionError as error:
        raise _of(payload, error) from None


def _long_string(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogateescape")
    return _COUNT.pack(len(encoded)) + encoded


_READERS: dict[str, Callable[[bytes, int], tuple[Any, int]]] = {
    "octet": _integer(Struct(">B")),
    "short": _integer(Struct(">H")),
    "long": _integer(Struct(">I")),
    "longlong": _integer(Struct(">Q")),
    "shortstr": _read_utf8,
    "longstr": _read_long_string,
    "table": _read_table,
}

_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "octet": Struct(">B").pack,
    "short": Struct(">H").pack,
    "long": Struct(">I").pack,
    "longlong": Struct(">Q").pack,
    "shortstr": short_string,
    "longstr": _long_string,
    "table": encode_table,
}
