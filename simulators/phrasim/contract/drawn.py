"""Runs of Hypothesis against something that remembers, and until a time is over."""

from collections.abc import Callable
from itertools import count

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky

from phrasim.contract.inquiry import Inquiry, Over

_ROUNDS_MAX = 300
"""Rounds of one run: Hypothesis remembers each of them."""

_SEEDS_APART = 10_000


def run_drawn(inquiry: Inquiry, run: Callable[[int, settings], None], rounds: int, steps: int = 1) -> None:
    """Let `run` do so many rounds, given a seed and settings. Raises `Over` where the time is over meanwhile.

    Hypothesis takes it for a fault of the test where the same choices lead elsewhere the second time, as they do with a
    real service, and where a round is ended amidst. Then it begins anew, with other choices and
    one round less.
    """
    left = rounds
    for start in count():
        known = settings(
            max_examples=min(left, _ROUNDS_MAX),
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            run(inquiry.asked.seed * _SEEDS_APART + start, known)
        except Flaky as flaky:
            if inquiry.ended or isinstance(flaky.__context__, Over):
                raise Over from flaky
            left -= 1
        else:
            left -= _ROUNDS_MAX
        if left <= 0:
            return
