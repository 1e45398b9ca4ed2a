"""How uvicorn serves an edge: `uvicorn.Config(app, http=HttpConnection, ws="none")`.

A connection that the edge breaks off, and an exchange that ends with the server, are no errors of the application.
"""

import asyncio
import logging
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from phrasim.edge.inbound import REPLY_DROPPED, BrokenOffError

_logger = logging.getLogger("uvicorn.error.exchange")
"""What uvicorn says of single exchanges; it goes where `uvicorn.error` goes."""


class HttpConnection(HttpToolsProtocol):
    """One connection of a caller, with the exchanges that it has begun."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _logger
        self._open: deque[RequestResponseCycle] = deque()

    def on_headers_complete(self) -> None:
        """The parser has the head of a request."""
        super().on_headers_complete()
        while self._open and self._open[0].response_complete:
            self._open.popleft()
        # uvicorn makes none for an upgrade to a WebSocket, which `ws="none"` rules out.
        self._open.append(self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every exchange; uvicorn tells the one that came last, while those before it may still be answered."""
        super().connection_lost(exc)
        for cycle in self._open:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def shutdown(self) -> None:
        """Begin to stop: a caller whose reply a fault dropped is not waited for, and sees the connection end."""
        if any(cycle.scope["state"].get(REPLY_DROPPED) for cycle in self._open):
            self.transport.close()
        super().shutdown()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record tells what nobody has told: uvicorn logs whatever an application raises with its traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, BrokenOffError | asyncio.CancelledError)


_logger.addFilter(_is_news)
