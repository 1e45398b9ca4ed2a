"""How large the files of a load run are: a distribution by percentiles, as people know that of their uploads."""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from phrasim.documents.quantity import size_bytes

EXAMPLE = "p0 = 4 KiB, p50 = 64 KiB, p90 = 1 MiB, p100 = 16 MiB"
_POINT = re.compile(r"(?:p([0-9]{1,2}(?:\.[0-9]+)?|100)\s*=\s*)?([0-9]{1,15}) ?(B|KiB|MiB|GiB)")


class SizesError(ValueError):
    """A distribution that cannot be read; the message says what was found and what would be right."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Percentiles from 0 to 100, each with its size in bytes; both grow, and between two of them exponentially."""

    points: tuple[tuple[float, int], ...]

    def draw(self, chance: random.Random) -> int:
        """The size of one file, in bytes."""
        rank = chance.uniform(0, 100)
        for (low, smaller), (high, larger) in pairwise(self.points):
            if rank <= high:
                share = (rank - low) / (high - low)
                return round(math.exp(math.log(smaller) + share * (math.log(larger) - math.log(smaller))))
        return self.points[-1][1]


def read_sizes(written: str) -> Sizes:
    """`64 KiB`, or percentiles with commas: `p50 = 64 KiB, p99 = 4 MiB`.

    Below the first percentile sizes are that of the first, above the last that of the last. Raises `SizesError`.
    """
    points = [_point(part.strip()) for part in written.split(",")]
    if len(points) == 1 and points[0][0] is None:
        size = points[0][1]
        return Sizes(((0.0, size), (100.0, size)))
    ranks = [rank for rank, _ in points if rank is not None]
    if len(ranks) < len(points):
        raise SizesError(f"{written!r}: write one size, or a percentile before each, such as {EXAMPLE}")
    if not (_grows(ranks, strictly=True) and _grows([size for _, size in points], strictly=False)):
        raise SizesError(f"{written!r}: percentiles and sizes grow from left to right, as in {EXAMPLE}")
    known = [(rank, size) for rank, (_, size) in zip(ranks, points, strict=True)]
    first = [] if known[0][0] == 0 else [(0.0, known[0][1])]
    last = [] if known[-1][0] == 100 else [(100.0, known[-1][1])]
    return Sizes((*first, *known, *last))


def _point(part: str) -> tuple[float | None, int]:
    match = _POINT.fullmatch(part)
    size = 0 if match is None else size_bytes(f"{match[2]} {match[3]}")
    if match is None or size == 0:
        raise SizesError(
            f"{part!r} is no size above 0 with its unit, nor one of a percentile from p0 to p100; "
            f"write {EXAMPLE}, or one size for all, such as 64 KiB"
        )
    return None if match[1] is None else float(match[1]), size


def _grows(values: Sequence[float], *, strictly: bool) -> bool:
    return all(before < after if strictly else before <= after for before, after in pairwise(values))
