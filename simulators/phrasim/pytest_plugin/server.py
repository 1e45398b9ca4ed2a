"""Landscapes on real ports for the tests of a session: one thread serves them all."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from phrasim.pytest_plugin.marker import Asked
from phrasim.pytest_plugin.view import Service, View, hold_to_health
from phrasim.serve.control import control_app
from phrasim.serve.landscape import CONTROL, Landscape, Plan, open_landscape
from phrasim.serve.sockets import bind_all
from phrasim.serve.state import state_of
from phrasim.serve.thread import ServerThread
from phrasim.testbed import PLAYABLE, SERVICES, Testbed, seeded
from phrasim.testbed.held import Held
from phrasim.testbed.network import real_ones

_Result = TypeVar("_Result")

HOST = "127.0.0.1"


class Server(View):
    """What the fixture `phrasim_server` gives; it may be used from any thread.

    Each call waits for its answer: in an async test call `wait_for` by `asyncio.to_thread`.
    """

    def __init__(self, asked: Asked, thread: ServerThread, held: Held[Landscape]) -> None:
        super().__init__(asked, "loopback")
        self._thread = thread
        self._held = held
        self._landscape = held.thing
        addressing = self._landscape.network.addressing
        self.upload, self.phraseanet, self.auth = (Service(addressing.public_url(name)) for name in SERVICES)
        assert self._landscape.control_url is not None, "it was opened with a control port"
        self.control = Service(self._landscape.control_url)
        """The control port, for those who want it: its operations are at `{url}/_phrasim/…`."""
        self._look(lambda: self._begin(self._landscape.tokens))
        self._look(self._follow)

    def state(self) -> dict[str, Any]:
        """All that the participants hold, as the control API tells it (`getState`)."""
        return self._thread.run(state_of(self._landscape))

    def reset(self) -> None:
        """Begin anew: URLs, users, clients and their tokens stay, all else is forgotten."""

        async def reset() -> None:
            await self._landscape.reset()
            self._begin(self._landscape.tokens)

        self._run(reset(), 0)

    @property
    def _testbed(self) -> Testbed:
        return self._landscape.testbed

    def _look(self, look: Callable[[], _Result]) -> _Result:
        return self._thread.look(look)

    def _run(self, work: Coroutine[Any, Any, _Result], within: float) -> _Result:
        return self._thread.run(self._held.beside(work), within)


@contextlib.contextmanager
def open_server(thread: ServerThread, asked: Asked) -> Iterator[Server]:
    """A landscape on free ports, until the block ends. Raises, at the end, what made a simulator fail."""
    played = tuple(name for name in PLAYABLE if name not in real_ones((asked.plays,) if asked.plays else (), ()))
    plan = Plan(setting=asked.setting, played=played, chance=seeded(asked.seed))
    with tempfile.TemporaryDirectory(prefix="phrasim-") as storage:
        held = thread.run(Held.opened(_open(plan, Path(storage)), "the landscape"))
        try:
            server = Server(asked, thread, held)
            yield server
            hold_to_health(server.events)
        finally:
            thread.run(held.close())


@contextlib.asynccontextmanager
async def _open(plan: Plan, storage: Path) -> AsyncIterator[Landscape]:
    listeners = bind_all(HOST, dict.fromkeys((*plan.played, CONTROL), (0, "")))
    async with open_landscape(plan, listeners, storage) as landscape:
        landscape.mount_control(control_app(landscape, None))
        yield landscape
