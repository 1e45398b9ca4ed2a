"""The broker of a landscape, as strangers know it who have its URL alone, and one that is not phrasim's."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import aiormq
import msgspec
import pika
import pytest
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity, ProbableAuthenticationError
from pamqp.commands import Basic

from phrasim.broker.amqp.server import AmqpServer
from phrasim.broker.amqp.url import BrokerUrl, broker_url
from phrasim.broker.client import BrokerError
from phrasim.documents import contract
from phrasim.phraseanet.documented import worker
from phrasim.serve.broker import OWN_USER, Login
from phrasim.serve.external import External
from phrasim.serve.landscape import Plan
from phrasim.testbed import SERVICES, Setting

MAIN = contract("documented").messages.channels["assetsIngest"]
QUEUES = [channel.queue for channel in contract("documented").messages.channels.values()]
CLOSED_BY_FORCE = 320


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractConnection]:
    connection = await aiormq.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def channel_of(url: str) -> AsyncIterator[AbstractChannel]:
    async with connected(url) as connection:
        yield await connection.channel()


async def ended_with(connection: AbstractConnection) -> int:
    """The reply code with which the broker ended a connection."""
    with pytest.raises(aiormq.exceptions.ConnectionClosed) as raised:
        await asyncio.wait_for(connection.closing, 10)
    return raised.value.args[0]


async def queue_length(channel: AbstractChannel, queue: str) -> int | None:
    return (await channel.queue_declare(queue, passive=True)).message_count


async def acknowledged_anew(suite: Any) -> None:
    """A commit more is handed over to the end."""
    done = sum(commit["acknowledged"] for commit in (await suite.state())["commits"])
    await suite.commit(b"content")
    await suite.acknowledged(done + 1)


def noted(served: Any, text: str) -> list[Any]:
    return [event for event in served.landscape.network.journal.events if getattr(event, "note", None) == text]


def of_broker(events: list[dict[str, Any]]) -> list[tuple[str, str, str, str | None]]:
    """Publishes and deliveries of a journal: kind, sender, receiver, operation."""
    sent = [event["message"] for event in events if isinstance(event.get("message"), dict)]
    return [
        (one["kind"], one["sender"], one["receiver"], one.get("operationId"))
        for one in sent
        if one["kind"] in ("publish", "delivery")
    ]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RECONNECT_SECONDS", 0.01)


# Strangers at the simulated broker.


def test_its_url_is_told_and_a_client_that_blocks_can_use_it(served: Any) -> None:
    def ask(url: str) -> tuple[int, bytes]:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.queue_declare("mine")
            channel.confirm_delivery()
            channel.basic_publish("", "mine", b"hello", mandatory=True)
            method, _, body = channel.basic_get("mine", auto_ack=True)
            assert method is not None
            return channel.queue_declare("assetsIngest", passive=True).method.consumer_count, body

    async def main(one: Any) -> None:
        url = one.suite.described["broker"]["url"]
        assert url.startswith("amqp://guest:guest@127.0.0.1:")
        assert (await one.suite.state())["participants"]["broker"] == {"role": "played", "url": url}
        assert await asyncio.to_thread(ask, url) == (1, b"hello")

    served(main)


def test_a_stranger_uses_it_while_phraseanet_works(served: Any) -> None:
    async def main(one: Any) -> None:
        async with channel_of(one.suite.described["broker"]["url"]) as channel:
            arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
            await channel.exchange_declare("news", exchange_type="topic")
            await channel.queue_declare("mine")
            await channel.queue_bind("mine", "news", "all.#")
            await channel.basic_consume("mine", arrived.put, no_ack=True)
            for number in range(3):
                await channel.basic_publish(b"%d" % number, exchange="news", routing_key=f"all.{number}")
                await acknowledged_anew(one.suite)
            assert [(await arrived.get()).body for _ in range(3)] == [b"0", b"1", b"2"]
            assert [queue["name"] for queue in (await one.suite.state())["queues"]] == [*QUEUES, "mine"]
        told = of_broker(await one.suite.events())
        assert told.count(("publish", "user", "broker", None)) == 3
        assert told.count(("delivery", "broker", "user", None)) == 3
        assert told.count(("publish", "phraseanet", "broker", "produceMessage")) == 3
        assert told.count(("delivery", "broker", "phraseanet", "consumeMessage")) == 3

    served(main)


async def declare_topology(channel: AbstractChannel) -> None:
    for one in contract("documented").messages.channels.values():
        await channel.exchange_declare(one.exchange, exchange_type=one.exchange_type, durable=True)
        await channel.queue_declare(one.queue, durable=True, arguments=dict(one.queue_arguments))
        await channel.queue_bind(one.queue, one.exchange, one.routing_key)


@pytest.mark.parametrize("external", [{}, {"phraseanet": "http://127.0.0.1:9"}], ids=["absent", "external"])
def test_a_stranger_is_phraseanet_where_that_is_not_played(external: Any, served: Any) -> None:
    async def main(one: Any) -> None:
        suite = one.suite
        content = b"content of the file"
        commit = await suite.commit(content)
        (known,) = (await suite.state())["commits"]
        async with channel_of(suite.described["broker"]["url"]) as channel:
            arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
            await declare_topology(channel)
            await channel.basic_qos(prefetch_count=1)
            await channel.basic_consume(MAIN.queue, arrived.put)
            head = {"publisher": known["userId"], "id": known["userId"], "commit_id": commit, "token": known["token"]}
            message = msgspec.json.encode([head, *({"id": asset, "hash": "x"} for asset in known["assets"])])
            properties = Basic.Properties(content_type="application/json", delivery_mode=2)
            await channel.basic_publish(
                message, exchange=MAIN.exchange, routing_key=MAIN.routing_key, properties=properties
            )
            delivered = await arrived.get()
            assert delivered.body == message
            assert delivered.header.properties.headers in (None, {})
            bearer = {"authorization": f"AssetToken {known['token']}"}
            for asset in known["assets"]:
                answer = await suite.http.get(suite.url("upload", f"/assets/{asset}/download"), headers=bearer)
                assert answer.content == content
            url = suite.url("upload", f"/commits/{commit}/ack")
            answer = await suite.http.post(url, headers=bearer, json={"acknowledged": True})
            assert answer.status_code == 200
            assert delivered.delivery_tag is not None
            await channel.basic_ack(delivered.delivery_tag)
        await suite.acknowledged()
        assert of_broker(await suite.events()) == [
            ("publish", "phraseanet", "broker", "produceMessage"),
            ("delivery", "broker", "phraseanet", "consumeMessage"),
        ]
        requests = [one for one in messages_of(await suite.events()) if one["kind"] == "request"]
        assert {one["sender"] for one in requests if one["operationId"] == "downloadAsset"} == {"phraseanet"}

    plan = Plan(Setting(mode="off"), played=("upload", "auth", "broker"), external=External(external))
    served(main, plan)


def messages_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["message"] for event in events if isinstance(event.get("message"), dict)]


def test_reset_ends_every_connection_and_empties_it_and_phraseanet_works_on(served: Any) -> None:
    async def main(one: Any) -> None:
        url = one.suite.described["broker"]["url"]
        first, second = await aiormq.connect(url), await aiormq.connect(url)
        channel = await first.channel()
        await channel.queue_declare("mine")
        await channel.basic_publish(b"x", routing_key="mine")
        await channel.basic_publish(b"x", routing_key="assetsIngest_failed")
        assert (await one.suite.control.post("/reset")).status_code == 204
        assert [await ended_with(first), await ended_with(second)] == [CLOSED_BY_FORCE] * 2
        assert one.landscape.broker_url == url
        async with connected(url) as third:
            assert [await queue_length(await third.channel(), queue) for queue in QUEUES] == [0, 0, 0]
            with pytest.raises(ChannelNotFoundEntity):
                await queue_length(await third.channel(), "mine")
        await acknowledged_anew(one.suite)
        state = await one.suite.state()
        assert state["queues"] == [{"name": name, "ready": 0, "unacknowledged": 0} for name in QUEUES]

    served(main)


def test_reset_leaves_nothing_behind_of_the_messages_that_its_clients_had(served: Any, when: Any) -> None:
    async def main(one: Any) -> None:
        server: AmqpServer = one.landscape._broker._server
        journal = one.landscape.network.journal
        connections = [await aiormq.connect(one.suite.described["broker"]["url"]) for _ in range(3)]
        for connection in connections:
            channel = await connection.channel()
            await channel.queue_declare("mine", arguments={"x-message-ttl": 3_600_000})
            await channel.basic_consume("mine", asyncio.Queue[DeliveredMessage]().put)
        for _ in range(2):
            await channel.basic_publish(b"x", routing_key="mine")

        async def is_delivered() -> bool:
            return len(of_broker(await one.suite.events())) == 4

        await when(is_delivered)
        old = next(iter(server.outlets.values()))
        assert (await one.suite.control.post("/reset")).status_code == 204
        assert [await ended_with(connection) for connection in connections] == [CLOSED_BY_FORCE] * 3

        async def are_gone() -> bool:
            return len(server.pumps) == 1

        await when(are_gone)
        assert of_broker(await one.suite.events()) == []
        assert journal.events == []
        assert old not in server._timers

    served(main)


def test_two_landscapes_share_nothing_of_it(served: Any, caller: Any) -> None:
    async def main(one: Any) -> None:
        made = (await one.suite.control.post("/landscapes", json={})).json()
        urls = [one.suite.described["broker"]["url"], made["broker"]["url"]]
        assert urls[0] != urls[1]
        async with channel_of(urls[0]) as first, connected(urls[1]) as second:
            await first.queue_declare("mine")
            await first.basic_publish(b"x", routing_key="mine")
            with pytest.raises(ChannelNotFoundEntity):
                await queue_length(await second.channel(), "mine")
            async with caller(made) as suite:
                await acknowledged_anew(suite)
                assert [queue["name"] for queue in (await suite.state())["queues"]] == QUEUES
                assert (await suite.control.post("/reset")).status_code == 204
            assert await ended_with(second) == CLOSED_BY_FORCE
            assert await queue_length(first, "mine") == 1
        assert len(of_broker(await one.suite.events())) == 1

    served(main)


def test_a_landscape_that_ends_tells_the_clients_of_its_broker_and_frees_the_port(served: Any) -> None:
    async def main(one: Any) -> None:
        made = (await one.suite.control.post("/landscapes", json={})).json()
        client = await aiormq.connect(made["broker"]["url"])
        assert (await one.suite.control.delete(f"/landscapes/{made['id']}")).status_code == 204
        assert await ended_with(client) == CLOSED_BY_FORCE
        with socket.create_server(("127.0.0.1", broker_url(made["broker"]["url"]).port)):
            """The port is anybody's again."""

    served(main)


