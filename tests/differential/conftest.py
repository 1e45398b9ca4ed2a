"""Makes the files of this folder importable as `differential.…`, and gives the two brokers to compare."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from differential.embedded import running_broker
from differential.rabbitmq import absence, running_node
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.contract.broker.driver import Driver


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Driver]:
    """A RabbitMQ node of our own. Without RabbitMQ the tests are skipped, but in CI they fail."""
    reason = absence()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with running_node() as address:
        driver = Driver(BrokerUrl(*address))
        yield driver
        driver.close()
        assert driver.left == {}


@pytest.fixture(scope="session")
def embedded() -> Iterator[Driver]:
    """The embedded broker on a port of this machine."""
    with running_broker() as address:
        driver = Driver(BrokerUrl(*address))
        yield driver
        driver.close()
        assert driver.left == {}
