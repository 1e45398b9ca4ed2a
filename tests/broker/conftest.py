"""One broker under a clock that only a test moves."""

import random

import pytest

from phrasim.broker import Broker, Channel


class Clock:
    """Whole nanoseconds that stand still until `advance_ms`."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns

    def advance_ms(self, ms: int) -> None:
        self.ns += ms * 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(clock: Clock) -> Broker:
    return Broker(clock, random.Random(7), epoch_ns=1_760_000_000 * 10**9)


@pytest.fixture
def channel(broker: Broker) -> Channel:
    return broker.open_connection().open_channel()


@pytest.fixture
def other_channel(broker: Broker) -> Channel:
    """A channel of a second connection."""
    return broker.open_connection().open_channel()
