"""Every scenario of the deployed profile has the same verdicts on each wire that it allows.

The wires are: all in one process, sockets with the simulated broker over AMQP, and sockets with a real RabbitMQ.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from queue import Queue

import pytest

from differential.rabbitmq import VHOSTS
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.documents import contract, scenarios_folder, secret_fields
from phrasim.journal.events import Request, Sent
from phrasim.journal.lines import trace_bytes
from phrasim.scenario import loopback
from phrasim.scenario.events import Outcome
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.model import Scenario
from phrasim.scenario.playable import unplayable
from phrasim.scenario.runner import Play, play_in_process
from phrasim.serve.external import External
from phrasim.serve.landscape import Plan
from phrasim.testbed import SERVICES, seeded
from scenario.wires import play, verdicts

pytestmark = pytest.mark.unmeasured

SCENARIOS = [load_scenario(path) for path in sorted(scenarios_folder().joinpath("deployed").glob("*.yaml"))]
ON_SOCKETS = [one for one in SCENARIOS if unplayable(one, "loopback", frozenset()) is None]
ON_RABBITMQ = [one for one in ON_SOCKETS if unplayable(one, "loopback", frozenset({"broker"})) is None]
AT_ONCE = 4

Outcomes = dict[str, "Future[Outcome]"]


def asked_for(request: pytest.FixtureRequest, fixture: str) -> list[Scenario]:
    """The scenarios of the tests that were chosen and want that fixture."""
    items = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    return [item.callspec.params["scenario"] for item in items if fixture in item.fixturenames]


@pytest.fixture(scope="module")
def on_sockets(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """Scenarios on sockets; several at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {one.name: pool.submit(play, one, Plan(chance=seeded(1))) for one in asked_for(request, "on_sockets")}


@pytest.fixture(scope="module")
def on_rabbitmq(request: pytest.FixtureRequest, node: tuple[str, int]) -> Iterator[Outcomes]:
    """Scenarios with a real RabbitMQ; several at once, each in a virtual host that nobody else uses meanwhile."""
    free: Queue[str] = Queue()
    for name in VHOSTS[1:]:
        free.put(name)

    def played(scenario: Scenario) -> Outcome:
        vhost = free.get()
        try:
            external = External({}, broker=BrokerUrl(*node, vhost=vhost))
            return play(scenario, Plan(chance=seeded(1), played=SERVICES, external=external))
        finally:
            free.put(vhost)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(VHOSTS) - 1) as pool:
        patch.setattr(loopback, "QUIET_SECONDS_EXTERNAL", 0.15)  # the node lives on this machine
        yield {one.name: pool.submit(played, one) for one in asked_for(request, "on_rabbitmq")}


@cache
def in_process(name: str) -> Outcome:
    """Its outcome in one process, which is the same whenever it is played."""
    (scenario,) = [one for one in SCENARIOS if one.name == name]
    return play_in_process(scenario, Play())


def trace(outcome: Outcome) -> bytes:
    return trace_bytes(outcome.header, outcome.events, secret_fields())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_scenario_holds_in_one_process_and_gives_the_same_bytes_again(scenario: Scenario) -> None:
    outcome = in_process(scenario.name)
    assert [one for one in outcome.verdicts if one.judgement != "held"] == []
    assert trace(play_in_process(scenario, Play(judged=False))) == trace(outcome)


@pytest.mark.parametrize("scenario", ON_SOCKETS, ids=lambda one: one.name)
def test_a_scenario_has_the_same_verdicts_on_sockets(scenario: Scenario, on_sockets: Outcomes) -> None:
    assert verdicts(on_sockets[scenario.name].result()) == verdicts(in_process(scenario.name))


@pytest.mark.parametrize("scenario", ON_RABBITMQ, ids=lambda one: one.name)
def test_a_scenario_has_the_same_verdicts_with_a_real_rabbitmq(scenario: Scenario, on_rabbitmq: Outcomes) -> None:
    found = verdicts(on_rabbitmq[scenario.name].result())
    found.remove(("messages agree with each other", "held", ()))  # what a run with a real participant is judged by, too
    assert found == verdicts(in_process(scenario.name))


def test_every_operation_of_the_deployed_profile_is_called_in_some_scenario() -> None:
    called = set()
    for scenario in SCENARIOS:
        sent = [event.message for event in in_process(scenario.name).events if isinstance(event, Sent)]
        called |= {message.operation_id for message in sent if isinstance(message, Request)}
    assert contract("deployed").operations.keys() - called == set()
