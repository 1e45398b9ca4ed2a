"""The HTTP exchanges of a run, as the journal tells them: each request with its answer, once that has arrived."""

from collections.abc import Iterable
from dataclasses import dataclass

from phrasim.journal.events import Event, Noted, Received, Request, Response


@dataclass(slots=True)
class Exchange:
    """A request and its answer; `arrived` tells whether the answer reached the caller."""

    request: Request
    response: Response | None = None
    arrived: bool = False

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

    def take(self, event: Event) -> None:
        """The next event of the journal."""
        if isinstance(event, Noted):
            return
        message = event.message
        if isinstance(message, Request):
            exchange = self._by_message[message.id] = Exchange(message)
            self.all.append(exchange)
        elif isinstance(message, Response) and message.reply_to in self._by_message:
            exchange = self._by_message[message.id] = self._by_message[message.reply_to]
            exchange.response = message
        if isinstance(event, Received):
            self._arrive(message if isinstance(message, str) else message.id)

    def _arrive(self, message_id: str) -> None:
        exchange = self._by_message.get(message_id)
        if exchange is not None and exchange.response is not None and exchange.response.id == message_id:
            exchange.arrived = True
            self.ended.append(exchange)
