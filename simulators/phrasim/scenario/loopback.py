"""Plays a scenario on real sockets and in real time, with external participants where there are some."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import uvloop

from phrasim.scenario.events import Outcome
from phrasim.scenario.exchanges import Exchanges
from phrasim.scenario.model import Scenario
from phrasim.scenario.runner import Listener, Play, Run, setting_of
from phrasim.serve.landscape import Plan, open_landscape
from phrasim.testbed import Testbed
from phrasim.testbed.network import with_broker

QUIET_SECONDS = 0.1
"""For so long nothing may happen before a run counts as over: far longer than anything of it takes on one machine."""

QUIET_SECONDS_MAX = 5
"""After that a run is judged even if something still goes on."""


def play_on_loopback(
    scenario: Scenario,
    play: Play,
    plan: Plan,
    listeners: Callable[[], Mapping[str, socket.socket]],
    listen: Listener = lambda _: None,
) -> Outcome:
    """Play a scenario by `plan`, whose setting the scenario says, on the sockets that `listeners` binds.

    Raises what `play_in_process` does, `PortError` where a port cannot be had, `SeedError` where the seed data does
    not fit.
    """
    setting = replace(setting_of(scenario, play.seed), phraseanet_token=plan.setting.phraseanet_token)
    run = Run(scenario, play, "loopback", with_broker(plan.external.urls), listen)
    bound = listeners()
    with (
        tempfile.TemporaryDirectory(prefix="phrasim-") as storage,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run.main(_opened(replace(plan, setting=setting), bound, Path(storage)), _until_quiet))
    return run.ended()


@asynccontextmanager
async def _opened(plan: Plan, listeners: Mapping[str, socket.socket], storage: Path) -> AsyncIterator[Testbed]:
    async with open_landscape(plan, listeners, storage) as landscape:
        yield landscape.testbed


async def _until_quiet(testbed: Testbed, exchanges: Exchanges) -> None:
    """Wait until no exchange is open, the worker holds nothing, and nothing happens any more."""
    loop = asyncio.get_running_loop()
    until = loop.time() + QUIET_SECONDS_MAX
    happened = asyncio.Event()
    stop_listening = testbed.journal.listen(lambda _: happened.set())
    try:
        while loop.time() < until:
            happened.clear()
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await happened.wait()
            except TimeoutError:
                if not exchanges.open and not testbed.broker.busy:
                    return
    finally:
        stop_listening()
