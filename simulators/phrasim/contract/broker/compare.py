"""What two records of one step must agree in, and where the first two differ that do not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phrasim.contract.broker.programs import Record
from phrasim.contract.broker.wire import NUMBERS

TIME_WITHIN_S = 24 * 3600
"""How far the clock of a broker may be from ours: times are nobody's promise."""

OWN_TIME_WITHIN_S = 60
"""The same for a broker on this machine."""

ABOUT_NOW = "about now"
TYPES = frozenset({*NUMBERS, *"tSxDFAV"})
"""The letters with which the values of tables are marked."""

_DEATHS_ADDED = ("x-last-death-exchange", "x-last-death-queue", "x-last-death-reason")
"""Headers of letters that RabbitMQ has from 3.13 on."""

_OWN_WORDS: dict[str, tuple[str, ...]] = {
    "connection.start": ("version_major", "version_minor"),
    "connection.tune": (),
    "connection.open-ok": (),
}
"""What of the methods of the handshake is the protocol's; the rest a broker or who runs it may choose."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a record, from the outside to the inside, in which two are not the same; None is nothing there."""

    where: tuple[str, ...]
    expected: Any
    came: Any


@dataclass(frozen=True, slots=True)
class Apart:
    """The first step in which two runs are not the same, counted from 0, and the places in its record."""

    step: int
    places: tuple[Place, ...]


def masked(value: Any, now: float, within_s: float) -> Any:
    """A record without the times in it that are as near to `now`, in Unix seconds: those that the broker wrote."""
    match value:
        case ["T", int(seconds)] if abs(seconds - now) <= within_s:
            return ["T", ABOUT_NOW]
        case list():
            return [masked(item, now, within_s) for item in value]
        case dict():
            return {name: masked(item, now, within_s) for name, item in value.items()}
        case _:
            return value


def honest(value: Any) -> Any:
    """A record without what differs between brokers that all keep the rules.

    That are the texts of replies, what a broker tells of itself in the handshake, the order in which it answers to
    several methods that came at once (RabbitMQ's reader and its channels race for that), the order of the x-death
    entries behind the newest (RabbitMQ up to 3.12 turns it) and the headers that it adds to letters from 3.13 on.
    """
    match value:
        case [str(method), dict(fields)] if method in _OWN_WORDS:
            return [method, _of_protocol(method, fields)]
        case [channel, str(method), dict(fields), message] if method in _OWN_WORDS:
            return [channel, method, _of_protocol(method, fields), message]
        case ["A", [newest, *others]] if _is_death(newest):
            return ["A", [honest(newest), *sorted((honest(one) for one in others), key=_in_order)]]
        case list():
            return [honest(item) for item in value]
        case dict():
            return {name: _honest_at(name, item) for name, item in value.items() if name not in _DEATHS_ADDED}
        case _:
            return value


def _honest_at(name: str, value: Any) -> Any:
    match name, value:
        case "reply_text", _:
            return ""
        case "transcript", [[int(), *_], *_]:
            return sorted(honest(value), key=_in_order)
    return honest(value)


def _of_protocol(method: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields.get(name) for name in _OWN_WORDS[method]}


def _in_order(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _is_death(entry: Any) -> bool:
    match entry:
        case ["F", {"queue": _, "reason": _}]:
            return True
    return False


def apart(expected: Sequence[Record], came: Sequence[Record], now: float, *, strict: bool = False) -> Apart | None:
    """The first step in which two runs differ; None when they agree. `now` is in Unix seconds.

    `strict` lets nothing differ but times: what two brokers of one version on this machine are held to.
    """
    within_s = OWN_TIME_WITHIN_S if strict else TIME_WITHIN_S
    for number, record in enumerate(expected):
        left = masked(record, now, within_s)
        right = masked(came[number] if number < len(came) else {}, now, within_s)
        if not strict:
            left, right = honest(left), honest(right)
        keys = [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]
        if keys:
            return Apart(number, tuple(_innermost(left.get(key), right.get(key), (key,)) for key in keys))
    return None


def _innermost(left: Any, right: Any, where: tuple[str, ...]) -> Place:
    """The innermost place in which two values differ that can be told by itself."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in dict.fromkeys([*left, *right]):
            if left.get(key) != right.get(key):
                return _innermost(left.get(key), right.get(key), (*where, key))
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        # Of two methods with one name their fields are told, and of two lists as long as each other what is in them.
        name = left[0] if left and isinstance(left[0], str) and left[0] == right[0] else None
        of_a_table = name in TYPES and len(left) == 2
        for one, other in zip(left, right, strict=True):
            if one != other and ((isinstance(one, dict | list) and type(one) is type(other)) or of_a_table):
                return _innermost(one, other, where if name is None or of_a_table else (*where, name))
            if one != other:
                break
    return Place(where, left, right)
