"""kombu over py-amqp, which logs in by AMQPLAIN, on a socket."""

from collections.abc import Iterator
from typing import Any

import amqp
import pytest
from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from kombu import Connection, Consumer, Exchange, Producer, Queue


@pytest.fixture
def connection(served: Any) -> Iterator[Connection]:
    with Connection(f"amqp://guest:guest@127.0.0.1:{served.port}//", login_method="AMQPLAIN") as connection:
        yield connection


def test_messages_come_as_they_were_sent(connection: Connection) -> None:
    queue = Queue("q", Exchange("e", "direct"), "k")
    seen: list[Any] = []

    def take(body: Any, message: Any) -> None:
        seen.append((body, message.headers, message.delivery_info["redelivered"]))
        if len(seen) == 1:
            message.requeue()
        else:
            message.ack()

    channel = connection.channel()
    Producer(channel).publish({"asset": 1}, exchange=queue.exchange, routing_key="k", declare=[queue], headers={"n": 1})
    with Consumer(channel, [queue], callbacks=[take], prefetch_count=1):
        while len(seen) < 2:
            connection.drain_events(timeout=5)
    assert seen == [({"asset": 1}, {"n": 1}, False), ({"asset": 1}, {"n": 1}, True)]


def test_a_simple_queue_works_and_empties(connection: Connection) -> None:
    queue = connection.SimpleQueue("simple")
    for n in range(10):
        queue.put(n)
    for n in range(10):
        message = queue.get(timeout=5)
        assert message.payload == n
        message.ack()
    with pytest.raises(queue.Empty):
        queue.get(block=False)
    queue.close()


def test_heartbeats_are_checked_by_both_sides(served: Any) -> None:
    with Connection(f"amqp://guest:guest@127.0.0.1:{served.port}//", heartbeat=1) as connection:
        connection.connect()
        for _ in range(12):
            connection.heartbeat_check(2)
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.2)
        assert connection.connection.connected


def test_refusals_have_their_classes(served: Any) -> None:
    with amqp.Connection(f"127.0.0.1:{served.port}", confirm_publish=True) as connection:
        with pytest.raises(NotFound):
            connection.channel().queue_declare("nowhere", passive=True)
        channel = connection.channel()
        channel.queue_declare("q", auto_delete=False)
        channel.basic_publish(amqp.Message("x" * 300_000), routing_key="q")
        with pytest.raises(PreconditionFailed):
            channel.queue_declare("q", durable=True, auto_delete=False)
        channel = connection.channel()
        assert len(channel.basic_get("q").body) == 300_000
    with pytest.raises(AccessRefused):
        amqp.Connection(f"127.0.0.1:{served.port}", password="wrong").connect()
