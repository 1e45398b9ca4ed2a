"""The notification of push mode (§2.6, A4, A21, H16, H17, H18, H34)."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from phrasim.upload.deployed.target import Target

PRESS = Target(
    id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15",
    slug="press",
    name="Press pictures",
    url="https://phraseanet.test/api/v1/upload/enqueue/",
    key="key-of-press",
)


@pytest.mark.parametrize(
    ("target", "authorization"),
    [(PRESS, "ApiKey key-of-press"), (replace(PRESS, scheme="OAuth"), "OAuth key-of-press")],
)
def test_the_target_is_told_five_fields_by_its_scheme_and_key(
    play_upload: Any, target: Target, authorization: str
) -> None:
    """§2.6, A4; H34 for the scheme where none is set."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", b"two")
        (told,) = upload.notified
        assert told[1:] == (
            "/api/v1/upload/enqueue/",
            authorization,
            {
                "assets": list(commit.assets),
                "publisher": "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856",
                "commit_id": commit.id,
                "token": commit.token,
                "base_url": "https://upload.test",
            },
        )

    play_upload(main, targets=(target,))


@pytest.mark.parametrize("target", [replace(PRESS, key="avoid"), replace(PRESS, url=None), replace(PRESS, url="")])
def test_a_target_without_a_url_or_with_the_key_avoid_is_not_told(play_upload: Any, target: Target) -> None:
    """§2.6, A21."""

    async def main(upload: Any) -> None:
        await upload.committed()
        await upload.clock.sleep(100)
        assert (upload.notified, upload.notes) == ([], [])

    play_upload(main, targets=(target,))


@pytest.mark.parametrize(
    ("replies", "seconds"),
    [
        ([], [0]),
        ([204], [0]),
        ([302], [0, 1]),
        ([500], [0, 1]),
        ([400, 503], [0, 1, 3]),
        ([503, 503, 503], [0, 1, 3, 7]),
        ([29.0], [0]),
        ([31.0], [0, 31]),
    ],
)
def test_a_notification_is_sent_until_it_is_taken(
    play_upload: Any, replies: list[int | float], seconds: list[float]
) -> None:
    """§2.6: 4xx and 5xx are failures, and so are redirects and 30 seconds without an answer; H7 for the repetition."""

    async def main(upload: Any) -> None:
        upload.replies += replies
        await upload.committed()
        await upload.clock.sleep(200)
        assert [round(told[0], 3) for told in upload.notified] == seconds
        assert upload.notes == []
        assert len({str(told[3]) for told in upload.notified}) == 1

    play_upload(main)


@pytest.mark.parametrize(
    ("replies", "reason", "seconds"),
    [
        ([400] * 4, "the target answered 400", [0, 1, 3, 7]),
        ([60.0] * 4, "ReadTimeout: no progress within the read time-out of 30 s", [0, 31, 63, 97]),
    ],
)
def test_after_three_repetitions_it_is_given_up_and_noted(
    play_upload: Any, replies: list[int | float], reason: str, seconds: list[float]
) -> None:
    """§2.6, H17: the commit exists, and nobody knows."""

    async def main(upload: Any) -> None:
        upload.replies += replies
        commit = await upload.committed()
        await upload.clock.sleep(1000)
        assert [round(told[0], 3) for told in upload.notified] == seconds
        assert upload.notes == [("notification given up", {"commit": commit.id, "reason": reason})]

    play_upload(main)


def test_a_target_that_cannot_be_reached_is_given_up(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        await upload.committed()
        await upload.clock.sleep(10)
        ((note, details),) = upload.notes
        assert note == "notification given up"
        assert details["reason"].startswith("ConnectError: ")

    play_upload(main, targets=(replace(PRESS, url="https://nobody.test/"),))


def test_a_commit_without_assets_is_never_told(play_upload: Any) -> None:
    """§2.6, H16: the program fails before it asks, each time."""

    async def main(upload: Any) -> None:
        await upload.post_commit([])
        await upload.clock.sleep(10)
        (commit,) = upload.state.commits
        assert upload.notified == []
        assert upload.notes == [("notification given up", {"commit": commit.id, "reason": "the commit has no assets"})]

    play_upload(main)


def test_a_repetition_tells_what_the_commit_has_by_then(play_upload: Any) -> None:
    """H18."""

    async def main(upload: Any) -> None:
        upload.replies.append(500)
        commit = await upload.committed(b"one", b"two")
        one, two = commit.assets
        await upload.post_commit([one])
        await upload.clock.sleep(10)
        assert [told[3]["assets"] for told in upload.notified] == [[one, two], [one], [two]]

    play_upload(main)


def test_the_user_does_not_wait_for_the_notification(play_upload: Any) -> None:
    """§2.3."""

    async def main(upload: Any) -> httpx.Response:
        upload.replies.append(20.0)
        answer = await upload.post_commit(await upload.assets(b"one"))
        assert (answer.status_code, upload.clock.now_ns()) == (200, 0)
        return answer

    play_upload(main)
