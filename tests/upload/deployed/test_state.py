"""The rules of the deployed service without a wire."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from phrasim.upload.deployed.state import Asset, Commit, CommitRequest, UploadState
from phrasim.upload.deployed.target import Target
from phrasim.upload.stored_file import StoredFile

PRESS = Target(id="press-id", slug="press", name="Press pictures")
NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)


@pytest.fixture
def state() -> UploadState:
    return UploadState((PRESS,), random.Random(1), lambda: NOON)


def add(state: UploadState) -> Asset:
    return state.add_asset("someone", PRESS, "a.png", StoredFile("key", 0, 3, "0" * 64, "image/png"), {})


def commit(state: UploadState, *assets: Asset) -> Commit:
    files = tuple(asset.id for asset in assets)
    return state.commit(CommitRequest("someone", PRESS, files, {}, {}, notify=False, locale="en"))


def test_an_asset_that_is_not_committed_is_not_acknowledged(state: UploadState) -> None:
    asset = add(state)
    assert state.acknowledge_asset(asset) is None
    assert not asset.acknowledged


def test_the_last_asset_is_marked_by_its_commit_only(state: UploadState) -> None:
    """§2.4."""
    one, two = add(state), add(state)
    made = commit(state, one, two)
    assert state.acknowledge_asset(one) is None
    assert state.acknowledge_asset(two) is made
    assert not two.acknowledged
    assert state.acknowledge(made)
    assert two.acknowledged
    assert not state.acknowledge(made)
    assert state.acknowledge_asset(two) is None


def test_an_asset_of_the_very_age_stays(state: UploadState) -> None:
    """§2.7: older assets go."""
    add(state)
    assert state.remove_older(NOON) == []
    assert len(state.remove_older(NOON + timedelta(microseconds=1))) == 1
    assert state.assets == ()


def test_a_commit_acknowledged_at_that_very_moment_stays(state: UploadState) -> None:
    """§2.7: before now - grace."""
    made = commit(state, add(state))
    state.acknowledge(made)
    assert state.remove_acknowledged(NOON) == []
    assert len(state.remove_acknowledged(NOON + timedelta(microseconds=1))) == 1
    assert (state.commits, state.assets) == ((), ())


def test_an_acknowledged_asset_that_is_committed_again_stays_acknowledged(state: UploadState) -> None:
    """H18: the update touches nothing but the commit."""
    asset = add(state)
    state.acknowledge(commit(state, asset))
    again = commit(state, asset)
    assert asset.acknowledged
    assert not again.acknowledged


def test_the_parameters_of_a_target_are_not_changed_by_a_commit(state: UploadState) -> None:
    target = Target(id="x", slug="x", name="x", params={"a": 1}, default_destination="7")
    state.commit(CommitRequest("someone", target, (), {"b": 2}, {}, notify=False, locale="en"))
    assert target.params == {"a": 1}


def test_a_commit_of_very_many_ids_is_judged_in_a_moment(state: UploadState) -> None:
    assets = [add(state) for _ in range(20_000)]
    commit(state, *assets)
    assert len(commit(state, *assets).assets) == 20_000
