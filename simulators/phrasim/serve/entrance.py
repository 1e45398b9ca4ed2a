"""Where requests to the participants of a landscape come in, so that it can begin anew with none of them under way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.edge.inbound import BrokenOffError
from phrasim.service.refusal import problem

_TURNS = 16
"""Turns of the loop in which a server has read what lay in its sockets already: accepting and reading take three."""


class BegunAnew(Exception):
    """What was under way was broken off, since the landscape began anew."""


class Entrance:
    """Lets requests in to applications by their names, which may be replaced.

    `is_own` tells by a `traceparent` whether a participant of the landscape itself has sent a request that nobody has
    received yet.
    """

    def __init__(self, is_own: Callable[[str | None], bool]) -> None:
        self._is_own = is_own
        self._apps: dict[str, ASGIApp] = {}
        self._opened = asyncio.Event()
        self._under_way: dict[asyncio.Task[object], None] = {}

    def open(self, apps: Iterable[tuple[str, ASGIApp]]) -> None:
        """From now on these applications, with their names, answer; those who wait first."""
        self._apps.update(apps)
        self._opened.set()

    async def close(self) -> None:
        """Let nobody in, and break off what is under way; afterwards nothing of it happens any more."""
        self._opened.clear()
        under_way = tuple(self._under_way)
        self._under_way.clear()
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """A block that `close` breaks off: `BegunAnew`. It begins when the entrance is open."""
        await self._opened.wait()
        task = asyncio.current_task()
        assert task is not None, "whatever waits runs in a task"
        self._under_way[task] = None
        try:
            yield
        except asyncio.CancelledError:
            if task in self._under_way:
                raise  # Somebody else wants it to end.
            task.uncancel()
            raise BegunAnew("the landscape began anew meanwhile") from None
        finally:
            self._under_way.pop(task, None)

    def at(self, name: str) -> ASGIApp:
        """The application of that name; while there is none to be had a request waits."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if not self._opened.is_set() and self._is_own(Headers(scope=scope).get("traceparent")):
                # Its sender has been ended, and the next beginning is to hear nothing of it.
                await problem(503, "the landscape begins anew")(scope, receive, send)
                return
            answer = _Answer(send)
            try:
                async with self.under_way():
                    await self._apps[name](scope, receive, answer.send)
            except BegunAnew as error:
                if answer.begun:
                    raise BrokenOffError(str(error)) from error
                await problem(503, str(error), {"connection": "close"})(scope, receive, send)

        return app


class _Answer:
    """Knows whether an answer has begun; one that has can only be broken off."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def send(self, message: Message) -> None:
        self.begun = True
        await self._send(message)
