"""The account of a load run: what is lost, twice or wrong, and nothing else."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.load.account import ACKNOWLEDGED, DOWNLOADED, NOTIFIED, Account, Sighting

ASSETS = {"a": "1" * 64, "b": "2" * 64}
PLAYED = [
    Sighting("committing", 10.0, ASSETS),
    Sighting("committed", 10.1, ASSETS),
    Sighting("notified", 10.2, dict.fromkeys(ASSETS), "c"),
    Sighting("downloaded", 10.4, {"a": "1" * 64}, "c"),
    Sighting("downloaded", 10.5, {"b": "2" * 64}, "c"),
    Sighting("acknowledged", 11.0, dict.fromkeys(ASSETS), "c"),
]


def account(sightings: Sequence[Sighting], *, notified_once: bool = True) -> Account:
    made = Account(notified_once=notified_once)
    for one in sightings:
        made.take(one)
    return made


def test_a_hand_off_that_went_well_is_counted_and_breaks_nothing() -> None:
    found = account(PLAYED)
    assert found.violations() == []
    assert found.open == 0
    assert found.counts() == {
        "commits": 1,
        "assets": 2,
        "notified": 1,
        "downloaded": 1,
        "acknowledged": 1,
        "refused": 0,
        "unanswered": 0,
    }


def test_an_acknowledgement_may_name_the_commit_alone_and_come_before_its_id_is_known() -> None:
    alone = PLAYED[-1]._replace(assets={})
    assert account([*PLAYED[:-1], alone]).violations() == []
    assert account([alone, *PLAYED[:-1]]).violations() == []
    assert account([PLAYED[0]._replace(commit="c"), alone, PLAYED[1], *PLAYED[3:5]]).violations() == []


def test_stages_are_measured_from_the_commit() -> None:
    made = Account(notified_once=True)
    took = [(duration.stage, round(duration.seconds, 3)) for one in PLAYED for duration in made.take(one)]
    assert took == [(NOTIFIED, 0.2), (DOWNLOADED, 0.4), (DOWNLOADED, 0.5), (ACKNOWLEDGED, 1.0)]


@given(order=st.permutations(PLAYED))
def test_sightings_may_come_in_any_order(order: list[Sighting]) -> None:
    found = account(order)
    assert (found.violations(), found.open, found.acknowledged, found.committed) == ([], 0, 1, 1)


@given(seed=st.integers(), hand_offs=st.integers(2, 5))
def test_hand_offs_that_are_under_way_at_once_are_told_apart(seed: int, hand_offs: int) -> None:
    sightings = [
        one._replace(
            assets={f"{number}{asset}": digest for asset, digest in one.assets.items()},
            commit=one.commit and f"{number}{one.commit}",
        )
        for number in range(hand_offs)
        for one in PLAYED
    ]
    lost = sightings.pop()
    random.Random(seed).shuffle(sightings)
    found = account(sightings)
    assert found.violations() == [f"commit {lost.commit} is lost: it was committed, and not acknowledged by the end"]
    assert found.open == 1


LATER = Sighting("acknowledged", 12.0, dict.fromkeys(ASSETS), "c")
WRONG = {
    "an acknowledgement that never came": (PLAYED[:-1], "commit c is lost"),
    "one asset that was never acknowledged": (
        [*PLAYED[:-1], Sighting("acknowledged", 11.0, {"a": None}, "c")],
        "not acknowledged by the end (asset b)",
    ),
    "a second notification": ([*PLAYED, PLAYED[2]], "commit c was handed over 2 times"),
    "a second download": ([*PLAYED, PLAYED[3]], "commit c: asset a was downloaded 2 times, not once"),
    "a second acknowledgement": ([*PLAYED, LATER], "commit c: asset a was acknowledged 2 times, not once"),
    "no download": ([*PLAYED[:3], *PLAYED[4:]], "commit c: asset a was acknowledged, and never downloaded"),
    "other bytes": (
        [*PLAYED[:3], PLAYED[3]._replace(assets={"a": "3" * 64}), *PLAYED[4:]],
        f"commit c: asset a came with the SHA-256 {'3' * 64}; {'1' * 64} was uploaded",
    ),
    "other bytes in a record": (
        [*PLAYED, Sighting("recorded", 20.0, {"b": "4" * 64}, "c")],
        f"commit c: asset b came with the SHA-256 {'4' * 64}",
    ),
    "an acknowledgement that was forgotten": (
        [*PLAYED, Sighting("listed", 20.0, dict.fromkeys(ASSETS), "c")],
        "commit c is listed as new, though its acknowledgement was answered with 200",
    ),
    "a refused commit that is handed over": (
        [PLAYED[0], Sighting("refused", 10.1, ASSETS), *PLAYED[2:]],
        "commit c was refused, and handed over all the same",
    ),
    "a commit that nobody heard of": (PLAYED[:2], "the commit of the assets a, b is lost"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_must_not_be_is_told_with_the_commit(what: str) -> None:
    sightings, sentence = WRONG[what]
    found = account(sightings).violations()
    assert len(found) in (1, 2)  # two assets may be wrong in the same way
    assert sentence in found[0]


@pytest.mark.parametrize(
    "sightings",
    [
        [Sighting("committing", 1.0, ASSETS)],
        [Sighting("committing", 1.0, ASSETS), Sighting("refused", 1.1, ASSETS)],
        [Sighting("notified", 1.0, {"x": None}, "of others"), Sighting("downloaded", 1.0, {"x": None}, None)],
        [Sighting("acknowledged", 1.0, {}, "of others")],
    ],
    ids=["without an answer", "refused", "of others", "of nothing"],
)
def test_what_was_not_committed_is_not_lost(sightings: list[Sighting]) -> None:
    assert account(sightings).violations() == []


def test_a_commit_without_an_answer_that_is_handed_over_must_be_handed_over_whole() -> None:
    assert "is lost" in account([PLAYED[0], *PLAYED[2:4]]).violations()[0]
    assert account([PLAYED[0], *PLAYED[2:]]).violations() == []


def test_a_listing_may_tell_of_a_commit_again_and_again() -> None:
    assert account([*PLAYED, PLAYED[2]], notified_once=False).violations() == []


def test_where_downloads_are_not_seen_none_is_missed() -> None:
    blind = Account(notified_once=True, sees_downloads=False)
    for one in (*PLAYED[:3], PLAYED[-1]):
        blind.take(one)
    assert blind.violations() == []
