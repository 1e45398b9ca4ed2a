"""The participants' client on a socket: it does what the one without a socket does, and stands the loss of it."""

import asyncio
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from broker.amqp.journalled import Journalled, journalled, local, network, no_tls, run
from phrasim.broker.amqp import connecting
from phrasim.broker.amqp.client import AmqpClient
from phrasim.broker.amqp.connecting import connector
from phrasim.broker.amqp.external import reached
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerClient, BrokerError, Incoming
from phrasim.broker.record import BrokerRecord
from phrasim.documents import contract
from phrasim.edge.context import handled
from phrasim.journal.events import Lost, Noted, Received, Sent


async def with_queue(client: BrokerClient, name: str = "q", **arguments: Any) -> BrokerClient:
    """Declare an exchange, a queue and the binding `k` between them."""
    await client.declare_exchange("e", "direct")
    await client.declare_queue(name, {key.replace("_", "-"): value for key, value in arguments.items()})
    await client.bind_queue(name, "e", "k")
    return client


async def refusal(call: Awaitable[Any]) -> str:
    with pytest.raises(BrokerError) as caught:
        await call
    return str(caught.value)


async def hung_up(client: AmqpClient) -> None:
    """Wait until the client knows that its connection is gone."""
    assert client._connection is not None
    async with asyncio.timeout(5):
        await asyncio.wait([client._connection.closing])


async def fill(client: BrokerClient) -> None:
    """Make a broker full that holds one byte; from then on it reads nothing of who publishes."""
    for _ in range(2):
        await client.publish("e", "k", b"", {})


def play(main: Callable[[Journalled], Awaitable[Any]], **settings: Any) -> Any:
    async def opened() -> Any:
        async with journalled(**settings) as served:
            return await main(served)

    return run(opened)


async def conversation(client: BrokerClient) -> list[Any]:
    """All that a participant does with a broker; what it is told."""
    told: list[Any] = []

    def tell(incoming: Incoming) -> None:
        headers = {name: value for name, value in incoming.headers.items() if name != "traceparent"}
        told.append((incoming.exchange, incoming.routing_key, incoming.redelivered, incoming.content_type))
        told.append((incoming.body, incoming.handled.message_id, incoming.delivery_tag, repr(headers.get("x-death"))))

    await client.declare_exchange("alchemy-exchange", "direct")
    await client.declare_exchange("retry-alchemy-exchange", "direct")
    dead_letter = {"x-dead-letter-exchange": "retry-alchemy-exchange", "x-dead-letter-routing-key": "retry"}
    await client.declare_queue("assetsIngest", dead_letter)
    await client.bind_queue("assetsIngest", "alchemy-exchange", "assetsIngest")
    await client.declare_queue("retry", {"x-max-length": 1, "x-overflow": "reject-publish"})
    await client.bind_queue("retry", "retry-alchemy-exchange", "retry")

    await client.publish("alchemy-exchange", "assetsIngest", b'{"n":1}', {"h": 1})
    consumption = await client.consume("assetsIngest", prefetch=1)
    first = await anext(consumption)
    tell(first)
    token = handled.set(first.handled)
    await client.publish("alchemy-exchange", "assetsIngest", b"\xff", {})
    handled.reset(token)
    await client.acknowledge(first)
    second = await anext(consumption)
    tell(second)
    await client.reject(second)
    # Behind a question it is known that the rejection has come.
    await client.declare_exchange("e", "fanout")

    told.append(await refusal(client.publish("alchemy-exchange", "nobody", b"{}", {})))
    told.append(await refusal(client.publish("retry-alchemy-exchange", "retry", b"{}", {})))
    told.append(await refusal(client.publish("nowhere", "k", b"{}", {})))
    await client.publish("alchemy-exchange", "assetsIngest", b"{}", {})
    tell(await anext(consumption))
    await client.cancel()
    with pytest.raises(StopAsyncIteration):
        await anext(consumption)
    told.append(await refusal(client.declare_exchange("e", "direct")))
    told.append(await refusal(client.declare_queue("assetsIngest", {})))
    told.append(await refusal(client.bind_queue("q", "e", "k")))
    return told


