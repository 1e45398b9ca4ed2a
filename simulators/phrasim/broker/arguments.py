"""The optional arguments of queues: read, checked and compared as RabbitMQ does it.

Behaviour and wording after `rabbit_amqqueue:declare_args` and `rabbit_misc:assert_args_equivalence` of 3.10 to 3.12.
A refusal names the type that a value had on the wire. A plain int is a `long`, as which it would be sent.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from phrasim.broker.errors import not_implemented, precondition_failed
from phrasim.broker.message import EXPIRY_MS_MAX, INTEGER_WORDS, FieldValue, Table, type_word

Overflow: TypeAlias = Literal["drop-head", "reject-publish", "reject-publish-dlx"]

PRIORITY_MAX = 255
"""Highest `x-max-priority` that RabbitMQ takes."""

ROUTING_KEY_BYTES_MAX = 255
"""Longest routing key that a message can have, a short string of AMQP; an argument may hold a longer one."""

COMPARED = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-single-active-consumer",
    "x-queue-type",
)
"""The arguments that a second declaration must repeat, in the order in which RabbitMQ looks at them."""


@dataclass(frozen=True, slots=True)
class QueueArguments:
    """What a queue's arguments ask for; None where they ask for nothing. Lengths count ready messages."""

    expires_ms: int | None
    message_ttl_ms: int | None
    dead_letter_exchange: str | None
    dead_letter_routing_key: str | None
    length_max: int | None
    length_bytes_max: int | None
    overflow: Overflow


def read_queue_arguments(arguments: Table, queue: str) -> QueueArguments:
    """Check `arguments` of the queue that RabbitMQ would call `queue` (such as "queue 'q' in vhost '/'").

    Raises 406 with RabbitMQ's words for a value it refuses, and 540 for what this broker does not imitate:
    priorities, a single active consumer, any queue type but `classic`, and a routing key for dead letters that is too
    long for a delivery.
    """
    refusal = _Refusal(arguments, queue)
    named = arguments.get("x-dead-letter-exchange", "")
    if not isinstance(named, str):
        # RabbitMQ's channel looks at this one before the queue looks at any.
        raise precondition_failed(f"invalid type '{type_word(named)}' for arg 'x-dead-letter-exchange' in {queue}")
    expires_ms = refusal.integer("x-expires", maximum=EXPIRY_MS_MAX)
    if expires_ms == 0:
        raise refusal.of("x-expires", "{value_zero,0}")
    message_ttl_ms = refusal.integer("x-message-ttl", maximum=EXPIRY_MS_MAX)
    exchange = refusal.text("x-dead-letter-exchange")
    routing_key = refusal.text("x-dead-letter-routing-key")
    if routing_key is not None and exchange is None:
        raise refusal.of("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
    length_max = refusal.integer("x-max-length")
    length_bytes_max = refusal.integer("x-max-length-bytes")
    priorities = refusal.integer("x-max-priority")
    if priorities is not None and priorities > PRIORITY_MAX:
        raise refusal.of("x-max-priority", f"{{max_value_exceeded,{priorities}}}")
    overflow = refusal.text("x-overflow")
    if overflow not in {None, "drop-head", "reject-publish", "reject-publish-dlx"}:
        raise refusal.of("x-overflow", "invalid_overflow")
    queue_mode = refusal.text("x-queue-mode")
    if queue_mode not in {None, "default", "lazy"}:
        raise refusal.of("x-queue-mode", f"\"unsupported queue mode '{queue_mode}'\"")
    refusal.flag("x-single-active-consumer")
    _refuse_what_is_not_imitated(arguments, queue)
    return QueueArguments(
        expires_ms,
        message_ttl_ms,
        exchange,
        routing_key,
        length_max,
        length_bytes_max,
        cast("Overflow", overflow or "drop-head"),
    )


def _refuse_what_is_not_imitated(arguments: Table, queue: str) -> None:
    for name, harmless in (
        ("x-max-priority", ()),
        ("x-single-active-consumer", (False,)),
        ("x-queue-type", ("classic",)),
    ):
        if name in arguments and arguments[name] not in harmless:
            raise not_implemented(f"{name} {arguments[name]!r} of {queue} is not simulated: leave it out")
    routing_key = arguments.get("x-dead-letter-routing-key", "")
    length = len(routing_key.encode("utf-8", "surrogateescape")) if isinstance(routing_key, str) else 0
    if length > ROUTING_KEY_BYTES_MAX:
        # RabbitMQ takes it, and ends with 541 each connection to which it would deliver such a letter.
        raise not_implemented(
            f"x-dead-letter-routing-key of {queue} has {length} bytes, and no message can be delivered with more than "
            f"{ROUTING_KEY_BYTES_MAX}: shorten it"
        )


class _Refusal:
    """Reads one argument after the other and knows how RabbitMQ words what is wrong with it."""

    def __init__(self, arguments: Table, queue: str) -> None:
        self._arguments = arguments
        self._queue = queue

    def of(self, name: str, explanation: str) -> Exception:
        return precondition_failed(f"invalid arg '{name}' for {self._queue}: {explanation}")

    def integer(self, name: str, maximum: int | None = None) -> int | None:
        if name not in self._arguments:
            return None
        value = self._arguments[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.of(name, f'"expected integer, got {type_word(value)}"')
        if value < 0:
            raise self.of(name, f"{{value_negative,{value}}}")
        if maximum is not None and value > maximum:
            raise self.of(name, f"{{value_too_large,{value}}}")
        return value

    def flag(self, name: str) -> None:
        value = self._arguments.get(name, False)
        if not isinstance(value, bool):
            raise self.of(name, f"{{unacceptable_type,{type_word(value)}}}")

    def text(self, name: str) -> str | None:
        if name not in self._arguments:
            return None
        value = self._arguments[name]
        if not isinstance(value, str):
            raise self.of(name, f"{{unacceptable_type,{type_word(value)}}}")
        return value


def check_arguments_equivalent(current: Table, received: Table, names: tuple[str, ...], resource: str) -> None:
    """Raise 406 unless `received` says the same as `current` for each of `names`.

    An int equals an int of another width; any other change of type is a difference.
    """
    for name in names:
        was, now = current.get(name), received.get(name)
        if name == "x-queue-type":
            was, now = was or "classic", now or "classic"
        if (was is None) != (now is None):
            raise inequivalent(name, resource, _typed(now), _typed(was))
        if was != now or _type_class(was) != _type_class(now):
            raise inequivalent(name, resource, f"'{_plain(now)}'", f"'{_plain(was)}'")


def check_field_equivalent(name: str, current: bool | str, received: bool | str, resource: str) -> None:
    """Raise 406 unless the declared property `name`, such as `durable`, is what it was."""
    if current != received:
        raise inequivalent(name, resource, f"'{_plain(received)}'", f"'{_plain(current)}'")


def inequivalent(name: str, resource: str, received: str, current: str) -> Exception:
    """The 406 of a second declaration that differs from the first."""
    return precondition_failed(
        f"inequivalent arg '{name}' for {resource}: received {received} but current is {current}"
    )


def _type_class(value: FieldValue) -> str:
    word = type_word(value)
    if word in {"long", "decimal"} or (word in INTEGER_WORDS.values() and word != "timestamp"):
        return "int"
    return "float" if word == "double" else word


def _plain(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _typed(value: FieldValue) -> str:
    return "none" if value is None else f"the value '{_plain(value)}' of type '{type_word(value)}'"
