"""Reading the payload of a message as PHP does, where a field may be missing or have another type than expected."""

import math
from collections.abc import Mapping
from typing import Any

from phrasim.phraseanet.deployed.form_data import DIGITS_MAX
from phrasim.phraseanet.deployed.state import WorkerDied


def text(payload: Mapping[str, Any], name: str) -> str:
    """A field as text. Raises `WorkerDied` where it is missing."""
    if name not in payload:
        raise WorkerDied(f"the payload has no {name!r}; it has {', '.join(payload)}")
    return as_text(payload[name])


def as_text(value: Any) -> str:
    """What PHP makes of a JSON value in a text: an array or an object is the word "Array" (H25)."""
    match value:
        case str():
            return value
        case None | False:
            return ""
        case True:
            return "1"
        case int() | float():
            return str(value)
        case _:
            return "Array"


def as_number(value: Any) -> int:
    """What PHP makes of a value in a sum, as far as it is a whole number; 0 of anything else.

    A header may hold what JSON cannot: not a number, or infinity.
    """
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) <= DIGITS_MAX else 0
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def next_count(payload: Mapping[str, Any]) -> int:
    """The count of the next attempt: 2 after the first one, which no delivery counted (§4.3)."""
    return as_number(payload["count"]) + 1 if "count" in payload else 2
