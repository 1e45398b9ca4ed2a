"""The journal of a run: an append-only list of events, to which others may listen, and which they may follow."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

from phrasim.journal.events import Event, Lost, Message, Noted, Participant, Received, Sent

JOURNAL_EVENTS_MAX = 10_000
"""Events that the journal of a landscape keeps, which runs until somebody ends it; the oldest is forgotten first."""

_SLACK = 1.25
"""How many times as many events as are kept there may be before the oldest are taken away."""

Listener = Callable[[Event], None]


class Exchange(Protocol):
    """A request and its answer: events that are made once somebody reads them.

    Where thousands come in a second most are forgotten unread.
    """

    def received(self) -> Received:
        """The receipt of the request."""
        ...

    def sent(self) -> Sent:
        """The sending of the answer."""
        ...


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

    `now_ns` gives whole nanoseconds since the run began. Kept are the last `events_max` events (at least 1) or, where
    that is None, all. Events have numbers from 0 on, which go on whatever is forgotten.
    """

    def __init__(self, now_ns: Callable[[], int], events_max: int | None = None) -> None:
        self._now_ns = now_ns
        self._events_max = events_max
        self._listeners: list[Listener] = []
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._ended = False
        self._cleared = 0
        """The number of the first event since the journal was cleared."""
        self._next = 0
        self._events: list[Event] = []
        self._unmade: deque[Event | Exchange] = deque(maxlen=events_max)
        """What came behind `_events`: an exchange whose events are made once they are read, and whatever came after it.

        It stands there twice, once for each event.
        """

    @property
    def events(self) -> list[Event]:
        """The events that are kept."""
        self._make()
        self._forget()
        return self._events

    @property
    def first(self) -> int:
        """The number of the first event that is kept, or, if none is, of the next to come."""
        return self._cleared if self._events_max is None else max(self._cleared, self._next - self._events_max)

    @property
    def next(self) -> int:
        """The number of the next event to come."""
        return self._next

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
        first = self.first
        if number < first:
            raise EventsForgotten(number, first)
        self._make()
        return self._events[len(self._events) - (self._next - number) :]

    async def follow(self, number: int) -> AsyncGenerator[list[Event], None]:
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
        self._cleared = self._next
        self._events.clear()
        self._unmade.clear()

    def sent(self, message: Message) -> None:
        """The sender has handed the whole message to the wire."""
        self._append(Sent(at=self._now_ns(), message=message))

    def received(self, message: str | Message) -> None:
        """The receiver has the whole message: its id, or itself where the sender is not observed."""
        self._append(Received(at=self._now_ns(), message=message))

    def exchanged(self, exchange: Exchange) -> None:
        """A request was received, and answered, with nothing in between; a listener hears of it at once."""
        if self._listeners:
            self._append(exchange.received())
            self._append(exchange.sent())
            return
        self._next += 2
        self._keep_unmade((exchange, exchange))
        if self._waiting:
            self._wake()

    def lost(self, message: str | Message, reason: str) -> None:
        """The message did not arrive, or not whole."""
        self._append(Lost(at=self._now_ns(), message=message, reason=reason))

    def noted(self, by: Participant, note: str, **details: Any) -> None:
        """Something that is no message; `details` are JSON values."""
        self._append(Noted(at=self._now_ns(), by=by, note=note, details=details))

    def _append(self, event: Event) -> None:
        self._next += 1
        if self._unmade:
            self._keep_unmade((event,))
        else:
            self._events.append(event)
            self._forget_at_times()
        if self._waiting:
            self._wake()
        for listener in tuple(self._listeners):
            listener(event)

    def _make(self) -> None:
        if self._unmade:
            self._events.extend(self._made())
            self._unmade.clear()
            self._forget_at_times()

    def _made(self) -> list[Event]:
        """The events of `_unmade`. The first event of an exchange may be forgotten, the second never before it."""
        events: list[Event] = []
        behind = None
        for one in reversed(self._unmade):
            if isinstance(one, Event):
                events.append(one)
            else:
                events.append(one.received() if one is behind else one.sent())
            behind = one
        events.reverse()
        return events

    def _keep_unmade(self, events: tuple[Event | Exchange, ...]) -> None:
        self._unmade.extend(events)
        if self._events and len(self._unmade) == self._events_max:
            self._events.clear()  # Nothing of it is kept any more.

    def _forget_at_times(self) -> None:
        """Take away what is not kept; to do so with each event would move all the others by one place each time."""
        if self._events_max is not None and len(self._events) > self._events_max * _SLACK:
            self._forget()

    def _forget(self) -> None:
        if self._events_max is not None and len(self._events) > self._events_max:
            del self._events[: -self._events_max]

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