def masked(events: list[Any]) -> list[Any]:
    """Without times and without what is drawn for traces."""
    text = msgspec.json.encode([msgspec.structs.replace(event, at=0) for event in events]).decode()
    return msgspec.json.decode(re.sub("00-[0-9a-f]{32}-[0-9a-f]{16}-01", "traceparent", text))


def test_the_journal_and_the_client_tell_the_same_with_a_socket_and_without() -> None:
    async def by_socket(served: Journalled) -> tuple[list[Any], list[Any]]:
        told = await conversation(served.client())
        return told, masked(served.journal.events)

    async def without() -> tuple[list[Any], list[Any]]:
        broker, net = local()
        told = await conversation(broker.connect(net.edges["phraseanet"]))
        broker.close()
        return told, masked(net.journal.events)

    (told, journal), (told_without, journal_without) = play(by_socket), run(without)
    assert told == told_without
    assert journal == journal_without
    assert "404 NOT_FOUND - no exchange 'nowhere' in vhost '/'" in told


def test_a_delivery_goes_on_in_the_trace_of_its_publish(act: Any) -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        await client.publish("e", "k", b'{"a":1}', {"of": "mine"})
        incoming = await anext(await client.consume("q", prefetch=1))
        publish, delivery = act.seen(served).messages
        assert (publish.id, publish.properties["message-id"]) == ("phraseanet-1", "phraseanet-1")
        assert (delivery.publish, delivery.cause, incoming.handled.message_id) == (publish.id, None, delivery.id)
        assert delivery.properties == publish.properties
        theirs = publish.properties["headers"]["traceparent"]
        assert incoming.headers["traceparent"] != theirs
        assert incoming.headers["traceparent"].split("-")[1] == theirs.split("-")[1] == incoming.handled.trace_id
        assert incoming.headers["of"] == "mine"
        assert [act.seen(served).fates(one.id) for one in (publish, delivery)] == [[Sent, Received]] * 2

    play(main)


def test_a_refused_call_is_an_error_with_rabbitmqs_text_and_the_next_finds_a_new_channel() -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        assert await refusal(client.publish("nowhere", "k", b"", {})) == (
            "404 NOT_FOUND - no exchange 'nowhere' in vhost '/'"
        )
        await client.publish("e", "k", b"", {})
        assert (await refusal(client.declare_queue("q", {"x-message-ttl": 5}))).startswith(
            "406 PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/'"
        )
        assert await refusal(client.consume("nowhere", 1)) == "404 NOT_FOUND - no queue 'nowhere' in vhost '/'"
        assert (await anext(await client.consume("q", 1))).body == b""
        assert len(served.server.pumps) == 1

    play(main)


def test_a_refused_call_ends_the_consumption_of_its_channel() -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", 1)
        incoming = await anext(consumption)
        said = await refusal(client.bind_queue("nowhere", "e", "k"))
        assert said == "404 NOT_FOUND - no queue 'nowhere' in vhost '/'"
        assert await refusal(anext(consumption)) == said
        assert client.unsettled == {}
        assert await refusal(client.acknowledge(incoming)) == "the channel is closed"
        assert (await anext(await client.consume("q", 1))).redelivered

    play(main)


@pytest.mark.parametrize("lose", [lambda served: served.begin(), lambda served: served.cut()])
def test_a_client_whose_idle_connection_was_lost_connects_anew(lose: Callable[[Journalled], None]) -> None:
    async def main(served: Journalled) -> None:
        client = served.client()
        await with_queue(client)
        lose(served)
        await hung_up(client)
        await with_queue(client)
        await client.publish("e", "k", b"", {})
        assert served.core.queues["q"].ready_count == 1

    play(main)


