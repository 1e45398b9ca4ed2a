"""The in-process wire: an httpx transport that calls ASGI applications on the loop of the caller.

It keeps what `httpx.ASGITransport` gives up: time-outs (on the loop's time), back-pressure, responses that stream or
stay open, an application's exception as a 500, `http.disconnect`. Nothing here records or strikes faults.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import httpx
from starlette.types import ASGIApp, Message, Scope

_logger = logging.getLogger(__name__)

_FAILED = (500, [(b"content-type", b"text/plain; charset=utf-8")], b"Internal Server Error")
"""What a server answers for an application that failed before it answered."""


class InProcessTransport(httpx.AsyncBaseTransport):
    """Sends each request to the application that `apps` holds for its host.

    One transport serves every client of a run, so that closing one client ends nobody else's work; `aclose` cancels
    the applications' tasks that are still running.
    """

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = apps
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raise `httpx.ConnectError` for an unknown host, else what a socket would: time-outs, protocol errors."""
        app = self._apps.get(request.url.host)
        if app is None:
            raise httpx.ConnectError(
                f"nobody listens at {request.url.host!r}; the hosts of this run are {', '.join(map(repr, self._apps))}",
                request=request,
            )
        exchange = _Exchange(request, app)
        task = asyncio.get_running_loop().create_task(exchange.run(), name=f"{request.method} {request.url}")
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        try:
            await exchange.write()
            status, headers = await exchange.head()
        except BaseException:
            exchange.leave()
            raise
        return httpx.Response(
            status,
            headers=headers,
            stream=_Contents(exchange, headers, bodiless=request.method == "HEAD" or status in (204, 304)),
            request=request,
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Slot:
    """A one-place hand-over between two tasks: who puts waits while the place is taken, which is the back-pressure.

    Closing it ends both sides; what lies in the place is still handed over.
    """

    __slots__ = ("_chunk", "_waiter", "closed")

    def __init__(self) -> None:
        self._chunk: bytes | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    @property
    def open(self) -> bool:
        """Whether a chunk can be put, or is refused, without waiting."""
        return self._chunk is None or self.closed

    @property
    def ready(self) -> bool:
        """Whether a chunk, or the end, can be had without waiting."""
        return self._chunk is not None or self.closed

    async def room(self) -> None:
        """Wait until a chunk can be put, or is refused."""
        while not self.open:
            await self._wait()

    async def put(self, chunk: bytes) -> bool:
        """Put `chunk` once the place is free; False if the slot was closed before."""
        await self.room()
        if self.closed:
            return False
        self._chunk = chunk
        self._wake()
        return True

    async def filled(self) -> bool:
        """Wait for a chunk without taking it; False if there will be none."""
        while not self.ready:
            await self._wait()
        return self._chunk is not None

    async def get(self) -> bytes | None:
        """Take the next chunk; None if there will be none."""
        await self.filled()
        chunk, self._chunk = self._chunk, None
        self._wake()
        return chunk

    def close(self) -> None:
        self.closed = True
        self._wake()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Exchange:
    """One request and its response, seen from both ends: the application's ASGI messages, the caller's time-outs."""

    def __init__(self, request: httpx.Request, app: ASGIApp) -> None:
        self._request = request
        self._app = app
        self._asked = _Slot()
        self._asked_whole = False
        self._answered = _Slot()
        self._start: Message | None = None
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._over = asyncio.Event()
        self._left = False
        self._timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        self.complete = False

    # The application's end.

    async def run(self) -> None:
        """Call the application; what it raises is logged and, while nothing was answered, answered for by a 500."""
        try:
            await self._app(self._scope(), self._receive, self._send)
        except ConnectionError:
            pass  # The application breaks off the connection, or found its caller gone.
        except Exception:
            _logger.exception("the application failed at %s %s", self._request.method, self._request.url)
        except asyncio.CancelledError:
            self._finish()
            raise
        if self._head is None and not self._left:
            status, headers, body = _FAILED
            self._head = (status, headers)
            self.complete = await self._answered.put(body)
        self._finish()

    def _scope(self) -> Scope:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "server": (url.host, url.port or (443 if url.scheme == "https" else 80)),
            "client": ("in-process", 0),
            "state": {},
        }

    async def _receive(self) -> Message:
        if not self._asked_whole and not self._left:
            chunk = await self._asked.get()
            # A slot that is closed behind its last chunk tells the end of the body along with it.
            self._asked_whole = self._asked.closed and not self._left
            if chunk is not None or self._asked_whole:
                return {"type": "http.request", "body": chunk or b"", "more_body": not self._asked_whole}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left:
            raise ConnectionResetError("the caller has left: nobody reads this response")
        if message["type"] == "http.response.start":
            self._start = message
            return
        assert self._start is not None, "an application sent a body before the head of its response"
        # The head shows with the first part of the body only (ASGI, Response Start): an application that fails in
        # between can still be answered for by a 500.
        self._head = self._head or (self._start["status"], list(self._start.get("headers", ())))
        await self._answered.put(bytes(message.get("body", b"")))
        if not message.get("more_body", False):
            self.complete = True
            self._finish()

    def _finish(self) -> None:
        self._over.set()
        self._asked.close()
        self._answered.close()

    # The caller's end.

    async def write(self) -> None:
        """Hand over the body of the request; stop where the application has answered or gone."""
        stream = self._request.stream
        assert isinstance(stream, httpx.AsyncByteStream), "the body of an async request is an async stream"
        async for chunk in stream:
            if not self._asked.open:
                await self._in_time("write", self._asked.room, httpx.WriteTimeout)
            if not await self._asked.put(chunk):
                return
        self._asked.close()

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers, once the first part of the body is there."""
        await self._in_time("read", self._answered.filled, httpx.ReadTimeout)
        if self._head is None:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=self._request)
        return self._head

    async def read(self) -> bytes | None:
        """The next part of the response's body; None at its end."""
        if not self._answered.ready:
            await self._in_time("read", self._answered.filled, httpx.ReadTimeout)
        return await self._answered.get()

    def cut(self, found: int, declared: str) -> httpx.RemoteProtocolError:
        return httpx.RemoteProtocolError(
            "peer closed connection without sending complete message body "
            f"(received {found} bytes, expected {declared})",
            request=self._request,
        )

    def leave(self) -> None:
        """The caller goes: from here the application reads `http.disconnect` and cannot send."""
        self._left = True
        self._finish()

    async def _in_time(
        self, phase: str, wait: Callable[[], Awaitable[object]], error: type[httpx.TimeoutException]
    ) -> None:
        seconds = self._timeouts.get(phase)
        try:
            async with asyncio.timeout(seconds):
                await wait()
        except TimeoutError:
            raise error(f"no progress within the {phase} time-out of {seconds} s", request=self._request) from None


class _Contents(httpx.AsyncByteStream):
    """The body of a response as it comes, held to the length that its head declares (as h11 holds it)."""

    def __init__(self, exchange: _Exchange, headers: list[tuple[bytes, bytes]], *, bodiless: bool) -> None:
        self._exchange = exchange
        self._bodiless = bodiless
        self._declared = next((value.decode() for name, value in headers if name.lower() == b"content-length"), None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        found = 0
        while (chunk := await self._exchange.read()) is not None:
            if chunk and not self._bodiless:
                found += len(chunk)
                yield chunk
        short = self._declared is not None and found < int(self._declared) and not self._bodiless
        if short or not self._exchange.complete:
            raise self._exchange.cut(found, self._declared or "the end of the stream")

    async def aclose(self) -> None:
        self._exchange.leave()
