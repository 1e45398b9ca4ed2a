"""What makes a commit, and what refuses one (A24), without a server."""

import random
import re
from datetime import UTC, datetime

import pytest

from phrasim.upload.documented.state import CommitRefused, UploadState
from phrasim.upload.stored_file import StoredFile

NOW = datetime(2019, 5, 15, tzinfo=UTC)


@pytest.fixture
def state() -> UploadState:
    return UploadState(random.Random(1), lambda: NOW)


def add(state: UploadState, size: int = 3, user: str = "someone") -> str:
    return state.add_asset(user, "a.png", StoredFile("key", 0, size, "digest", "image/png")).id


def test_a_commit_keeps_its_assets_in_the_order_given(state: UploadState) -> None:
    ids = [add(state, size) for size in (1, 2, 4)]
    commit = state.commit("someone", ids[::-1], {})
    assert [asset.id for asset in commit.assets] == ids[::-1]
    assert commit.total_size == 7
    assert all(state.asset(asset_id).commit is commit for asset_id in ids)  # type: ignore[union-attr]


def test_a_commit_has_a_token_of_42_hexadecimal_digits_and_no_two_have_the_same(state: UploadState) -> None:
    tokens = [state.commit("someone", [add(state), add(state)], {}).token for _ in range(20)]
    assert all(re.fullmatch("[0-9a-f]{42}", token) for token in tokens)
    assert len(set(tokens)) == 20


def test_ids_are_uuids_of_version_4(state: UploadState) -> None:
    asset = add(state)
    commit = state.commit("someone", [asset], {})
    for found in (asset, commit.id):
        assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", found)


def test_keys_that_begin_with_two_underscores_are_not_kept(state: UploadState) -> None:
    form = {"title": "x", "__notify_email": True, "__": 1, "_one": 2, "in": {"__deeper": 3}}
    kept = state.commit("someone", [add(state)], form).form_data
    assert kept == {"title": "x", "_one": 2, "in": {"__deeper": 3}}


def test_another_users_asset_is_accepted_while_it_is_uncommitted(state: UploadState) -> None:
    commit = state.commit("someone", [add(state, user="another")], {})
    assert (commit.user_id, commit.assets[0].user_id) == ("someone", "another")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "files: a commit needs at least one asset"),
        (["mine", "mine"], "files: repeated: mine"),
        (["mine", "unknown"], "files: unknown: unknown"),
        (["unknown", "mine", "other"], "files: unknown: unknown, other"),
        (["mine", "taken"], "files: already committed: taken"),
        (["unknown", "taken"], "files: unknown: unknown"),
    ],
)
def test_a_commit_that_is_refused_names_the_ids_and_changes_nothing(
    state: UploadState, files: list[str], said: str
) -> None:
    known = {"mine": add(state), "taken": add(state)}
    state.commit("someone", [known["taken"]], {})
    before = state.commits
    with pytest.raises(CommitRefused) as caught:
        state.commit("someone", [known.get(name, name) for name in files], {})
    for name, asset_id in known.items():
        said = said.replace(f" {name}", f" {asset_id}")
    assert str(caught.value) == said
    assert state.commits == before
    assert state.asset(known["mine"]).commit is None  # type: ignore[union-attr]


def test_a_commit_of_very_many_ids_is_judged_in_a_moment(state: UploadState) -> None:
    ids = [add(state) for _ in range(20_000)]
    assert len(state.commit("someone", ids, {}).assets) == 20_000


def test_only_commits_that_nobody_acknowledged_are_new(state: UploadState) -> None:
    one, two, three = (state.commit("someone", [add(state)], {}) for _ in range(3))
    state.acknowledge(two)
    assert state.unacknowledged() == [one, three]
    state.acknowledge(two)
    assert state.unacknowledged() == [one, three]
    assert state.find_commit(two.id) is two
    assert two.assets[0].commit is two
