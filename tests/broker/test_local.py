"""The in-process wire to the broker: what its clients are told, and what the journal has of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from phrasim.broker.client import BrokerError
from phrasim.broker.local import LocalClient
from phrasim.broker.message import Properties
from phrasim.broker.record import journal_properties
from phrasim.journal.events import Lost, Received, Sent
from phrasim.testbed import Testbed


async def client_with_queue(bed: Testbed, **arguments: Any) -> LocalClient:
    client = bed.broker.connect(bed.edges["user"])
    await client.declare_exchange("e", "direct")
    await client.declare_queue("q", {name.replace("_", "-"): value for name, value in arguments.items()})
    await client.bind_queue("q", "e", "k")
    return client


def test_a_delivery_is_what_was_published(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed)
        await client.publish("e", "k", b'{"a":1}', {"of": "mine"})
        incoming = await anext(await client.consume("q", prefetch=1))
        assert (incoming.body, incoming.exchange, incoming.routing_key) == (b'{"a":1}', "e", "k")
        assert (incoming.content_type, incoming.redelivered) == ("application/json", False)
        assert incoming.headers["of"] == "mine"
        await client.acknowledge(incoming)
        publish, delivery = act.seen(bed).messages
        assert (publish.sender, publish.receiver, publish.body.json) == ("user", "broker", {"a": 1})
        assert (delivery.sender, delivery.receiver, delivery.publish) == ("broker", "user", publish.id)
        assert publish.properties["delivery-mode"] == delivery.properties["delivery-mode"] == 2
        assert [act.seen(bed).fates(one.id) for one in (publish, delivery)] == [[Sent, Received]] * 2
        assert incoming.handled.message_id == delivery.id
        assert bed.broker.core.queues["q"].unacked_count == 0

    play(main)


@pytest.mark.parametrize("routing_key", ["nobody", ""])
def test_a_message_that_no_queue_takes_is_a_broker_error(play: Any, act: Any, routing_key: str) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed)
        with pytest.raises(BrokerError) as caught:
            await client.publish("e", routing_key, b"{}", {})
        assert f"did not take the message for 'e', {routing_key!r}: NO_ROUTE" in str(caught.value)
        await client.publish("e", "k", b"{}", {})

    play(main)


def test_a_message_that_a_full_queue_refuses_is_a_broker_error_and_the_next_is_not(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed, x_max_length=1, x_overflow="reject-publish")
        await client.publish("e", "k", b"{}", {})
        with pytest.raises(BrokerError) as caught:
            await client.publish("e", "k", b"{}", {})
        assert "refused, as by a queue that is full" in str(caught.value)
        bed.broker.core.queues["q"].purge("purged")
        await client.publish("e", "k", b"{}", {})

    play(main)


def test_a_publish_that_the_broker_refuses_is_lost(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = bed.broker.connect(bed.edges["user"])
        await client.publish("", "assetsIngest", b"[]", {})
        with pytest.raises(BrokerError, match="no exchange 'nowhere'"):
            await client.publish("nowhere", "k", b"[]", {})
        assert act.seen(bed).fates("user-2") == [Sent, Lost]
        await client.publish("", "assetsIngest", b"[]", {})
        assert act.seen(bed).fates("user-3") == [Sent, Received]

    play(main)


def test_a_call_that_the_broker_refuses_is_a_broker_error_with_its_words(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        for call in (
            lambda client: client.declare_exchange("alchemy-exchange", "fanout"),
            lambda client: client.declare_queue("assetsIngest", {}),
            lambda client: client.bind_queue("q", "nowhere", "k"),
            lambda client: client.consume("nowhere", 1),
        ):
            with pytest.raises(BrokerError) as caught:
                await call(bed.broker.connect(bed.edges["user"]))
            assert str(caught.value)[:3] in ("404", "406")

    play(main)


def test_the_time_to_live_of_a_message_follows_the_clock(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed, x_message_ttl=1500)
        await client.publish("e", "k", b"{}", {})
        await bed.clock.sleep(1)
        await client.publish("e", "k", b"{}", {})
        ready = []
        for seconds in (0.499, 0.002, 0.998, 0.002):
            await bed.clock.sleep(seconds)
            ready.append(bed.broker.core.queues["q"].ready_count)
        assert ready == [2, 1, 1, 0]
        assert act.seen(bed).noted("dropped") == [{"queue": "q", "reason": "expired"}] * 2
        times = [event.at for event in bed.journal.events if getattr(event, "note", "") == "dropped"]
        assert times == [1_500_000_000, 2_500_000_000]

    play(main)


def test_a_timer_that_is_no_longer_needed_is_taken_back(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed, x_message_ttl=1500)
        await client.publish("e", "k", b"{}", {})
        incoming = await anext(await client.consume("q", prefetch=1))
        assert bed.broker._timer is None
        await client.acknowledge(incoming)
        await bed.clock.sleep(10)
        assert act.seen(bed).noted("dropped") == []

    play(main)


def test_a_rejected_message_is_noted_where_it_goes(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed, x_dead_letter_exchange="e", x_dead_letter_routing_key="dead")
        await client.declare_queue("dead", {})
        await client.bind_queue("dead", "e", "dead")
        await client.publish("e", "k", b"{}", {})
        await client.reject(await anext(await client.consume("q", prefetch=1)))
        assert act.seen(bed).noted("dead-lettered") == [
            {"queue": "q", "reason": "rejected", "exchange": "e", "routingKey": "dead"}
        ]
        incoming = await anext(await bed.broker.connect(bed.edges["user"]).consume("dead", prefetch=1))
        assert incoming.headers["x-death"][0]["reason"] == "rejected"

    play(main)


def test_a_client_that_leaves_gives_back_what_it_did_not_acknowledge(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed)
        for _ in range(3):
            await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", prefetch=2)
        taken = await anext(consumption)
        await client.close()
        with pytest.raises(StopAsyncIteration):
            await anext(consumption)
        first, second = [one for one in act.seen(bed).messages if one.sender == "broker"]
        assert taken.handled.message_id == first.id
        assert [act.seen(bed).fates(one.id) for one in (first, second)] == [[Sent, Received], [Sent, Lost]]
        other = await bed.broker.connect(bed.edges["user"]).consume("q", prefetch=3)
        again = [await anext(other) for _ in range(3)]
        assert [one.redelivered for one in again] == [True, True, False]
        assert next(one.handled.trace_id for one in again) == taken.handled.trace_id

    play(main)


def test_a_consumer_whose_queue_is_deleted_ends_after_what_it_was_given(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed)
        await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", prefetch=1)
        bed.broker.core.open_connection().open_channel().queue_delete("q")
        bed.broker.pump()
        assert (await anext(consumption)).body == b"{}"
        with pytest.raises(BrokerError, match="the broker cancelled the consumer: its queue is gone"):
            await anext(consumption)

    play(main)


def test_a_refused_call_ends_the_consumption_of_its_channel_and_the_next_begins_anew(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed)
        await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", prefetch=1)
        incoming = await anext(consumption)
        with pytest.raises(BrokerError, match="no queue 'nowhere'"):
            await client.bind_queue("nowhere", "e", "k")
        with pytest.raises(BrokerError, match="no queue 'nowhere'"):
            await anext(consumption)
        with pytest.raises(BrokerError, match="unknown delivery tag"):
            await client.acknowledge(incoming)
        again = await anext(await client.consume("q", prefetch=1))
        assert (again.body, again.redelivered) == (b"{}", True)

    play(main)


def test_a_delivery_of_a_foreign_publisher_has_no_publish_and_its_own_trace(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await client_with_queue(bed)
        foreign = bed.broker.core.open_connection().open_channel()
        foreign.basic_publish("e", "k", b"\xff", Properties(headers={"traceparent": 7}))
        foreign.basic_publish("e", "k", b"", Properties())
        bed.broker.pump()
        consumption = await client.consume("q", prefetch=2)
        one, two = await anext(consumption), await anext(consumption)
        assert one.handled.trace_id != two.handled.trace_id
        first, second = act.seen(bed).messages
        assert (first.publish, first.body.base64, second.body.length) == (None, "/w==", 0)

    play(main)


def test_properties_are_told_under_their_names_in_amqp() -> None:
    properties = Properties(
        content_type="a/b",
        message_id="m",
        timestamp=datetime(2019, 5, 15, tzinfo=UTC),
        headers={"x-death": [{"count": 1, "time": datetime(2019, 5, 15, tzinfo=UTC)}]},
    )
    assert journal_properties(properties) == {
        "content-type": "a/b",
        "message-id": "m",
        "timestamp": "2019-05-15T00:00:00+00:00",
        "headers": {"x-death": [{"count": 1, "time": "2019-05-15T00:00:00+00:00"}]},
    }
