"""pika's blocking client, which knows nothing of us, on a socket."""

from collections.abc import Callable, Iterator
from typing import Any

import pika
import pytest
from pika.exceptions import (
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

pytestmark = pytest.mark.unmeasured


@pytest.fixture
def connect(served: Any) -> Iterator[Callable[..., pika.BlockingConnection]]:
    connections: list[pika.BlockingConnection] = []

    def connect_to(**parameters: Any) -> pika.BlockingConnection:
        connections.append(pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", served.port, **parameters)))
        return connections[-1]

    yield connect_to
    for connection in connections:
        if connection.is_open:
            connection.close()


@pytest.fixture
def channel(connect: Any) -> Any:
    return connect().channel()


def test_messages_with_confirms_come_back_by_consume_and_get(channel: Any) -> None:
    channel.confirm_delivery()
    channel.exchange_declare("e", "topic", durable=True)
    channel.queue_declare("q", durable=True)
    channel.queue_bind("q", "e", "a.*")
    properties = pika.BasicProperties(
        headers={"n": 7, "s": "x", "l": [1, {"a": None}]}, delivery_mode=2, message_id="m"
    )
    for n in range(5):
        channel.basic_publish("e", "a.b", str(n).encode(), properties, mandatory=True)
    method, header, body = channel.basic_get("q")
    assert (method.message_count, header.headers, header.message_id, body) == (4, properties.headers, "m", b"0")
    channel.basic_nack(method.delivery_tag)
    seen = []
    for method, _, body in channel.consume("q"):
        seen.append((body, method.redelivered))
        channel.basic_ack(method.delivery_tag)
        if len(seen) == 5:
            break
    assert seen == [(b"0", True), (b"1", False), (b"2", False), (b"3", False), (b"4", False)]
    channel.cancel()
    assert channel.queue_delete("q").method.message_count == 0


def test_a_mandatory_message_without_a_queue_comes_back(channel: Any) -> None:
    channel.confirm_delivery()
    with pytest.raises(UnroutableError) as caught:
        channel.basic_publish("", "nowhere", b"lost", mandatory=True)
    ((method, _, body),) = [(m.method, m.properties, m.body) for m in caught.value.messages]
    assert (method.reply_code, method.reply_text, body) == (312, "NO_ROUTE", b"lost")


def test_a_full_queue_nacks(channel: Any) -> None:
    channel.confirm_delivery()
    channel.queue_declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.basic_publish("", "q", b"1")
    with pytest.raises(NackError):
        channel.basic_publish("", "q", b"2")


def test_prefetch_bounds_what_is_unacknowledged(channel: Any) -> None:
    channel.queue_declare("q")
    for n in range(6):
        channel.basic_publish("", "q", str(n).encode())
    channel.basic_qos(prefetch_count=2)
    seen: list[int] = []
    channel.basic_consume("q", lambda _, method, __, ___: seen.append(method.delivery_tag))
    channel.connection.process_data_events(0.1)
    assert seen == [1, 2]
    channel.basic_ack(2, multiple=True)
    channel.connection.process_data_events(0.1)
    assert seen == [1, 2, 3, 4]


def test_a_dead_letter_has_x_death_as_rabbitmq_writes_it(channel: Any) -> None:
    channel.queue_declare("dead")
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    channel.basic_publish("", "q", b"late", pika.BasicProperties(expiration="20"))
    _, header, body = next(channel.consume("dead", auto_ack=True))
    (death,) = header.headers["x-death"]
    assert body == b"late"
    assert death.pop("time").year >= 2025
    assert death == {
        "count": 1,
        "reason": "expired",
        "queue": "q",
        "exchange": "",
        "routing-keys": ["q"],
        "original-expiration": "20",
    }
    assert header.headers["x-first-death-reason"] == "expired"
    assert header.expiration is None


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        (lambda channel: channel.queue_declare("x", passive=True), 404, "NOT_FOUND - no queue 'x' in vhost '/'"),
        (lambda channel: channel.queue_declare("mine"), 405, "RESOURCE_LOCKED - cannot obtain exclusive access"),
        (lambda channel: channel.queue_declare("q", durable=True), 406, "PRECONDITION_FAILED - inequivalent arg"),
        (lambda channel: channel.exchange_delete("amq.topic"), 403, "ACCESS_REFUSED - deletion of system exchange"),
    ],
)
def test_a_refusal_closes_the_channel_with_its_code(
    channel: Any, connect: Any, call: Callable[[Any], object], code: int, text: str
) -> None:
    channel.queue_declare("q")
    connect().channel().queue_declare("mine", exclusive=True)
    with pytest.raises(ChannelClosedByBroker) as caught:
        call(channel)
    assert caught.value.reply_code == code
    assert caught.value.reply_text.startswith(text)
    assert channel.connection.channel().queue_declare("q").method.queue == "q"


def test_a_consumer_tag_used_twice_closes_the_connection(channel: Any) -> None:
    channel.queue_declare("q")
    channel.connection.channel()
    channel.basic_consume("q", print, consumer_tag="c")
    channel._impl.basic_consume("q", print, consumer_tag="d")
    channel._impl.connection._send_method(channel.channel_number, pika.spec.Basic.Consume(queue="q", consumer_tag="c"))
    with pytest.raises(ConnectionClosedByBroker) as caught:
        channel.queue_declare("q")
    assert caught.value.reply_code == 530


def test_wrong_credentials_and_an_unknown_virtual_host_are_refused(connect: Any) -> None:
    with pytest.raises(ProbableAuthenticationError) as login:
        connect(credentials=pika.PlainCredentials("guest", "wrong"))
    assert "403" in str(login.value)
    with pytest.raises(ProbableAccessDeniedError) as vhost:
        connect(virtual_host="nowhere")
    assert "vhost nowhere not found" in str(vhost.value)


def test_virtual_hosts_share_nothing(connect: Any) -> None:
    connect().channel().queue_declare("q")
    with pytest.raises(ChannelClosedByBroker):
        connect(virtual_host="second").channel().queue_declare("q", passive=True)


def test_a_large_body_survives(channel: Any) -> None:
    channel.confirm_delivery()
    body = bytes(range(256)) * 4096
    channel.queue_declare("q")
    channel.basic_publish("", "q", body)
    assert channel.basic_get("q", auto_ack=True)[2] == body


def test_many_channels_share_a_connection(connect: Any) -> None:
    connection = connect()
    channels = [connection.channel() for _ in range(200)]
    channels[0].queue_declare("q")
    for n, channel in enumerate(channels):
        channel.basic_publish("", "q", str(n).encode())
    for channel in reversed(channels):
        channel.queue_declare("q", passive=True)
    bodies = {int(channel.basic_get("q", auto_ack=True)[2]) for channel in channels}
    assert bodies == set(range(200))
    for channel in channels:
        channel.close()
    assert connection.channel(1).queue_declare("q", passive=True).method.message_count == 0


def test_heartbeats_keep_an_idle_client(connect: Any) -> None:
    connection = connect(heartbeat=1)
    for _ in range(5):
        connection.process_data_events(0.5)
    assert connection.channel().queue_declare("").method.queue.startswith("amq.gen-")


def test_a_deleted_queue_cancels_its_consumer(channel: Any, connect: Any) -> None:
    channel.queue_declare("q")
    cancelled = []
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    channel.basic_consume("q", print, consumer_tag="c")
    connect().channel().queue_delete("q")
    channel.connection.process_data_events(1)
    assert cancelled == ["c"]
