"""The way of a test's httpx clients to the simulators of an in-process landscape."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import httpx

from phrasim.edge.addresses import Addresses
from phrasim.edge.faults import Refuse
from phrasim.journal.events import Participant
from phrasim.pytest_plugin.view import UsageError
from phrasim.testbed import URLS, Testbed

Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine on the simulated loop, and returns its result."""

_ADDRESSES = Addresses.of(URLS)


class LandscapeTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Carries requests to the simulators: those of a sync client from an ordinary function, of an async one in `run`.

    `caller` is who they come from; the faults of a sender's edge strike here, since the caller has no edge.
    """

    def __init__(self, testbed: Testbed, caller: Participant, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._testbed = testbed
        self._caller = caller
        self._run = run
        self._loop = loop
        self._thread = threading.get_ident()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of a sync client, while the simulators go on with their own work."""
        if threading.get_ident() != self._thread:
            raise UsageError(
                f"{request.method} {request.url} comes from the thread {threading.current_thread().name!r}: on "
                "simulated time all is done by the thread of the test. For a client with threads take phrasim_server."
            )
        if _running_loop() is not None:
            raise UsageError(
                f"{request.method} {request.url} comes from a sync client on a running loop, which it would block: "
                "take an httpx.AsyncClient there, or call the sync client outside of phrasim_landscape.run()"
            )
        assert isinstance(request.stream, httpx.SyncByteStream), "the body of a sync request is a sync stream"
        carried = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=_Parts(request.stream),
            extensions=request.extensions,
        )
        response: httpx.Response = self._run(self._send(carried))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Contents(response.stream, self._run)
        response.request = request
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of an async client, on the loop of the landscape."""
        if _running_loop() is not self._loop:
            raise UsageError(
                f"{request.method} {request.url} comes from an async client on another loop than the simulated one: "
                "run it by phrasim_landscape.run(...) in an ordinary test function, or take phrasim_server"
            )
        return await self._send(request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        wire = self._testbed.network.addressing.transport
        for effect in self._testbed.faults.at_sender(self._operation_id(request)):
            self._testbed.journal.noted(self._caller, "fault", effect=repr(effect))
            if isinstance(effect, Refuse):
                raise httpx.ConnectError("connection refused (a fault)", request=request)
            first = await wire.handle_async_request(request)  # the only other one is Duplicate
            await first.aread()
            await first.aclose()
        return await wire.handle_async_request(request)

    def _operation_id(self, request: httpx.Request) -> str | None:
        found = _ADDRESSES.at(request.url)
        if found is None:
            return None
        operation = self._testbed.network.contract.operation(found[0], request.method, found[1])
        return operation.operation_id if operation else None


class _Parts(httpx.AsyncByteStream):
    """The body of a sync request as the wire wants it."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._stream:
            yield part


class _Contents(httpx.SyncByteStream):
    """The body of a response as a sync client reads it: part by part, each time the loop runs on."""

    def __init__(self, stream: httpx.AsyncByteStream, run: Run) -> None:
        self._stream = stream
        self._parts = aiter(stream)
        self._run = run

    def __iter__(self) -> Iterator[bytes]:
        while (part := self._run(self._next())) is not None:
            yield part

    def close(self) -> None:
        """Leave what was not read."""
        self._run(self._leave())

    async def _next(self) -> bytes | None:
        return await anext(self._parts, None)

    async def _leave(self) -> None:
        # A generator that is left half-way would be closed by whichever thread collects the garbage.
        assert isinstance(self._parts, AsyncGenerator), "the in-process wire gives a body part by part"
        await self._parts.aclose()
        await self._stream.aclose()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
