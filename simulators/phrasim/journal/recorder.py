"""The journal of a run: an append-only list of events, to which others may listen."""

from collections.abc import Callable
from typing import Any

from phrasim.journal.events import Event, Lost, Message, Noted, Participant, Received, Sent

Listener = Callable[[Event], None]


class Journal:
    """Takes what the edges saw, stamps it with the run's time, keeps it and tells the listeners.

    `now_ns` gives whole nanoseconds since the run began.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._listeners: list[Listener] = []
        self.events: list[Event] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event from now on, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

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
        for listener in tuple(self._listeners):
            listener(event)
