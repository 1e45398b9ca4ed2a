"""How many users there are at a time of a load run."""

import math
from collections.abc import Callable, Mapping

STEPS = 5
SPIKE_FROM, SPIKE_TO, SPIKE_BASE = 0.4, 0.6, 0.2


def ramp(users: int, share: float) -> int:
    """One more after the other, all of them at the end."""
    return max(1, math.ceil(users * share))


def steps(users: int, share: float) -> int:
    """Five steps of the same height and length."""
    return max(1, math.ceil(users * min(math.floor(share * STEPS) + 1, STEPS) / STEPS))


def spike(users: int, share: float) -> int:
    """A fifth of them, and all of them during the middle fifth of the time."""
    return users if SPIKE_FROM <= share < SPIKE_TO else max(1, math.ceil(users * SPIKE_BASE))


def soak(users: int, share: float) -> int:  # noqa: ARG001 - every shape is asked the same
    """All of them, all the time."""
    return users


SHAPES: Mapping[str, Callable[[int, float], int]] = {"soak": soak, "ramp": ramp, "steps": steps, "spike": spike}
"""By its name a function of the most users that there are, and of the share of the time that is over."""
