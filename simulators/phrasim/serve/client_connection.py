"""A client's connection: HTTP/1.1 on a socket of the running loop, one request and its answer after the other.

What goes wrong is told in httpx's errors, as httpx's own transport tells it. Answers are read by llhttp (httptools).
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

import httptools
import httpx

HEAD_BYTES_MAX = 100 * 1024
"""Bytes of an answer that may come in a row without being its body: the head, the trailer, what is between chunks."""

AHEAD_BYTES_MAX = 256 * 1024
"""Bytes of a body that are read ahead of who takes them; then the server has to wait."""

Timeouts = Mapping[str, float | None]
"""Seconds for `connect`, `read`, `write` and `pool` (a request's extension `timeout`); None is any time."""

Head = tuple[int, list[tuple[bytes, bytes]], dict[str, Any]]
"""Status and headers of an answer, and what `httpx.Response` has as its extensions."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"(?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?")
"""A field of a head as RFC 9110, §5.5, has it: it must not end the line, and so begin another."""

_LAST_CHUNK = b"0\r\n\r\n"

_SWITCHING_PROTOCOLS = 101


class ClientConnection(asyncio.Protocol):
    """Use `ask`, then `whole` or `parts`; `is_reusable` says whether another request may follow."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        """The loop's time at which the last answer had ended; for who keeps the connection."""
        self._transport: Any = None  # uvloop's are no `asyncio.Transport` by their class
        self._is_open = True
        self._lost: BaseException | None = None
        self._may_write = True
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._unasked = b""
        """What came while nothing was asked, a greeting in another protocol, say."""
        self._answer: _Answer | None = None

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow: the connection is open, and the last answer allows it."""
        answer = self._answer
        return self._is_open and not self._unasked and answer is not None and answer.is_complete and answer.keeps_alive

    # The loop's end.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio's."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """As asyncio's."""
        if self._answer is None or self._answer.is_complete:
            self._unasked = self._unasked or data
            return
        self._answer.feed(data)
        if self._answer.ahead > AHEAD_BYTES_MAX and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """As asyncio's: the transport closes itself behind it."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio's."""
        self._lost = exc
        self._end()

    def pause_writing(self) -> None:
        """As asyncio's."""
        self._may_write = False

    def resume_writing(self) -> None:
        """As asyncio's."""
        self._may_write = True
        self._wake()

    # The caller's end.

    async def ask(self, request: httpx.Request, target: bytes, timeouts: Timeouts) -> Head:
        """Send the request to `target` and wait for the head of the answer, whose body is had by `parts`."""
        head, length = _head(request, target)
        answer = self._answer = _Answer(is_head=request.method == "HEAD")
        if self._unasked:
            answer.feed(self._unasked)
        if not self._is_open:
            answer.end()
        if isinstance(request.stream, httpx.ByteStream):
            body = b"".join(request.stream)
            _hold(len(body), length)
            await self._write(head + (body if length is not None else _chunk(body) + _LAST_CHUNK), timeouts)
        else:
            await self._write(head, timeouts)
            await self._write_body(request, length, timeouts)
        while answer.status is None:
            await self._more(answer, timeouts)
        extensions = {"http_version": b"HTTP/" + answer.version.encode(), "reason_phrase": answer.reason}
        return answer.status, answer.headers, extensions

    def whole(self) -> bytes | None:
        """The body of the answer, if it has come whole by now and nobody waits for room to be read on."""
        answer = self._answer
        if answer is None or not answer.is_complete or self._is_paused:
            return None
        return answer.parts[0] if len(answer.parts) == 1 else b"".join(answer.parts)

    async def parts(self, timeouts: Timeouts) -> AsyncIterator[bytes]:
        """The body of the answer as it comes."""
        answer = self._answer
        assert answer is not None, "the head of the answer has come"
        while True:
            while answer.parts:
                part = answer.parts.popleft()
                answer.ahead -= len(part)
                yield part
            if self._is_paused and self._is_open:
                self._is_paused = False  # Also behind an answer that is whole: another one may follow.
                self._transport.resume_reading()
            if answer.is_complete:
                return
            await self._more(answer, timeouts)

    def close(self) -> None:
        """End the connection at once."""
        self._is_open = False
        self._transport.abort()

    async def _write_body(self, request: httpx.Request, length: int | None, timeouts: Timeouts) -> None:
        assert isinstance(request.stream, httpx.AsyncByteStream), "the body of an async request is an async stream"
        written = 0
        async for part in request.stream:
            written += len(part)
            await self._write(part if length is not None else _chunk(part), timeouts)
        _hold(written, length)
        if length is None:
            await self._write(_LAST_CHUNK, timeouts)

    async def _write(self, part: bytes, timeouts: Timeouts) -> None:
        """Write a part; where the server does not take it any more, its answer says why, or its absence."""
        if self._is_open:
            self._transport.write(part)
        while self._is_open and not self._may_write:
            await self._wait("write", httpx.WriteTimeout, timeouts)

    async def _more(self, answer: "_Answer", timeouts: Timeouts) -> None:
        """Wait until more of the answer is there. Raises what is wrong with it, behind what was right."""
        if answer.wrong is None:
            await self._wait("read", httpx.ReadTimeout, timeouts)
        if answer.wrong is None or answer.parts:
            return
        if self._lost is not None:
            raise httpx.ReadError(str(self._lost)) from self._lost
        raise httpx.RemoteProtocolError(answer.wrong)

    async def _wait(self, phase: str, late: type[httpx.TimeoutException], timeouts: Timeouts) -> None:
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        seconds = timeouts.get(phase)
        timer = None if seconds is None else loop.call_later(seconds, _give_up, waiter)
        try:
            await waiter
        except TimeoutError:
            raise late(f"no progress within the {phase} time-out of {seconds} s") from None
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _end(self) -> None:
        self._is_open = False
        if self._answer is not None:
            self._answer.end()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Answer:
    """What has come of an answer; llhttp calls the methods that begin with `on_`."""

    def __init__(self, *, is_head: bool) -> None:
        self.status: int | None = None
        """The status of the answer, once its head is whole; those of interim answers do not count (RFC 9110, §15.2)."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.reason = b""
        self.version = "1.1"
        self.parts: deque[bytes] = deque()
        self.ahead = 0
        """Bytes of the body that nobody has taken yet."""
        self.is_complete = False
        self.keeps_alive = True
        self.wrong: str | None = None
        """Why no more of it will come, though it is not complete."""
        self._is_head = is_head
        self._length: int | None = None
        self._is_chunked = False
        self._received = 0
        self._between = 0
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """The next bytes from the server."""
        self._between += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.keeps_alive = False
        except httptools.HttpParserError as error:
            # Behind an answer that is whole there may be anything: it is no answer to anybody.
            self.keeps_alive = False
            self.wrong = str(error)
        if self.is_complete:
            # It holds this answer's methods: in a circle both would wait for the garbage collector.
            self._parser = None
        elif self._between > HEAD_BYTES_MAX:
            self.wrong = f"more than {HEAD_BYTES_MAX} bytes came that are no body"

    def end(self) -> None:
        """The server sends no more; a body without a length is complete by that (RFC 9112, §6.3)."""
        if self.is_complete or self.wrong is not None:
            return
        cut = "peer closed connection without sending complete message body"
        if self.status is None:
            self.wrong = "Server disconnected without sending a response."
        elif self._is_chunked:
            self.wrong = f"{cut} (incomplete chunked read)"
        elif self._length is not None:
            self.wrong = f"{cut} (received {self._received} bytes, expected {self._length})"
        else:
            self.is_complete = True

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status is None:  # what stands behind the body is the trailer
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 and status != _SWITCHING_PROTOCOLS:
            return
        self.status, self.version = status, self._parser.get_http_version()
        self.keeps_alive = self._parser.should_keep_alive()
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"content-length":
                self._length = int(value)
            elif lower == b"transfer-encoding":
                self._is_chunked = True
        self._between = 0
        if self._is_head or status == _SWITCHING_PROTOCOLS:
            self.is_complete = True

    def on_body(self, part: bytes) -> None:
        if self.is_complete:
            self.keeps_alive = False  # the answer to a HEAD has none
            return
        self._between = 0
        self._received += len(part)
        self.ahead += len(part)
        self.parts.append(part)

    def on_message_complete(self) -> None:
        if self.status is None:
            self.headers, self.reason = [], b""
        else:
            self.is_complete = True


def _head(request: httpx.Request, target: bytes) -> tuple[bytes, int | None]:
    """The head of a request, and the length of its body; None for one that comes in chunks.

    The fields stand as they were given, Host first (RFC 9110, §7.2). Raises `httpx.LocalProtocolError` for one that
    would be read as something else.
    """
    lines: list[bytes] = []
    length, chunked = 0, False
    for name, value in request.headers.raw:
        lower, line = _field(name, value)
        if lower == b"host":
            lines.insert(0, line)
            continue
        if lower == b"content-length":
            length = int(value)
        elif lower == b"transfer-encoding":
            chunked = True
        lines.append(line)
    method = request.method.encode("ascii", "replace")
    if not _NAME.fullmatch(method):
        raise httpx.LocalProtocolError(f"Illegal method {request.method!r}")
    asked = b"%b %b HTTP/1.1\r\n" % (method, target)
    return asked + b"".join(lines) + b"\r\n", None if chunked else length


@lru_cache(maxsize=1024)
def _field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """The name in lower case, and the line; most fields of a request are those of the one before."""
    if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
        raise httpx.LocalProtocolError(f"Illegal header {name!r}: {value!r}")
    return name.lower(), b"%b: %b\r\n" % (name, value)


def _hold(found: int, length: int | None) -> None:
    if length is not None and found != length:
        much = "Too much" if found > length else "Too little"
        raise httpx.LocalProtocolError(f"{much} data for declared Content-Length: {found} of {length} bytes")


def _chunk(part: bytes) -> bytes:
    """A part of a body as a chunk (RFC 9112, §7.1), of which an empty one would be the last."""
    return b"%x\r\n%b\r\n" % (len(part), part) if part else b""


def _give_up(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