@pytest.mark.parametrize(("version", "count"), [("3", 42), ("4", 1)])
def test_only_version_4_ignores_the_deaths_that_a_publisher_tells_of(version: Any, count: int, served: Any) -> None:
    async def main(one: Any) -> None:
        async with connected(one.suite.described["broker"]["url"]) as connection:
            assert str(connection.server_properties["version"]).startswith(f"{version}.")
            channel = await connection.channel()
            await channel.queue_declare("letters")
            arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}
            await channel.queue_declare("mine", arguments=arguments)
            death = {"queue": "mine", "reason": "rejected", "count": 41, "exchange": "", "routing-keys": ["mine"]}
            properties = Basic.Properties(headers={"x-death": [death]})
            await channel.basic_publish(b"x", routing_key="mine", properties=properties)
            got = await channel.basic_get("mine")
            assert got.delivery_tag is not None
            await channel.basic_reject(got.delivery_tag, requeue=False)
            letter = await channel.basic_get("letters", no_ack=True)
            headers: Any = letter.header.properties.headers
            assert [death["count"] for death in headers["x-death"]] == [count]

    served(main, Plan(Setting(broker_version=version)))


# Who may use it.


def refused_logins(right: BrokerUrl) -> list[BrokerUrl]:
    at = (right.host, right.port)
    own = [BrokerUrl(*at, OWN_USER, guess, right.vhost) for guess in (OWN_USER, "guest", right.password, "0" * 32)]
    return [BrokerUrl(*at, right.user, "wrong", right.vhost), BrokerUrl(*at, "nobody", "guest", right.vhost), *own]


