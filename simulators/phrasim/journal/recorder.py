"""The journal of a run: an append-only list of events, to which others may listen, and which they may follow."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from phrasim.journal.events import Event, Lost, Message, Noted, Participant, Received, Sent

JOURNAL_EVENTS_MAX = 10_000
"""Events that the journal of a landscape keeps, which runs until somebody ends it; the oldest is forgotten first."""

Listener = Callable[[Event], None]


class EventsForgotten(LookupError):
    """The events from the number `asked` on are not all kept any more; `first` is the number of the first that is."""

    def __init__(self, asked: int, first: int) -> None:
        super().__init__(asked, first)
        self.asked = asked
        self.first = first

    def __str__(self) -> str:
        return f"reading the journal from event {self.asked} on: the first that is still kept is {self.first}"


class Journal:
    """Takes what the edges saw, stamps it with the run's time, keeps it and tells the listeners.

    `now_ns` gives whole nanoseconds since the run began. `events` are those that are kept, the last `events_max` (at
    least 1) or, where that is None, all. Events have numbers from 0 on, which go on whatever is forgotten.
    """

    def __init__(self, now_ns: Callable[[], int], events_max: int | None = None) -> None:
        self._now_ns = now_ns
        self._events_max = events_max
        self._listeners: list[Listener] = []
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._ended = False
        self._first = 0
        self.events: list[Event] = []

    @property
    def first(self) -> int:
        """The number of the first event that is kept, or, if none is, of the next to come."""
        return self._first

    @property
    def next(self) -> int:
        """The number of the next event to come."""
        return self._first + len(self.events)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event from now on, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def since(self, number: int) -> list[Event]:
        """The events from that number on; none if it is the next.

        Raises `EventsForgotten` if they are not all kept, and `ValueError` for a number that no event can have yet.
        """
        if not 0 <= number <= self.next:
            raise ValueError(f"reading the journal from event {number} on: events have numbers from 0 to {self.next}")
        if number < self._first:
            raise EventsForgotten(number, self._first)
        return self.events[number - self._first :]

    async def follow(self, number: int) -> AsyncIterator[list[Event]]:
        """The events from that number on, one or more at a time, as they come; ends when the journal does.

        Raises as `since` does: at once, or when the reader was so slow that what comes next is forgotten.
        """
        while True:
            events = self.since(number)
            if events:
                number += len(events)
                yield events
            elif self._ended:
                return
            else:
                await self._more()

    def end_following(self) -> None:
        """Let everybody who follows, now or later, read what there is and come to an end, for a server that stops."""
        self._ended = True
        self._wake()

    def clear(self) -> None:
        """Forget all events; the numbers go on."""
        self._first += len(self.events)
        self.events.clear()

    def sent(self, message: Message) -> None:
        """The sender has handed the whole message to the wire."""
        self._append(Sent(at=self._now_ns(), message=message))

    def received(self, message: str | Message) -> None:
        """The receiver has the whole message: its id, or itself where the sender is not observed."""
        self._append(Received(at=self._now_ns(), message=message))

    def lost(self, message: str | Message, reason: str) -> None:
        """The message did not arrive, or not whole."""
        self._append(Lost(at=self._now_ns(), message=message, reason=reason))

    def noted(self, by: Participant, note: str, **details: Any) -> None:
        """Something that is no message; `details` are JSON values."""
        self._append(Noted(at=self._now_ns(), by=by, note=note, details=details))

    def _append(self, event: Event) -> None:
        self.events.append(event)
        if self._events_max is not None and len(self.events) > self._events_max:
            del self.events[0]
            self._first += 1
        if self._waiting:
            self._wake()
        for listener in tuple(self._listeners):
            listener(event)

    async def _more(self) -> None:
        more = asyncio.get_running_loop().create_future()
        self._waiting[more] = None
        try:
            await more
        finally:
            self._waiting.pop(more, None)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()
