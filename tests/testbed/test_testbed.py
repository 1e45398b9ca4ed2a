"""The participants joined: whole hand-offs, and what joins them."""

import random
from typing import Any

import msgspec
import pytest

from phrasim.documents import contract
from phrasim.edge.faults import Refuse
from phrasim.testbed import URLS, Testbed
from phrasim.testbed.network import unguessable


@pytest.mark.parametrize("mode", ["push", "pull", "both"])
def test_a_commit_is_handed_over_once_in_every_mode(play: Any, act: Any, mode: str) -> None:
    async def main(bed: Testbed) -> None:
        ids = await act.hand_over(bed, b"one", b"two")
        seen = act.seen(bed)
        assert [record.asset_id for record in bed.phraseanet.records] == ids
        assert [commit.acknowledged for commit in bed.upload.commits] == [True]
        assert len(seen.asked("acknowledgeCommit")) == 1
        assert len([publish for publish in seen.publishes if publish.operation_id == "produceMessage"]) == 1
        assert bool(seen.asked("enqueueAssets")) == (mode in ("push", "both"))
        assert bool(seen.asked("listCommits")) == (mode in ("pull", "both"))

    play(main, mode=mode)


def test_with_the_mode_off_nobody_starts_the_hand_over(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed)
        assert bed.phraseanet.records == ()
        assert [commit.acknowledged for commit in bed.upload.commits] == [False]
        assert act.seen(bed).publishes == []

    play(main, mode="off")


def test_the_arrows_of_the_push_diagram_come_in_its_order(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> list[str]:
        await act.hand_over(bed, b"one", b"two")
        return [message.operation_id for message in act.seen(bed).messages if getattr(message, "status", 0) == 0]

    assert [one for one in play(main) if one not in ("issueToken", "getTokenInfo", "getAsset")] == [
        "uploadAsset",
        "uploadAsset",
        "commitAssets",
        "enqueueAssets",
        "produceMessage",
        "consumeMessage",
        "getPublisherInfo",
        "downloadAsset",
        "downloadAsset",
        "acknowledgeCommit",
    ]


def journal_bytes(play: Any, act: Any, seed: int) -> bytes:
    async def main(bed: Testbed) -> bytes:
        await act.hand_over(bed, b"one", b"two")
        return msgspec.json.encode(bed.journal.events)

    content: bytes = play(main, seed=seed, mode="both")
    return content


def test_one_seed_gives_one_journal_and_another_seed_another(play: Any, act: Any) -> None:
    assert journal_bytes(play, act, 5) == journal_bytes(play, act, 5)
    assert journal_bytes(play, act, 5) != journal_bytes(play, act, 6)


def test_a_participant_that_fails_ends_the_run_with_what_it_raised(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        async def broken() -> None:
            raise LookupError("a bug of a simulator")

        bed._spawn(broken(), "broken")
        await bed.clock.sleep(10)
        pytest.fail("the run goes on")

    with pytest.raises(LookupError, match="a bug of a simulator"):
        play(main)


def test_two_failures_of_one_run_are_both_told(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        async def broken(error: Exception) -> None:
            raise error

        bed._spawn(broken(LookupError("one")), "one")
        bed._spawn(broken(ArithmeticError("two")), "two")
        await bed.clock.sleep(10)

    with pytest.raises(BaseExceptionGroup) as caught:
        play(main)
    assert [type(error) for error in caught.value.exceptions] == [LookupError, ArithmeticError]


def test_a_run_that_ends_early_leaves_nothing_running(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> Testbed:
        await act.hand_over(bed, seconds=0)
        return bed

    bed = play(main, mode="both", faults=(act.fault("enqueueAssets", Refuse()),))
    assert not bed._spawn._tasks
    assert not bed.network.addressing.transport._tasks


def test_a_participant_without_a_specification_has_no_operations() -> None:
    assert contract("documented").operation("user", "GET", "/assets") is None
    assert contract("documented").operation("upload", "GET", "/assets") is None


def test_each_address_of_a_run_leads_nowhere_else() -> None:
    assert all(url.endswith(".test") for url in URLS.values())


def test_tokens_are_drawn_from_the_system_and_ids_of_traces_from_what_it_gave_once() -> None:
    assert isinstance(unguessable("tokens"), random.SystemRandom)
    first, second = unguessable("upload/edge"), unguessable("upload/edge")
    assert not isinstance(first, random.SystemRandom)
    assert first.getrandbits(64) != second.getrandbits(64)