@pytest.mark.parametrize("login", [Login("guest", "guest"), Login("me", "p@ss/word", "our/own")], ids=["guest", "own"])
def test_only_its_login_opens_it_and_only_in_its_virtual_host(login: Login, served: Any) -> None:
    async def main(one: Any) -> None:
        right = broker_url(one.suite.described["broker"]["url"])
        assert (right.user, right.password, right.vhost) == (login.user, login.password, login.vhost)
        for wrong in refused_logins(right):
            with pytest.raises(ProbableAuthenticationError, match="ACCESS_REFUSED"):
                await aiormq.connect(wrong.full)
        elsewhere = BrokerUrl(right.host, right.port, right.user, right.password, "elsewhere")
        with pytest.raises(AMQPError):
            await aiormq.connect(elsewhere.full)
        await acknowledged_anew(one.suite)
        async with channel_of(right.full) as channel:
            assert await queue_length(channel, "assetsIngest") == 0

    served(main, Plan(login=login))


# A connection that is lost.


def test_the_worker_comes_back_when_its_connection_is_cut(served: Any, when: Any) -> None:
    async def main(one: Any) -> None:
        await acknowledged_anew(one.suite)
        server: AmqpServer = one.landscape._broker._server
        assert len(server.pumps) == 1
        for pump in list(server.pumps):
            pump.abort()
        await acknowledged_anew(one.suite)

        async def has_noted() -> list[Any]:
            return noted(one, "consuming failed")

        (note,) = await when(has_noted)
        assert note.by == "phraseanet"
        state = await one.suite.state()
        assert [commit["acknowledged"] for commit in state["commits"]] == [True, True]
        assert len(state["records"]) == 2

    served(main)