@pytest.mark.parametrize(
    ("lose", "said"),
    [
        (lambda served: served.begin(), "320 CONNECTION_FORCED - broker forced connection closure with reason 'reset'"),
        (
            lambda served: asyncio.ensure_future(served.server.stop(2)),
            "320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
        ),
        (lambda served: served.cut(), "the broker has hung up"),
    ],
)
def test_a_consumption_ends_with_an_error_when_the_connection_is_lost(
    lose: Callable[[Journalled], Any], said: str
) -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        for _ in range(2):
            await client.publish("e", "k", b"", {})
        consumption = await client.consume("q", 2)
        waiting = await anext(consumption)
        await served.until(lambda: sum(1 for event in served.journal.events if isinstance(event, Sent)) == 4)
        losing = lose(served)
        # What was delivered already is taken before.
        assert (await anext(consumption)).delivery_tag == waiting.delivery_tag + 1
        assert said in await refusal(anext(consumption))
        assert await refusal(client.acknowledge(waiting)) == "the channel is closed"
        if losing is not None:
            await losing

    play(main)


def test_the_messages_of_a_lost_consumer_come_to_the_next() -> None:
    async def main(served: Journalled) -> None:
        client = served.client()
        await with_queue(client)
        await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", 1)
        first = await anext(consumption)
        assert list(client.unsettled.values()) == ["q"]
        served.cut()
        await refusal(anext(consumption))
        again = await anext(await client.consume("q", 1))
        assert (first.redelivered, again.redelivered, again.body) == (False, True, b"{}")
        assert again.handled.trace_id == first.handled.trace_id
        assert again.handled.message_id != first.handled.message_id
        assert list(client.unsettled.values()) == ["q"]
        await client.acknowledge(again)
        assert client.unsettled == {}

    play(main)


@pytest.mark.parametrize("lose", [lambda served: served.begin(), lambda served: served.cut()])
def test_a_publish_that_the_broker_never_read_is_lost(act: Any, lose: Callable[[Journalled], None]) -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        await fill(client)
        publishing = asyncio.ensure_future(client.publish("e", "k", b"", {}))
        await served.until(lambda: act.seen(served).fates("phraseanet-3") == [Sent])
        lose(served)
        said = await refusal(publishing)
        assert act.seen(served).fates("phraseanet-3") == [Sent, Lost]
        assert served.journal.events[-1].reason == said
        await hung_up(client)
        await with_queue(client)

    play(main, held_bytes_max=1)


