"""A Markdown document as its sections, and the sequence that a section draws.

A drawing is a fenced block whose info string is `sequence`, or is empty while the block's first line is `title …`; or
a fence `mermaid` whose diagram is a `sequenceDiagram`. Sections are those of `#` headings (CommonMark §4.2); a heading
that is underlined opens none.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from phrasim.documents import DocumentError
from phrasim.journal.drawing import DrawnArrow, Mermaid, SequenceText

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)")


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading; `line` is the heading's, 1-based, and 0 for what precedes every heading.

    `anchor` is the heading's fragment in a link, as GitHub makes it. `arrows` is None where nothing is drawn.
    """

    file: str
    title: str
    anchor: str
    line: int
    arrows: tuple[DrawnArrow, ...] | None


@dataclass(slots=True)
class _Fence:
    line: int
    info: str
    lines: list[tuple[int, str]]


def sections(text: str, file: str = "document") -> list[Section]:
    """The sections of a Markdown document, in its order. Raises `DocumentError` where a drawing cannot be read.

    `file` is the document's name in errors.
    """
    found: list[Section] = []
    title, line, arrows = "", 0, None
    anchors: dict[str, int] = {}

    def close() -> None:
        if line or arrows is not None:
            found.append(Section(file, title, _numbered(_anchor(title), anchors), line, arrows))

    for part in _parts(text, file):
        if isinstance(part, _Fence):
            drawn = _drawing(part, file)
            if drawn is not None and arrows is not None:
                problem = f"the section {title!r} draws a second sequence; give it a heading of its own"
                raise DocumentError(file, part.line, problem)
            arrows = arrows if drawn is None else drawn
        else:
            close()
            (line, title), arrows = part, None
    close()
    return found


@lru_cache(maxsize=16)
def section(text: str, anchor: str | None, file: str = "document") -> Section:
    """The section with that anchor (`push-mode`), or the only one that draws a sequence when `anchor` is None.

    Raises `DocumentError` if there is none, naming those that draw one.
    """
    drawing = [one for one in sections(text, file) if one.arrows is not None]
    chosen = drawing if anchor is None else [one for one in drawing if one.anchor == anchor]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(f"#{one.anchor}" for one in drawing) or "none"
    sought = "one section that draws a sequence" if anchor is None else f"the sequence of #{anchor}"
    raise DocumentError(file, 1, f"looking for {sought}: the document has {known}")


def _parts(text: str, file: str) -> Iterator[tuple[int, str] | _Fence]:
    """Headings (line, title) and fenced blocks, in the order of the document."""
    fence: _Fence | None = None
    marker = ""
    for number, line in enumerate(text.splitlines(), start=1):
        opening = _FENCE.fullmatch(line)
        if fence is not None:
            closes = opening and not opening["info"].strip() and opening["fence"].startswith(marker)
            if closes:
                yield fence
                fence = None
            else:
                fence.lines.append((number, line))
        elif opening and not (opening["fence"][0] == "`" and "`" in opening["info"]):
            fence, marker = _Fence(number, opening["info"].strip(), []), opening["fence"]
        elif heading := _HEADING.fullmatch(line):
            yield number, heading["title"]
    if fence is not None:
        if _notation(fence) is not None:
            raise DocumentError(file, fence.line, f"this drawing is never closed; right would be a line {marker!r}")
        yield fence


def _drawing(fence: _Fence, file: str) -> tuple[DrawnArrow, ...] | None:
    notation = _notation(fence)
    return None if notation is None else notation(file).arrows(fence.lines)


def _notation(fence: _Fence) -> type[SequenceText] | type[Mermaid] | None:
    words = fence.info.casefold().split()
    written = [line.strip() for _, line in fence.lines if line.strip() and not line.strip().startswith("%%")]
    first = written[0].casefold() if written else ""
    if words[:1] == ["sequence"] or (not words and re.match(r"title\s", first)):
        return SequenceText
    if words[:1] == ["mermaid"] and first == "sequencediagram":
        return Mermaid
    return None


def _anchor(title: str) -> str:
    kept = "".join(sign for sign in title.strip().casefold() if sign in " -_" or unicodedata.category(sign)[0] in "LN")
    return kept.replace(" ", "-")


def _numbered(anchor: str, taken: dict[str, int]) -> str:
    """GitHub tells headings of one name apart by a number from 1 on."""
    count = taken.get(anchor, 0)
    taken[anchor] = count + 1
    return f"{anchor}-{count}" if count else anchor
