"""The publisher on AMQP's wire: what it declares, and that its made-up `x-death` is one that a broker believes."""

from datetime import timedelta
from typing import Any

import pytest

from broker.amqp.journalled import Journalled, journalled, run
from phrasim.broker.client import BrokerError
from phrasim.documents import Messages
from phrasim.documents.specification import installed_schemas
from phrasim.documents.store import installed_store
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.queues import QueueSettings, Topology


def play(main: Any) -> None:
    async def opened() -> None:
        async with journalled() as served:
            await main(served)

    run(opened)


def publisher_of(served: Journalled) -> Publisher:
    messages = Messages(installed_store(), installed_schemas(), "deployed/messages.yaml")
    topology = Topology(messages, {"createRecord": QueueSettings(ttl_retry_ms=20)})
    edge = served.network.edges["phraseanet"]
    return Publisher(served.client(), topology, now=served.network.clock.now, note=edge.note)


def test_a_retry_comes_back_with_the_death_that_its_publisher_wrote() -> None:
    """§4.3: the table of the publisher, behind that of the retry queue, its count as it was written."""

    async def main(served: Journalled) -> None:
        publisher, client = publisher_of(served), served.client()
        await publisher.prepare("createRecord")
        deliveries = await client.consume("createRecord", 1)
        await publisher.try_again("createRecord", {"asset": "a"}, 3, "why it failed")
        incoming = await anext(deliveries)
        expired, rejected = incoming.headers["x-death"]
        assert (expired["queue"], expired["reason"], expired["count"]) == ("createRecord_retry", "expired", 1)
        time = rejected.pop("time")
        assert abs(time - served.network.clock.now()) < timedelta(seconds=10)
        assert rejected == {
            "count": 3,
            "exchange": "alchemy-exchange",
            "queue": "createRecord",
            "routing-keys": "createRecord",
            "reason": "rejected",
        }
        assert incoming.headers["worker-message"] == "why it failed"

    play(main)


def test_a_client_on_a_socket_checks_and_purges_queues() -> None:
    async def main(served: Journalled) -> None:
        publisher, client = publisher_of(served), served.client()
        with pytest.raises(BrokerError, match="404"):
            await client.check_queue("assetsIngest")
        with pytest.raises(BrokerError, match="404"):
            await client.purge_queue("assetsIngest")
        await publisher.publish("assetsIngest", {})
        await client.check_queue("assetsIngest")
        assert served.core.queues["assetsIngest"].ready_count == 1
        await publisher.purge("assetsIngest")
        assert served.core.queues["assetsIngest"].ready_count == 0

    play(main)
