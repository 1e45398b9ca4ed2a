"""The sending side of an edge: an httpx transport around the wire's, which records and strikes the sender's faults."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any

import httpx

from phrasim import __version__
from phrasim.documents import Operation
from phrasim.edge.addresses import Addresses
from phrasim.edge.body import BodyCollector, journal_body, stored_body
from phrasim.edge.context import Tracer
from phrasim.edge.faults import Duplicate, Faults, Refuse
from phrasim.journal.events import Body, Participant, Request, Response
from phrasim.journal.recorder import Journal

FILE_DIGEST = "phrasim.file_digest"
"""The key of a request's `extensions` under which a client says the SHA-256 of the file that the body streams."""

FILE_ASKED_FOR = "phrasim.file_asked_for"
"""The key of a request's `extensions` under which a client says that a 200 answers it with a file, however long."""

ANSWER_BYTES_MAX = 16 * 2**20
"""How long an answer may be that a service reads as a whole; whoever sends more might never end."""

NO_ANSWER = "no answer"
"""The note of a sender whose request may have arrived, and that has no answer to it."""


class OutboundEdge(httpx.AsyncBaseTransport):
    """Carries the requests of `participant` to `inner`, each with a `traceparent` and an event in the journal."""

    def __init__(
        self,
        participant: Participant,
        inner: httpx.AsyncBaseTransport,
        *,
        addresses: Addresses,
        operation: Callable[[Participant, str, str], Operation | None],
        journal: Journal,
        tracer: Tracer,
        faults: Faults,
    ) -> None:
        self._participant = participant
        self._inner = inner
        self._addresses = addresses
        self._operation = operation
        self._journal = journal
        self._tracer = tracer
        self._faults = faults

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As `inner`; what is raised is noted and raised again."""
        found = self._addresses.at(request.url)
        if found is None:
            # It is a message to nobody, and so no message of the journal.
            self._journal.noted(self._participant, "nobody there", host=request.url.host)
            asked = request.url.copy_with(raw_path=b"/")
            raise httpx.ConnectError(
                f"no participant of this run answers at {asked}; they answer at {self._addresses}", request=request
            )
        receiver, path = found
        operation = self._operation(receiver, request.method, path)
        operation_id = operation.operation_id if operation else None
        for effect in self._faults.at_sender(operation_id):
            self._journal.noted(self._participant, "fault", effect=repr(effect))
            match effect:
                case Refuse():
                    message = self._message(request, receiver, operation_id)
                    self._journal.sent(message)
                    self._journal.lost(message.id, "a fault refused the connection")
                    raise httpx.ConnectError("connection refused (a fault)", request=request)
                case Duplicate():
                    first = await self._exchange(request, receiver, operation_id)
                    await first.aread()
                    await first.aclose()
        return await self._exchange(request, receiver, operation_id)

    async def _exchange(
        self, request: httpx.Request, receiver: Participant, operation_id: str | None
    ) -> httpx.Response:
        message = self._message(request, receiver, operation_id)
        self._journal.sent(message)
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.HTTPError as error:
            self._lose(message, f"{type(error).__name__}: {error}", connected=not isinstance(error, httpx.ConnectError))
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        stream = response.stream
        # What a user reads is the user's business, and a file is as long as it is.
        is_file = response.status_code == 200 and request.extensions.get(FILE_ASKED_FOR, False)
        is_at_hand = isinstance(stream, httpx.ByteStream)
        if not is_file and not is_at_hand and self._participant != "user":
            stream = _Bounded(stream, request.extensions.get("timeout", {}).get("read"))
        response.stream = _Contents(response, stream, message, self._participant, self._journal, self._tracer)
        return response

    def _message(self, request: httpx.Request, receiver: Participant, operation_id: str | None) -> Request:
        message_id = self._tracer.next_id()
        request.headers["traceparent"] = self._tracer.traceparent(message_id)
        return Request(
            id=message_id,
            sender=self._participant,
            receiver=receiver,
            operation_id=operation_id,
            cause=self._tracer.working_on(),
            method=request.method,
            target=request.url.raw_path.decode(),
            headers=_headers(request.headers),
            body=_body(request),
        )

    def _lose(self, message: Request, reason: str, *, connected: bool) -> None:
        reply = self._tracer.correlation.reply(message.id)
        if reply is not None:
            self._journal.lost(reply, reason)
        elif not connected:
            self._journal.lost(message.id, reason)
        else:
            # The request may have arrived, and its answer may yet come: nobody here can know.
            self._journal.noted(self._participant, NO_ANSWER, request=message.id, reason=reason)


class _Bounded(httpx.AsyncByteStream):
    """The body of an answer that is read as a whole.

    `httpx.ReadError` where it is longer than `ANSWER_BYTES_MAX`, `httpx.ReadTimeout` where it takes more than `seconds`
    in all (None: any time), though no single part of it is late.
    """

    def __init__(self, stream: httpx.AsyncByteStream, seconds: float | None) -> None:
        self._stream = stream
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        until = None if self._seconds is None else asyncio.get_running_loop().time() + self._seconds
        length = 0
        parts = aiter(self._stream)
        while (part := await self._next(parts, until)) is not None:
            length += len(part)
            if length > ANSWER_BYTES_MAX:
                raise httpx.ReadError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
            yield part

    async def _next(self, parts: AsyncIterator[bytes], until: float | None) -> bytes | None:
        late = asyncio.timeout_at(until)
        try:
            async with late:
                return await anext(parts, None)
        except TimeoutError:
            raise httpx.ReadTimeout(f"the answer did not end within {self._seconds} s") from None

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Contents(httpx.AsyncByteStream):
    """The body of a response on its way to the sender of the request; its end is the response's receipt."""

    def __init__(
        self,
        response: httpx.Response,
        stream: httpx.AsyncByteStream,
        request: Request,
        participant: Participant,
        journal: Journal,
        tracer: Tracer,
    ) -> None:
        self._stream = stream
        self._request = request
        self._participant: Participant = participant
        self._journal = journal
        self._tracer = tracer
        # Not the response itself, whose stream this is: in a circle they would wait for the garbage collector.
        self._status, self._headers = response.status_code, response.headers
        self._reply_id = tracer.correlation.reply(request.id)
        self._seen = None if self._reply_id else BodyCollector(response.headers.get("content-type"))
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                if self._seen is not None:
                    self._seen.add(part)
                yield part
        except httpx.HTTPError as error:
            self._close(f"{type(error).__name__}: {error}")
            raise
        self._close(None)

    async def aclose(self) -> None:
        self._close("the caller left before the end of the body")
        await self._stream.aclose()

    def _close(self, lost: str | None) -> None:
        if self._closed:
            return
        self._closed = True
        # Asked again: a body of unknown length is recorded by its sender only when it ends.
        reply = self._reply_id or self._tracer.correlation.reply(self._request.id)
        message = reply or self._foreign()
        if lost is None:
            self._journal.received(message)
        else:
            self._journal.lost(message, lost)

    def _foreign(self) -> Response:
        """The response of a participant that is not observed itself."""
        assert self._seen is not None, "what no edge has recorded was collected here"
        return Response(
            id=f"{self._request.id}-answer",
            sender=self._request.receiver,
            receiver=self._participant,
            operation_id=self._request.operation_id,
            cause=self._request.id,
            reply_to=self._request.id,
            status=self._status,
            headers=_headers(self._headers),
            body=self._seen.body(),
        )


