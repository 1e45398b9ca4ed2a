"""The consumer (§4.3): when a delivery is settled, how attempts are counted, and what lies in the failed queue."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from phrasim.broker.client import Incoming
from phrasim.edge.faults import Answer, Delay, Fault
from phrasim.phraseanet.deployed.queues import QueueSettings

EPOCH = datetime(2019, 5, 15, 14, 13, 54, tzinfo=UTC)
START = int(EPOCH.timestamp())


def body(incoming: Incoming) -> Any:
    return msgspec.json.decode(incoming.body)


def deliveries(land: Any, act: Any, queue: str) -> list[Any]:
    return [one for one in act.seen(land).messages if getattr(one, "queue", None) == queue]


def test_a_delivery_is_acknowledged_as_soon_as_its_work_has_started(play: Any) -> None:
    """H2: nothing is with the consumer while the work goes on."""

    async def main(land: Any) -> None:
        told = land.upload.commit(b"one")
        await land.tell(told)
        await land.clock.sleep(1)
        assert land.depth("assetsIngest") == (0, 0)
        assert land.state.jobs.rows != ()
        assert land.state.records == ()
        await land.clock.sleep(50)
        assert len(land.state.records) == 1

    play(main, faults=(Fault("getAsset", Delay(5)),))


def test_work_that_dies_is_lost_and_its_row_runs_on(play: Any, act: Any) -> None:
    """H2, H3: the metadata request of createRecord is outside of what is tried again."""

    async def main(land: Any) -> None:
        await land.push(b"one")
        (died,) = act.seen(land).noted("worker died")
        assert died["work"] == "createRecord"
        assert "reading the metadata of asset asset-1-0: GET https://upload.test/assets/asset-1-0" in died["reason"]
        assert died["reason"].endswith("was answered 503")
        assert land.state.records == ()
        assert not land.upload.assets["asset-1-0"].acknowledged
        assert [row.status for row in land.state.jobs.rows] == ["running"]
        assert [land.depth(queue) for queue in land.broker.core.queues] == [(0, 0)] * 6

    play(main, faults=(Fault("getAsset", Answer(503), (2,)),))


def test_at_most_so_many_processes_run_as_there_may_be(play: Any, act: Any) -> None:
    """§4.3: prefetch is the number of processes, 1 by default."""

    def starts(processes_max: int) -> list[float]:
        async def main(land: Any) -> list[float]:
            for _ in range(3):
                await land.tell(land.upload.commit(b"one"))
            await land.clock.sleep(1)
            held = sum(land.depth("assetsIngest"))
            assert held == 3 - processes_max
            await land.clock.sleep(50)
            return [seconds for seconds in act.seen(land).seconds("getAsset") if seconds < 11]

        found: list[float] = play(main, faults=(Fault("getAsset", Delay(5)),), processes_max=processes_max)
        return found

    assert starts(1)[:2] == [0, 5]
    assert starts(3)[:3] == [0, 0, 0]


def test_ingest_that_fails_is_executed_three_times_and_ends_flattened_in_the_failed_queue(play: Any, act: Any) -> None:
    """H12, H13: a worker's own retries; counts 2, 3, 4, of which 4 is too many."""

    async def main(land: Any) -> None:
        told = await land.push(b"one")
        assert act.seen(land).seconds("getAsset") == [0, 10, 20]
        again = [one for one in act.seen(land).publishes if one.routing_key == "assetsIngest_retry"]
        assert [one.operation_id for one in again] == ["retryMessage"] * 3
        assert [one.exchange for one in again] == ["retry-alchemy-exchange"] * 3
        deaths = [one.properties["headers"]["x-death"] for one in again]
        assert deaths == [
            [
                {
                    "count": count,
                    "exchange": "alchemy-exchange",
                    "queue": "assetsIngest",
                    "routing-keys": "assetsIngest",
                    "reason": "rejected",
                    "time": EPOCH + timedelta(seconds=10 * (count - 2)),
                }
            ]
            for count in (2, 3, 4)
        ]
        assert [one.body.json["payload"].get("count") for one in again] == [None, 2, 3]
        message = again[0].properties["headers"]["worker-message"]
        assert message.startswith("Error when getting assets information: ")
        assert message.endswith("was answered 500")
        (failed,) = await land.lying_in("assetsIngest_failed")
        assert body(failed) == told | {
            "type": "uploader push",
            "published": START + 20,
            "count": 4,
            "payload": {"published": START + 30},
        }
        assert failed.headers["worker-message"] == message
        assert [note["execution"] for note in act.seen(land).noted("work failed")] == [1, 2, 3]
        assert act.seen(land).noted("work given up") == [{"work": "assetsIngest", "count": 4}]

    play(main, faults=(Fault("getAsset", Answer(500)),))


