"""Brokers to hold to the rules."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from differential.embedded import running_broker
from phrasim.broker import Broker
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.contract.broker.programs import Recorded, recorded_programs

RECORDED = {recorded.name: recorded for recorded in recorded_programs()}


@pytest.fixture(scope="session")
def recorded() -> dict[str, Recorded]:
    """The programs that are installed, by name."""
    return RECORDED


@pytest.fixture
def embedded() -> Iterator[BrokerUrl]:
    """The embedded broker, with guest at home in it."""
    with running_broker() as address:
        yield BrokerUrl(*address)


class Watched:
    """What was made in a broker of this process."""

    def __init__(self) -> None:
        self.brokers: set[Broker] = set()
        self.queues: set[str] = set()
        self.exchanges: set[str] = set()

    def left(self) -> set[str]:
        """What is there now that a new broker has not."""
        return {
            name
            for broker in self.brokers
            for name in (*broker.queues, *broker.exchanges)
            if name and (not name.startswith("amq.") or name in broker.queues)
        }


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Note what is declared in every broker of this process from now on."""
    seen = Watched()
    declare_queue, declare_exchange = Broker.declare_queue, Broker.declare_exchange

    def noting_queue(broker, name, **more):
        seen.brokers.add(broker)
        seen.queues.add(name)
        return declare_queue(broker, name, **more)

    def noting_exchange(broker, name, exchange_type, **more):
        seen.brokers.add(broker)
        seen.exchanges.add(name)
        return declare_exchange(broker, name, exchange_type, **more)

    monkeypatch.setattr(Broker, "declare_queue", noting_queue)
    monkeypatch.setattr(Broker, "declare_exchange", noting_exchange)
    return seen
