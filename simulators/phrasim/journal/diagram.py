"""The run as a sequence diagram, in Mermaid or in the sequence text of the request-flow document.

Drawn are all requests, publishes and deliveries, the answers that are arrows of the document, refusals, and what was
lost. What walks an arrow bears its label and can be read back: `conform` holds the trace to its own diagram. The label
of everything else stands in parentheses, by which `drawing.py` knows what no run has to walk: what the document does
not draw, refusals, empty polls, earlier attempts, repetitions; and what was lost, which Mermaid ends in a cross.

Both return the bare drawing, for a fence `mermaid` or `sequence`. Neither shows a query, a header or a token.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from phrasim.clock import NANOSECONDS
from phrasim.documents import Contract
from phrasim.journal.account import seconds
from phrasim.journal.conformance import judge
from phrasim.journal.events import PARTICIPANTS, Event, Participant
from phrasim.journal.sequence import Arrow, BoundSequence, Group, kinds
from phrasim.journal.sightings import Sighting, Trace, wire_text

LIFELINES: dict[Participant, str] = {
    "user": "User",
    "upload": "Upload",
    "phraseanet": "Phraseanet",
    "broker": "RabbitMQ",
    "auth": "Auth_service",
}
"""The names of the participants in a diagram, those of the request-flow document."""

_ORDER = (
    "uploadAsset",
    "commitAssets",
    "enqueueAssets",
    "listCommits",
    "produceMessage",
    "consumeMessage",
    "getPublisherInfo",
    "produceRecordMessage",
    "consumeRecordMessage",
    "getAsset",
    "downloadAsset",
    "downloadFile",
    "acknowledgeAsset",
    "acknowledgeCommit",
)
"""The operations that are arrows, in the order of push and pull mode together."""

_MERMAID_SIGNS = str.maketrans({"#": "#35;", ";": "#59;", "<": "‹", ">": "›"})

_SHOWN_KEYS = ("assets", "asset", "publisher", "publisher_id", "id", "commit_id", "storyId", "base_url", "hash", "type")
"""What a note shows of a message's elements: none of it is secret."""


def mermaid(
    events: Iterable[Event], contract: Contract, title: str = "Upload request flow", commit: str | None = None
) -> str:
    """The run as Mermaid's `sequenceDiagram`.

    Arrows are those of the commit with the id `commit`, or of every commit; only one commit's can be read back.
    """
    drawn = _drawn(events, contract, commit)
    used = [one for one in PARTICIPANTS if any(one in step.ends() for step, _ in drawn)]
    lines = ["sequenceDiagram", f"    title {_one_line(title)}"]
    lines += [f"    participant {LIFELINES[participant]}" for participant in used]
    for step, arrow in _with_pauses(drawn, lambda pause: f"    Note over {_span(used)}: {pause} later", lines):
        sender, receiver = (LIFELINES[end] for end in step.ends())
        lines.append(f"    {sender}{_head(step)}{receiver}: {_mermaid_label(step, arrow)}")
        if arrow is not None and step.part == "publish":
            note = "<br/>".join(_escaped(line) for line in _message_lines(step.content))
            lines.append(f"    Note over {receiver}: {note}")
    return "\n".join(lines) + "\n"


def text(
    events: Iterable[Event], contract: Contract, title: str = "Upload request flow", commit: str | None = None
) -> str:
    """The run as sequence text; see `mermaid` for the parameters."""
    drawn = _drawn(events, contract, commit)
    used = [one for one in PARTICIPANTS if any(one in step.ends() for step, _ in drawn)]
    lines = [f"title {_one_line(title)}", ""]
    for step, arrow in _with_pauses(drawn, lambda pause: f"note over {_span(used)}: {pause} later", lines):
        sender, receiver = (LIFELINES[end] for end in step.ends())
        head = "-->" if step.part == "response" else "->"
        lines.append(f"{sender}{head}{receiver}: {arrow.label if arrow else _aside(step)}")
        if arrow is not None and step.part == "request":
            side = "left of Phraseanet" if set(step.ends()) == {"upload", "phraseanet"} else f"over {receiver}"
            lines.append(f"note {side}: {_one_line(wire_text(step))}")
        elif arrow is not None and step.part == "publish":
            lines += [f"note over {receiver}", *(f"    {line}" for line in _message_lines(step.content)), "end note"]
    return "\n".join(lines) + "\n"


def _drawn(events: Iterable[Event], contract: Contract, commit: str | None) -> list[tuple[Sighting, Arrow | None]]:
    """The messages to draw, each with the arrow that it walked, if it walked one."""
    trace = Trace(events, contract)
    walked: dict[str, Arrow] = {}
    for verdict in judge(_everything(contract), trace):
        if commit in (None, verdict.commit_id):
            walked |= {one.message.message.id: one.arrow for one in verdict.arrows if one.message is not None}
    return [
        (step, walked.get(step.message.id))
        for step in trace.sightings
        if step.part != "response" or step.message.id in walked or step.refused or step.lost
    ]


def _everything(contract: Contract) -> BoundSequence:
    """All arrows of either mode, whoever sends them."""
    groups = []
    for operation_id in _ORDER:
        labelled = [kind for kind in kinds(contract) if kind.operation_id == operation_id and kind.is_labelled]
        for each in ("commit", "asset"):
            chain = tuple(kind for kind in labelled if kind.each == each)
            if chain:
                groups.append(Group(chain, chain[0].each, 1))
    return BoundSequence("", tuple(groups))


def _with_pauses(
    drawn: list[tuple[Sighting, Arrow | None]], note: Callable[[str], str], lines: list[str]
) -> Iterator[tuple[Sighting, Arrow | None]]:
    """Each step, after a note where a second or more has passed since the one before."""
    before = drawn[0][0].at if drawn else 0
    for step, arrow in drawn:
        if step.at - before >= NANOSECONDS:
            lines.append(note(seconds(step.at - before)))
        before = step.at
        yield step, arrow


def _span(used: list[Participant]) -> str:
    return ",".join(LIFELINES[participant] for participant in dict.fromkeys((used[0], used[-1])))


def _head(step: Sighting) -> str:
    dash = "--" if step.part == "response" else "-"
    if step.lost:
        return f"{dash}x"
    return f"{dash})" if step.part in ("publish", "delivery") else f"{dash}>>"


def _mermaid_label(step: Sighting, arrow: Arrow | None) -> str:
    if arrow is None:
        return _escaped(_aside(step))
    request_line = f"<br/>{_escaped(wire_text(step))}" if step.part == "request" else ""
    return f"{arrow.label}{request_line}"


def _aside(step: Sighting) -> str:
    lost = f"lost: {wire_text(step)}, {step.lost}" if step.lost else wire_text(step)
    return f"({_one_line(lost)})"


def _message_lines(content: Any) -> list[str]:
    """The message of a commit as the document notes it, one element a line, without its secrets."""
    elements = [
        json.dumps({key: element[key] for key in _SHOWN_KEYS if key in element})
        for element in (content if isinstance(content, list) else [_payload(content)])
        if isinstance(element, dict)
    ]
    whole = ",\n".join(elements)
    return f"[ {whole} ]".splitlines()


def _payload(content: Any) -> Any:
    """What a message of the deployed profile is about."""
    return content.get("payload") if isinstance(content, dict) else None


def _one_line(words: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in words).strip()


def _escaped(words: str) -> str:
    """For Mermaid: a semicolon would end the line, `#` with one begins an entity, and `<` a tag."""
    return _one_line(words).translate(_MERMAID_SIGNS)