def test_each_failed_ingest_leaves_another_set_of_rows_that_run(play: Any) -> None:
    """H10."""

    async def main(land: Any) -> None:
        await land.push(b"one", b"two")
        assert [row.status for row in land.state.jobs.rows] == ["running"] * 6

    play(main, faults=(Fault("getAsset", Answer(500)),))


def test_a_message_in_the_failed_queue_is_gone_after_seven_days(play: Any) -> None:
    """H11."""

    async def main(land: Any) -> None:
        await land.push(b"one", seconds=30 + 7 * 86_400 - 1)
        assert land.depth("assetsIngest_failed") == (1, 0)
        await land.clock.sleep(2)
        assert land.depth("assetsIngest_failed") == (0, 0)

    play(main, faults=(Fault("getAsset", Answer(500)),))


def test_a_broker_that_ignores_a_client_s_x_death_has_the_work_tried_again_for_ever(play: Any, act: Any) -> None:
    """H14: RabbitMQ 4."""

    async def main(land: Any) -> None:
        await land.push(b"one", seconds=205)
        assert len(act.seen(land).asked("getAsset")) == 21
        again = [one for one in act.seen(land).publishes if one.routing_key == "assetsIngest_retry"]
        assert {one.properties["headers"]["x-death"][0]["count"] for one in again} == {2}
        assert "assetsIngest_failed" not in land.broker.core.queues

    play(main, faults=(Fault("getAsset", Answer(500)),), broker_version="4")


def test_a_process_that_cannot_be_started_is_tried_four_times(play: Any, act: Any) -> None:
    """H13: the nack path, on which the broker counts 1, 2, 3, 4."""

    async def main(land: Any) -> None:
        land.processes.refusals = 3
        await land.push(b"one")
        assert len(act.seen(land).noted("process not started")) == 3
        ingest = deliveries(land, act, "assetsIngest")
        assert len(ingest) == 4
        assert {msgspec.json.encode(one.body.json) for one in ingest} == {msgspec.json.encode(ingest[0].body.json)}
        assert len(land.state.records) == 1
        land.processes.refusals = 5
        await land.push(b"two")
        assert len(act.seen(land).noted("process not started")) == 7
        (failed,) = await land.lying_in("assetsIngest_failed")
        assert body(failed)["count"] == 4

    play(main)


@pytest.mark.parametrize(
    ("deaths", "count"),
    [
        ([{"queue": "assetsIngest", "count": 2}, {"queue": "createRecord", "count": 3}], 3),
        ([{"queue": "createRecord", "count": 3}, {"queue": "assetsIngest", "count": 2}], 2),
        ([{"queue": "assetsIngest", "count": 2}, {"queue": "assetsIngest_retry", "count": 9}], 2),
        ([{"queue": "assetsIngest", "count": 2}, {"queue": "assetsIngest"}], 2),
        ([{"queue": "elsewhere", "count": 9}], None),
        ([{"queue": ["assetsIngest"], "count": 9}, 7], None),
        ("assetsIngest", None),
    ],
)
def test_the_last_entry_of_a_base_queue_gives_the_count(play: Any, act: Any, deaths: Any, count: int | None) -> None:
    """§4.3, H13: the count goes into the payload and stays there."""

    async def main(land: Any) -> None:
        payload = land.upload.commit(b"one") | {"type": "uploader push", "published": START}
        await land.put("assetsIngest", {"message_type": "assetsIngest", "payload": payload}, {"x-death": deaths})
        await land.clock.sleep(1)
        (again,) = [one for one in act.seen(land).publishes if one.routing_key == "assetsIngest_retry"]
        assert again.body.json["payload"].get("count") == count
        assert again.properties["headers"]["x-death"][0]["count"] == (2 if count is None else count + 1)

    play(main, faults=(Fault("getAsset", Answer(500)),))


