"""How long queues were, derived from the journal, beside what the broker itself says."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.broker.client import BrokerError
from phrasim.clock import run_simulated
from phrasim.documents import contract
from phrasim.journal.events import Body, Delivery, Event, Lost, Noted, Publish, Received, Sent
from phrasim.report.html.queues import QueueHistory, queue_histories
from phrasim.scenario.model import Scenario
from phrasim.testbed import Setting, Testbed, open_testbed
from report.html.played import SHIPPED, name_of, push, watched

DOCUMENTED = contract("documented")


def depths(histories: list[QueueHistory]) -> dict[str, int]:
    return {one.name: one.depth for one in histories if one.depth}


@pytest.mark.unmeasured
@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_at_the_end_of_a_scenario_as_many_wait_as_the_broker_says(path: Path) -> None:
    run = watched(path)
    scenario: Scenario = run.outcome.scenario
    found = depths(queue_histories(run.outcome.events, contract(scenario.profile)))
    assert found == {name: depth.ready for name, depth in run.depths.items() if depth.ready}
    expected = {name: count for name, count in scenario.expect.queues.items() if not name_has_unacked(run.depths, name)}
    assert {name: found.get(name, 0) for name in expected} == expected


def name_has_unacked(of_broker: object, name: str) -> bool:
    depth = of_broker.get(name)  # type: ignore[attr-defined]
    return depth is not None and depth.unacknowledged > 0


def test_scenarios_expect_something_of_queues() -> None:
    """Else the test before would hold nothing to what they expect."""
    runs = map(watched, [one for one in SHIPPED if "for-good" in one.stem])
    assert sum(any(run.outcome.scenario.expect.queues.values()) for run in runs) >= 3


def test_a_message_goes_from_queue_to_queue_over_time() -> None:
    events = push("{operationId: downloadAsset, occurrences: [1, 2], answer: {status: 500}}").events
    ingest, retry = queue_histories(events, DOCUMENTED)
    assert (ingest.name, [depth for _, depth in ingest.steps]) == ("assetsIngest", [1, 0] * 3)
    assert (retry.name, [depth for _, depth in retry.steps]) == ("assetsIngest_retry", [1, 0] * 2)
    (first, out), (second, again) = ((step[0] for step in retry.steps[:2]), (step[0] for step in retry.steps[2:]))
    assert (out - first, again - second) == (10_000_000_000, 10_000_000_000)
    assert (ingest.most, ingest.depth) == (1, 0)


QUEUES = {
    "plain": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "waiting"},
    "waiting": {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "plain"},
    "short": {"x-max-length": 1},
    "losing": {"x-message-ttl": 500, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "nowhere"},
    "full": {"x-max-length": 1, "x-overflow": "reject-publish"},
}
"""Queues whose messages come to every end that the rules know: they expire, are rejected, pushed out, refused."""

DOES = st.sampled_from(["publish", "acknowledge", "reject", "purge"])
PROGRAMS = st.lists(st.tuples(DOES, st.sampled_from(sorted(QUEUES))) | st.integers(1, 2000), max_size=25)


async def does(bed: Testbed, doing: str, queue: str) -> None:
    """One thing, by a client of its own: no message goes back into its queue, of which the journal does not tell."""
    client = bed.broker.connect(bed.edges["user"])
    if doing == "publish":
        try:
            await client.publish("", queue, b"{}", {})
        except BrokerError:
            assert queue == "full"
    elif doing == "purge":
        await client.purge_queue(queue)
    elif bed.broker.core.queues[queue].ready_count:  # type: ignore[union-attr]
        consumer = await client.consume(queue, prefetch=1)
        incoming = await anext(consumer)
        await client.cancel()
        await (client.acknowledge if doing == "acknowledge" else client.reject)(incoming)
    await client.close()


@given(PROGRAMS)
@example([("publish", "plain"), ("publish", "plain"), ("purge", "plain")])
@example([("publish", "losing"), 600])
@example([("publish", "full"), ("publish", "full")])
def test_whatever_befalls_messages_as_many_wait_as_the_broker_says(program: list[tuple[str, str] | int]) -> None:
    async def main(bed: Testbed) -> None:
        client = bed.broker.connect(bed.edges["user"])
        for name, arguments in QUEUES.items():
            await client.declare_queue(name, arguments)
        for one in program:
            await (bed.clock.sleep(one / 1000) if isinstance(one, int) else does(bed, *one))
            found = depths(queue_histories(bed.journal.events, DOCUMENTED))
            told = {name: depth.ready for name, depth in (await bed.broker.queues()).items() if depth.ready}
            assert found == told, one

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_testbed(Setting(mode="off"), Path(folder)) as bed:
                await main(bed)

    run_simulated(run())


def published(exchange: str = "", routing_key: str = "q") -> Publish:
    return Publish(
        id="user-1",
        sender="user",
        receiver="broker",
        exchange=exchange,
        routing_key=routing_key,
        properties={},
        body=Body(length=0),
    )


def delivered(*, redelivered: bool = False) -> Delivery:
    return Delivery(
        id="broker-1",
        sender="broker",
        receiver="user",
        queue="q",
        exchange="",
        routing_key="q",
        redelivered=redelivered,
        properties={},
        body=Body(length=0),
    )


def test_what_was_lost_on_its_way_to_the_broker_waits_nowhere() -> None:
    events: list[Event] = [Sent(at=0, message=published()), Lost(at=1, message="user-1", reason="why")]
    assert queue_histories([*events, Received(at=2, message="user-1")], DOCUMENTED) == []


def test_a_message_of_a_stranger_stands_in_full_where_it_arrives() -> None:
    assert depths(queue_histories([Received(at=0, message=published())], DOCUMENTED)) == {"q": 1}


def test_a_message_to_an_exchange_of_which_the_documents_know_nothing_waits_where_nobody_knows() -> None:
    lost = Noted(at=1, by="broker", note="dropped", details={"queue": None, "reason": "unroutable"})
    before = Received(at=0, message=published())
    assert depths(queue_histories([before, Received(at=1, message=published("amq.fanout")), lost], DOCUMENTED)) == {
        "q": 1
    }


def test_what_is_delivered_again_was_not_in_the_queue_since() -> None:
    events: list[Event] = [Received(at=0, message=published())] * 2
    once, again = Sent(at=1, message=delivered()), Sent(at=2, message=delivered(redelivered=True))
    (history,) = queue_histories([*events, once, again, again], DOCUMENTED)
    assert history.steps == [(0, 1), (0, 2), (1, 1)]


def test_a_trace_that_begins_behind_the_publishes_never_goes_below_none() -> None:
    events = [Sent(at=0, message=delivered()), Received(at=1, message=published())]
    assert depths(queue_histories(events, DOCUMENTED)) == {"q": 1}


def test_a_queue_in_which_nothing_waited_has_no_history() -> None:
    """As those of a real broker, of which only the deliveries are seen."""
    assert queue_histories([Received(at=0, message=delivered())], DOCUMENTED) == []
    assert queue_histories([Sent(at=0, message=delivered())], DOCUMENTED) == []
