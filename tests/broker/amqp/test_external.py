"""A real RabbitMQ in the place of the simulated broker: a node of our own, left after each test as it was found."""

import asyncio
import copy
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiormq.exceptions import ChannelNotFoundEntity

sys.path.insert(0, str(Path(__file__).parents[2]))

from broker.amqp.journalled import network, no_tls, run
from differential.rabbitmq import absence, running_node
from phrasim.broker.amqp.connecting import Connector, connector
from phrasim.broker.amqp.external import BrokerInUse, ExternalBroker, borrowed, reached
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerError, Depth
from phrasim.broker.record import BrokerRecord
from phrasim.documents import Messages, contract
from phrasim.journal.events import Lost, Received, Sent
from phrasim.phraseanet.documented.queue import IngestQueue
from phrasim.phraseanet.documented.wire import Handover
from phrasim.testbed.network import Network

QUEUES = [channel.queue for channel in contract("documented").messages.channels.values()]
EXCHANGES = list(dict.fromkeys(channel.exchange for channel in contract("documented").messages.channels.values()))
MAIN = contract("documented").messages.channels["assetsIngest"]
HANDOVER = Handover(publisher="publisher", assets=("a",), commit_id="c", token="t", base_url="https://upload.test")


@pytest.fixture(scope="session")
def node() -> Iterator[BrokerUrl]:
    """Without RabbitMQ the tests are skipped, but in CI they fail."""
    reason = absence()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with running_node() as (host, port):
        yield BrokerUrl(host, port)


@pytest.fixture
def connect(node: BrokerUrl) -> Connector:
    return connector(node, no_tls)


@asynccontextmanager
async def operating(connect: Connector) -> AsyncIterator[Any]:
    """A channel of somebody else's; behind the block nothing is left of what the tests have made."""
    connection = await connect("the tests")
    channel = await connection.channel()
    try:
        yield channel
    finally:
        for queue in QUEUES:
            await channel.queue_delete(queue)
        for exchange in EXCHANGES:
            await channel.exchange_delete(exchange)
        await connection.close()


@asynccontextmanager
async def external(
    connect: Connector, known: Messages | None = None
) -> AsyncIterator[tuple[ExternalBroker, IngestQueue, Network]]:
    """The real broker in a run, and Phraseanet's queue in it."""
    net = network(["broker"])
    record = BrokerRecord(net.edges["broker"], known or contract("documented").messages)
    broker = ExternalBroker(connect, record, known or contract("documented").messages)
    queue = IngestQueue(broker.connect(net.edges["phraseanet"]), known or contract("documented").messages)
    try:
        yield broker, queue, net
    finally:
        await queue.leave()
        broker.close()


async def there_are(connect: Connector) -> list[str]:
    """The names of the queues and exchanges of messages.yaml that exist."""
    connection = await connect("the tests")
    found = []
    for kind, name in [("queue", queue) for queue in QUEUES] + [("exchange", exchange) for exchange in EXCHANGES]:
        channel = await connection.channel()
        try:
            await getattr(channel, f"{kind}_declare")(name, passive=True)
        except ChannelNotFoundEntity:
            continue
        found.append(name)
    await connection.close()
    return found


async def count_in(channel: Any, queue: str) -> int:
    return (await channel.queue_declare(queue, passive=True)).message_count


async def refusal(call: Awaitable[Any]) -> str:
    with pytest.raises(BrokerError) as caught:
        await call
    return str(caught.value)


def test_what_a_run_has_made_is_gone_behind_it(connect: Connector) -> None:
    async def main() -> None:
        async with borrowed(connect, contract("documented").messages):
            async with external(connect) as (_, queue, _net):
                await queue.declare()
                await queue.put(HANDOVER)
            assert await there_are(connect) == [*QUEUES, *EXCHANGES]
        assert await there_are(connect) == []

    run(main)


