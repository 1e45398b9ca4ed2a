"""Two traces that should be the same: the first line in which they differ, both sides beside each other."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

COLUMN = 60
"""Characters of each side; longer lines are cut."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first line, from 1, in which the traces differ; a side is None where its trace has ended."""

    line: int
    recorded: bytes | None
    replayed: bytes | None


def first_divergence(recorded: Sequence[bytes], replayed: Sequence[bytes]) -> Divergence | None:
    """The first difference of two traces, line by line; None if they are the same."""
    for number, (left, right) in enumerate(zip_longest(recorded, replayed), start=1):
        if left != right:
            return Divergence(number, left, right)
    return None


def divergence_lines(divergence: Divergence) -> list[str]:
    """Both sides beside each other, key by key, with a mark where they differ."""
    left, right = _rows(divergence.recorded), _rows(divergence.replayed)
    lines = [f"line {divergence.line} differs:", f"   {'recorded':{COLUMN}} | replayed"]
    for one, other in zip_longest(left, right, fillvalue=""):
        mark = " " if one == other else "!"
        lines.append(f" {mark} {_cut(one):{COLUMN}} | {_cut(other)}".rstrip())
    return lines


def _rows(line: bytes | None) -> list[str]:
    if line is None:
        return ["(the trace has ended)"]
    try:
        return json.dumps(json.loads(line), indent=1, ensure_ascii=False).splitlines()
    except ValueError:
        return [line.decode("utf-8", "replace").rstrip("\n")]


def _cut(text: str) -> str:
    return text if len(text) <= COLUMN else text[: COLUMN - 1] + "…"
