"""The page of one run: what was expected and came of it, its messages in lanes, its sequence, its queues."""

from collections.abc import Sequence
from dataclasses import dataclass

from phrasim.clock import NANOSECONDS
from phrasim.documents import Contract, contract
from phrasim.journal.account import account, seconds
from phrasim.journal.document import Section
from phrasim.journal.events import Event, Header, Participant
from phrasim.journal.verdict import CommitVerdict
from phrasim.report.html.entries import MARKS, Entries, Entry, MessageEntry, entries_of
from phrasim.report.html.lanes import Lanes
from phrasim.report.html.queues import queue_histories
from phrasim.report.html.rendering import body_of, curl_of, fields_of, inlined, place_in_contract, templates
from phrasim.scenario.events import Verdict

COMMITS_SHOWN_MAX = 20
"""Commits that a page holds to their sequence, arrow by arrow; of more it shows those first that do not conform."""


@dataclass(frozen=True, slots=True)
class Conformance:
    """A commit held to the sequence of a section, whose arrows are drawn beside."""

    section: Section
    verdict: CommitVerdict


@dataclass(frozen=True, slots=True)
class Run:
    """What a page is made of. `events` are without secrets, as a trace has them that shows no tokens.

    `verdicts` are those on what the scenario expects, and `judged` says where they come from, or why there are none.
    `name` and `summary` are the scenario's, or say what else was recorded. `unheld` is why there is no conformance,
    where that is not because nothing was committed.
    """

    name: str
    summary: str
    header: Header
    events: Sequence[Event]
    verdicts: Sequence[Verdict]
    judged: str
    conformances: Sequence[Conformance] = ()
    unheld: str = ""


def run_page(run: Run) -> bytes:
    """The page as one file: it asks for nothing else, and works without scripts."""
    documents = contract(run.header.profile)
    entries = entries_of(run.events, documents)
    return templates().get_template("run.html.jinja").render(_values(run, entries, documents)).encode()


def _values(run: Run, entries: Entries, documents: Contract) -> dict[str, object]:
    messages = [one for one in entries.all if isinstance(one, MessageEntry)]
    notes = [one for one in entries.all if not isinstance(one, MessageEntry)]
    ends: set[Participant] = {end for one in messages for end in (one.message.sender, one.message.receiver)}
    ends.update(one.by for one in notes)
    end = max((event.at for event in run.events), default=0)
    held = list(run.conformances)
    if len(held) > COMMITS_SHOWN_MAX:
        held.sort(key=lambda one: one.verdict.conforms)
    return {
        "run": run,
        "facts": _facts(run, end),
        "counts": _counts(entries),
        "entries": _with_pauses(entries.all),
        "details": {one.number: details_of(one, entries, documents) for one in messages},
        "number_of": entries.number_of,
        "lanes": Lanes.of(ends),
        "histories": queue_histories(run.events, documents),
        "end": end,
        "conformances": [_Held.of(one) for one in held[:COMMITS_SHOWN_MAX]],
        "further": held[COMMITS_SHOWN_MAX:],
        "style": inlined("run.css"),
        "script": inlined("rows.js"),
    }


def _facts(run: Run, end: int) -> list[tuple[str, str]]:
    header = run.header
    simulated = "simulated" if header.wire == "in-process" else "real"
    facts = [
        ("profile", header.profile),
        ("wire", header.wire),
        ("time", f"{seconds(end)}, {simulated}"),
        ("seed", str(header.seed)),
        ("files", ", ".join(f"{file.name} ({file.size} bytes)" for file in header.files) or "none"),
        ("phrasim", header.version),
    ]
    return [*facts, ("external", ", ".join(header.external))] if header.external else facts


def _counts(entries: Entries) -> list[tuple[str, int, int]]:
    """What is out of the ordinary: its name, how often it is met, and the number of the first entry that shows it."""
    found: dict[str, list[int]] = {mark: [] for mark in MARKS}
    for entry in entries.all:
        for mark in entry.marks if isinstance(entry, MessageEntry) else ():
            found[mark].append(entry.number)
    return [(mark, len(numbers), numbers[0]) for mark, numbers in found.items() if numbers]


def _with_pauses(entries: Sequence[Entry]) -> list[tuple[int | None, Entry]]:
    """Each entry, and how many nanoseconds passed before it where that is a second or more."""
    found: list[tuple[int | None, Entry]] = []
    before = entries[0].at if entries else 0
    for entry in entries:
        pause = entry.at - before
        found.append((pause if pause >= NANOSECONDS else None, entry))
        before = max(before, entry.at)
    return found


@dataclass(frozen=True, slots=True)
class Details:
    """What is shown of a message that is opened."""

    fields: list[tuple[str, str]]
    told: str
    body: str
    curl: str
    place: str
    answers: int | None
    """The number of the entry of the request that it answers."""
    cause: int | None
    """The number of the entry of the message that its sender was working on."""


def details_of(entry: MessageEntry, entries: Entries, documents: Contract, base_url: str | None = None) -> Details:
    """What is shown of a message that is opened; `base_url` is where its receiver is, if that is known."""
    message = entry.message
    told, body = body_of(message.body)
    return Details(
        fields=fields_of(message),
        told=told,
        body=body,
        curl=curl_of(message, base_url),
        place=place_in_contract(message, documents),
        answers=entries.number_of(getattr(message, "reply_to", None)),
        cause=entries.number_of(message.cause),
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """A conformance as the page shows it."""

    section: Section
    verdict: CommitVerdict
    lines: list[str]
    lanes: Lanes

    @classmethod
    def of(cls, one: Conformance) -> "_Held":
        arrows = one.section.arrows or ()
        ends = {end for arrow in arrows for end in (arrow.sender, arrow.receiver)}
        return cls(one.section, one.verdict, account(one.verdict), Lanes.of(ends))