def test_what_was_there_before_is_kept_and_emptied(connect: Connector) -> None:
    async def main() -> None:
        async with operating(connect) as operator:
            await operator.exchange_declare(MAIN.exchange, exchange_type="direct", durable=True)
            await operator.queue_declare(MAIN.queue, durable=True, arguments=dict(MAIN.queue_arguments))
            async with borrowed(connect, contract("documented").messages), external(connect) as (_, queue, _net):
                await queue.declare()
                await queue.put(HANDOVER)
                assert await count_in(operator, MAIN.queue) == 1
            assert await there_are(connect) == [MAIN.queue, MAIN.exchange]
            assert await count_in(operator, MAIN.queue) == 0

    run(main)


def test_it_is_left_as_found_by_a_run_that_fails(connect: Connector) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with borrowed(connect, contract("documented").messages), external(connect) as (_, queue, _net):
                await queue.declare()
                raise ZeroDivisionError
        assert await there_are(connect) == []

    run(main)


@pytest.mark.parametrize(("count", "consumers"), [(2, 0), (0, 1)])
def test_queues_that_others_use_are_not_borrowed(connect: Connector, count: int, consumers: int) -> None:
    async def main() -> None:
        async with operating(connect) as operator:
            await operator.queue_declare(QUEUES[-1])
            for _ in range(count):
                await operator.basic_publish(b"", routing_key=QUEUES[-1])
            for _ in range(consumers):
                await operator.basic_consume(QUEUES[-1], lambda _: None)
            with pytest.raises(BrokerInUse) as caught:
                async with borrowed(connect, contract("documented").messages):
                    raise AssertionError("it is in use")
            assert f"the queue {QUEUES[-1]!r} is in use (messages: {count}, consumers: {consumers}); " in str(
                caught.value
            )
            assert await count_in(operator, QUEUES[-1]) == count

    run(main)


def test_a_queue_that_another_connection_has_for_itself_is_not_borrowed(connect: Connector) -> None:
    async def main() -> None:
        async with operating(connect) as operator:
            await operator.queue_declare(MAIN.queue, exclusive=True)
            with pytest.raises(BrokerError, match="405 RESOURCE_LOCKED - cannot obtain exclusive access"):
                async with borrowed(connect, contract("documented").messages):
                    raise AssertionError("it is another's")

    run(main)


def test_the_broker_tells_its_queues_and_whether_our_participants_work(connect: Connector) -> None:
    async def main() -> None:
        async with operating(connect) as operator, external(connect) as (broker, queue, _):
            assert broker.core is None
            assert await broker.queues() == {}
            await queue.declare()
            for _ in range(2):
                await queue.put(HANDOVER)
            assert not broker.busy
            # Somebody else's deliveries are none of ours.
            fetched = await operator.basic_get(MAIN.queue)
            assert not broker.busy
            await operator.basic_nack(fetched.delivery_tag)
            incoming = await anext(await queue.consume())
            assert broker.busy
            assert await broker.queues() == {
                name: Depth(*((1, 1) if name == MAIN.queue else (0, 0))) for name in QUEUES
            }
            await queue.done(incoming)
            assert not broker.busy

    run(main)


def test_a_delivery_stands_in_full_in_the_journal_and_names_its_publish(connect: Connector, act: Any) -> None:
    async def main() -> None:
        async with operating(connect), external(connect) as (_, queue, net):
            await queue.declare()
            await queue.put(HANDOVER)
            incoming = await anext(await queue.consume())
            publish, delivery = act.seen(net).messages
            assert [act.seen(net).fates(one.id) for one in (publish, delivery)] == [[Sent], [Received]]
            assert (delivery.sender, delivery.receiver, delivery.queue) == ("broker", "phraseanet", MAIN.queue)
            assert (delivery.publish, delivery.operation_id) == (publish.id, "consumeMessage")
            assert delivery.properties == publish.properties
            assert delivery.body == publish.body
            assert incoming.handled.message_id == delivery.id
            assert incoming.handled.trace_id == publish.properties["headers"]["traceparent"].split("-")[1]

    run(main)


def test_a_delivery_of_a_strangers_message_names_no_publish(connect: Connector, act: Any) -> None:
    async def main() -> None:
        async with operating(connect) as operator, external(connect) as (_, queue, net):
            await queue.declare()
            await operator.basic_publish(b"\xff", exchange=MAIN.exchange, routing_key=MAIN.routing_key)
            incoming = await anext(await queue.consume())
            (delivery,) = act.seen(net).messages
            assert (delivery.publish, delivery.body.base64, incoming.content_type) == (None, "/w==", None)

    run(main)


