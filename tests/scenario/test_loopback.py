"""On real sockets a scenario has the verdicts that it has in-process, and a run is judged when it is over."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phrasim.clock import SimulatedLoop, run_simulated
from phrasim.documents import scenarios_folder
from phrasim.journal.events import Body, Request, Response
from phrasim.journal.recorder import Journal
from phrasim.scenario.events import Outcome
from phrasim.scenario.exchanges import Exchanges
from phrasim.scenario.loader import load_scenario, parse_scenario
from phrasim.scenario.loopback import (
    QUIET_SECONDS,
    QUIET_SECONDS_EXTERNAL,
    QUIET_SECONDS_MAX,
    _until_quiet,
    play_on_loopback,
)
from phrasim.scenario.model import Scenario
from phrasim.scenario.runner import Play, play_in_process
from phrasim.serve.landscape import Plan
from phrasim.serve.sockets import bind_all
from phrasim.testbed import SERVICES, seeded

SCENARIOS = [load_scenario(path) for path in sorted(scenarios_folder().glob("*.yaml"))]
ON_BOTH = [one for one in SCENARIOS if {"in-process", "loopback"} <= set(one.wires)]
AT_ONCE = 4


def on_loopback(scenario: Scenario) -> Outcome:
    ports = {name: (0, f"--{name}-port") for name in SERVICES}
    return play_on_loopback(scenario, Play(), Plan(chance=seeded(1)), lambda: bind_all("127.0.0.1", ports))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, "Future[Outcome]"]:
    """The outcome of every scenario on sockets: several at once, so that the machine is busy, too."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {one.name: pool.submit(on_loopback, one) for one in ON_BOTH}


def verdicts(outcome: Outcome) -> list[tuple[str, str, tuple[str, ...]]]:
    """Its verdicts; how often somebody polled, and so the number of messages, is a matter of time."""
    polls = outcome.scenario.mode == "pull"
    return [
        (
            re.sub(r"^messages as specified \(\d+\)", "messages", one.expectation) if polls else one.expectation,
            one.judgement,
            one.because,
        )
        for one in outcome.verdicts
    ]


@pytest.mark.parametrize("scenario", ON_BOTH, ids=lambda one: one.name)
def test_a_scenario_has_the_same_verdicts_on_both_wires(
    scenario: Scenario, outcomes: dict[str, "Future[Outcome]"]
) -> None:
    outcome = outcomes[scenario.name].result()
    assert outcome.header.wire == "loopback"
    assert verdicts(outcome) == verdicts(play_in_process(scenario, Play()))
    assert outcome.held


def test_a_broken_expectation_is_broken_in_the_same_words_on_both_wires() -> None:
    file = scenarios_folder() / "push.yaml"
    text = file.read_text().replace("count: 1, acknowledged: 1", "count: 2, acknowledged: 0")
    scenario = parse_scenario(text, str(file), Path(file).parent)
    assert verdicts(on_loopback(scenario)) == verdicts(play_in_process(scenario, Play()))


def request(number: int, operation_id: str) -> Request:
    return Request(
        id=f"user-{number}",
        sender="user",
        receiver="upload",
        operation_id=operation_id,
        method="GET",
        target="/",
        headers=(),
        body=Body(length=0),
    )


def answer(to: Request) -> Response:
    return Response(
        id=f"{to.id}-answer",
        sender="upload",
        receiver="user",
        operation_id=to.operation_id,
        reply_to=to.id,
        status=200,
        headers=(),
        body=Body(length=0),
    )


def waited(
    happens: Callable[[Journal, asyncio.AbstractEventLoop], None],
    *,
    failed: bool = False,
    external: tuple[str, ...] = (),
    busy: Callable[[], bool] = lambda: False,
) -> float:
    """How long it takes until a run is over in which that happens, in seconds."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        journal = Journal(lambda: int(loop.time() * 1e9))
        exchanges = Exchanges()
        journal.listen(exchanges.take)
        broker = _Broker(busy)
        testbed: Any = SimpleNamespace(journal=journal, broker=broker, network=SimpleNamespace(external=external))
        happens(journal, loop)
        began = loop.time()
        await _until_quiet(testbed, exchanges, failed)
        return loop.time() - began

    return run_simulated(main())


class _Broker:
    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy

    @property
    def busy(self) -> bool:
        return self._busy()


def nothing(_journal: Journal, _loop: asyncio.AbstractEventLoop) -> None:
    """Nothing more happens."""


def test_a_run_in_which_nothing_happens_any_more_is_over_soon() -> None:
    assert waited(nothing) == pytest.approx(QUIET_SECONDS)
    assert waited(nothing, external=("upload",)) == pytest.approx(QUIET_SECONDS_EXTERNAL)


def slow(journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
    asked = request(1, "acknowledgeCommit")
    journal.sent(asked)
    loop.call_later(1.05, journal.received, answer(asked))


def test_an_answer_that_is_on_its_way_is_waited_for() -> None:
    assert waited(slow) == pytest.approx(1.05 + QUIET_SECONDS)


def test_nobody_waits_for_it_once_a_step_has_failed() -> None:
    assert waited(slow, failed=True) == pytest.approx(QUIET_SECONDS)


def test_an_answer_that_never_comes_is_not_waited_for_for_ever() -> None:
    took = waited(lambda journal, _: journal.sent(request(1, "enqueueAssets")))
    assert QUIET_SECONDS_MAX <= took < QUIET_SECONDS_MAX + 2 * QUIET_SECONDS


def test_the_work_on_a_delivery_is_waited_for() -> None:
    turns = iter([True, True, False])
    assert waited(nothing, busy=lambda: next(turns)) == pytest.approx(3 * QUIET_SECONDS)


def test_polls_keep_no_run_from_being_over() -> None:
    def polling(journal: Journal, loop: asyncio.AbstractEventLoop, number: int = 0) -> None:
        asked = request(number, ("listCommits", "issueToken")[number % 2])
        journal.sent(asked)
        journal.received(answer(asked))
        loop.call_later(0.03, polling, journal, loop, number + 1)

    assert waited(polling) == pytest.approx(QUIET_SECONDS)


def test_a_time_in_which_the_machine_was_busy_says_nothing() -> None:
    def busy(_journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        assert isinstance(loop, SimulatedLoop)
        loop.call_later(0.09, loop.jump, 0.5)

    assert waited(busy) == pytest.approx(0.09 + 0.5 + QUIET_SECONDS)
