"""Several landscapes in one process, kept apart: each has ports, users and tokens of its own."""

import asyncio
import gc
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from phrasim.serve.landscape import CONTROL, Landscape, Plan, open_landscape
from phrasim.serve.sockets import PortError, bind_all

_logger = logging.getLogger(__name__)

LANDSCAPES_MAX = 1000
"""Landscapes that may be there at once: each holds five listening sockets."""


class LandscapesFull(Exception):
    """There is no room for another landscape; the message says what would make some."""


class Landscapes:
    """Makes landscapes on free ports of `host`, by the ids `1`, `2`, …, with files below `storage`.

    `control` makes the application of a landscape's control port.
    """

    def __init__(self, host: str, storage: Path, control: Callable[[Landscape], ASGIApp]) -> None:
        self._host = host
        self._storage = storage
        self._control = control
        self._made = 0
        self._closed = False
        self._held: dict[str, _Held] = {}

    @property
    def all(self) -> dict[str, Landscape]:
        """The landscapes that are there, by their ids, oldest first."""
        return {name: held.landscape for name, held in self._held.items() if held.landscape is not None}

    async def create(self, plan: Plan) -> tuple[str, Landscape]:
        """Open a landscape; its id, and itself. Raises `LandscapesFull`, and what opening one raises."""
        if self._closed:
            raise LandscapesFull("the server ends, and makes no more landscapes")
        if len(self._held) >= LANDSCAPES_MAX:
            raise LandscapesFull(f"there are {LANDSCAPES_MAX} landscapes; delete one that is no longer used")
        self._made += 1
        name = str(self._made)
        held = self._held[name] = _Held(self._open(plan, self._storage / f"landscape-{name}"), name)
        # Whatever becomes of whoever asked for it, it is there or not: none is left that nobody can delete.
        held.task.add_done_callback(lambda _: self._held.pop(name, None))
        return name, await held.opened()

    async def delete(self, name: str) -> bool:
        """End a landscape and free all that it held; whether there was one."""
        if name not in self.all:
            return False
        await self._held.pop(name).close()
        # Its parts refer to each other. Left to itself the collector looks for such only when there are many thousands,
        # and the memory of the process grows by that.
        gc.collect()
        return True

    async def close(self) -> None:
        """End them all, and make no more."""
        self._closed = True
        await asyncio.gather(*(held.close() for held in tuple(self._held.values())))

    @asynccontextmanager
    async def _open(self, plan: Plan, storage: Path) -> AsyncIterator[Landscape]:
        """A landscape on free ports; its folder is gone at the end."""
        try:
            listeners = bind_all(self._host, dict.fromkeys((*plan.played, CONTROL), (0, "")))
        except PortError as error:
            raise LandscapesFull(
                f"there are {len(self.all)} landscapes, and the system gives no ports for another: {error.__cause__}"
            ) from error
        try:
            async with open_landscape(plan, listeners, storage) as landscape:
                landscape.mount_control(self._control(landscape))
                yield landscape
        finally:
            shutil.rmtree(storage, ignore_errors=True)


class _Held:
    """A landscape that a task of its own holds open: a task group is left by the task that entered it."""

    def __init__(self, opening: AbstractAsyncContextManager[Landscape], name: str) -> None:
        self.landscape: Landscape | None = None
        """The landscape, once it answers."""
        self._name = name
        self._ready: asyncio.Future[Landscape] = asyncio.get_running_loop().create_future()
        self._ending = asyncio.Event()
        self.task = asyncio.create_task(self._hold(opening), name=f"landscape {name}")

    async def opened(self) -> Landscape:
        """Wait until the landscape answers. Raises what opening it raises."""
        return await asyncio.shield(self._ready)

    async def close(self) -> None:
        """End the landscape, and wait until all is free."""
        self._ending.set()
        await asyncio.wait((self.task,))

    async def _hold(self, opening: AbstractAsyncContextManager[Landscape]) -> None:
        try:
            async with opening as landscape:
                self.landscape = landscape
                self._ready.set_result(landscape)
                await self._ending.wait()
        except Exception as error:
            if self._ready.done():
                _logger.exception("landscape %s failed, and has ended", self._name)
            else:
                self._ready.set_exception(error)