def test_rabbitmqs_count_of_rejections_is_the_number_of_executions(connect: Connector) -> None:
    hurried = copy.copy(contract("documented").messages)
    hurried.channels = {
        name: replace(channel, queue_arguments={**channel.queue_arguments, "x-message-ttl": 10})
        if name == "assetsIngest_retry"
        else channel
        for name, channel in contract("documented").messages.channels.items()
    }

    async def main() -> None:
        async with operating(connect), external(connect, hurried) as (_, queue, net):
            await queue.declare()
            await queue.put(HANDOVER)
            consumption = await queue.consume()
            for execution in (1, 2, 3):
                incoming = await anext(consumption)
                assert queue.executions(incoming) == execution
                await queue.try_again(incoming)
            assert {getattr(event.message, "publish", None) for event in net.journal.events[1:]} == {"phraseanet-1"}
            # Its times and numbers are such that a trace can hold them.
            msgspec.json.encode(net.journal.events)

    run(main)


def test_what_rabbitmq_does_not_take_is_an_error_in_the_words_of_the_simulated_one(
    connect: Connector, act: Any
) -> None:
    async def main() -> None:
        async with operating(connect) as operator, external(connect) as (broker, queue, net):
            await queue.declare()
            client = broker.connect(net.edges["phraseanet"])
            assert await refusal(client.publish(MAIN.exchange, "nobody", b"", {})) == (
                f"the broker did not take the message for {MAIN.exchange!r}, 'nobody': NO_ROUTE"
            )
            await operator.queue_declare(
                "full", exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
            )
            assert await refusal(client.publish("", "full", b"", {})) == (
                "the broker did not take the message for '', 'full': refused, as by a queue that is full"
            )
            assert await refusal(client.publish("nowhere", "k", b"", {})) == (
                "404 NOT_FOUND - no exchange 'nowhere' in vhost '/'"
            )
            assert act.seen(net).fates("phraseanet-3") == [Sent, Lost]
            said = await refusal(client.declare_queue(MAIN.queue, {}))
            assert said.startswith("406 PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange'")
            await client.close()

    run(main)


def test_a_broker_that_is_reached_says_what_it_is(connect: Connector) -> None:
    async def main() -> str:
        return await reached(connect)

    assert run(main).startswith("RabbitMQ 3.")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "a-secret"}, "403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."),
        ({"user": "nobody", "password": "a-secret"}, "403 ACCESS_REFUSED - Login was refused"),
        ({"vhost": "nowhere"}, "there is no virtual host 'nowhere' that the user may use"),
        ({"vhost": ".."}, "there is no virtual host '..' that the user may use"),
        ({"vhost": "%2F"}, "there is no virtual host '%2F' that the user may use"),
    ],
)
def test_a_login_that_is_refused_is_an_error_without_the_password(
    node: BrokerUrl, wrong: dict[str, str], said: str
) -> None:
    async def main() -> str:
        return await refusal(reached(connector(replace(node, **wrong), no_tls)))

    told = run(main)
    assert told.startswith(said)
    assert "a-secret" not in told


def test_a_broker_that_is_not_there_cannot_be_reached() -> None:
    async def main() -> str:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        connect = connector(BrokerUrl("127.0.0.1", port, password="a-secret"), no_tls)
        with pytest.raises(BrokerError):
            async with borrowed(connect, contract("documented").messages):
                raise AssertionError("there is nothing to borrow")
        return await refusal(reached(connect))

    told = run(main)
    assert told.startswith("the broker cannot be reached: ")
    assert "a-secret" not in told


def test_what_a_participant_did_not_acknowledge_is_back_when_it_leaves(connect: Connector) -> None:
    async def main() -> None:
        async with operating(connect) as operator:
            async with external(connect) as (_, queue, _net):
                await queue.declare()
                await queue.put(HANDOVER)
                await anext(await queue.consume())
            came: asyncio.Queue[Any] = asyncio.Queue()
            await operator.basic_consume(MAIN.queue, came.put, no_ack=True)
            async with asyncio.timeout(5):
                assert (await came.get()).redelivered

    run(main)
