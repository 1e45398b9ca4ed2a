"""The content header (AMQP 0-9-1 §4.2.6.1): the size of a body, and the properties of a message.

A received header stays the bytes it was, and goes out again as they are; what a rule or an observer asks for is read
when it first does.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any

from phrasim.broker.amqp.frames import unexpected_frame
from phrasim.broker.amqp.tables import (
    MalformedTableError,
    decode_table,
    encode_table,
    read_short_string,
    seconds_of,
    short_string,
    timestamp_of,
)
from phrasim.broker.errors import internal_error
from phrasim.broker.message import Properties

_FIELDS = (
    ("content_type", 0x8000, "shortstr"),
    ("content_encoding", 0x4000, "shortstr"),
    ("headers", 0x2000, "table"),
    ("delivery_mode", 0x1000, "octet"),
    ("priority", 0x0800, "octet"),
    ("correlation_id", 0x0400, "shortstr"),
    ("reply_to", 0x0200, "shortstr"),
    ("expiration", 0x0100, "shortstr"),
    ("message_id", 0x0080, "shortstr"),
    ("timestamp", 0x0040, "timestamp"),
    ("type", 0x0020, "shortstr"),
    ("user_id", 0x0010, "shortstr"),
    ("app_id", 0x0008, "shortstr"),
    ("cluster_id", 0x0004, "shortstr"),
)
"""Name, flag and type of each property, in their order on the wire. RabbitMQ reads no second word of flags."""

_HEADERS = 0x2000
_EXPIRATION = 0x0100
_USER_ID = 0x0010
_CLASS_AND_WEIGHT = 60 << 16
_PREFIX = Struct(">IQH")
_PREFIX_WITHOUT_FLAGS = Struct(">IQ")
_TABLE_LENGTH = Struct(">I")
_TIMESTAMP = Struct(">Q")

_SHORT_STRING = 0
_TABLE = -1
_STEPS = {"shortstr": _SHORT_STRING, "table": _TABLE, "octet": 1, "timestamp": 8}

_READERS: dict[str, Callable[[bytes, int], tuple[Any, int]]] = {
    "shortstr": read_short_string,
    "table": decode_table,
    "octet": lambda raw, offset: (raw[offset], offset + 1),
    "timestamp": lambda raw, offset: (timestamp_of(_TIMESTAMP.unpack_from(raw, offset)[0]), offset + 8),
}

_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "shortstr": short_string,
    "table": encode_table,
    "octet": lambda number: bytes((number,)),
    "timestamp": lambda time: _TIMESTAMP.pack(seconds_of(time)),
}


class WireProperties(Properties):
    """The properties in the payload of a content header, `raw`, whose body will have `body_size` bytes.

    Raises 505 for a header of another class than basic. Properties that do not fill `raw` to its end, or of which the
    headers are wrong, raise 541 when they are read, as the channel of RabbitMQ dies when it reads them: not before the
    exchange has been found.
    """

    __slots__ = ("body_size", "raw")

    # This class is made for every message, and setting an attribute as the frozen base class does it would take half
    # of the time. CPython has the quick way only for both together.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        flags = 0
        try:
            class_and_weight, self.body_size, flags = _PREFIX.unpack_from(raw)
            end = _PREFIX.size
            for step in _steps(flags):
                if step > 0:
                    end += step
                elif step == _SHORT_STRING:
                    end += 1 + raw[end]
                else:
                    end += 4 + _TABLE_LENGTH.unpack_from(raw, end)[0]
        except (IndexError, struct.error):
            class_and_weight, self.body_size = _PREFIX_WITHOUT_FLAGS.unpack_from(raw)
            end = -1
        if class_and_weight != _CLASS_AND_WEIGHT:
            raise _other_header(class_and_weight)
        if end != len(raw):
            return
        # The three that the broker asks for with every message; mypy knows of the base class that it is frozen.
        if not flags & _HEADERS:
            self.headers = None  # type: ignore[misc]
        if not flags & _EXPIRATION:
            self.expiration = None  # type: ignore[misc]
        if not flags & _USER_ID:
            self.user_id = None  # type: ignore[misc]

    def __getattr__(self, name: str) -> object:
        """Called for a property that has no value yet: then it is time to read them. Raises 541."""
        if name not in Properties.__dataclass_fields__:
            raise AttributeError(name, name=name, obj=self)
        raw = self.raw
        offset = _PREFIX.size
        try:
            present, absent = _fields(_PREFIX.unpack_from(raw)[2])
            for field, read in present:
                value, offset = read(raw, offset)
                setattr(self, field, value)
        except (IndexError, struct.error, MalformedTableError) as error:
            raise internal_error() from error
        if offset != len(raw):
            raise internal_error()
        for field in absent:
            setattr(self, field, None)
        return object.__getattribute__(self, name)


def encode_header(properties: Properties, body_size: int) -> bytes:
    """The payload of the content header for a body of `body_size` bytes: the bytes that were received, where they fit.

    Raises ValueError or TypeError for what AMQP cannot express.
    """
    if isinstance(properties, WireProperties) and properties.body_size == body_size:
        return properties.raw
    flags = 0
    parts = [b""]
    for name, flag, kind in _FIELDS:
        value = getattr(properties, name)
        if value is not None:
            flags |= flag
            parts.append(_WRITERS[kind](value))
    parts[0] = _PREFIX.pack(_CLASS_AND_WEIGHT, body_size, flags)
    return b"".join(parts)


@lru_cache(maxsize=256)
def _steps(flags: int) -> tuple[int, ...]:
    """How far to go for each of the properties that `flags` announce, in bytes, or how that is to be found out."""
    return tuple(_STEPS[kind] for _, flag, kind in _FIELDS if flags & flag)


@lru_cache(maxsize=256)
def _fields(flags: int) -> tuple[tuple[tuple[str, Callable[[bytes, int], tuple[Any, int]]], ...], tuple[str, ...]]:
    """The properties that `flags` announce, each with its reader, and the names of the others."""
    present = tuple((name, _READERS[kind]) for name, flag, kind in _FIELDS if flags & flag)
    return present, tuple(name for name, flag, _ in _FIELDS if not flags & flag)


def _other_header(class_and_weight: int) -> Exception:
    class_id, weight = divmod(class_and_weight, 1 << 16)
    if weight:
        return unexpected_frame("expected content header for class 60, got non content header frame instead")
    return unexpected_frame(f"expected content header for class 60, got one for class {class_id} instead")
