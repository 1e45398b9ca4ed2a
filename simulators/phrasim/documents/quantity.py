"""Times and sizes as people write them, a number and its unit: in scenarios, faults and seed data."""

import re
from decimal import Decimal

MADE_GIB_MAX = 64
"""GiB that a made file may have. All of it is made and hashed before anything starts, some minutes for so much."""

_SECONDS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_TYPED = re.compile(rf"([0-9]{{1,15}}(?:\.[0-9]{{1,9}})?) ?({'|'.join(_SECONDS)})")
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DIGITS_MAX = 20
"""Digits of a size that are read as a number at all; Python itself refuses some thousands."""


def seconds(written: str) -> float:
    """The seconds of `30 s`, `500 ms` or `2 h`; the schema has checked the form."""
    number, unit = written.split(" ")
    return float(number) * _SECONDS[unit]


def typed_seconds(written: str) -> float:
    """The seconds of `30 s` or `30s`, as somebody types it. Raises ValueError, which says what would be right."""
    match = _TYPED.fullmatch(written)
    if match is None:
        raise ValueError("write a number and its unit, such as '5 s', '500 ms' or '2 min'")
    return seconds(f"{match[1]} {match[2]}")


def size_bytes(written: str) -> int:
    """The bytes of `148 KiB`; the schema has checked the form."""
    number, unit = written.split(" ")
    return int(number) * _BYTES[unit]


def written_seconds(amount: float) -> str:
    """So many seconds, 0 or more, as `seconds` reads them back, to the last digit."""
    return f"{Decimal(repr(amount)):f} s"


def written_bytes(amount: int) -> str:
    """So many bytes, 0 or more, as `size_bytes` reads them back, in the largest unit that takes them whole."""
    unit = next((unit for unit in reversed(_BYTES) if amount and amount % _BYTES[unit] == 0), "B")
    return f"{amount // _BYTES[unit]} {unit}"


def is_larger_than(written: str, limit_bytes: int) -> bool:
    """Whether a size is above a limit, told of one of any number of digits."""
    return len(written.partition(" ")[0]) > _DIGITS_MAX or size_bytes(written) > limit_bytes


def cut(written: str) -> str:
    """What stands there, in a length that a message can bear."""
    return written if len(written) <= 2 * _DIGITS_MAX else f"{written[:_DIGITS_MAX]}…"


def made_size_problem(written: str) -> str | None:
    """What is wrong with the size of a file that is to be made; None if it may have it."""
    if is_larger_than(written, MADE_GIB_MAX * 1024**3):
        return f"a made file has at most {MADE_GIB_MAX} GiB; found {cut(written)}"
    return None
