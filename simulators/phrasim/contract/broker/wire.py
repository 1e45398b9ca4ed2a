"""AMQP 0-9-1 frames: plain values in and out, with the type of every table field in sight.

Which fields a method has, and of what types, is pamqp's word. The tables are read and written here, because what
they carry must be told apart to the type: a value is a pair such as ["l", 1], a table a dict of pairs. What is sent
need not make sense, and what comes may be anything: what cannot be read raises `Strange`.
"""

import struct
from dataclasses import dataclass
from typing import Any

from pamqp import base, commands

METHOD, HEADER, BODY, HEARTBEAT, FRAME_END = 1, 2, 3, 8, 0xCE
BASIC_CLASS = 60

DEPTH_MAX = 64
"""How deep tables and arrays that a broker sends may be in each other; those of the programs are at most two deep."""

INTEGERS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q"}
NUMBERS = {**INTEGERS, "f": ">f", "d": ">d", "T": ">Q"}


class Strange(Exception):
    """The broker did what no broker may do; the message says what, as a whole sentence without its full stop."""


def _wire_name(command: type[base.Frame]) -> str:
    """`queue.declare-ok` for pamqp's class Queue.DeclareOk, as the specification spells it."""
    class_name, _, method = command.name.partition(".")
    dashed = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in method)
    return f"{class_name.lower()}.{dashed.lstrip('-')}"


class AccessRequest(base.Frame):
    """A method of AMQP 0-8 that RabbitMQ still answers."""

    __slots__ = ("realm", "exclusive", "passive", "active", "write", "read")  # noqa: RUF023 - in order
    index, name, valid_responses = 0x001E000A, "Access.Request", ["Access.RequestOk"]
    _realm = "shortstr"
    _exclusive = _passive = _active = _write = _read = "bit"


class AccessRequestOk(base.Frame):
    """Its answer, a number without a meaning."""

    __slots__ = ("ticket",)
    index, name, valid_responses = 0x001E000B, "Access.RequestOk", []
    _ticket = "short"


METHODS: dict[str, type[base.Frame]] = {
    _wire_name(command): command for command in (*commands.INDEX_MAPPING.values(), AccessRequest, AccessRequestOk)
}
NAMES = {command.index: name for name, command in METHODS.items()}


def replies(name: str) -> list[str]:
    """The methods that may answer the method `name`; none for one that has no answer."""
    wanted = METHODS[name].valid_responses
    return [reply for reply, command in METHODS.items() if command.name in wanted]


@dataclass(slots=True)
class Received:
    """A method from the broker, with its content where it carries one."""

    channel: int
    name: str
    fields: dict[str, Any]
    properties: dict[str, Any] | None = None
    body: bytes | None = None


def short(text: str) -> bytes:
    """A short string (AMQP §4.2.5.3), of 255 bytes at most."""
    raw = text.encode("utf-8", "surrogateescape")
    return bytes((len(raw),)) + raw


def long(raw: bytes) -> bytes:
    """A long string (AMQP §4.2.5.3)."""
    return struct.pack(">I", len(raw)) + raw


def encode_table(table: dict[str, Any]) -> bytes:
    """A field table (AMQP §4.2.5.5)."""
    return long(b"".join(short(name) + encode_value(value) for name, value in table.items()))


def encode_value(value: Any) -> bytes:
    """The value of a table field, with the letter of its type before it (RabbitMQ's errata to AMQP §4.2.1)."""
    kind, inner = value
    return str(kind).encode() + _encoded(kind, inner)


def _encoded(kind: str, inner: Any) -> bytes:
    if kind in NUMBERS:
        return struct.pack(NUMBERS[kind], inner)
    match kind:
        case "t":
            return bytes((inner,))
        case "S":
            return long(inner.encode("utf-8", "surrogateescape"))
        case "x":
            return long(inner.encode("latin-1"))
        case "D":
            return struct.pack(">BI", *inner)
        case "F":
            return encode_table(inner)
        case "A":
            return long(b"".join(encode_value(item) for item in inner))
        case "V":
            return b""
    raise ValueError(f"no AMQP field type {kind!r}")


