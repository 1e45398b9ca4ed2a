"""The notification of push mode: what it says, when it is repeated, when it is given up (§2.6)."""

from typing import Any

import pytest

from phrasim.edge.faults import Answer, Delay, DropReply, Refuse
from phrasim.journal.events import Received, Sent
from phrasim.testbed import URLS, Testbed
from phrasim.upload.documented.outbound import DOCUMENTED_FIELDS


def test_a_notification_says_all_that_the_hand_over_needs(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed, b"one", b"two")
        (commit,) = bed.upload.commits
        (request,) = act.seen(bed).asked("enqueueAssets")
        assert request.body.json == {
            "assets": [asset.id for asset in commit.assets],
            "publisher": bed.accounts.publisher.id,
            "token": commit.token,
            "commit_id": commit.id,
            "base_url": URLS["upload"],
            "hashes": {asset.id: asset.file.sha256 for asset in commit.assets},
        }
        assert "authorization" not in dict(request.headers)

    play(main)


def test_the_documents_literal_example_has_three_fields(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed)
        (request,) = act.seen(bed).asked("enqueueAssets")
        assert list(request.body.json) == ["assets", "publisher", "token"]

    play(main, notification_fields=DOCUMENTED_FIELDS)


@pytest.mark.parametrize(
    ("effect", "reason", "seconds"),
    [
        (Refuse(), "ConnectError", [0, 1, 3, 7]),
        (Answer(503), "Phraseanet answered 503", [0, 1, 3, 7]),
        (Answer(400), "Phraseanet answered 400", [0, 1, 3, 7]),
        (Delay(60), "ReadTimeout", [0, 21, 43, 67]),
        (DropReply(), "ReadTimeout", [0, 21, 43, 67]),
    ],
    ids=repr,
)
def test_a_notification_is_repeated_after_1_2_and_4_seconds_and_then_given_up(
    play: Any, act: Any, effect: Any, reason: str, seconds: list[float]
) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed, seconds=200)
        seen = act.seen(bed)
        assert seen.seconds("enqueueAssets") == seconds
        (note,) = seen.noted("notification given up")
        assert note["commit"] == bed.upload.commits[0].id
        assert reason in note["reason"]

    play(main, faults=(act.fault("enqueueAssets", effect),))


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_notification_that_is_taken_at_last_is_not_repeated(play: Any, act: Any, failures: int) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed)
        seen = act.seen(bed)
        assert seen.answered("enqueueAssets") == [503] * failures + [200]
        assert seen.noted("notification given up") == []
        assert len(bed.phraseanet.records) == 1

    play(main, faults=(act.fault("enqueueAssets", Answer(503), *range(1, failures + 1)),))


def test_a_reply_that_is_dropped_leads_to_a_repeat_one_record_and_one_acknowledgement(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed)
        seen = act.seen(bed)
        assert seen.seconds("enqueueAssets") == [0, 21]
        assert seen.answered("enqueueAssets") == [200, 200]
        assert [seen.fates(request.id) for request in seen.asked("enqueueAssets")] == [[Sent, Received]] * 2
        assert len(bed.phraseanet.records) == 1
        assert seen.answered("acknowledgeCommit") == [200]
        assert len([one for one in seen.publishes if one.operation_id == "produceMessage"]) == 1

    play(main, faults=(act.fault("enqueueAssets", DropReply(), 1),))


def test_the_user_does_not_wait_for_the_notification(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        answer = await act.post_commit(bed, bearer, await act.assets(bed, bearer, b"one"))
        assert (answer.status_code, bed.clock.now_ns()) == (200, 0)

    play(main, faults=(act.fault("enqueueAssets", Delay(10)),))
