"""A run as the entries of a page: each message and each note once, with what became of it since."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from phrasim.clock import NANOSECONDS
from phrasim.documents import Contract
from phrasim.journal.events import (
    PARTICIPANTS,
    Delivery,
    Event,
    Lost,
    Message,
    Noted,
    Participant,
    Request,
    Response,
    Sent,
)
from phrasim.journal.sightings import is_repeated
from phrasim.report.terminal import is_refusal, label_of, wire_of

LATE_NANOSECONDS = NANOSECONDS
"""A message that takes this long to arrive, or an answer that takes this long to be given, is shown as late."""

MARKS = ("lost", "again", "late", "refused")
"""What a message is marked with that is out of the ordinary."""

_SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110 §9.2.1)."""


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """A message. `number` counts the entries of a run from 1; `at` and `arrived` are nanoseconds of the run.

    `label` is the arrow of the document that a message of its kind may be. `unseen` is whether nobody saw it leave, as
    with an external sender; `at` is then when it arrived. `lost` is why it did not arrive. `again` is whether the same
    came before. `late` is how many nanoseconds it took to arrive, or, of an answer, to be given, where that is long.
    """

    number: int
    at: int
    message: Message
    label: str | None
    wire: str
    arrived: int | None = None
    unseen: bool = False
    lost: str | None = None
    again: bool = False
    late: int | None = None

    @property
    def refused(self) -> bool:
        """Whether it is an answer that refuses."""
        return is_refusal(self.message)

    @property
    def marks(self) -> tuple[str, ...]:
        """What is out of the ordinary, of `MARKS`."""
        said = (self.lost is not None, self.again, self.late is not None, self.refused)
        return tuple(name for name, is_so in zip(MARKS, said, strict=True) if is_so)


@dataclass(frozen=True, slots=True)
class NoteEntry:
    """Something that is no message: a decision, a fault that struck, what a broker did inside."""

    number: int
    at: int
    by: Participant
    note: str
    details: tuple[tuple[str, str], ...]


Entry = MessageEntry | NoteEntry


class Entries:
    """Takes the events of a run in their order, and gives the entry that each makes, or changes."""

    def __init__(self, contract: Contract) -> None:
        self.all: list[Entry] = []
        self._contract = contract
        self._numbers: dict[str, int] = {}
        """The numbers of messages by their ids."""
        self._seen: set[tuple[object, ...]] = set()

    def take(self, event: Event) -> Entry:
        """The entry of `event`: a new one, or one that it changes."""
        if isinstance(event, Noted):
            shown = tuple((name, _told(value)) for name, value in event.details.items() if value is not None)
            return self._put(NoteEntry(len(self.all) + 1, event.at, event.by, event.note, shown))
        message = event.message
        number = self._numbers.get(message if isinstance(message, str) else message.id)
        if number is None:
            entry = self._new(event.at, message)
        else:
            entry = self.all[number - 1]
        if not isinstance(entry, MessageEntry) or isinstance(event, Sent):
            return entry
        if isinstance(event, Lost):
            return self._put(replace(entry, lost=event.reason))
        if number is None:
            return self._put(replace(entry, arrived=event.at, unseen=True))
        took = event.at - entry.at
        return self._put(replace(entry, arrived=event.at, late=took if took >= LATE_NANOSECONDS else entry.late))

    def number_of(self, message_id: str | None) -> int | None:
        """The number of the entry of a message; None where there is none."""
        return None if message_id is None else self._numbers.get(message_id)

    def _new(self, at: int, message: str | Message) -> Entry:
        number = len(self.all) + 1
        if isinstance(message, str):  # The journal has forgotten what it was.
            self._numbers[message] = number
            sender: Participant = next((one for one in PARTICIPANTS if message.startswith(f"{one}-")), "user")
            return self._put(NoteEntry(number, at, sender, "message forgotten", (("id", message),)))
        self._numbers[message.id] = number
        return self._put(
            MessageEntry(
                number,
                at,
                message,
                label_of(message, self._contract),
                wire_of(message),
                again=self._came_before(message),
                late=self._late(at, message),
            )
        )

    def _put(self, entry: Entry) -> Entry:
        if entry.number > len(self.all):
            self.all.append(entry)
        else:
            self.all[entry.number - 1] = entry
        return entry

    def _came_before(self, message: Message) -> bool:
        """Whether the same has been delivered, or asked for, before; what only reads may be, and so may a log-in."""
        if label_of(message, self._contract) is None:
            return False
        if isinstance(message, Delivery):
            return is_repeated(message)
        if not isinstance(message, Request) or message.method in _SAFE:
            return False
        # Of a form with files it is the boundary, drawn for each, that tells whether it is the very same.
        form = dict(message.headers).get("content-type")
        sent = (message.sender, message.method, message.target, form, repr(message.body))
        if sent in self._seen:
            return True
        self._seen.add(sent)
        return False

    def _late(self, at: int, message: Message) -> int | None:
        """How long an answer took from when the request had arrived, where that is long."""
        number = self._numbers.get(message.reply_to) if isinstance(message, Response) else None
        asked = None if number is None else self.all[number - 1]
        if not isinstance(asked, MessageEntry):
            return None
        took = at - (asked.at if asked.arrived is None else asked.arrived)
        return took if took >= LATE_NANOSECONDS else None


def _told(value: object) -> str:
    """A detail of a note as a trace has it; in a run that was just played its times are still times."""
    return value if isinstance(value, str) else json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def entries_of(events: Iterable[Event], contract: Contract) -> Entries:
    """The entries of a whole run."""
    entries = Entries(contract)
    for event in events:
        entries.take(event)
    return entries