class _NoCookies(httpx.Cookies):
    """Keeps no cookie: no party of the protocol sets one, and a jar would read the machine's clock."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Pass over what the response would have left."""


_parsed = lru_cache(maxsize=256)(httpx.URL)
"""A URL that many requests have is parsed once."""

_USUAL = httpx.USE_CLIENT_DEFAULT


class _Client(httpx.AsyncClient):
    # For its jar httpx turns every request and response into urllib's, a third of what a call of the client costs.
    cookies: Any = _NoCookies()

    def __init__(self, base_url: str, **options: Any) -> None:
        super().__init__(base_url=base_url, **options)
        self._base = base_url.rstrip("/")

    def build_request(self, method: str, url: httpx.URL | str, **parts: Any) -> httpx.Request:
        """As httpx's; a path is joined to the base as text, where httpx would parse three URLs."""
        if isinstance(url, str):
            url = _parsed(self._base + url if url.startswith("/") else url)
        return super().build_request(method, url, **parts)

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """As httpx's; a redirect that leads to no URL is an `httpx.HTTPError`, too, whatever is wrong with it.

        Where they have nothing to do, its layers are left out: they cost more than the wire.
        """
        try:
            if self._needs_layers(request, **options):
                return await super().send(request, stream=stream, **options)
            response = await self._transport.handle_async_request(request)
            response.request = request
            try:
                if response.has_redirect_location:
                    self._build_redirect_request(request, response)
                if not stream:
                    await response.aread()
            except BaseException:
                await response.aclose()
                raise
        except httpx.InvalidURL as error:
            raise httpx.RemoteProtocolError(f"no URL to go to: {error}", request=request) from error
        except httpx.RequestError as error:
            error.request = request
            raise
        return response

    def _needs_layers(self, request: httpx.Request, auth: Any = _USUAL, follow_redirects: Any = _USUAL) -> bool:
        """Whether somebody has to be logged in, redirects to be followed, or somebody to be told; or all is over."""
        follows = self.follow_redirects if follow_redirects is _USUAL else follow_redirects
        logs_in = auth is not _USUAL or self.auth is not None or bool(request.url.userinfo)
        return follows or logs_in or any(self.event_hooks.values()) or self.is_closed


def http_client(transport: httpx.AsyncBaseTransport, base_url: str, timeout: float | None = 30) -> httpx.AsyncClient:
    """A client whose requests are the same bytes on every machine: no proxies, codings or versions of the host's."""
    return _Client(
        base_url,
        transport=transport,
        timeout=timeout,
        trust_env=False,
        headers={"user-agent": f"phrasim/{__version__}", "accept-encoding": "identity"},
    )


def _headers(headers: httpx.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers.raw)


def _body(request: httpx.Request) -> Body:
    """The body of a request as far as it is known before it is sent."""
    stored = request.extensions.get(FILE_DIGEST)
    if stored is not None:
        return stored_body(int(request.headers["content-length"]), stored)
    try:
        content = request.content
    except httpx.RequestNotRead:
        return Body(length=int(request.headers.get("content-length", 0)))
    return journal_body(content, request.headers.get("content-type"))
