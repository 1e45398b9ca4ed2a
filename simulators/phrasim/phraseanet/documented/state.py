"""What Phraseanet knows and decides: which commits it has accepted, and the records that it made of assets."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phrasim.phraseanet.documented.wire import Handover


@dataclass(frozen=True, slots=True)
class Record:
    """An asset as Phraseanet keeps it: its metadata, and size in bytes and SHA-256 of the file that was downloaded."""

    asset_id: str
    commit_id: str | None
    publisher: str
    original_name: str
    mime_type: str
    form_data: dict[str, Any]
    size: int
    sha256: str


class PhraseanetState:
    """Accepted commits and records; `now` tells the date in UTC."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._done: deque[tuple[datetime, str | None, tuple[str, ...]]] = deque()
        """When the work on commits was done, by what they are known, and their assets."""
        self._accepted: set[str] = set()
        self._records: dict[str, Record] = {}

    def accept(self, handover: Handover) -> bool:
        """Whether this commit is new; it is known from here on, also if its work fails for good (A30)."""
        key = handover.key
        if key is None:
            return True
        if key in self._accepted:
            return False
        self._accepted.add(key)
        return True

    def forget(self, handover: Handover) -> None:
        """The commit could not be handed on: the next notification of it is new again."""
        if handover.key is not None:
            self._accepted.discard(handover.key)

    def keep(self, records: list[Record]) -> None:
        """Keep the records of a commit; a second execution of the same work replaces what the first one left."""
        for record in records:
            self._records[record.asset_id] = record

    def done(self, handover: Handover) -> None:
        """The commit is acknowledged; its work is done."""
        self._done.append((self._now(), handover.key, handover.assets))

    def forget_done(self, before: datetime) -> None:
        """Forget the commits whose work was done before that moment, with their records."""
        known = len(self._done)
        while self._done and self._done[0][0] < before:
            _, key, assets = self._done.popleft()
            if key is not None:
                self._accepted.discard(key)
            for asset_id in assets:
                self._records.pop(asset_id, None)
        if len(self._done) < known:
            self._records = dict(self._records)  # else it would take twice the room in time

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, in the order in which they were first made."""
        return tuple(self._records.values())
