"""A sequence as SVG, drawn when the site is built: no script, no font and no colour of its own.

Its classes get their colours from the style sheet, so that one drawing serves light and dark pages.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from phrasim.site.sequence import Drawing, DrawnArrow, DrawnNote

ROWS_MAX = 150
"""Rows beyond this are counted and not drawn; a run of hundreds of polls shows nothing more by the last of them."""

_COLUMN = 180
_MARGIN = 80
_HEAD = 34
_LINE = 15
_GAP = 12
_SIGN = 6.0
"""How wide a sign is, all in the pixels of the drawing."""

_ID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24,}\b")
_JOINTS = re.compile(r"(?<=[/&?=\-. ,])")


def svg(drawing: Drawing) -> str:
    """The drawing as an `svg` element. Long ids are cut to their first eight signs."""
    width = 2 * _MARGIN + _COLUMN * (max(len(drawing.lifelines), 2) - 1)
    rows = list(drawing.rows[:ROWS_MAX])
    left_out = len(drawing.rows) - len(rows)
    if left_out:
        rows.append(DrawnNote(0, len(drawing.lifelines) - 1, (f"{left_out} more arrows and notes follow",)))
    body: list[str] = []
    y = _HEAD + 2 * _GAP
    for row in rows:
        parts, y = _arrow(row, y) if isinstance(row, DrawnArrow) else _note(row, y, width)
        body += parts
    height = y + _GAP + _HEAD
    lines = [f'<line class="lifeline" x1="{x}" x2="{x}" y1="{_HEAD}" y2="{height - _HEAD}"/>' for x in _places(drawing)]
    return "\n".join(
        [
            f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f"<title>{escape(drawing.title)}</title>",
            *lines,
            *_heads(drawing, 0),
            *body,
            *_heads(drawing, height - _HEAD),
            "</svg>",
        ]
    )


def figure(drawing: Drawing) -> str:
    """The drawing in a frame that scrolls sideways where the page is narrow, as HTML for a Markdown page."""
    label = escape(f"Sequence diagram: {drawing.title}", quote=True)
    return f'<div class="sequence" role="region" tabindex="0" aria-label="{label}">\n{svg(drawing)}\n</div>\n'


def _places(drawing: Drawing) -> Iterator[int]:
    return (_place(number) for number in range(len(drawing.lifelines)))


def _place(lifeline: int) -> int:
    return _MARGIN + _COLUMN * lifeline


def _heads(drawing: Drawing, y: int) -> Iterator[str]:
    for x, name in zip(_places(drawing), drawing.lifelines, strict=True):
        yield f'<rect class="head" x="{x - 62}" y="{y + 1}" width="124" height="{_HEAD - 2}" rx="4"/>'
        yield f'<text class="name" x="{x}" y="{y + _HEAD // 2 + 5}">{escape(name)}</text>'


def _arrow(arrow: DrawnArrow, y: int) -> tuple[list[str], int]:
    """The parts of an arrow whose label begins at `y`, and where the next row begins."""
    start, end = _place(arrow.start), _place(arrow.end)
    room = max(abs(end - start), _COLUMN) - 16
    lines = _wrapped(arrow.lines, room)
    kind = "lost" if arrow.lost else "refused" if arrow.refused else "aside" if arrow.aside else "arrow"
    side = 1 if arrow.start == 0 else -1
    middle = (start + end) // 2 if start != end else start + side * _COLUMN // 2
    bold = len(_wrapped(arrow.lines[:1], room)) if kind == "arrow" else 0
    parts = list(_text(lines, middle, y, bold))
    at = y + _LINE * len(lines) + 3
    dashes = ' stroke-dasharray="5 4"' if arrow.dashed else ""
    right = 1 if end >= start else -1
    tip = (start + end) // 2 if arrow.lost else end - right
    if start == end:
        line = f'<path class="line" d="M{start} {at} h{40 * side} v10 h{-38 * side}" fill="none"{dashes}/>'
        at, tip, right = at + 10, start + side, -side
    else:
        line = f'<line class="line" x1="{start}" x2="{tip}" y1="{at}" y2="{at}"{dashes}/>'
    return [f'<g class="{kind}">', *parts, line, _tip(tip, at, right, arrow), "</g>"], at + _GAP + 4


def _tip(x: int, y: int, right: int, arrow: DrawnArrow) -> str:
    if arrow.lost:
        return f'<path class="line" d="M{x - 5} {y - 5} l10 10 m0 -10 l-10 10" fill="none"/>'
    if arrow.open_head:
        return f'<path class="line" d="M{x - 9 * right} {y - 5} L{x} {y} L{x - 9 * right} {y + 5}" fill="none"/>'
    return f'<path class="tip" d="M{x - 9 * right} {y - 5} L{x} {y} L{x - 9 * right} {y + 5} Z"/>'


def _note(note: DrawnNote, y: int, room: int) -> tuple[list[str], int]:
    """The parts of a note in a drawing that is `room` wide, and where the next row begins."""
    first, last = _place(note.first), _place(note.last)
    width = max(last - first + 124, 230)
    lines = _wrapped(note.lines, width - 16)
    height = _LINE * len(lines) + 8
    middle = min(max((first + last) // 2, width // 2 + 2), room - width // 2 - 2)
    box = f'<rect class="box" x="{middle - width // 2}" y="{y - 8}" width="{width}" height="{height}" rx="3"/>'
    return ['<g class="note">', box, *_text(lines, middle, y + 3, bold=0), "</g>"], y + height + _GAP


def _text(lines: Sequence[str], x: int, y: int, bold: int) -> Iterator[str]:
    """The lines, of which the first `bold` ones stand out."""
    for number, line in enumerate(lines):
        style = ' class="label"' if number < bold else ""
        yield f'<text{style} x="{x}" y="{y + _LINE * number + 3}">{escape(line)}</text>'


def _wrapped(lines: Iterable[str], room: int) -> list[str]:
    """The lines with their ids cut, none wider than `room` where there is a joint at which it can be broken."""
    wrapped: list[str] = []
    for line in lines:
        current = ""
        for piece in _JOINTS.split(_DIGEST.sub(r"\1…", _ID.sub(r"\1…", line))):
            if current and (len(current) + len(piece.rstrip())) * _SIGN > room:
                wrapped.append(current.strip())
                current = ""
            current += piece
        wrapped.append(current.strip())
    return [line for line in wrapped if line]
