"""Several landscapes in one process, kept apart: each has ports, users and tokens of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from phrasim.serve.landscape import CONTROL, Landscape, Plan, open_landscape
from phrasim.serve.sockets import bind_all

LANDSCAPES_MAX = 1000
"""Landscapes that may be there at once: each holds four listening sockets."""


class LandscapesFull(Exception):
    """There are as many landscapes as there may be."""


class Landscapes:
    """Makes landscapes on free ports of `host`, by the ids `1`, `2`, …, with files below `storage`.

    `control` makes the application of a landscape's control port.
    """

    def __init__(self, host: str, storage: Path, control: Callable[[Landscape], ASGIApp]) -> None:
        self._host = host
        self._storage = storage
        self._control = control
        self._made = 0
        self._deleted = 0
        self._held: dict[str, _Held] = {}

    @property
    def all(self) -> dict[str, Landscape]:
        """The landscapes that are there, by their ids, oldest first."""
        return {name: one.landscape for name, one in self._held.items()}

    async def create(self, plan: Plan) -> str:
        """Open a landscape; its id. Raises `LandscapesFull`, and what opening one raises."""
        if self._made - self._deleted >= LANDSCAPES_MAX:
            raise LandscapesFull(f"there are {LANDSCAPES_MAX} landscapes; delete one that is no longer used")
        self._made += 1
        name = str(self._made)
        try:
            self._held[name] = await _Held.opened(self._open(plan, self._storage / f"landscape-{name}"), name)
        except BaseException:
            self._deleted += 1
            raise
        return name

    async def delete(self, name: str) -> bool:
        """End a landscape and free all that it held; whether there was one."""
        held = self._held.pop(name, None)
        if held is None:
            return False
        self._deleted += 1
        await held.close()
        return True

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(self.delete(name) for name in tuple(self._held)))

    @asynccontextmanager
    async def _open(self, plan: Plan, storage: Path) -> AsyncIterator[Landscape]:
        """A landscape on free ports; its folder is gone at the end."""
        listeners = bind_all(self._host, dict.fromkeys((*plan.played, CONTROL), (0, "")))
        try:
            async with open_landscape(plan, listeners, storage) as landscape:
                landscape.mount_control(self._control(landscape))
                yield landscape
        finally:
            shutil.rmtree(storage, ignore_errors=True)


class _Held:
    """A landscape that a task of its own holds open: a task group is left by the task that entered it."""

    def __init__(self, landscape: Landscape, ending: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.landscape = landscape
        self._ending = ending
        self._task = task

    @classmethod
    async def opened(cls, opening: AbstractAsyncContextManager[Landscape], name: str) -> "_Held":
        """Wait until the landscape answers. Raises what opening it raises."""
        ready: asyncio.Future[Landscape] = asyncio.get_running_loop().create_future()
        ending = asyncio.Event()

        async def hold() -> None:
            async with opening as landscape:
                ready.set_result(landscape)
                await ending.wait()

        task = asyncio.create_task(hold(), name=f"landscape {name}")
        await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            task.result()  # it raises: the task ended, and the landscape is not ready
        return cls(ready.result(), ending, task)

    async def close(self) -> None:
        """End the landscape; raises what made it fail, if something did."""
        self._ending.set()
        await self._task
