"""The background tasks of a testbed: started in a task group, and ended when the run is over."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class Spawn:
    """Starts the background tasks of a testbed in a task group, and ends them when the run is over."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._closed = False

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` beside the run; what it raises ends the run. Once all is over, nothing new is begun."""
        if self._closed:
            work.close()
            return
        task = self._group.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def ended(self, name: str, seconds: float) -> None:
        """Wait until the tasks whose names begin so have ended; after `seconds` they are cancelled."""
        tasks = [task for task in self._tasks if task.get_name().startswith(name)]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def cancel(self) -> tuple[asyncio.Task[None], ...]:
        """End what still runs, and begin nothing new; the tasks that are ending."""
        self._closed = True
        ending = tuple(self._tasks)
        for task in ending:
            task.cancel()
        return ending

    def anew(self) -> "Spawn":
        """Another place in the same group."""
        return Spawn(self._group)


@asynccontextmanager
async def spawning() -> AsyncIterator[Spawn]:
    """A place for background tasks, to be cancelled at the end of the block.

    A simulator that fails (not: refuses) ends the block with what it raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield Spawn(group)
    except BaseExceptionGroup as failed:
        if len(failed.exceptions) == 1:
            raise failed.exceptions[0] from None
        raise
