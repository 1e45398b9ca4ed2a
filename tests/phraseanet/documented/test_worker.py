"""Phraseanet's work on a commit: records, acknowledgements, and three executions before it is given up (A34)."""

import hashlib
from typing import Any

import msgspec
import pytest

from phrasim.broker.client import Incoming
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Refuse
from phrasim.phraseanet.documented.state import Record
from phrasim.testbed import Testbed
from phrasim.upload.documented.outbound import DOCUMENTED_FIELDS

UUID = "00000000-0000-4000-8000-000000000000"


async def lying_in(bed: Testbed, queue: str) -> list[Incoming]:
    """The messages of a queue, which go back there."""
    client = bed.broker.connect(bed.edges["user"])
    waiting = bed.broker.core.queues[queue].ready_count
    consumption = await client.consume(queue, prefetch=100)
    found = [await anext(consumption) for _ in range(waiting)]
    await client.close()
    return found


async def publish(bed: Testbed, body: bytes, **headers: Any) -> None:
    await bed.broker.connect(bed.edges["user"]).publish("alchemy-exchange", "assetsIngest", body, headers)


def produced(bed: Testbed, act: Any) -> list[Any]:
    return [one.body.json for one in act.seen(bed).publishes if one.operation_id == "produceMessage"]


def test_a_record_has_the_metadata_and_the_digest_of_what_was_downloaded(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        first, second = await act.hand_over(bed, act.png, b"hello")
        (commit,) = bed.upload.commits
        assert bed.phraseanet.records[0] == Record(
            asset_id=first,
            commit_id=commit.id,
            publisher=bed.accounts.publisher.id,
            original_name="test.png",
            mime_type="image/png",
            form_data={"title": "Test document"},
            size=len(act.png),
            sha256=hashlib.sha256(act.png).hexdigest(),
        )
        assert (bed.phraseanet.records[1].asset_id, bed.phraseanet.records[1].size) == (second, 5)
        assert bed.phraseanet.records[1].form_data is bed.phraseanet.records[0].form_data  # they are kept once
        (message,) = produced(bed, act)
        assert [element.get("hash") for element in message[1:]] == [record.sha256 for record in bed.phraseanet.records]

    play(main)


def test_three_fields_are_enough_to_download_but_not_to_acknowledge(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed, b"one", b"two")
        seen = act.seen(bed)
        assert seen.answered("downloadAsset") == [200, 200]
        assert len(bed.phraseanet.records) == 2
        assert seen.asked("acknowledgeCommit") == []
        assert seen.noted("acknowledgement unreachable") == [{"reason": "the notification carried no commit_id"}]
        assert not bed.upload.commits[0].acknowledged
        assert len(seen.noted("work failed")) == 0

    play(main, notification_fields=DOCUMENTED_FIELDS)


@pytest.mark.parametrize("spelling", ["publisher", "publisher_id", "id"])
def test_a_message_of_a_foreign_producer_is_worked_on_in_every_spelling(play: Any, act: Any, spelling: str) -> None:
    async def main(bed: Testbed) -> None:
        ids = await act.hand_over(bed, b"one")
        (commit,) = bed.upload.commits
        first = {spelling: bed.accounts.publisher.id, "token": commit.token, "commit_id": commit.id}
        await publish(bed, msgspec.json.encode([first, {"id": ids[0], "hash": "anything"}]))
        await bed.clock.sleep(1)
        assert [record.publisher for record in bed.phraseanet.records] == [bed.accounts.publisher.id]
        assert commit.acknowledged

    play(main, mode="off")


FAILURES = [
    pytest.param("downloadAsset", Answer(500), "downloading asset", id="download answers 500"),
    pytest.param("downloadAsset", Answer(404), "the answer was 404, not 200", id="download answers 404"),
    pytest.param("downloadAsset", Refuse(), "ConnectError", id="download refused"),
    pytest.param("downloadAsset", CutBody(3), "received 3 bytes", id="download cut"),
    pytest.param("downloadAsset", CutBody(0), "received 0 bytes", id="download cut at once"),
    pytest.param("downloadAsset", DropReply(), "ReadTimeout", id="download never answered"),
    pytest.param("downloadAsset", Delay(60), "ReadTimeout", id="download too late"),
    pytest.param("getAsset", Answer(503), "reading the metadata of asset", id="metadata answers 503"),
    pytest.param("getAsset", CutBody(3), "received 3 bytes", id="metadata cut"),
    pytest.param("getPublisherInfo", Answer(404), "asking for the publisher", id="publisher unknown"),
    pytest.param("issueToken", Answer(400), "TokenRefused", id="no token"),
    pytest.param("acknowledgeCommit", Answer(500), "acknowledging the commit", id="acknowledgement answers 500"),
    pytest.param("acknowledgeCommit", Refuse(), "ConnectError", id="acknowledgement refused"),
]


@pytest.mark.parametrize(("operation_id", "effect", "reason"), FAILURES)
def test_work_that_fails_is_done_three_times_and_ends_in_the_failed_queue_unchanged(
    play: Any, act: Any, operation_id: str, effect: Any, reason: str
) -> None:
    async def main(bed: Testbed) -> None:
        if operation_id != "issueToken":
            await act.hand_over(bed, b"content of a file", seconds=0)
        else:
            # The users' tokens come from the same operation, and are not the ones that are struck.
            body = {"assets": [UUID], "publisher": UUID, "token": "x", "commit_id": UUID}
            await bed.client("user", "phraseanet").post("/api/v1/upload/enqueue", json=body)
        await bed.clock.sleep(200)
        seen = act.seen(bed)
        deliveries = [one for one in seen.messages if one.operation_id == "consumeMessage"]
        assert len(deliveries) == 3
        assert [one.body.json for one in deliveries] == produced(bed, act) * 3
        assert [note["execution"] for note in seen.noted("work failed")] == [1, 2]
        (given_up,) = seen.noted("work given up")
        assert given_up["execution"] == 3
        assert reason in given_up["reason"]
        (failed,) = await lying_in(bed, "assetsIngest_failed")
        assert failed.body == msgspec.json.encode(produced(bed, act)[0])
        assert await lying_in(bed, "assetsIngest") == await lying_in(bed, "assetsIngest_retry") == []
        assert [note["queue"] for note in seen.noted("dead-lettered")] == ["assetsIngest", "assetsIngest_retry"] * 2

    play(main, faults=(act.fault(operation_id, effect),))


def test_executions_are_10_seconds_apart(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> list[float]:
        await bed.clock.sleep(5)
        await act.hand_over(bed)
        return list(act.seen(bed).seconds("downloadAsset"))

    assert play(main, faults=(act.fault("downloadAsset", Answer(500)),)) == [5, 15, 25]


@pytest.mark.parametrize("failures", [1, 2])
@pytest.mark.parametrize("operation_id", ["downloadAsset", "getAsset", "getPublisherInfo", "acknowledgeCommit"])
def test_work_that_succeeds_at_last_records_and_acknowledges_once(
    play: Any, act: Any, operation_id: str, failures: int
) -> None:
    async def main(bed: Testbed) -> None:
        ids = await act.hand_over(bed, b"one", b"two")
        seen = act.seen(bed)
        assert [record.asset_id for record in bed.phraseanet.records] == ids
        assert seen.answered("acknowledgeCommit").count(200) == 1
        assert len(seen.noted("work failed")) == failures
        assert await lying_in(bed, "assetsIngest_failed") == []

    play(main, faults=(act.fault(operation_id, Answer(500), *range(1, failures + 1)),))


def test_an_acknowledgement_whose_reply_is_lost_is_repeated_and_changes_nothing(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed)
        assert act.seen(bed).answered("acknowledgeCommit") == [200, 200]
        assert len(bed.phraseanet.records) == 1
        assert bed.upload.commits[0].acknowledged

    play(main, faults=(act.fault("acknowledgeCommit", DropReply(), 1),))


def test_a_delivery_is_unacknowledged_until_its_work_is_done_or_handed_on(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        queue = bed.broker.core.queues["assetsIngest"]
        counts = []
        for seconds in (0, 4.5, 1, 3, 1.6, 5):  # two executions of 5 s each, the first of which fails
            if seconds == 0:
                await act.hand_over(bed, seconds=0.1)
            await bed.clock.sleep(seconds)
            counts.append((queue.unacked_count, queue.ready_count))
        assert counts == [(1, 0), (1, 0), (0, 0), (0, 0), (0, 0), (1, 0)]
        await bed.clock.sleep(10)
        assert (queue.unacked_count, queue.ready_count) == (0, 0)
        assert bed.upload.commits[0].acknowledged

    slow = act.fault("getPublisherInfo", Delay(5))
    play(main, faults=(slow, act.fault("downloadAsset", Answer(500), 1)))


def test_commits_are_worked_on_one_after_the_other(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        ids = await act.assets(bed, bearer, b"1", b"2", b"3")
        for asset in ids:
            await act.post_commit(bed, bearer, [asset])
        await bed.clock.sleep(1)
        queue = bed.broker.core.queues["assetsIngest"]
        assert (queue.unacked_count, queue.ready_count) == (1, 2)
        await bed.clock.sleep(100)
        assert [record.asset_id for record in bed.phraseanet.records] == ids

    play(main, faults=(act.fault("getPublisherInfo", Delay(5)),))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is not JSON"),
        (b"[{", "it is not JSON"),
        (b'["\xff"]', "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"{}", "is not an array"),
        (b"[]", "the list is empty"),
        (b'[{"publisher": "%s"}]' % UUID.encode(), "fewer than 2"),
        (b'[{}, {"id": "%s"}]' % UUID.encode(), "0: one of publisher, publisher_id, id must be here"),
        (b'[{"id": "x"}, {"id": "%s"}]' % UUID.encode(), "0/id: 'x' is not a UUID"),
        (b'[{"id": "%s"}, {"hash": "x"}]' % UUID.encode(), "1/id: this field is missing"),
        (b'[{"id": "%s"}, {"id": "%s", "token": "x"}]' % (UUID.encode(), UUID.encode()), "1/token: "),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_malformed_message_ends_in_the_failed_queue_as_it_is(play: Any, act: Any, body: bytes, reason: str) -> None:
    async def main(bed: Testbed) -> None:
        await publish(bed, body)
        await bed.clock.sleep(60)
        seen = act.seen(bed)
        assert reason in seen.noted("work given up")[0]["reason"]
        assert seen.noted("work given up")[0]["execution"] == 3
        (failed,) = await lying_in(bed, "assetsIngest_failed")
        assert failed.body == body
        assert seen.requests == []

    play(main)


HARMFUL = [
    pytest.param({"base_url": "https://elsewhere.test"}, "ConnectError", id="a host of nobody"),
    pytest.param({"base_url": "https://xn--a.test"}, "", id="a host that is no name"),
    pytest.param({"base_url": "https://upload.test:99999"}, "", id="a port that cannot be"),
    pytest.param({"base_url": "https://auth.test"}, "404", id="another participant"),
    pytest.param({"base_url": "https://upload.test/v1?x=%00#"}, "", id="an address with a query"),
    pytest.param({"token": "\u00e9"}, "UnicodeEncodeError", id="a token beyond ASCII"),
    pytest.param({"token": "a\r\nb: c"}, "401", id="a token of two lines"),
    pytest.param({"token": "x"}, "403", id="a token of nobody"),
]


@pytest.mark.parametrize(("change", "reason"), HARMFUL)
def test_a_harmful_notification_fails_for_itself_and_the_next_commit_goes_on(
    play: Any, act: Any, change: dict[str, str], reason: str
) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        (asset,) = await act.assets(bed, bearer, b"one")
        body = {"assets": [asset], "publisher": bed.accounts.publisher.id, "token": "t", "commit_id": UUID}
        answer = await bed.client("user", "phraseanet").post("/api/v1/upload/enqueue", json=body | change)
        assert answer.status_code in (200, 400)
        await bed.clock.sleep(60)
        if answer.status_code == 200:
            assert reason in act.seen(bed).noted("work given up")[0]["reason"]
        ids = await act.hand_over(bed, b"two")
        assert [record.asset_id for record in bed.phraseanet.records] == ids

    play(main)


def with_upload(play: Any, act: Any, answer: Any) -> str:
    """Why the work is given up where the upload service answers like that."""

    async def main(bed: Testbed) -> str:
        async def foreign(scope: Any, receive: Any, send: Any) -> None:
            status, content = answer(scope["path"])
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": content})

        bed.network.addressing.transport._apps["upload.test"] = foreign  # type: ignore[index]
        body = {"assets": [UUID], "publisher": bed.accounts.publisher.id, "token": "t"}
        await bed.client("user", "phraseanet").post("/api/v1/upload/enqueue", json=body)
        await bed.clock.sleep(60)
        assert bed.phraseanet.records == ()
        reason: str = act.seen(bed).noted("work given up")[0]["reason"]
        return reason

    # A foreign upload service need not keep its specification.
    reason: str = play(main, foreign=True)
    return reason


@pytest.mark.parametrize(
    "deaths",
    [
        "rejected",
        7,
        ["rejected"],
        [{"queue": "assetsIngest"}],
        [{"queue": "assetsIngest", "reason": "rejected"}],
        [{"queue": "assetsIngest", "reason": "rejected", "count": "many"}],
        [{"queue": "elsewhere", "reason": "rejected", "count": 3}],
    ],
)
def test_deaths_that_no_broker_would_tell_of_are_no_executions(play: Any, act: Any, deaths: Any) -> None:
    async def main(bed: Testbed) -> None:
        await publish(bed, b"{}", **{"x-death": deaths})
        await bed.clock.sleep(1)
        assert [note["execution"] for note in act.seen(bed).noted("work failed")] == [1]

    play(main)


METADATA = {"size": 4, "originalName": "a", "mimeType": "a/b", "formData": None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "the answer is not JSON"),
        (b'"\xff"', "the answer is not JSON"),
        (b"[]", "the answer is no JSON object"),
        (b"7", "the answer is no JSON object"),
        (b'{"size": 3}', "the answer lacks originalName, mimeType, formData"),
        (msgspec.json.encode(METADATA), "3 bytes came, its metadata says 4"),
        (msgspec.json.encode(METADATA | {"size": 2}), "3 bytes came, its metadata says 2"),
        (msgspec.json.encode(METADATA | {"size": "3"}), "the size is '3', and no number of bytes"),
    ],
)
def test_an_upload_service_that_answers_nonsense_is_work_that_failed(
    play: Any, act: Any, content: bytes, said: str
) -> None:
    def answer(path: str) -> tuple[int, bytes]:
        return 200, b"abc" if path.endswith("/download") else content

    assert said in with_upload(play, act, answer)


def test_the_repeat_of_a_commit_that_failed_for_good_does_not_start_it_again(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed)
        assert len(await lying_in(bed, "assetsIngest_failed")) == 1
        (request,) = act.seen(bed).asked("enqueueAssets")
        answer = await bed.client("user", "phraseanet").post("/api/v1/upload/enqueue", json=request.body.json)
        assert answer.json() is True
        await bed.clock.sleep(100)
        assert len(produced(bed, act)) == 1
        assert bed.phraseanet.records == ()
        # A second commit is another thing.
        ids = await act.hand_over(bed, b"two")
        assert [record.asset_id for record in bed.phraseanet.records] == ids

    play(main, faults=(act.fault("downloadAsset", Answer(500), 1, 2, 3),))


def test_a_commit_that_cannot_be_given_up_stays_in_the_queues(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bed.broker.core.open_connection().open_channel().queue_delete("assetsIngest_failed")
        ids = await act.hand_over(bed, seconds=25)
        (note,) = act.seen(bed).noted("giving up failed")
        assert "NO_ROUTE" in note["reason"]
        await bed.services._queue.declare()
        await bed.clock.sleep(10)
        assert [record.asset_id for record in bed.phraseanet.records] == ids

    play(main, faults=(act.fault("downloadAsset", Answer(500), 1, 2, 3),))


def test_phraseanet_asks_for_one_token_and_again_after_it_has_expired(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        for _ in range(3):
            await act.hand_over(bed, seconds=40)
        seen = act.seen(bed)
        tokens = [one for one in seen.asked("issueToken") if one.sender == "phraseanet"]
        assert len(tokens) == 2
        assert seen.answered("getPublisherInfo") == [200, 200, 401, 200]
        assert len(bed.phraseanet.records) == 3

    play(main, token_lifetime=60)


def test_a_worker_whose_queue_is_deleted_declares_it_anew_and_goes_on(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await bed.clock.sleep(1)
        bed.broker.core.open_connection().open_channel().queue_delete("assetsIngest")
        bed.broker.pump()
        await bed.clock.sleep(2)
        gone = "the broker cancelled the consumer: its queue is gone"
        assert act.seen(bed).noted("consuming failed") == [{"reason": gone}]
        await act.hand_over(bed, b"one")
        await bed.clock.sleep(1)
        assert [commit.acknowledged for commit in bed.upload.commits] == [True]

    play(main)
