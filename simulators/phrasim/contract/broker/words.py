"""A step and what came of it, in words for people."""

import json
from typing import Any

from phrasim.contract.broker.compare import TYPES, Apart
from phrasim.contract.broker.programs import Step

SHOWN_MAX = 400
"""So many characters of a value are shown."""

_PLACES = {
    "reply": "the answer",
    "events": "what happened beside it",
    "queues": "queues, [ready messages, consumers]",
    "transcript": "what the broker sent",
}
_ABOUT = {
    "queue": "of queue",
    "exchange": "with exchange",
    "source": "from exchange",
    "destination": "to exchange",
    "routing_key": "with routing key",
    "consumer_tag": "with consumer tag",
    "delivery_tag": "of delivery",
}
"""Fields of methods that say what a step is about."""


def asked(step: Step, number: int, steps: int) -> str:
    """What a step asks of the broker: `step 7 of 12: basic.get of queue q0`; `number` counts from 0."""
    return f"step {number + 1} of {steps}: {_done(step)}"


def _done(step: Step) -> str:
    match step["do"]:
        case "wait":
            return "wait until the short times to live are over"
        case "drop":
            return "close the socket without a word"
        case "handshake":
            changed = ", ".join(f"{name} {value!r}" for name, value in step["with"].items())
            return f"a handshake with {changed or 'the account'}"
        case "raw":
            return f"{step.get('method', 'bytes')} on channel {step['channel']}, which is not open"
        case "alone":
            after = step.get("after", "channel.open-ok")
            behind = f"behind {after}" if after else "as its first words"
            return f"on a connection of its own, {behind}: {', then '.join(map(_sent, step['send']))}"
        case method:
            times = f", {step['times']} times" if step.get("times", 1) > 1 else ""
            return f"{method}{_fields(step['with'])}{times}"


def _sent(sent: dict[str, Any]) -> str:
    if "method" in sent:
        return f"{sent['method']} on channel {sent.get('channel', 1)}{_fields(sent.get('with', {}))}"
    if "kind" in sent:
        return f"a frame of kind {sent['kind']} on channel {sent.get('channel', 1)}"
    return f"the bytes {shortened(sent['bytes'])}"


def _fields(fields: dict[str, Any]) -> str:
    about = {words: fields[name] for name, words in _ABOUT.items() if name in fields}
    return "".join(f" {words} {value!r}" if value == "" else f" {words} {value}" for words, value in about.items())


def told(difference: Apart) -> tuple[str, str]:
    """What RabbitMQ does in the places in which a broker differs, and what came."""
    expected = [f"{_place(place.where)}: {_value(place.expected)}" for place in difference.places]
    came = [f"{_place(place.where)}: {_value(place.came)}" for place in difference.places]
    return shortened("; ".join(expected)), shortened("; ".join(came))


def _place(where: tuple[str, ...]) -> str:
    return ", ".join([_PLACES.get(where[0], where[0]), *where[1:]])


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    match value:
        case [str(kind), inner] if kind in TYPES:
            return shortened(json.dumps(inner))
        case [str(), *_] if all(isinstance(item, str) for item in value):
            return shortened("; ".join(value))
    return shortened(json.dumps(value))


def shortened(text: str) -> str:
    """The text without its end, if it is long, and with what cannot be written (lone surrogates) escaped."""
    written = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return written if len(written) <= SHOWN_MAX else f"{written[:SHOWN_MAX]}…"