def test_a_commit_whose_connection_is_cut_at_work_is_delivered_again_and_recorded_once(served: Any, when: Any) -> None:
    async def main(one: Any) -> None:
        fault = {"operationId": "downloadAsset", "delay": "100 ms", "occurrences": [1]}
        assert (await one.suite.control.post("/faults", json=fault)).status_code == 201
        await one.suite.commit(b"content")

        async def at_work() -> Any:
            return (await one.suite.control.get("/faults")).json()[0]["struck"]

        await when(at_work)
        for pump in list(one.landscape._broker._server.pumps):
            pump.abort()

        async def is_done() -> bool:
            deliveries = [event for event in messages_of(await one.suite.events()) if event["kind"] == "delivery"]
            waiting = {(queue["ready"], queue["unacknowledged"]) for queue in (await one.suite.state())["queues"]}
            return [each["redelivered"] for each in deliveries] == [False, True] and waiting == {(0, 0)}

        await when(is_done)
        state = await one.suite.acknowledged()
        assert len(state["records"]) == 1
        assert len(noted(one, "consuming failed")) == 1

    served(main)


# One that is not phrasim's.


@pytest.fixture
def real(node: tuple[str, int]) -> Iterator[BrokerUrl]:
    """A real RabbitMQ, which is left without the queues and exchanges of Phraseanet."""
    yield BrokerUrl(*node)

    async def leave() -> None:
        async with channel_of(BrokerUrl(*node).full) as channel:
            for one in contract("documented").messages.channels.values():
                await channel.queue_delete(one.queue)
                await channel.exchange_delete(one.exchange)

    asyncio.run(leave())


