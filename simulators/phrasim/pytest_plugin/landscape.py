"""A landscape in the test's own process, on simulated time, driven from an ordinary test function."""

import asyncio
import contextlib
import contextvars
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from starlette.types import ASGIApp

from phrasim.clock import NANOSECONDS, SimulatedLoop
from phrasim.pytest_plugin.marker import Asked
from phrasim.pytest_plugin.transport import LandscapeTransport
from phrasim.pytest_plugin.view import Service, UsageError, View, hold_to_health
from phrasim.testbed import URLS, Testbed, open_testbed
from phrasim.testbed.held import Held
from phrasim.testbed.network import InProcess

_Result = TypeVar("_Result")

SETTLE_SECONDS = 1e-6
"""So much later all is done that a timer has begun: simulated time passes only where nobody has work."""


class Landscape(View):
    """What the fixture `phrasim_landscape` gives.

    Time stands still but for `run`, `wait`, `wait_for`, `poll` and the requests of sync clients; in these it jumps
    from one timer to the next. httpx clients reach the simulators through the fixture `phrasim_router`, or by
    `transport`: `httpx.Client(transport=phrasim_landscape.transport)`.
    """

    def __init__(self, asked: Asked, held: Held[Testbed], wire: InProcess, runner: asyncio.Runner) -> None:
        super().__init__(asked, "in-process")
        self._in_process = wire
        self._runner = runner
        self._held = held
        self.upload, self.phraseanet, self.auth = (Service(URLS[name]) for name in ("upload", "phraseanet", "auth"))
        self.transport = LandscapeTransport(held.thing, asked.plays or "user", self.run, runner.get_loop())
        """An httpx transport, sync and async, that leads to the simulators."""
        self._begin({})
        self._follow()

    @property
    def now(self) -> float:
        """Simulated seconds since the landscape began, to the millisecond."""
        return round(self._testbed.clock.now_ns() / NANOSECONDS, 3)

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine of the test on the simulated loop and return its result.

        Raises what it raises; what a simulator raises that fails meanwhile; `UsageError` on a running loop.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._runner.run(self._held.beside(work), context=contextvars.copy_context())
        work.close()
        raise UsageError(
            "phrasim_landscape has a loop of its own, and cannot be driven while another one runs: take it in an "
            "ordinary test function (def, not async def), and phrasim_server in an async one"
        )

    def wait(self, seconds: float) -> None:
        """Let `seconds` of simulated time pass, and all be done that is to be done by then."""
        if seconds < 0:
            raise UsageError(f"wait({seconds}): time goes on, and never back; wait for 0 s or more")
        self.run(self._testbed.clock.sleep(seconds + SETTLE_SECONDS))

    def mount(self, app: ASGIApp) -> None:
        """From now on `app` answers at the URL of the service that the code under test plays."""
        if self._asked.plays is None:
            raise UsageError("mount: all services are phrasim's; say which is yours: @pytest.mark.phrasim(plays=...)")
        self._in_process.mount({self._asked.plays: app})

    @property
    def _testbed(self) -> Testbed:
        return self._held.thing

    def _look(self, look: Callable[[], _Result]) -> _Result:
        return look()

    def _run(self, work: Coroutine[Any, Any, _Result], within: float) -> _Result:  # noqa: ARG002 - time jumps
        return self.run(work)


@contextlib.contextmanager
def open_landscape(asked: Asked) -> Iterator[Landscape]:
    """The landscape that is asked for, until the block ends.

    Raises, at the end, what made a simulator fail.
    """
    wire = InProcess((asked.plays,) if asked.plays else ())
    with (
        tempfile.TemporaryDirectory(prefix="phrasim-") as storage,
        asyncio.Runner(loop_factory=SimulatedLoop) as runner,
    ):
        held = runner.run(Held.opened(open_testbed(asked.setting, Path(storage), wire), "the landscape"))
        landscape = Landscape(asked, held, wire, runner)
        yield landscape
        runner.run(held.close())
        hold_to_health(landscape.events)