class Reader:
    """Reads values off a payload, one after the other. Raises `Strange` where it ends too early."""

    def __init__(self, payload: bytes, offset: int = 0) -> None:
        self.payload = payload
        self.offset = offset

    def number(self, layout: str) -> Any:
        """A number, as `struct` lays it out."""
        (value,) = struct.unpack(layout, self.raw(struct.calcsize(layout)))
        return value

    def raw(self, size: int) -> bytes:
        """So many bytes."""
        if size > len(self.payload) - self.offset:
            raise Strange("what the broker sent breaks off in the middle of a value")
        self.offset += size
        return self.payload[self.offset - size : self.offset]

    def short(self) -> str:
        """A short string; bytes that are no UTF-8 come as lone surrogates (PEP 383)."""
        return self.raw(self.number(">B")).decode("utf-8", "surrogateescape")

    def long(self) -> str:
        """A long string, read as `short` reads one."""
        return self.raw(self.number(">I")).decode("utf-8", "surrogateescape")

    def table(self, depth: int = 0) -> dict[str, Any]:
        """A field table; a name that is there twice is kept with "(again)"."""
        end = self._end(depth)
        table: dict[str, Any] = {}
        while self.offset < end:
            name = self.short()
            while name in table:
                name += " (again)"
            table[name] = self.value(depth + 1)
        return table

    def _end(self, depth: int) -> int:
        """Where the table or array ends that begins here."""
        if depth > DEPTH_MAX:
            raise Strange(f"the broker sent tables that are more than {DEPTH_MAX} deep in each other")
        size: int = self.number(">I")
        if size > len(self.payload) - self.offset:
            raise Strange("the broker sent a table that is longer than what it is in")
        return self.offset + size

    def value(self, depth: int = 0) -> list[Any]:
        """The value of a table field: its type and itself."""
        kind = self.raw(1).decode("latin-1")
        if kind in NUMBERS:
            return [kind, self.number(NUMBERS[kind])]
        match kind:
            case "t":
                return [kind, bool(self.number(">B"))]
            case "S":
                return [kind, self.long()]
            case "x":
                return [kind, self.raw(self.number(">I")).decode("latin-1")]
            case "D":
                return [kind, [self.number(">B"), self.number(">I")]]
            case "F":
                return [kind, self.table(depth)]
            case "A":
                end = self._end(depth)
                items = []
                while self.offset < end:
                    items.append(self.value(depth + 1))
                return [kind, items]
            case "V":
                return [kind, None]
        raise Strange(f"the broker sent a field of the unknown type {kind!r}")

    def field(self, kind: str) -> Any:
        """The field of a method or the property of a message, by pamqp's name of its type."""
        match kind:
            case "octet":
                return self.number(">B")
            case "short":
                return self.number(">H")
            case "long":
                return self.number(">I")
            case "longlong" | "timestamp":
                return self.number(">Q")
            case "shortstr":
                return self.short()
            case "longstr":
                return self.long()
            case "table":
                return self.table()
        raise ValueError(f"no field type {kind!r}")


def encode_field(kind: str, value: Any) -> bytes:
    """What `Reader.field` reads; a long string and a table may be given as bytes, which need not be right."""
    match kind:
        case "octet":
            return struct.pack(">B", value)
        case "short":
            return struct.pack(">H", value)
        case "long":
            return struct.pack(">I", value)
        case "longlong" | "timestamp":
            return struct.pack(">Q", value)
        case "shortstr":
            return short(value)
        case "longstr":
            return long(value if isinstance(value, bytes) else value.encode())
        case "table":
            return value if isinstance(value, bytes) else encode_table(value)
    raise ValueError(f"no field type {kind!r}")


EMPTY: dict[str, Any] = {"table": {}, "shortstr": "", "longstr": ""}


def encode_method(name: str, fields: dict[str, Any]) -> bytes:
    """The payload of a method; a field that is left out is zero, empty or false. ValueError for one it has not."""
    command = METHODS[name]
    slots = tuple(command.__slots__)
    unknown = set(fields) - set(slots)
    if unknown:
        raise ValueError(f"{name} has no field {unknown}, only {slots}")
    parts = [struct.pack(">I", command.index)]
    bits: list[bool] = []
    for field in slots:
        kind = command.amqp_type(field)
        if kind == "bit":
            bits.append(bool(fields.get(field, False)))
            continue
        parts += _octets(bits)
        bits = []
        parts.append(encode_field(kind, fields.get(field, EMPTY.get(kind, 0))))
    return b"".join(parts + _octets(bits))


def _octets(bits: list[bool]) -> list[bytes]:
    return [bytes((sum(bit << place for place, bit in enumerate(bits)),))] if bits else []


def decode_method(payload: bytes) -> tuple[str, dict[str, Any]]:
    """The name of a method and its fields. Raises `Strange`."""
    reader = Reader(payload)
    index: int = reader.number(">I")
    name = NAMES.get(index)
    if name is None:
        raise Strange(f"the broker sent the method {index >> 16}.{index & 0xFFFF}, which nobody knows")
    command = METHODS[name]
    fields: dict[str, Any] = {}
    bit, octet = 0, 0
    for field in command.__slots__:
        kind = command.amqp_type(field)
        if kind == "bit":
            if bit == 0:
                octet = reader.number(">B")
            fields[field] = bool(octet >> bit & 1)
            bit += 1
        else:
            bit = 0
            fields[field] = reader.field(kind)
    if reader.offset != len(payload):
        raise Strange(f"the broker's {name} is {len(payload) - reader.offset} bytes too long")
    return name, fields


PROPERTIES = commands.Basic.Properties
FLAGS = PROPERTIES.flags


def encode_header(properties: dict[str, Any], body_size: int) -> bytes:
    """The payload of a content header (AMQP §4.2.6.1)."""
    flags = 0
    parts = []
    for name in PROPERTIES.__slots__:
        if name in properties:
            flags |= FLAGS[name]
            parts.append(encode_field(PROPERTIES.amqp_type(name), properties[name]))
    return struct.pack(">HHQH", BASIC_CLASS, 0, body_size, flags) + b"".join(parts)


def decode_header(payload: bytes) -> tuple[dict[str, Any], int]:
    """The properties of a message and the size of its body in bytes. Raises `Strange`."""
    reader = Reader(payload)
    class_id, _, body_size, flags = (reader.number(layout) for layout in (">H", ">H", ">Q", ">H"))
    if class_id != BASIC_CLASS:
        raise Strange(f"the broker sent a content header of the class {class_id}")
    properties = {
        name: reader.field(PROPERTIES.amqp_type(name)) for name in PROPERTIES.__slots__ if flags & FLAGS[name]
    }
    if reader.offset != len(payload):
        raise Strange("the broker sent a content header that is longer than its properties")
    return properties, body_size


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """A frame of any kind (AMQP §4.2.3)."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes((FRAME_END,))
