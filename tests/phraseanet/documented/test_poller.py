"""Pull mode: polls in their time, commits in their order, and failures that do not end it (A14, A30)."""

import asyncio
from typing import Any

import httpx
import pytest

from phrasim.edge.faults import Answer, CutBody, Delay, Refuse
from phrasim.phraseanet.documented.credentials import ClientToken, TokenRefused
from phrasim.testbed import Testbed


def test_polls_come_every_five_seconds_the_first_after_five(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> list[float]:
        await bed.clock.sleep(21)
        return list(act.seen(bed).seconds("listCommits"))

    assert play(main, mode="pull") == [5, 10, 15, 20]


def test_the_interval_is_a_setting(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> list[float]:
        await bed.clock.sleep(1.3)
        return list(act.seen(bed).seconds("listCommits"))

    assert play(main, mode="pull", poll_interval=0.5) == [0.5, 1.0]


def test_a_poll_of_many_commits_keeps_their_order(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        ids = await act.assets(bed, bearer, *(f"file {number}".encode() for number in range(12)))
        for asset in reversed(ids):
            await act.post_commit(bed, bearer, [asset])
        await bed.clock.sleep(30)
        assert [record.asset_id for record in bed.phraseanet.records] == ids[::-1]
        assert act.seen(bed).answered("acknowledgeCommit") == [200] * 12
        assert all(commit.acknowledged for commit in bed.upload.commits)

    play(main, mode="pull")


def test_a_commit_that_is_still_worked_on_is_listed_again_and_not_taken_again(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed, seconds=60)
        seen = act.seen(bed)
        listed = [len(one.body.json) for one in seen.responses if one.operation_id == "listCommits"]
        assert listed[:6] == [1, 1, 1, 1, 1, 0]
        assert len([one for one in seen.publishes if one.operation_id == "produceMessage"]) == 1
        assert seen.answered("acknowledgeCommit") == [200]

    play(main, mode="pull", faults=(act.fault("downloadAsset", Delay(22)),))


@pytest.mark.parametrize(
    ("operation_id", "effect", "reason"),
    [
        ("listCommits", Answer(503), "the upload service answered 503"),
        ("listCommits", Refuse(), "ConnectError"),
        ("listCommits", CutBody(1), "RemoteProtocolError"),
        ("issueToken", Answer(400), "TokenRefused: Auth answered 400"),
        ("issueToken", Refuse(), "ConnectError"),
    ],
    ids=str,
)
def test_a_poll_that_fails_is_noted_and_the_next_one_comes(
    play: Any, act: Any, operation_id: str, effect: Any, reason: str
) -> None:
    async def main(bed: Testbed) -> None:
        await bed.clock.sleep(6)  # Phraseanet's is the first token
        ids = await act.hand_over(bed)
        (note,) = act.seen(bed).noted("poll failed")
        assert reason in note["reason"]
        assert [record.asset_id for record in bed.phraseanet.records] == ids

    play(main, mode="pull", faults=(act.fault(operation_id, effect, 1),))


def test_a_poll_that_the_broker_does_not_serve_is_tried_again(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        operator = bed.broker.core.open_connection().open_channel()
        operator.queue_unbind("assetsIngest", "alchemy-exchange", "assetsIngest")
        await act.hand_over(bed, seconds=11)
        assert len(act.seen(bed).noted("poll failed")) == 2
        assert "NO_ROUTE" in act.seen(bed).noted("poll failed")[0]["reason"]
        operator.queue_bind("assetsIngest", "alchemy-exchange", "assetsIngest")
        await bed.clock.sleep(10)
        assert len(bed.phraseanet.records) == 1

    play(main, mode="pull")


def test_a_client_token_is_renewed_after_a_401(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await bed.clock.sleep(16)
        seen = act.seen(bed)
        assert seen.answered("listCommits") == [200, 200, 401, 200]
        assert len(seen.asked("issueToken")) == 2
        assert seen.noted("poll failed") == []

    play(main, mode="pull", token_lifetime=9)


def test_a_token_that_is_refused_at_once_is_not_asked_for_again_in_that_poll(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await bed.clock.sleep(6)
        seen = act.seen(bed)
        assert seen.answered("listCommits") == [401]
        assert seen.noted("poll failed") == [{"reason": "the upload service answered 401"}]

    play(main, mode="pull", faults=(act.fault("listCommits", Answer(401)),))


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'"\xff"',
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"id": "x"}]',
        b'[{"id": [], "userId": "u", "token": "t", "assets": ["a"]}]',
        b'[{"id": "x", "userId": "u", "token": "t", "assets": "abc"}]',
        b'[{"id": "x", "userId": "u", "token": "t", "assets": []}]',
        b"[" * 100_000,
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_a_listing_that_cannot_be_read_is_a_failed_poll(play: Any, act: Any, content: bytes) -> None:
    async def main(bed: Testbed) -> None:
        async def foreign(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": content})

        bed.network.addressing.transport._apps["upload.test"] = foreign  # type: ignore[index]
        await bed.clock.sleep(11)
        notes = act.seen(bed).noted("poll failed")
        assert [note["reason"].partition(":")[0] for note in notes] == ["the listing cannot be read"] * 2

    play(main, mode="pull", foreign=True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(400, json={"error": "invalid_client", "password": "topsecret"}), "{'error': 'invalid_client'}"),
        (httpx.Response(502, content=b"<html>"), "6 bytes that are not JSON"),
        (httpx.Response(500, json=["x"]), "['x']"),
    ],
)
def test_a_token_that_is_refused_tells_why_and_no_secret(answer: httpx.Response, said: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _: answer), base_url="https://auth.test"
        ) as auth:
            await ClientToken(auth, "client", "secret", "scope").get(auth, "/")

    with pytest.raises(TokenRefused) as caught:
        asyncio.run(main())
    assert said in str(caught.value)
    assert "topsecret" not in str(caught.value)
