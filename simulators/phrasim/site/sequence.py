"""Mermaid's `sequenceDiagram`, as the documents and `journal/diagram.py` write it, read for drawing.

In the difference to `journal/drawing.py`, which reads what a run must walk, all is kept that people are to see: notes,
asides, what was lost.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from phrasim.documents import DocumentError

_LIFELINE = re.compile(r"(?:participant|actor)\s+(?P<id>\w+)(?:\s+as\s+(?P<name>.+))?")
_ARROW = re.compile(r"(?P<from>\w+?)\s*(?P<head>-->>|->>|--x|-x|--\)|-\))\s*(?P<to>\w+)\s*:\s*(?P<label>.*)")
_NOTE = re.compile(r"Note over (?P<of>\w+)(?:\s*,\s*(?P<upto>\w+))?\s*:\s*(?P<text>.*)")
_BREAK = re.compile(r"\s*<br\s*/?>\s*")


@dataclass(frozen=True, slots=True)
class DrawnArrow:
    """An arrow from one lifeline to another, by their places from 0 on; its label's first line is what it is called."""

    start: int
    end: int
    lines: tuple[str, ...]
    dashed: bool
    lost: bool
    open_head: bool

    @property
    def aside(self) -> bool:
        """Whether it is drawn for people only, and no run has to walk it: its label stands in parentheses."""
        return self.lines[0].startswith("(") and self.lines[-1].endswith(")")

    @property
    def refused(self) -> bool:
        """Whether it is an answer that refuses."""
        return self.dashed and re.match(r"\([45]\d\d\b", self.lines[0]) is not None


@dataclass(frozen=True, slots=True)
class DrawnNote:
    """A note over the lifelines from `first` to `last`, by their places."""

    first: int
    last: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A sequence: the names of its lifelines, from left to right, and its rows from top to bottom."""

    title: str
    lifelines: tuple[str, ...]
    rows: tuple[DrawnArrow | DrawnNote, ...]


def read_drawing(mermaid: str, file: str) -> Drawing:
    """The drawing that a Mermaid text is; `file` is where it stands, for errors. Raises `DocumentError`."""
    title, names = "", {}
    rows: list[DrawnArrow | DrawnNote] = []
    for number, line in _lines(mermaid):
        if line.startswith("title "):
            title = _text(line.removeprefix("title "))
        elif match := _LIFELINE.fullmatch(line):
            names[match["id"]] = _text(match["name"] or match["id"].replace("_", " "))
        elif match := _ARROW.fullmatch(line):
            places = [_place(names, match[end], file, number) for end in ("from", "to")]
            rows.append(_arrow(places[0], places[1], match["head"], match["label"]))
        elif match := _NOTE.fullmatch(line):
            places = sorted(_place(names, match[end] or match["of"], file, number) for end in ("of", "upto"))
            rows.append(DrawnNote(places[0], places[1], _label(match["text"])))
        else:
            raise DocumentError(
                file, number, f"drawing a sequence: {line!r} is no title, participant, arrow or note over a participant"
            )
    return Drawing(title, tuple(names.values()), tuple(rows))


def _lines(mermaid: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(mermaid.splitlines(), start=1):
        if line.strip() and line.strip() != "sequenceDiagram":
            yield number, line.strip()


def _place(names: dict[str, str], name: str, file: str, number: int) -> int:
    if name not in names:
        raise DocumentError(file, number, f"drawing a sequence: {name!r} is no participant that stands above")
    return list(names).index(name)


def _arrow(start: int, end: int, head: str, label: str) -> DrawnArrow:
    return DrawnArrow(start, end, _label(label), head.startswith("--"), head.endswith("x"), head.endswith(")"))


def _label(text: str) -> tuple[str, ...]:
    return tuple(_text(line) for line in _BREAK.split(text))


def _text(written: str) -> str:
    """What Mermaid shows of a text."""
    return written.replace("#59;", ";").replace("#35;", "#").strip()
