"""Two traces that should be the same: the first line in which they differ, both sides beside each other."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

COLUMN = 60
"""Characters of each side; of a longer line the part that differs is shown."""

CONTEXT = 3
"""Lines that are shown before and after those that differ."""

_LEAD = 20
"""Characters that are shown before the first that differs, where a line is cut at its beginning."""


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
    """Both sides beside each other, key by key, with a mark where they differ and a little of what is around it."""
    left, right = _rows(divergence.recorded), _rows(divergence.replayed)
    lines = [f"line {divergence.line} differs:", f"   {'recorded':{COLUMN}} | replayed"]
    if left == right:
        # The same JSON in other bytes: blanks, an escape, the end of the line.
        left, right = [repr(divergence.recorded)[1:]], [repr(divergence.replayed)[1:]]
    for number, group in enumerate(difflib.SequenceMatcher(None, left, right, False).get_grouped_opcodes(CONTEXT)):
        if number:
            lines.append("   …")
        for tag, from_left, to_left, from_right, to_right in group:
            mark = " " if tag == "equal" else "!"
            for one, other in zip_longest(left[from_left:to_left], right[from_right:to_right], fillvalue=""):
                shown, beside = _cut(one, other)
                lines.append(f" {mark} {shown:{COLUMN}} | {beside}".rstrip())
    return lines


def _rows(line: bytes | None) -> list[str]:
    if line is None:
        return ["(the trace has ended)"]
    try:
        return list(_unfolded(json.dumps(json.loads(line), indent=1, ensure_ascii=False)))
    except ValueError:
        return [line.decode("utf-8", "replace").rstrip("\n")]


def _unfolded(text: str) -> Iterator[str]:
    """The lines without the commas that end them, which say nothing and would mark a line whose successor is gone."""
    return (line.removesuffix(",") for line in text.split("\n"))


def _cut(one: str, other: str) -> tuple[str, str]:
    """Both sides as the columns take them: from the left, or from shortly before the first difference."""
    if len(one) <= COLUMN and len(other) <= COLUMN:
        return one, other
    same = next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), 0)
    start = same - _LEAD if same >= COLUMN - 1 else 0
    return _window(one, start), _window(other, start)


def _window(text: str, start: int) -> str:
    text = f"…{text[start + 1 :]}" if start else text
    return text if len(text) <= COLUMN else f"{text[: COLUMN - 1]}…"
