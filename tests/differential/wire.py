"""AMQP 0-9-1 frames for the differential tests: plain values in and out, with the type of every table field in sight.

Which fields a method has, and of what types, is pamqp's word. The tables are read and written here, because what
they carry must be told apart to the type: a value is a pair such as ("l", 1), a table a dict of pairs.
"""

import struct
from dataclasses import dataclass
from typing import Any

from pamqp import base, commands

METHOD, HEADER, BODY, HEARTBEAT, FRAME_END = 1, 2, 3, 8, 0xCE

INTEGERS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q"}
NUMBERS = {**INTEGERS, "f": ">f", "d": ">d", "T": ">Q"}


def _wire_name(command: type) -> str:
    """`queue.declare-ok` for pamqp's class Queue.DeclareOk, as the specification spells it."""
    class_name, _, method = command.name.partition(".")
    dashed = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in method)
    return f"{class_name.lower()}.{dashed.lstrip('-')}"


class AccessRequest(base.Frame):
    """A method of AMQP 0-8 that RabbitMQ still answers."""

    __slots__ = ("realm", "exclusive", "passive", "active", "write", "read")  # noqa: RUF023 - in order
    index, name, valid_responses = 0x001E000A, "Access.Request", ("Access.RequestOk",)
    _realm = "shortstr"
    _exclusive = _passive = _active = _write = _read = "bit"


class AccessRequestOk(base.Frame):
    __slots__ = ("ticket",)
    index, name, valid_responses = 0x001E000B, "Access.RequestOk", ()
    _ticket = "short"


METHODS: dict[str, type] = {
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
    raw = text.encode("utf-8", "surrogateescape")
    return bytes((len(raw),)) + raw


def long(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def encode_table(table: dict[str, Any]) -> bytes:
    return long(b"".join(short(name) + encode_value(value) for name, value in table.items()))


def encode_value(value: Any) -> bytes:
    kind, inner = value
    tag = kind.encode()
    if kind in NUMBERS:
        return tag + struct.pack(NUMBERS[kind], inner)
    match kind:
        case "t":
            return tag + bytes((inner,))
        case "S":
            return tag + long(inner.encode("utf-8", "surrogateescape"))
        case "x":
            return tag + long(inner.encode("latin-1"))
        case "D":
            return tag + struct.pack(">BI", *inner)
        case "F":
            return tag + encode_table(inner)
        case "A":
            return tag + long(b"".join(encode_value(item) for item in inner))
        case "V":
            return tag
    raise ValueError(f"no AMQP field type {kind!r}")


class Reader:
    """Reads values off a payload, one after the other."""

    def __init__(self, payload: bytes, offset: int = 0) -> None:
        self.payload = payload
        self.offset = offset

    def number(self, layout: str) -> Any:
        (value,) = struct.unpack_from(layout, self.payload, self.offset)
        self.offset += struct.calcsize(layout)
        return value

    def raw(self, size: int) -> bytes:
        self.offset += size
        return self.payload[self.offset - size : self.offset]

    def short(self) -> str:
        return self.raw(self.number(">B")).decode("utf-8", "surrogateescape")

    def table(self) -> dict[str, Any]:
        end = self.number(">I") + self.offset
        table: dict[str, Any] = {}
        while self.offset < end:
            name = self.short()
            while name in table:
                name += " (again)"
            table[name] = self.value()
        return table

    def value(self) -> list[Any]:
        kind = self.raw(1).decode("latin-1")
        if kind in NUMBERS:
            return [kind, self.number(NUMBERS[kind])]
        match kind:
            case "t":
                return [kind, bool(self.number(">B"))]
            case "S":
                return [kind, self.raw(self.number(">I")).decode("utf-8", "surrogateescape")]
            case "x":
                return [kind, self.raw(self.number(">I")).decode("latin-1")]
            case "D":
                return [kind, [self.number(">B"), self.number(">I")]]
            case "F":
                return [kind, self.table()]
            case "A":
                end = self.number(">I") + self.offset
                items = []
                while self.offset < end:
                    items.append(self.value())
                return [kind, items]
            case "V":
                return [kind, None]
        raise ValueError(f"the broker sent a field of the unknown type {kind!r}")

    def field(self, kind: str) -> Any:
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
                return self.raw(self.number(">I")).decode("utf-8", "surrogateescape")
            case "table":
                return self.table()
        raise ValueError(f"no field type {kind!r}")


def encode_field(kind: str, value: Any) -> bytes:
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
    """The payload of a method; a field that is left out is zero, empty or false. An unknown field is refused."""
    command = METHODS[name]
    unknown = set(fields) - set(command.__slots__)
    assert not unknown, f"{name} has no field {unknown}, only {command.__slots__}"
    parts = [struct.pack(">I", command.index)]
    bits: list[bool] = []
    for field in command.__slots__:
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
    reader = Reader(payload)
    name = NAMES[reader.number(">I")]
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
    assert reader.offset == len(payload), f"{name} is {len(payload) - reader.offset} bytes too long"
    return name, fields


PROPERTIES = commands.Basic.Properties
FLAGS = PROPERTIES.flags


def encode_header(properties: dict[str, Any], body_size: int) -> bytes:
    flags = 0
    parts = []
    for name in PROPERTIES.__slots__:
        if name in properties:
            flags |= FLAGS[name]
            parts.append(encode_field(PROPERTIES.amqp_type(name), properties[name]))
    return struct.pack(">HHQH", 60, 0, body_size, flags) + b"".join(parts)


def decode_header(payload: bytes) -> tuple[dict[str, Any], int]:
    _, _, body_size, flags = struct.unpack_from(">HHQH", payload)
    reader = Reader(payload, 14)
    properties = {
        name: reader.field(PROPERTIES.amqp_type(name)) for name in PROPERTIES.__slots__ if flags & FLAGS[name]
    }
    assert reader.offset == len(payload), "a content header is longer than its properties"
    return properties, body_size


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"
