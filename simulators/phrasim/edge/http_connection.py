"""How uvicorn serves an edge: `uvicorn.Config(app, http=HttpConnection, ws="none")`.

A connection that the edge breaks off, and an exchange that ends with the server, are no errors of the application.
"""

import asyncio
import logging
from collections import deque
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.responses import Response
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from phrasim.edge.at_once import BODY, AtOnce
from phrasim.edge.inbound import REPLY_DROPPED, BrokenOffError

_logger = logging.getLogger("uvicorn.error.exchange")
"""What uvicorn says of single exchanges; it goes where `uvicorn.error` goes."""


class HttpConnection(HttpToolsProtocol):
    """One connection of a caller, with the exchanges that it has begun; `at_once` is asked before the application."""

    def __init__(self, *args: Any, at_once: AtOnce | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _logger
        self._at_once = at_once
        self._held: list[bytes] | None = None
        """What has come of the body of a POST that may be answered at once, if one may."""
        self._open: deque[RequestResponseCycle] = deque()
        self._idle_since: float | None = None
        """When the last request was answered at once, as the loop tells the time, if nothing has come since."""

    def data_received(self, data: bytes) -> None:
        """As uvicorn has it; a body that has not come whole by then is awaited by the application."""
        super().data_received(data)
        if self._held is not None:
            self._begin_held()

    def on_headers_complete(self) -> None:
        """The parser has the head of a request."""
        if self._at_once is not None and self._is_simple():
            if self.parser.get_method() == b"POST":
                self._held = []
                return
            if self._is_answered():
                return
        self._begin()

    def _is_answered(self) -> bool:
        """Answer at once, if that is possible."""
        assert self._at_once is not None, "somebody can be asked"
        answer = self._at_once(cast("Scope", self.scope))
        if answer is not None:
            self._write_whole(answer)
        return answer is not None

    def _begin(self) -> None:
        """Hand the request to the application."""
        super().on_headers_complete()
        while self._open and self._open[0].response_complete:
            self._open.popleft()
        self.cycle.transport = cast("asyncio.Transport", _Answering(self.transport, self.loop))
        # uvicorn makes none for an upgrade to a WebSocket, which `ws="none"` rules out.
        self._open.append(self.cycle)

    def _begin_held(self) -> None:
        held, self._held = self._held, None
        self._begin()
        for part in held or ():
            self.on_body(part)

    def on_message_begin(self) -> None:
        """The parser has the beginning of a request."""
        super().on_message_begin()
        self._idle_since = None

    def on_body(self, body: bytes) -> None:
        """The parser has a part of a body; one that comes alone is copied neither here nor when it is received."""
        if self._held is not None:
            self._held.append(body)
            return
        cycle: Any = self.cycle
        if not cycle.body:
            cycle.body = b""  # joined to which bytes stay themselves
        elif isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser has the end of a request; where it was answered at once there may never have been a cycle."""
        if self._held is not None:
            scope = cast("dict[str, Any]", self.scope)
            scope[BODY] = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            if self._is_answered():
                self._held = None
                return
            scope.pop(BODY, None)
            self._begin_held()
        if self.cycle is not None:
            super().on_message_complete()

    def _is_simple(self) -> bool:
        """Whether a request is one that may be answered at once; then its scope is whole.

        Another is under way, the caller does not read, or the connection ends: that is all left to uvicorn.
        """
        parser = self.parser
        method = parser.get_method()
        if (
            method not in _NOT_SIMPLE
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
            or self.flow.write_paused
            or not (self.cycle is None or self.cycle.response_complete)
            or not _NOT_SIMPLE[method].isdisjoint(dict(self.headers))
        ):
            return False
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["method"] = method.decode("ascii")
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = url.path
        self.scope["query_string"] = url.query or b""
        return True

    def _write_whole(self, answer: Response) -> None:
        """Send an answer as uvicorn's cycle does, but in one piece."""
        head = [STATUS_LINE[answer.status_code]]
        for name, value in (*self.server_state.default_headers, *answer.raw_headers):
            head += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*head, b"\r\n", answer.body)))
        self._idle_since = self.loop.time()

    def close_if_idle(self) -> None:
        """Close a connection that has been idle for too long since it was answered at once.

        uvicorn has a timer for that, set anew behind each answer; who answers at once leaves it to a look now and then.
        """
        if self._idle_since is not None and self.loop.time() - self._idle_since >= self.timeout_keep_alive:
            self.timeout_keep_alive_handler()

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


class _Answering:
    """The transport as one exchange has it: the head of the answer goes out with what is written right behind it.

    Each write would go to the socket at once, and wake the caller. Where nothing follows within the same turn of the
    loop the head goes alone.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._begun = False
        self._held = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, in the order of the calls."""
        if not self._begun:
            self._begun, self._held = True, data
            self._loop.call_soon(self._release)
        elif self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close behind what was written."""
        self._release()
        self._transport.close()

    def _release(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)


_NOT_SIMPLE = {
    b"GET": frozenset((b"content-length", b"transfer-encoding", b"expect")),
    b"POST": frozenset((b"transfer-encoding", b"expect")),
}
"""The methods of requests that may be answered at once, and the headers without which they are."""


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record tells what nobody has told: uvicorn logs whatever an application raises with its traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, BrokenOffError | asyncio.CancelledError)


_logger.addFilter(_is_news)
