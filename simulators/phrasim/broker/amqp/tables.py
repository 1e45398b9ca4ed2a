"""Field tables and strings, in RabbitMQ's dialect of AMQP 0-9-1 §4.2.5 (its page "AMQP 0-9-1 Errata").

A value leaves with the type with which it came: `t` is a bool, `l` an int, `d` a float, `D` a Decimal, `S` a str,
`x` a bytes, `T` a datetime, `F` a dict, `A` a list, `V` None, and the other numbers are the classes below, which are
equal to the plain number they hold. RabbitMQ reads `L` as `l`, and so it leaves as `l`.

Names and `S` are str with surrogateescape, which carries any bytes. Of two fields with one name the last is kept.
"""

import math
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import Any

from phrasim.broker.errors import AmqpConnectionError, not_implemented
from phrasim.broker.message import FieldValue, Table

TABLE_BYTES_MAX = 131_072
"""Longest table that is read, in bytes: as long as a frame of the size that RabbitMQ proposes."""

TABLE_DEPTH_MAX = 64
"""How deep tables and arrays may lie in each other. RabbitMQ has no such limit."""

SHORT_STRING_BYTES_MAX = 255

UNWRITABLE = (TypeError, ValueError, struct.error)
"""What is raised, here and by `struct`, for what AMQP cannot express."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DATETIME_S_MAX = 253_402_300_799
"""The last second of the year 9999, the last that a datetime holds."""

_LENGTH = Struct(">I")
_DECIMAL = Struct(">Bi")
_DECIMAL_MAX = 2**31


class Int8(int):
    """Type `b`."""

    __slots__ = ()


class UInt8(int):
    """Type `B`."""

    __slots__ = ()


class Int16(int):
    """Type `s`."""

    __slots__ = ()


class UInt16(int):
    """Type `u`."""

    __slots__ = ()


class Int32(int):
    """Type `I`."""

    __slots__ = ()


class UInt32(int):
    """Type `i`."""

    __slots__ = ()


class Timestamp(int):
    """Type `T`, in seconds since 1970, where a datetime does not reach so far: some clients send milliseconds."""

    __slots__ = ()


class Float32(float):
    """Type `f`."""

    __slots__ = ()


class MalformedTableError(ValueError):
    """Bytes that are no field table. RabbitMQ's parser dies of them; whose it is, decides what the client is told."""


def syntax_error(explanation: str) -> AmqpConnectionError:
    """502: a field holds what it may not hold. Only the log of RabbitMQ has it, where no client is told."""
    return AmqpConnectionError(502, f"SYNTAX_ERROR - {explanation}")


def decode_table(payload: bytes, offset: int = 0) -> tuple[dict[str, FieldValue], int]:
    """Read the table whose length stands at `offset`; gives it, and the offset behind it.

    Raises MalformedTableError for one that is cut off, for an unknown type, and for a number that is not finite; 540
    for one that is beyond the limits above.
    """
    try:
        (length,) = _LENGTH.unpack_from(payload, offset)
        start = offset + 4
        end = start + length
        if end > len(payload):
            raise MalformedTableError(f"a field table of {length} bytes has {len(payload) - start} bytes to lie in")
        if length > TABLE_BYTES_MAX:
            raise not_implemented(f"a field table of {length} bytes is longer than {TABLE_BYTES_MAX} bytes")
        return _read_table(payload, start, end, 1), end
    except (IndexError, struct.error) as error:
        raise _cut_off() from error


def encode_table(table: Table) -> bytes:
    """Write a table, its length first. Raises ValueError or TypeError for what AMQP cannot express."""
    output = bytearray()
    _write_table(output, table)
    return bytes(output)


@lru_cache(maxsize=4096)
def short_string(text: str) -> bytes:
    """Write a short string, its length first. Raises ValueError beyond SHORT_STRING_BYTES_MAX bytes."""
    encoded = text.encode("utf-8", "surrogateescape")
    if len(encoded) > SHORT_STRING_BYTES_MAX:
        raise ValueError(f"{text!r} is {len(encoded)} bytes long: a short string has {SHORT_STRING_BYTES_MAX} at most")
    return bytes((len(encoded),)) + encoded


def read_short_string(payload: bytes, offset: int) -> tuple[str, int]:
    """Read the short string whose length stands at `offset`; gives it, and the offset behind it.

    Raises IndexError for one that is cut off: the caller knows what of.
    """
    end = offset + 1 + payload[offset]
    if end > len(payload):
        raise IndexError(end)
    return payload[offset + 1 : end].decode("utf-8", "surrogateescape"), end


def timestamp_of(seconds: int) -> datetime | Timestamp:
    """The time that is `seconds` after 1970 began in UTC."""
    return _EPOCH + timedelta(seconds=seconds) if seconds <= _DATETIME_S_MAX else Timestamp(seconds)


def seconds_of(time: datetime | int) -> int:
    """The reverse of `timestamp_of`; parts of a second are cut off. Raises ValueError for a time without a zone."""
    if isinstance(time, int):
        return time
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone: give it one, such as datetime.UTC")
    return (time - _EPOCH) // _SECOND


def _finite(number: float) -> float:
    # Erlang has no infinity, and no NaN: RabbitMQ's parser does not take these bytes for a number.
    if not math.isfinite(number):
        raise MalformedTableError(f"a field holds {number}, which is no finite number")
    return number


