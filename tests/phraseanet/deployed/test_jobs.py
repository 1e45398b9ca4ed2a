"""The job rows: found by commit and asset, told in the order in which they were made."""

from datetime import UTC, datetime, timedelta

import pytest

from phrasim.phraseanet.deployed.jobs import Jobs

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs(lambda: MOMENT)


def test_rows_are_told_in_their_order_also_where_a_commit_was_ingested_twice(jobs: Jobs) -> None:
    for commit in ("one", "two", "one"):
        jobs.insert(commit, ["a", 2], 0, "push")
    assert [(row.id, row.commit_id, row.asset_id) for row in jobs.rows] == [
        (1, "one", "a"),
        (2, "one", "2"),
        (3, "two", "a"),
        (4, "two", "2"),
        (5, "one", "a"),
        (6, "one", "2"),
    ]


def test_the_first_row_of_an_asset_that_has_not_ended_is_the_unfinished_one(jobs: Jobs) -> None:
    for _ in range(2):
        jobs.insert("one", ["a"], 0, "push")
    first, second = jobs.rows
    for expected in (first, second):
        assert jobs.unfinished("one", "a") is expected
        jobs.finish(expected)
    assert [jobs.unfinished("one", "a"), jobs.unfinished("one", "b"), jobs.unfinished("two", "a")] == [None] * 3


@pytest.mark.parametrize("commit_id", ["two", 1, None, ["one"]])
def test_only_the_rows_of_a_commit_tell_whether_it_runs(jobs: Jobs, commit_id: object) -> None:
    jobs.insert("one", ["a", "b"], 0, "push")
    jobs.insert("1", ["a"], 0, "push")
    assert jobs.is_running("one")
    assert not jobs.is_running(commit_id)
    for asset in "ab":
        row = jobs.unfinished("one", asset)
        assert row is not None
        jobs.finish(row)
    assert not jobs.is_running("one")


def test_a_commit_is_forgotten_once_all_of_its_work_ended_before(jobs: Jobs) -> None:
    jobs.insert("one", ["a", "b"], 0, "push")
    jobs.finish(jobs.rows[0])
    later = MOMENT + timedelta(seconds=1)
    assert jobs.forget_finished(later) == set()
    jobs.finish(jobs.rows[1])
    assert jobs.forget_finished(MOMENT) == set()
    assert jobs.forget_finished(later) == {"one"}
    assert jobs.rows == ()
