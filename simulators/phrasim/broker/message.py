"""Messages, their properties, and what a header may hold.

The broker reads only `expiration` and `headers` of the properties; everything else passes through untouched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from phrasim.broker.errors import precondition_failed

FieldValue: TypeAlias = (
    "bool | int | float | Decimal | str | bytes | datetime | Sequence[FieldValue] | Mapping[str, FieldValue] | None"
)
Table: TypeAlias = Mapping[str, FieldValue]

EXPIRY_MS_MAX = 10 * 365 * 86_400_000
"""Longest time to live that RabbitMQ takes, in milliseconds: ten years of 365 days."""

INTEGER_WORDS = {
    "Int8": "byte",
    "UInt8": "unsignedbyte",
    "Int16": "short",
    "UInt16": "unsignedshort",
    "Int32": "signedint",
    "UInt32": "unsignedint",
    "Timestamp": "timestamp",
}
"""RabbitMQ's words for the ints that remember their type on the wire, by the class that the wire makes of them."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of the basic class (AMQP 0-9-1 §1.8.1), each None when the publisher left it out.

    `timestamp` is in UTC and whole seconds, or their number where a datetime does not reach so far; `expiration` is a
    decimal number of milliseconds, as text.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Table | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: datetime | int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None

    def with_headers(self, headers: Table, expiration: str | None) -> "Properties":
        """The same properties with these headers and this expiration."""
        return Properties(
            self.content_type,
            self.content_encoding,
            headers,
            self.delivery_mode,
            self.priority,
            self.correlation_id,
            self.reply_to,
            expiration,
            self.message_id,
            self.timestamp,
            self.type,
            self.user_id,
            self.app_id,
            self.cluster_id,
        )


NO_PROPERTIES = Properties()


@dataclass(slots=True, eq=False)
class Message:
    """What a publisher sent, as every queue that takes it shares it. Nobody changes one after it is made.

    `seq` counts the messages of one broker from 1; a dead-lettered message is a new one with its own number.
    `carbon_keys` are the further routing keys of the `CC` and `BCC` headers. `deaths` is the broker's own record
    of x-death entries, newest first. Not frozen only because making a frozen instance costs four times as much.
    """

    body: bytes
    properties: Properties
    exchange: str
    routing_key: str
    seq: int
    expiration_ms: int | None = None
    carbon_keys: tuple[str, ...] = ()
    deaths: tuple[Table, ...] = ()


def expiration_ms(properties: Properties) -> int | None:
    """The time to live that a publisher asked for, in milliseconds.

    Raises 406 for anything but a whole number from 0 to EXPIRY_MS_MAX, explained as RabbitMQ's
    `parse_expiration` does it.
    """
    text = properties.expiration
    if text is None:
        return None
    digits = len(text) - len(text.lstrip("+-"))
    while digits < len(text) and text[digits] in "0123456789":
        digits += 1
    try:
        number = int(text[:digits])
    except ValueError:
        reason = "no_integer"
    else:
        if digits < len(text):
            reason = f'{{leftover_string,"{text[digits:]}"}}'
        elif number < 0:
            reason = f"{{value_negative,{number}}}"
        elif number > EXPIRY_MS_MAX:
            reason = f"{{value_too_large,{number}}}"
        else:
            return number
    raise precondition_failed(f"invalid expiration '{text}': {reason}")


def carbon_keys(properties: Properties) -> tuple[Properties, tuple[str, ...]]:
    """The further routing keys in the headers `CC` and `BCC`, and the properties without `BCC`.

    RabbitMQ's "Sender-selected Distribution". Raises 406 when one of the two is not an array.
    """
    headers = properties.headers
    if headers is None or not ("CC" in headers or "BCC" in headers):
        return properties, ()
    keys: list[str] = []
    for name in ("CC", "BCC"):
        if name not in headers:
            continue
        listed = headers[name]
        if not isinstance(listed, list | tuple):
            explanation = f'{{unacceptable_type_in_header,"{name}",{type_word(listed)}}}'
            raise precondition_failed(f"invalid message: {explanation}")
        keys += [key for key in listed if isinstance(key, str)]
    if "BCC" in headers:
        kept = {name: value for name, value in headers.items() if name != "BCC"}
        properties = properties.with_headers(kept, properties.expiration)
    return properties, tuple(keys)


def type_word(value: FieldValue) -> str:
    """RabbitMQ's word for the type of a field value."""
    match value:
        case bool():
            return "bool"
        case int():
            return INTEGER_WORDS.get(type(value).__name__, "long")
        case float():
            return "float" if type(value).__name__ == "Float32" else "double"
        case Decimal():
            return "decimal"
        case str():
            return "longstr"
        case bytes():
            return "binary"
        case datetime():
            return "timestamp"
        case None:
            return "void"
        case Mapping():
            return "table"
        case _:
            return "array"
