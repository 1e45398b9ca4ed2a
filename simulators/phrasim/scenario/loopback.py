"""Plays a scenario on real sockets and in real time, with external participants where there are some."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import uvloop

from phrasim.broker.amqp.external import borrowed
from phrasim.documents import contract
from phrasim.journal.events import Event
from phrasim.scenario.events import Outcome
from phrasim.scenario.exchanges import Exchanges
from phrasim.scenario.model import Scenario
from phrasim.scenario.runner import Listener, Play, Run, setting_of
from phrasim.serve.broker import external_connector
from phrasim.serve.landscape import Plan, open_landscape
from phrasim.testbed import Testbed

QUIET_SECONDS = 0.1
"""For so long nothing may happen before a run counts as over: far longer than anything of it takes in one process."""

QUIET_SECONDS_EXTERNAL = 0.5
"""The same where somebody is external, who may be far away and say something that was not asked for."""

POLLING = ("listCommits", "issueToken", "getTokenInfo", "issueClientToken", "getKeys")
"""The operations that whoever polls calls for ever, whether anything happens or not."""

LATE = 1.5
"""A wait that took so many times as long as it should says that the machine is busy."""

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
    not fit, `BrokerError` where a real broker cannot be used.
    """
    known = plan.setting
    setting = replace(
        setting_of(scenario, play.seed),
        phraseanet_token=known.phraseanet_token,
        target_id=known.target_id,
        target_slug=known.target_slug,
    )
    plan = replace(plan, setting=setting, events_max=None)  # it is judged by all of its events
    with ExitStack() as ending:
        bound = listeners()
        for listener in bound.values():
            ending.callback(listener.close)
        run = Run(scenario, play, "loopback", plan.real, listen)
        storage = ending.enter_context(tempfile.TemporaryDirectory(prefix="phrasim-"))
        runner = ending.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        runner.run(run.main(_opened(plan, bound, Path(storage)), _until_quiet))
    return run.ended()


@asynccontextmanager
async def _opened(plan: Plan, listeners: Mapping[str, socket.socket], storage: Path) -> AsyncIterator[Testbed]:
    async with AsyncExitStack() as ending:
        if plan.external.broker is not None:
            await ending.enter_async_context(
                borrowed(external_connector(plan.external), contract(plan.setting.profile).messages)
            )
        landscape = await ending.enter_async_context(open_landscape(plan, listeners, storage))
        yield landscape.testbed


async def _until_quiet(testbed: Testbed, exchanges: Exchanges, failed: bool) -> None:
    """Wait until no exchange is open, the worker holds nothing, and nothing happens any more that is of a hand-off.

    A time in which nothing was seen to happen counts only if it took as long as it should: on a busy machine others
    had no time to do anything. Once a step has failed only that time is waited: what is open may never end.
    """
    loop = asyncio.get_running_loop()
    quiet = QUIET_SECONDS_EXTERNAL if testbed.network.external else QUIET_SECONDS
    until = loop.time() + (quiet if failed else QUIET_SECONDS_MAX)
    happened = asyncio.Event()

    def heard(event: Event) -> None:
        if exchanges.operation_of(event) not in POLLING:
            happened.set()

    stop_listening = testbed.journal.listen(heard)
    try:
        while (since := loop.time()) < until:
            happened.clear()
            try:
                async with asyncio.timeout(quiet):
                    await happened.wait()
            except TimeoutError:
                on_time = loop.time() - since < quiet * LATE
                if on_time and not exchanges.open and not testbed.broker.busy:
                    return
    finally:
        stop_listening()
