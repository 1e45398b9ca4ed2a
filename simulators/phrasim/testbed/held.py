"""Something open that outlives the call that opened it."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")


class Held(Generic[_Thing]):
    """A context that a task of its own holds open, since a task group is left by the task that entered it."""

    def __init__(self, thing: _Thing, task: asyncio.Task[None], ending: asyncio.Event) -> None:
        self.thing = thing
        self._task = task
        self._ending = ending

    @classmethod
    async def opened(cls, opening: AbstractAsyncContextManager[_Thing], name: str) -> "Held[_Thing]":
        """Open it; `name` is the task's. Raises what opening it raises."""
        ready: asyncio.Future[_Thing] = asyncio.get_running_loop().create_future()
        ending = asyncio.Event()

        async def hold() -> None:
            async with opening as thing:
                ready.set_result(thing)
                await ending.wait()

        task = asyncio.create_task(hold(), name=name)
        await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            task.result()  # it raises: the task ended, and nothing is open
        return cls(ready.result(), task, ending)

    async def beside(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The result of `work`; what makes the context fail meanwhile ends it, and is raised in its place."""
        task = asyncio.create_task(work, name="what the test asked for")
        try:
            await asyncio.wait((task, self._task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
        if self._task.done():
            await asyncio.wait((task,))
            self._task.result()
        return await task

    async def close(self) -> None:
        """Leave the context. Raises what made it fail, if something did."""
        self._ending.set()
        await self._task
