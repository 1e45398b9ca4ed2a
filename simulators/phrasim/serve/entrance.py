"""Where requests to the participants of a landscape come in, so that it can begin anew with none of them under way."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.edge.at_once import Answer, AtOnce, at_once
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
        self._at_once: dict[str, AtOnce] = {}
        self._opened = asyncio.Event()
        self._under_way: dict[asyncio.Task[object], None] = {}

    def open(self, apps: Iterable[tuple[str, ASGIApp]]) -> None:
        """From now on these applications, with their names, answer; those who wait first."""
        for name, app in apps:
            self._apps[name] = app
            self._at_once[name] = at_once(app)
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

    def under_way(self) -> "_UnderWay":
        """A block that `close` breaks off: `BegunAnew`. It begins when the entrance is open."""
        return _UnderWay(self._opened, self._under_way)

    def at(self, name: str) -> "Door":
        """The application of that name; while there is none to be had a request waits."""
        return Door(self, name)

    async def answer(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application of that name answer."""
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

    def answer_at_once(self, name: str, scope: Scope) -> Answer | None:
        """The answer of the application of that name, where it need not wait, and neither does the request."""
        return self._at_once[name](scope) if self._opened.is_set() else None


@dataclass(frozen=True, slots=True)
class Door:
    """An application behind an entrance, by its name."""

    entrance: Entrance
    name: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        await self.entrance.answer(self.name, scope, receive, send)

    def at_once(self, scope: Scope) -> Answer | None:
        """As `phrasim.edge.at_once` has it."""
        return self.entrance.answer_at_once(self.name, scope)


class _UnderWay:
    """A block of `Entrance.under_way`: a class, since each request passes one, and a generator takes longer."""

    def __init__(self, opened: asyncio.Event, tasks: dict[asyncio.Task[object], None]) -> None:
        self._opened = opened
        self._tasks = tasks
        self._task: asyncio.Task[object]

    async def __aenter__(self) -> None:
        await self._opened.wait()
        task = asyncio.current_task()
        assert task is not None, "whatever waits runs in a task"
        self._task = task
        self._tasks[task] = None

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._task in self._tasks:
            del self._tasks[self._task]  # Where it is cancelled somebody else wants it to end.
        elif isinstance(error, asyncio.CancelledError):
            self._task.uncancel()
            raise BegunAnew("the landscape began anew meanwhile") from None


class _Answer:
    """Knows whether an answer has begun; one that has can only be broken off."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def send(self, message: Message) -> None:
        self.begun = True
        await self._send(message)