_NUMBERS: dict[int, tuple[Struct, Callable[[Any], FieldValue]]] = {
    ord("t"): (Struct(">B"), bool),
    ord("b"): (Struct(">b"), Int8),
    ord("B"): (Struct(">B"), UInt8),
    ord("s"): (Struct(">h"), Int16),
    ord("u"): (Struct(">H"), UInt16),
    ord("I"): (Struct(">i"), Int32),
    ord("i"): (Struct(">I"), UInt32),
    ord("l"): (Struct(">q"), int),
    ord("L"): (Struct(">q"), int),
    ord("f"): (Struct(">f"), lambda number: Float32(_finite(number))),
    ord("d"): (Struct(">d"), _finite),
    ord("T"): (Struct(">Q"), timestamp_of),
}
"""For each type of fixed length: how it lies there, and what is made of it."""

_TAGGED: dict[type, tuple[bytes, Struct]] = {
    bool: (b"t", Struct(">B")),
    Int8: (b"b", Struct(">b")),
    UInt8: (b"B", Struct(">B")),
    Int16: (b"s", Struct(">h")),
    UInt16: (b"u", Struct(">H")),
    Int32: (b"I", Struct(">i")),
    UInt32: (b"i", Struct(">I")),
    int: (b"l", Struct(">q")),
    Timestamp: (b"T", Struct(">Q")),
    Float32: (b"f", Struct(">f")),
    float: (b"d", Struct(">d")),
}
"""For each class of numbers: the type it leaves as, and how it lies there."""


def _read_table(payload: bytes, offset: int, end: int, depth: int) -> dict[str, FieldValue]:
    table: dict[str, FieldValue] = {}
    while offset < end:
        name, offset = read_short_string(payload, offset)
        table[name], offset = _read_value(payload, offset, end, depth)
    if offset != end:
        raise _cut_off()
    return table


def _read_array(payload: bytes, offset: int, end: int, depth: int) -> list[FieldValue]:
    array: list[FieldValue] = []
    while offset < end:
        value, offset = _read_value(payload, offset, end, depth)
        array.append(value)
    if offset != end:
        raise _cut_off()
    return array


def _read_value(payload: bytes, offset: int, end: int, depth: int) -> tuple[FieldValue, int]:
    """The value whose type stands at `offset`, and the offset behind it, which `end` bounds only if `end` is met."""
    tag = payload[offset]
    offset += 1
    number = _NUMBERS.get(tag)
    if number is not None:
        layout, make = number
        return make(layout.unpack_from(payload, offset)[0]), offset + layout.size
    if tag == ord("V"):
        return None, offset
    if tag == ord("D"):
        scale, digits = _DECIMAL.unpack_from(payload, offset)
        return _decimal(scale, digits), offset + _DECIMAL.size
    if tag not in b"SxFA":
        raise MalformedTableError(f"a field has the unknown type {chr(tag)!r}")
    start = offset + 4
    stop = start + _LENGTH.unpack_from(payload, offset)[0]
    if stop > end:
        raise _cut_off()
    if tag == ord("S"):
        return payload[start:stop].decode("utf-8", "surrogateescape"), stop
    if tag == ord("x"):
        return payload[start:stop], stop
    if depth == TABLE_DEPTH_MAX:
        raise not_implemented(f"tables and arrays lie more than {TABLE_DEPTH_MAX} deep in each other")
    if tag == ord("F"):
        return _read_table(payload, start, stop, depth + 1), stop
    return _read_array(payload, start, stop, depth + 1), stop


def _cut_off() -> MalformedTableError:
    return MalformedTableError("a field table is cut off, or a value in it is longer than the room it has")


def _decimal(scale: int, digits: int) -> Decimal:
    # Clients read the digits as signed; RabbitMQ hands on the four bytes, whatever they mean.
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -scale))


def _write_table(output: bytearray, table: Table) -> None:
    start = len(output)
    output += bytes(4)
    for name, value in table.items():
        output += short_string(name)
        _write_value(output, value)
    _LENGTH.pack_into(output, start, len(output) - start - 4)


def _write_value(output: bytearray, value: FieldValue) -> None:
    tagged = _TAGGED.get(type(value))
    if tagged is not None:
        _write_number(output, *tagged, value)
    elif isinstance(value, str):
        encoded = value.encode("utf-8", "surrogateescape")
        output += b"S" + _LENGTH.pack(len(encoded)) + encoded
    elif isinstance(value, datetime):
        _write_number(output, b"T", _TAGGED[Timestamp][1], seconds_of(value))
    elif value is None:
        output += b"V"
    elif isinstance(value, bytes | bytearray):
        output += b"x" + _LENGTH.pack(len(value)) + value
    elif isinstance(value, Decimal):
        output += b"D" + _DECIMAL.pack(*_scale_and_digits(value))
    elif isinstance(value, Mapping):
        output += b"F"
        _write_table(output, value)
    elif isinstance(value, list | tuple):
        output += b"A"
        start = len(output)
        output += bytes(4)
        for item in value:
            _write_value(output, item)
        _LENGTH.pack_into(output, start, len(output) - start - 4)
    else:
        raise TypeError(f"a field table cannot hold {value!r} of type {type(value).__name__}")


def _write_number(output: bytearray, tag: bytes, layout: Struct, number: FieldValue) -> None:
    try:
        packed = layout.pack(number)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{number!r} does not fit the field type {tag.decode()!r}") from error
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{number!r} is no finite number, and RabbitMQ takes none but those")
    output += tag + packed


def _scale_and_digits(number: Decimal) -> tuple[int, int]:
    exponent = number.as_tuple().exponent
    # The size is looked at first: the digits of 1E+999999 are not to be written out.
    if isinstance(exponent, int) and exponent >= -255 and -_DECIMAL_MAX <= number < _DECIMAL_MAX:
        scale = max(-exponent, 0)
        digits = int(number.scaleb(scale))
        if -_DECIMAL_MAX <= digits < _DECIMAL_MAX:
            return scale, digits
    raise ValueError(f"{number!r} does not fit the field type 'D': 32 bits of digits, and a scale of 0 to 255")