def test_a_real_broker_is_told_of_without_its_password_and_reset_leaves_its_queues(
    real: BrokerUrl, served: Any
) -> None:
    async def main(one: Any) -> None:
        assert one.suite.described["broker"] == {"url": f"amqp://127.0.0.1:{real.port}"}
        await acknowledged_anew(one.suite)
        async with channel_of(real.full) as channel:
            await channel.basic_publish(b"kept", routing_key="assetsIngest_failed")
            before = await one.suite.state()
            assert (await one.suite.control.post("/reset")).status_code == 204
            after = await one.suite.state()
            for state in (before, after):
                assert state["participants"]["broker"] == {"role": "external", "url": real.shown}
                assert [(one["name"], one["ready"]) for one in state["queues"]] == [
                    *zip(QUEUES, (0, 0, 1), strict=True)
                ]
            assert [len(state["commits"]) for state in (before, after)] == [1, 0]
            got = await channel.basic_get("assetsIngest_failed", no_ack=True)
            assert got.body == b"kept"
        await acknowledged_anew(one.suite)

    served(main, Plan(played=SERVICES, external=External({}, broker=real)))


def test_a_landscape_begins_with_no_broker_that_cannot_be_reached(served: Any, closed_port: int) -> None:
    async def main(_: Any) -> None:
        raise AssertionError("it has begun")

    plan = Plan(played=SERVICES, external=External({}, broker=BrokerUrl("127.0.0.1", closed_port)))
    with pytest.raises(BrokerError) as raised:
        served(main, plan)
    assert str(raised.value).startswith("the broker cannot be reached: ")


def test_a_reset_without_the_broker_is_refused_and_the_next_with_it_begins_anew(served: Any, server: Any) -> None:
    stack = ExitStack()

    async def main(one: Any) -> None:
        suite = one.suite
        await asyncio.to_thread(stack.close)
        answer = await suite.control.post("/reset")
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("broker: the broker cannot be reached: ")
        await asyncio.to_thread(lambda: stack.enter_context(server("--only", "broker", "--amqp-port", str(at.port))))
        assert (await suite.control.post("/reset")).status_code == 204
        await acknowledged_anew(suite)

    with stack:
        described, _ = stack.enter_context(server("--only", "broker", "--amqp-port", "0"))
        at = broker_url(described["broker"]["url"])
        served(main, Plan(played=SERVICES, external=External({}, broker=at)))


def test_a_notification_is_refused_while_the_broker_is_away_and_taken_when_it_is_back(
    served: Any, server: Any, when: Any
) -> None:
    stack = ExitStack()

    def begin(port: int) -> str:
        described, _ = stack.enter_context(server("--only", "broker", "--amqp-port", str(port)))
        url: str = described["broker"]["url"]
        return url

    async def main(one: Any) -> None:
        suite = one.suite
        await acknowledged_anew(suite)
        (known,) = (await suite.state())["commits"]
        body = {
            "assets": known["assets"],
            "publisher": known["userId"],
            "token": known["token"],
            "commit_id": known["assets"][0],
        }

        async def status() -> int:
            answer = await suite.http.post(suite.url("phraseanet", "/api/v1/upload/enqueue"), json=body)
            refused = answer.status_code == 503
            assert answer.json()["detail"].startswith("the commit cannot be queued: ") if refused else answer.json()
            return int(answer.status_code)

        await asyncio.to_thread(stack.close)
        assert [await status() for _ in range(3)] == [503] * 3
        assert (await suite.state())["queues"] == []
        await asyncio.to_thread(begin, at.port)

        async def is_taken() -> bool:
            return await status() == 200

        await when(is_taken)
        await acknowledged_anew(suite)
        assert len(noted(one, "consuming failed")) == 1

    with stack:
        at = broker_url(begin(0))
        served(main, Plan(played=SERVICES, external=External({}, broker=at)))