def test_the_limit_is_that_of_the_settings(play: Any, act: Any) -> None:
    """§4.1: `workers.queues.<base>.{ttl_retry,max_retry}`."""

    async def main(land: Any) -> list[float]:
        await land.push(b"one")
        assert land.depth("assetsIngest_failed") == (1, 0)
        seconds: list[float] = act.seen(land).seconds("getAsset")
        return seconds

    queues = {"assetsIngest": QueueSettings(ttl_retry_ms=2000, max_retry=1)}
    assert play(main, faults=(Fault("getAsset", Answer(500)),), queues=queues) == [0]
    queues = {"assetsIngest": QueueSettings(ttl_retry_ms=2000, max_retry=4)}
    assert play(main, faults=(Fault("getAsset", Answer(500)),), queues=queues) == [0, 2, 4, 6]


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b"{", {"payload": {}}, {"message_type": "mainQueue", "payload": {}}, {"message_type": "assetsIngest"}],
    ids=ascii,
)
def test_a_message_that_is_no_work_is_rejected_and_the_next_goes_on(play: Any, act: Any, message: Any) -> None:
    """Assumed: nothing tells what the real consumer does with it."""

    async def main(land: Any) -> None:
        await land.put("assetsIngest", message)
        await land.push(b"one", seconds=25)
        assert len(act.seen(land).noted("message unreadable")) == 3
        assert len(land.state.records) == 1
        await land.clock.sleep(25)
        assert act.seen(land).noted("work given up") == [{"work": "assetsIngest", "count": 4}]
        assert [land.depth(name) for name in ("assetsIngest_retry", "assetsIngest_failed")] == [(0, 0), (1, 0)]
        (given_up,) = [one for one in act.seen(land).publishes if one.operation_id == "giveUpMessage"]
        assert given_up.body.length == len(message if isinstance(message, bytes) else msgspec.json.encode(message))

    play(main, foreign=True)


@pytest.mark.parametrize("value", [None, "x", [1], {}], ids=repr)
def test_a_notification_may_have_a_field_by_the_name_of_payload(play: Any, act: Any, value: Any) -> None:
    """§3: further fields are kept, and what is given up is flattened (H12)."""

    async def main(land: Any) -> None:
        told = land.upload.commit(b"one")
        await land.tell(told | {"payload": value})
        await land.clock.sleep(50)
        (given_up,) = [one for one in act.seen(land).publishes if one.operation_id == "giveUpMessage"]
        assert list(given_up.body.json["payload"]) == ["published"]

    play(main, faults=(Fault("getAsset", Answer(500)),))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"assets": "a", "commit_id": "c", "token": "t", "base_url": "b", "type": "x"},
        {"assets": ["a"], "commit_id": "c", "token": "t", "base_url": "b", "published": 1},
    ],
    ids=["nothing", "assets that are no list", "no type"],
)
def test_a_payload_that_lacks_something_kills_the_worker(play: Any, act: Any, payload: Any) -> None:
    async def main(land: Any) -> None:
        await land.put("assetsIngest", {"message_type": "assetsIngest", "payload": payload})
        await land.clock.sleep(60)
        assert [note["work"] for note in act.seen(land).noted("worker died")] == ["assetsIngest"]
        assert act.seen(land).requests == []

    play(main)


def test_a_consumer_whose_queue_is_deleted_declares_it_anew_and_goes_on(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        land.broker.core.open_connection().open_channel().queue_delete("createRecord")
        land.broker.pump()
        await land.clock.sleep(2)
        (note,) = act.seen(land).noted("consuming failed")
        assert note["queue"] == "createRecord"
        await land.push(b"one", seconds=1)
        assert len(land.state.records) == 1

    play(main)


def test_consumers_that_start_without_a_broker_wait_for_it_and_say_so_once(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        land.publishing.away = True
        land.broker.core.open_connection().open_channel().queue_delete("createRecord")
        land.broker.pump()
        await land.clock.sleep(5.5)
        assert [note["queue"] for note in act.seen(land).noted("consuming failed")] == ["createRecord"]
        land.publishing.away = False
        await land.clock.sleep(1)
        await land.push(b"one", seconds=1)
        assert len(land.state.records) == 1

    play(main)


def test_workers_that_leave_give_back_what_they_have_not_started(play: Any) -> None:
    async def main(land: Any) -> None:
        for content in (b"one", b"two", b"three"):
            await land.tell(land.upload.commit(content))
        await land.clock.sleep(1)
        assert land.depth("assetsIngest") == (1, 1)
        await land.workers.stop()
        await land.workers.leave()
        assert land.depth("assetsIngest") == (2, 0)

    play(main, faults=(Fault("getAsset", Delay(5)),))
