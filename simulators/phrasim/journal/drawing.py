"""The two notations in which a document draws a sequence, read line by line into arrows.

*Sequence text* is that of js-sequence-diagrams and its kin: `title …`, `A->B: text`, `note over A: text`, or
`note over A` and lines of its own up to `end note`. *Mermaid* is Mermaid's `sequenceDiagram`. Both are read strictly: a
line that is not understood is an error, since an arrow that is overlooked would never be missed.

An arrow whose whole label stands in parentheses is an aside: drawn for people, and nothing that a run must walk. So is
what Mermaid draws with a cross at its end (a message that does not arrive), and what stands in `opt`, in `break` or
after `else` and `option`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from phrasim.documents import DocumentError
from phrasim.journal.events import Participant

_LIFELINES: dict[str, Participant] = {
    "user": "user",
    "upload": "upload",
    "uploader": "upload",
    "upload service": "upload",
    "phraseanet": "phraseanet",
    "rabbitmq": "broker",
    "broker": "broker",
    "auth": "auth",
    "auth service": "auth",
}
"""Which participant a lifeline is, by its name in lower case with blanks for underscores."""

_PARTICIPANT = re.compile(r"(?:create\s+)?(?:participant|actor)\s+(?P<id>\S+?)(?:\s+as\s+(?P<name>.+))?")
_TEXT_ARROW = re.compile(r"(?P<from>[^\s:<>-][^:<>-]*?)\s*(?:-->>|->>|-->|->)\s*(?P<to>[^:<>-]+?)\s*:(?P<label>.*)")
_TEXT_NOTE = re.compile(r"note\s+(?:over|left\s+of|right\s+of)\s+(?P<of>[^:]+?)\s*(?::(?P<text>.*))?", re.IGNORECASE)
_MERMAID_ARROW = re.compile(
    r"(?P<from>[^\s:<>+-][^:<>+-]*?)\s*(?P<head><<-->>|<<->>|-->>|->>|-->|->|--x|-x|--\)|-\))\s*[+-]?\s*"
    r"(?P<to>[^:<>+-]+?)\s*:(?P<label>.*)"
)
_MERMAID_NOTE = re.compile(r"note\s+(?:over|left\s+of|right\s+of)\s+(?P<of>[^:]+?)\s*:(?P<text>.*)", re.IGNORECASE)
_MERMAID_BLOCK = re.compile(r"(?P<word>loop|alt|opt|par|critical|break|rect|box)\b.*")
_MERMAID_BRANCH = re.compile(r"(?P<word>else|and|option)\b.*")
_MERMAID_IGNORED = re.compile(
    r"(?:autonumber|activate|deactivate|destroy)\b.*|(?:title|accTitle|accDescr)\s*:?\s+.*|(?:title|accTitle|accDescr):.*"
)
_BREAK = re.compile(r"\s*<br\s*/?>\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DrawnArrow:
    """An arrow as the document has it; `line` is its 1-based line there.

    `note` holds the lines of the notes that follow it, and what its label says after a line break.
    """

    sender: Participant
    receiver: Participant
    label: str
    note: str
    line: int


class SequenceText:
    """Reads sequence text; `file` and the lines' numbers are for errors."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lifelines = _Lifelines(file)
        self._arrows: list[DrawnArrow] = []

    def arrows(self, lines: list[tuple[int, str]]) -> tuple[DrawnArrow, ...]:
        """The arrows of a drawing that is given as numbered lines. Raises `DocumentError`."""
        rest = iter(lines)
        for number, line in rest:
            text = line.strip()
            if not text or text.startswith(("#", "//", "%%")) or re.match(r"title\b", text, re.IGNORECASE):
                continue
            if match := _PARTICIPANT.fullmatch(text):
                self._lifelines.declare(number, match["id"], match["name"])
            elif match := _TEXT_NOTE.fullmatch(text):
                self._lifelines.each(number, match["of"])
                words = match["text"] if match["text"] is not None else self._note(number, rest)
                _add_note(self._arrows, words)
            elif match := _TEXT_ARROW.fullmatch(text):
                self._arrows.append(_arrow(self._lifelines, number, match["from"], match["to"], match["label"]))
            else:
                raise DocumentError(
                    self._file,
                    number,
                    f"reading a sequence: {text!r} is no line of one; right would be 'A->B: text', "
                    "'note over A: text', 'note over A' up to 'end note', 'participant A', or 'title …'",
                )
        return tuple(arrow for arrow in self._arrows if not _is_aside(arrow.label))

    def _note(self, opened: int, rest: Iterator[tuple[int, str]]) -> str:
        words: list[str] = []
        for _, line in rest:
            if line.strip().casefold() == "end note":
                return "\n".join(words)
            words.append(line.strip())
        raise DocumentError(self._file, opened, "reading a sequence: this note is never closed with 'end note'")


