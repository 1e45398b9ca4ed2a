"""How uvicorn serves an edge: `uvicorn.Config(app, http=HttpConnection, ws="none")`.

A connection that the edge breaks off, and an exchange that ends with the server, are no errors of the application.
"""

import asyncio
import logging
import re
from collections import deque
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from phrasim.edge.at_once import BODY, ROOM, Answer, AtOnce, OpenFile
from phrasim.edge.file_sending import room, send_file
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
            if self._is_answered(self._asked()):
                return
        self._begin()

    def _is_answered(self, asked: Scope) -> bool:
        """Answer at once, if that is possible."""
        assert self._at_once is not None, "somebody can be asked"
        if self._open:
            # What still waits of the answer before is not to be overtaken, and takes room.
            cast("_Answering", self._open[-1].transport).release()
        answer = self._at_once(asked)
        if answer is not None:
            self._write_whole(answer)
        return answer is not None

    def _begin(self) -> None:
        """Hand the request to the application."""
        self._make_scope()
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
        """The parser has the beginning of a request; uvicorn would make the scope here, which not every one needs."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._idle_since = None

    def _make_scope(self) -> None:
        """Do what uvicorn does at the beginning of a request, for one whose head is there already."""
        known = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = known
        self.scope["headers"] = self.headers

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
            body = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            if self._is_answered({**self._asked(), BODY: body}):
                self._held = None
                return
            self._begin_held()
        if self.cycle is not None:
            super().on_message_complete()

    def _is_simple(self) -> bool:
        """Whether a request is one that may be answered at once.

        Another is under way, the caller does not read, or the connection ends: that is all left to uvicorn.
        """
        parser = self.parser
        method = parser.get_method()
        if (
            method not in _NOT_SIMPLE
            or not parser.should_keep_alive()
            or self.flow.write_paused
            or not (self.cycle is None or self.cycle.response_complete)
        ):
            return False
        named = dict(self.headers)
        if b"connection" in named and (parser.get_http_version() != "1.1" or parser.should_upgrade()):
            return False  # Without that header only a connection of HTTP/1.1 stays, and none is upgraded.
        return _NOT_SIMPLE[method].isdisjoint(named)

    def _asked(self) -> Scope:
        """The scope of the question for an answer at once."""
        if _PLAIN_PATH(self.url) is not None:
            raw_path, query, path = self.url, b"", self.url.decode("ascii")
        else:
            url = httptools.parse_url(self.url)
            raw_path, query, path = url.path, url.query or b"", unquote(url.path.decode("ascii"))
        return {
            "type": "http",
            "method": self.parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            ROOM: self._room,
        }

    def _room(self) -> int:
        return room(self.transport)

    def _write_whole(self, answer: Answer) -> None:
        """Send an answer as uvicorn's cycle does, but in one piece."""
        head = [STATUS_LINE[answer.status_code]]
        for name, value in (*self.server_state.default_headers, *answer.raw_headers):
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n")
        if isinstance(answer, OpenFile):
            with answer.file:
                send_file(self.transport, b"".join(head), answer.file, answer.offset, answer.size)
        else:
            self.transport.write(b"".join((*head, answer.body)))
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
            self._loop.call_soon(self.release)
        elif self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close behind what was written."""
        self.release()
        self._transport.close()

    def release(self) -> None:
        """Write the head that still waits for what is behind it."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)


_PLAIN_PATH = re.compile(rb"/[A-Za-z0-9/._~-]*").fullmatch
"""A target that is a path and no more, in which nothing is encoded: it need not be taken apart."""

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
