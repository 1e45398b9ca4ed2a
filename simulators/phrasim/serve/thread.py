"""A thread with a running loop, on which a landscape is served beside whoever asks it things."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import uvloop

_Result = TypeVar("_Result")

ANSWER_SECONDS = 30
"""How long the thread may take for what it is asked, over the time that the question itself allows."""


LAST_SECONDS = 1.0
"""How long tasks may take that nobody waits for, such as the end of a connection that was closed."""


class ServerThread:
    """A thread with a running loop; it ends with the session, and keeps no process from ending."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="phrasim server", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result], within: float = 0) -> _Result:
        """Run `work` on the thread's loop; its result. Raises TimeoutError some time after `within` seconds."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within + ANSWER_SECONDS)

    def look(self, look: Callable[[], _Result]) -> _Result:
        """What `look` returns, called on the thread, where nothing else happens meanwhile."""

        async def looked() -> _Result:
            return look()

        return self.run(looked())

    def close(self) -> None:
        """End the thread, once what libraries still have to tidy up is done; what takes too long is cancelled."""
        self.run(_last_tasks())
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _last_tasks() -> None:
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        _, late = await asyncio.wait(others, timeout=LAST_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


@contextlib.contextmanager
def open_server_thread() -> Iterator[ServerThread]:
    """A thread that serves, until the block ends."""
    thread = ServerThread()
    try:
        yield thread
    finally:
        thread.close()