class Mermaid:
    """Reads Mermaid's `sequenceDiagram`; `file` and the lines' numbers are for errors."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lifelines = _Lifelines(file)
        self._blocks: list[tuple[int, str, bool]] = []
        self._arrows: list[DrawnArrow] = []
        self._asides: list[bool] = []

    def arrows(self, lines: list[tuple[int, str]]) -> tuple[DrawnArrow, ...]:
        """The arrows of a drawing that is given as numbered lines, its first word included. Raises `DocumentError`."""
        for number, line in lines:
            text = line.strip().removesuffix(";").rstrip()
            if text and not text.startswith("%%") and text != "sequenceDiagram":
                self._line(number, text)
        if self._blocks:
            opened, word, _ = self._blocks[-1]
            problem = f"reading a Mermaid sequence: this {word!r} is never closed by 'end'"
            raise DocumentError(self._file, opened, problem)
        return tuple(arrow for arrow, aside in zip(self._arrows, self._asides, strict=True) if not aside)

    def _line(self, number: int, text: str) -> None:
        if match := _PARTICIPANT.fullmatch(text):
            self._lifelines.declare(number, match["id"], match["name"])
        elif match := _MERMAID_NOTE.fullmatch(text):
            self._lifelines.each(number, match["of"])
            _add_note(self._arrows, _plain(match["text"]))
        elif match := _MERMAID_ARROW.fullmatch(text):
            arrow = _arrow(self._lifelines, number, match["from"], match["to"], _plain(match["label"]))
            self._arrows.append(arrow)
            skipped = any(optional for _, _, optional in self._blocks)
            self._asides.append(skipped or match["head"].endswith("x") or _is_aside(arrow.label))
        elif match := _MERMAID_BLOCK.fullmatch(text):
            self._blocks.append((number, match["word"], match["word"] in ("opt", "break")))
        elif text == "end" or _MERMAID_BRANCH.fullmatch(text):
            self._within_block(number, text)
        elif not _MERMAID_IGNORED.fullmatch(text):
            raise DocumentError(
                self._file,
                number,
                f"reading a Mermaid sequence: {text!r} is no line of one that phrasim knows; right would be "
                "'A->>B: text', 'Note over A: text', 'participant A as Name', or a block from 'loop', 'alt', 'opt' or "
                "'par' to 'end'",
            )

    def _within_block(self, number: int, text: str) -> None:
        if not self._blocks:
            raise DocumentError(self._file, number, f"reading a Mermaid sequence: {text!r} stands outside of any block")
        opened, word, optional = self._blocks.pop()
        if text != "end":
            self._blocks.append((opened, word, optional or not text.startswith("and")))


class _Lifelines:
    """The lifelines of one drawing, by the names that it declares and by those that need no declaration."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._declared: dict[str, Participant] = {}

    def declare(self, line: int, identifier: str, name: str | None) -> None:
        """Take `identifier` for the participant that `name` names, or the identifier itself."""
        self._declared[identifier] = self._known(line, _plain(name).partition("\n")[0] if name else identifier)

    def one(self, line: int, name: str) -> Participant:
        """The participant of a lifeline."""
        return self._declared.get(name.strip()) or self._known(line, name)

    def each(self, line: int, names: str) -> None:
        """Check the names over which a note stands, separated by commas."""
        for name in names.split(","):
            self.one(line, name)

    def _known(self, line: int, name: str) -> Participant:
        participant = _LIFELINES.get(" ".join(name.casefold().replace("_", " ").split()).strip('"'))
        if participant is None:
            known = "User, Upload (or Uploader), Phraseanet, RabbitMQ (or Broker), Auth (or Auth_service)"
            raise DocumentError(
                self._file, line, f"reading a sequence: the lifeline {name.strip()!r} is unknown; phrasim knows {known}"
            )
        return participant


def _arrow(lifelines: _Lifelines, line: int, sender: str, receiver: str, text: str) -> DrawnArrow:
    label, _, note = text.strip().partition("\n")
    return DrawnArrow(lifelines.one(line, sender), lifelines.one(line, receiver), label.strip(), note.strip(), line)


def _add_note(arrows: list[DrawnArrow], text: str) -> None:
    """A note belongs to the arrow before it; one before every arrow belongs to none."""
    if arrows:
        arrows[-1] = replace(arrows[-1], note=f"{arrows[-1].note}\n{text.strip()}".strip())


def _is_aside(label: str) -> bool:
    return label.startswith("(") and label.endswith(")")


def _plain(text: str) -> str:
    """Mermaid's text: `<br/>` is a line break, `#59;` a semicolon and `#35;` a number sign."""
    return _BREAK.sub("\n", text).replace("#59;", ";").replace("#35;", "#").strip()
