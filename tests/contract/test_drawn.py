"""Runs of Hypothesis against what remembers."""

from collections.abc import Callable

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from phrasim.contract.drawn import run_drawn
from phrasim.contract.inquiry import Asked, Inquiry, Over
from phrasim.documents import contract

ROUNDS = 30


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def inquiry() -> Inquiry:
    return Inquiry("access", contract("documented"), Asked(), 60.0, Clock())


def runner(body: Callable[[st.DataObject], None]) -> Callable[[int, settings], None]:
    def test(data: st.DataObject) -> None:
        body(data)

    return lambda chance, known: seed(chance)(known(given(data=st.data())(test)))()


def test_the_same_seed_draws_the_same_and_another_one_something_else() -> None:
    def drawn(number: int) -> list[int]:
        found: list[int] = []
        one = Inquiry("access", contract("documented"), Asked(seed=number), 60.0, Clock())
        run_drawn(one, runner(lambda data: found.append(data.draw(st.integers(0, 10**6)))), ROUNDS)
        return found

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(drawn(1)) == ROUNDS


def test_where_the_same_choices_lead_elsewhere_it_begins_anew() -> None:
    """A service remembers what was done before, and Hypothesis takes that for a fault of the test."""
    calls = 0

    def remembering(data: st.DataObject) -> None:
        nonlocal calls
        calls += 1
        for _ in range(1 + calls % 3):
            data.draw(st.booleans())

    run_drawn(inquiry(), runner(remembering), ROUNDS)
    assert ROUNDS < calls <= 10 * ROUNDS


def test_the_end_of_the_time_ends_it_amidst() -> None:
    one, calls = inquiry(), 0

    def trying(data: st.DataObject) -> None:
        nonlocal calls
        calls += 1
        data.draw(st.booleans())
        if calls == 3:
            one.clock.now = 60.0  # type: ignore[attr-defined]
        one.case()
        data.draw(st.booleans())

    with pytest.raises(Over):
        run_drawn(one, runner(trying), ROUNDS)
    assert calls == 3
