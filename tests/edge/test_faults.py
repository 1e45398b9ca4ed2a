"""The faults that are set: which calls each strikes, and what it says of them afterwards."""

import pytest

from phrasim.edge.faults import Answer, Delay, Duplicate, Fault, FaultAccount, Faults, Refuse

REFUSE = Fault("listCommits", Refuse(), (2,))
BUSY = Fault("listCommits", Answer(503), (1, 3))
SLOW = Fault("getAsset", Delay(5))


def counts(faults: Faults) -> list[tuple[int, int, int]]:
    return [(account.id, account.calls, account.struck) for account in faults.all()]


def test_a_fault_strikes_the_calls_of_its_operation_that_it_names() -> None:
    faults = Faults((BUSY, SLOW))
    assert [faults.at_receiver("listCommits") for _ in range(4)] == [[Answer(503)], [], [Answer(503)], []]
    assert [faults.at_receiver("getAsset") for _ in range(2)] == [[Delay(5)], [Delay(5)]]
    assert faults.at_receiver("downloadAsset") == []
    assert faults.at_receiver(None) == []


def test_a_fault_counts_the_calls_and_the_strikes_of_its_own_side() -> None:
    faults = Faults((REFUSE, BUSY))
    assert faults.at_sender("listCommits") == []
    assert faults.at_sender("listCommits") == [Refuse()]
    assert faults.at_receiver("listCommits") == [Answer(503)]
    assert faults.all() == [FaultAccount(1, REFUSE, 2, 1), FaultAccount(2, BUSY, 1, 1)]


def test_ids_count_from_one_and_none_is_given_out_again() -> None:
    faults = Faults((REFUSE,))
    assert faults.add(BUSY) == 2
    assert faults.remove(2)
    assert faults.add(SLOW) == 3
    faults.clear()
    assert faults.all() == []
    assert faults.add(SLOW) == 4


def test_a_fault_that_is_added_counts_from_then_on() -> None:
    faults = Faults((SLOW,))
    faults.at_receiver("getAsset")
    added = faults.add(Fault("getAsset", Answer(500), (1,)))
    assert faults.at_receiver("getAsset") == [Delay(5), Answer(500)]
    assert counts(faults) == [(1, 2, 2), (added, 1, 1)]


@pytest.mark.parametrize("lift", [lambda faults: faults.remove(1), Faults.clear])
def test_a_fault_that_was_lifted_strikes_nothing(lift: object) -> None:
    faults = Faults((SLOW,))
    assert callable(lift)
    lift(faults)
    assert faults.at_receiver("getAsset") == []
    assert faults.idle() == []


def test_lifting_what_is_not_set_is_told_and_changes_nothing() -> None:
    faults = Faults((SLOW,))
    assert not faults.remove(2)
    assert counts(faults) == [(1, 0, 0)]


def test_idle_is_what_has_struck_nothing() -> None:
    twice = Fault("enqueueAssets", Duplicate())
    faults = Faults((REFUSE, twice))
    faults.at_sender("listCommits")
    faults.at_sender("enqueueAssets")
    assert faults.idle() == [REFUSE]