def test_a_publish_without_a_confirm_is_an_error_in_time(act: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(connecting, "ANSWER_SECONDS", 0.2)

    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        await fill(client)
        assert await refusal(client.publish("e", "k", b"", {})) == "the broker did not answer within 0.2 s"
        assert act.seen(served).fates("phraseanet-3") == [Sent, Lost]
        served.cut()

    play(main, held_bytes_max=1)


def test_a_broker_that_never_answers_is_an_error_in_time(monkeypatch: Any) -> None:
    monkeypatch.setattr(connecting, "ANSWER_SECONDS", 0.05)

    async def main() -> None:
        net = network()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            connect = connector(BrokerUrl("127.0.0.1", silent.getsockname()[1]), no_tls)
            record = BrokerRecord(net.edges["broker"], contract("documented").messages)
            client = AmqpClient(connect, net.edges["phraseanet"], record, is_played=True)
            for call in (client.declare_queue("q", {}), client.publish("e", "k", b"", {}), reached(connect)):
                assert await refusal(call) == "the broker did not answer within 0.05 s"
            await client.close()
        assert net.journal.events == []

    run(main)


def test_a_broker_that_answers_no_method_is_an_error_in_time(monkeypatch: Any) -> None:
    async def main(served: Journalled) -> None:
        client = served.client()
        await with_queue(client)
        monkeypatch.setattr(connecting, "ANSWER_SECONDS", 0.05)
        for pump in served.server.pumps:
            pump.pause_writing()
        assert await refusal(client.declare_queue("q", {})) == "the broker did not answer within 0.05 s"
        served.cut()

    play(main)


def test_a_broker_that_is_not_there_is_an_error_each_time_and_no_message() -> None:
    async def main() -> None:
        net = network()
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        connect = connector(BrokerUrl("127.0.0.1", port, password="secret"), no_tls)
        client = AmqpClient(
            connect,
            net.edges["phraseanet"],
            BrokerRecord(net.edges["broker"], contract("documented").messages),
            is_played=True,
        )
        for call in (client.declare_queue("q", {}), client.publish("e", "k", b"", {}), client.consume("q", 1)):
            said = await refusal(call)
            assert "refused" in said
            assert "secret" not in said
        await client.close()
        assert net.journal.events == []

    run(main)


def test_a_consumer_whose_queue_is_deleted_ends_after_what_it_was_given() -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", 1)
        incoming = await anext(consumption)
        served.core.open_connection().open_channel().queue_delete("q")
        served.server.outlets["/"].pump()
        assert await refusal(anext(consumption)) == "the broker cancelled the consumer: its queue is gone"
        await client.acknowledge(incoming)
        await with_queue(client)
        await client.publish("e", "k", b"2", {})
        assert (await anext(await client.consume("q", 1))).body == b"2"

    play(main)


def test_who_has_cancelled_consumes_nothing_now_or_later() -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        await client.cancel()
        await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", 1)
        assert [incoming async for incoming in consumption] == []
        assert served.core.queues["q"].ready_count == 1

    play(main)


def test_cancelling_ends_an_iteration_that_waits_and_what_was_taken_can_be_settled() -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", 1)
        incoming = await anext(consumption)
        waiting = asyncio.ensure_future(anext(consumption, None))
        await asyncio.gather(client.cancel(), client.cancel())
        assert await waiting is None
        await client.acknowledge(incoming)
        await client.declare_queue("q", {})
        assert not served.broker.busy

    play(main)


def test_cancelling_while_it_begins_to_consume_ends_the_consumption() -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        beginning = asyncio.ensure_future(client.consume("q", 1))
        await asyncio.sleep(0)  # It has asked for the limit and waits for the answer.
        await client.cancel()
        assert [incoming async for incoming in await beginning] == []
        assert served.core.queues["q"].consumers == {}

    play(main)


def test_cancelling_on_a_connection_that_is_lost_is_no_error() -> None:
    async def main(served: Journalled) -> None:
        client = served.client()
        await with_queue(client)
        await client.consume("q", 1)
        served.cut()
        await hung_up(client)
        await client.cancel()

    play(main)


def test_cancelling_ends_in_time_where_the_broker_answers_nothing(monkeypatch: Any) -> None:
    monkeypatch.setattr(connecting, "CLOSE_SECONDS", 0.05)

    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        consumption = await client.consume("q", 1)
        for pump in served.server.pumps:
            pump.pause_writing()
        async with asyncio.timeout(5):
            await client.cancel()
            assert [incoming async for incoming in consumption] == []
        served.cut()

    play(main)


def test_who_leaves_while_it_connects_leaves_no_connection_behind() -> None:
    async def main(served: Journalled) -> None:
        connected, gone = asyncio.Event(), asyncio.Event()
        connect = connector(BrokerUrl("127.0.0.1", served.port), no_tls)

        async def slow(name: str) -> Any:
            connection = await connect(name)
            connected.set()
            await gone.wait()
            return connection

        record = BrokerRecord(served.network.edges["broker"], contract("documented").messages)
        client = AmqpClient(slow, served.network.edges["phraseanet"], record, is_played=True)
        calling = asyncio.ensure_future(client.declare_queue("q", {}))
        await connected.wait()
        await client.close()
        gone.set()
        assert await refusal(calling) == "the client has left the broker"
        assert served.core.connections == {}
        assert served.core.queues == {}

    play(main)


def test_who_leaves_gives_back_what_it_did_not_acknowledge_and_loses_what_it_did_not_take(act: Any) -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        for _ in range(3):
            await client.publish("e", "k", b"{}", {})
        consumption = await client.consume("q", 2)
        taken = await anext(consumption)
        async with asyncio.timeout(5):
            while len(client.unsettled) < 2:
                await asyncio.sleep(0)
        await client.close()
        assert [incoming async for incoming in consumption] == []
        first, second = [one.id for one in act.seen(served).messages if one.sender == "broker"]
        assert taken.handled.message_id == first
        assert [act.seen(served).fates(one) for one in (first, second)] == [[Sent, Received], [Sent, Lost]]
        assert client.unsettled == {}
        other = await served.client("user").consume("q", 3)
        assert [(await anext(other)).redelivered for _ in range(3)] == [True, True, False]

    play(main)


def test_after_it_has_left_every_call_is_an_error_but_to_leave_again() -> None:
    async def main(served: Journalled) -> None:
        never, client = served.client(), await with_queue(served.client())
        await client.publish("e", "k", b"", {})
        incoming = await anext(await client.consume("q", 1))
        for one in (never, client):
            await one.close()
            await one.close()
            await one.cancel()
            for call in (
                one.declare_exchange("e", "direct"),
                one.declare_queue("q", {}),
                one.bind_queue("q", "e", "k"),
                one.publish("e", "k", b"", {}),
                one.consume("q", 1),
                one.acknowledge(incoming),
                one.reject(incoming),
            ):
                assert await refusal(call)
        assert served.core.queues["q"].ready_count == 1

    play(main)


def test_what_was_not_consumed_cannot_be_settled() -> None:
    async def main(served: Journalled) -> None:
        incoming = Incoming(1, "e", "k", False, {}, None, b"", None)  # type: ignore[arg-type]
        for call in (served.client().acknowledge(incoming), served.client().reject(incoming)):
            assert await refusal(call) == "nothing is consumed: there is nothing to settle"

    play(main)


def test_calls_at_once_share_one_connection_and_two_channels() -> None:
    async def main(served: Journalled) -> None:
        client = served.client()
        await client.declare_queue("q", {})
        await asyncio.gather(*(client.publish("", "q", b"", {}) for _ in range(20)), client.consume("q", 5))
        assert len(served.server.pumps) == 1
        (connection,) = served.core.connections
        assert len(connection.channels) == 2

    play(main)


def test_the_broker_tells_how_full_its_queues_are_and_whether_somebody_works() -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        for _ in range(2):
            await client.publish("e", "k", b"", {})
        assert not served.broker.busy
        incoming = await anext(await client.consume("q", 1))
        assert served.broker.busy
        depth = (await served.broker.queues())["q"]
        assert (depth.ready, depth.unacknowledged) == (1, 1)
        await client.reject(incoming)
        served.broker.close()

    play(main)


def test_a_broker_that_is_reached_says_what_it_is() -> None:
    async def main(served: Journalled) -> str:
        return await reached(connector(BrokerUrl("127.0.0.1", served.port), no_tls))

    assert play(main) == "RabbitMQ 3.13.7"


def test_the_journal_of_a_refused_publish_names_the_refusal(act: Any) -> None:
    async def main(served: Journalled) -> None:
        client = served.client()
        said = await refusal(client.publish("nowhere", "k", b"", {}))
        assert act.seen(served).fates("phraseanet-1") == [Sent, Lost]
        assert served.journal.events[-1].reason == said
        assert not [event for event in served.journal.events if isinstance(event, Noted)]

    play(main)


def test_a_publish_that_the_broker_took_without_its_confirm_arriving_is_not_lost(act: Any) -> None:
    async def main(served: Journalled) -> None:
        client = await with_queue(served.client())
        served.journal.listen(lambda event: served.cut() if isinstance(event, Received) else None)
        await refusal(client.publish("e", "k", b"", {}))
        assert served.core.queues["q"].ready_count == 1
        assert act.seen(served).fates("phraseanet-1") == [Sent, Received]

    play(main)
