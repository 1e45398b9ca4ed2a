"""The HTTP exchanges of a run, as the journal tells them: each request with its answer, once that has arrived.

Where the caller is external nobody sees the answer arrive: then it counts as arrived when it was sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from phrasim.edge.outbound import NO_ANSWER
from phrasim.journal.events import Event, Lost, Noted, Received, Request, Response


@dataclass(slots=True)
class Exchange:
    """A request and its answer.

    `arrived` tells whether the answer reached the caller, `over` that nothing more will come of the exchange.
    """

    request: Request
    caller_observed: bool
    response: Response | None = None
    arrived: bool = False
    over: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the caller has an answer of 2xx."""
        return self.arrived and self.response is not None and 200 <= self.response.status < 300


class Exchanges:
    """Follows a journal; `ended` are the exchanges whose answers arrived, in that order."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.all: list[Exchange] = []
        self.ended: list[Exchange] = []
        self._by_message: dict[str, Exchange] = {}
        for event in events:
            self.take(event)

    @property
    def open(self) -> list[Exchange]:
        """The exchanges of which more is to come."""
        return [exchange for exchange in self.all if not exchange.over]

    def operation_of(self, event: Event) -> str | None:
        """The operation of the message that an event is about, where it is one of an exchange; None for a note."""
        if isinstance(event, Noted):
            return None
        named = event.message if isinstance(event.message, str) else event.message.id
        exchange = self._by_message.get(named)
        return None if exchange is None else exchange.request.operation_id

    def take(self, event: Event) -> None:
        """The next event of the journal."""
        if isinstance(event, Noted):
            if event.note == NO_ANSWER and event.details["request"] in self._by_message:
                self._by_message[event.details["request"]].over = True
            return
        message = event.message
        if isinstance(message, Request):
            exchange = self._by_message[message.id] = Exchange(message, not isinstance(event, Received))
            self.all.append(exchange)
        elif isinstance(message, Response) and message.reply_to in self._by_message:
            exchange = self._by_message[message.id] = self._by_message[message.reply_to]
            exchange.response = message
            if not exchange.caller_observed:
                self._arrive(message.id)
        named = message if isinstance(message, str) else message.id
        if isinstance(event, Received):
            self._arrive(named)
        elif isinstance(event, Lost) and named in self._by_message:
            self._by_message[named].over = True

    def _arrive(self, message_id: str) -> None:
        exchange = self._by_message.get(message_id)
        if exchange is not None and exchange.response is not None and exchange.response.id == message_id:
            exchange.arrived = exchange.over = True
            self.ended.append(exchange)
