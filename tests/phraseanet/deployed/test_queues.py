"""The topology (§4.1) as it stands at the broker, and how it is declared."""

from typing import Any

import pytest

from phrasim.broker.client import BrokerError

TOPOLOGY: dict[str, tuple[str, str | None, str | None, int | None]] = {
    "assetsIngest": ("alchemy-exchange", "retry-alchemy-exchange", "assetsIngest_retry", None),
    "assetsIngest_retry": ("retry-alchemy-exchange", "alchemy-exchange", "assetsIngest", 10_000),
    "assetsIngest_failed": ("retry-alchemy-exchange", None, None, 604_800_000),
    "createRecord": ("alchemy-exchange", "retry-alchemy-exchange", "createRecord_retry", None),
    "createRecord_retry": ("retry-alchemy-exchange", "alchemy-exchange", "createRecord", 10_000),
    "createRecord_failed": ("retry-alchemy-exchange", None, None, 604_800_000),
    "pullAssets": ("alchemy-exchange", "retry-alchemy-exchange", "pullAssets_loop", None),
    "pullAssets_loop": ("retry-alchemy-exchange", "alchemy-exchange", "pullAssets", 5_000),
}


def test_the_queues_are_those_of_the_table(play: Any) -> None:
    """§4.1; the interval of the loop is that of the settings."""

    async def main(land: Any) -> None:
        for name in TOPOLOGY:
            await land.publisher.prepare(name)
        core = land.broker.core
        assert sorted(core.queues) == sorted(TOPOLOGY)
        for name, (exchange, dead_exchange, dead_key, ttl) in TOPOLOGY.items():
            arguments = dict(land.topology.arguments(name))
            expected = {
                "x-dead-letter-exchange": dead_exchange,
                "x-dead-letter-routing-key": dead_key,
                "x-message-ttl": ttl,
            }
            assert arguments == {key: value for key, value in expected.items() if value is not None}
            channel = core.open_connection().open_channel()
            assert channel.queue_declare(name, durable=True, arguments=arguments).name == name
            channel.basic_publish(exchange, name, b"{}")
            channel.queue_purge(name)
        for exchange in ("alchemy-exchange", "retry-alchemy-exchange"):
            found = core.exchanges[exchange]
            assert (found.type, found.durable) == ("direct", True)

    play(main)


def test_what_a_worker_uses_is_declared_when_it_is_used(play: Any) -> None:
    """§4.1: a consumer declares its base queue and the one beside it; a failed queue waits until it is needed."""

    async def main(land: Any) -> None:
        assert list(land.broker.core.queues) == [name for name in TOPOLOGY if not name.endswith("_failed")]

    play(main)


@pytest.mark.parametrize("name", ["createRecord", "createRecord_retry"])
def test_a_queue_that_was_deleted_is_there_again_before_the_next_publish(play: Any, name: str) -> None:
    async def main(land: Any) -> None:
        await land.workers.stop()
        await land.clock.sleep(0)
        land.broker.core.open_connection().open_channel().queue_delete(name)
        land.broker.pump()
        await land.publisher.publish("createRecord", {})
        assert land.depth("createRecord") == (1, 0)
        assert name in land.broker.core.queues

    play(main, foreign=True)


def test_a_queue_whose_arguments_are_others_stays_as_it_is_and_is_used(play: Any, act: Any) -> None:
    """What a changed setting meets: it is declared passively, and so not refused with 406."""

    async def main(land: Any) -> None:
        channel = land.broker.core.open_connection().open_channel()
        channel.queue_declare("assetsIngest_failed", durable=True, arguments={"x-message-ttl": 1000})
        channel.queue_bind("assetsIngest_failed", "retry-alchemy-exchange", "assetsIngest_failed")
        await land.publisher.give_up("assetsIngest", {}, {})
        assert act.seen(land).noted("message lost") == []
        assert land.depth("assetsIngest_failed") == (1, 0)

    play(main, foreign=True)


def test_a_client_checks_and_purges_queues(play: Any) -> None:
    async def main(land: Any) -> None:
        client = land.broker.connect(land.network.edges["user"])
        with pytest.raises(BrokerError) as caught:
            await client.check_queue("nowhere")
        assert "404" in str(caught.value)
        with pytest.raises(BrokerError) as caught:
            await client.purge_queue("nowhere")
        assert "404" in str(caught.value)
        await client.declare_queue("q", {"x-message-ttl": 1000})
        await client.publish("", "q", b"{}", {})
        await client.check_queue("q")
        assert land.depth("q") == (1, 0)
        await client.purge_queue("q")
        assert land.depth("q") == (0, 0)

    play(main)
