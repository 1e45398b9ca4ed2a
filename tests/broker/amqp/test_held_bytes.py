"""What the wire needs of the core: how much it holds, and that it delivers no more than a connection has room for."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from phrasim.broker import Broker, Channel, Delivery
from phrasim.broker.queue import MESSAGE_BYTES

pytestmark = pytest.mark.unmeasured

ONE = 100 + MESSAGE_BYTES


def fetch(channel: Channel) -> int:
    fetched = channel.basic_get("q")
    assert fetched is not None
    return fetched.delivery_tag


@pytest.mark.parametrize(
    ("act", "left"),
    [
        (lambda channel: None, 3),
        (fetch, 3),
        (lambda channel: channel.basic_ack(fetch(channel)), 2),
        (lambda channel: channel.basic_nack(fetch(channel), requeue=True), 3),
        (lambda channel: channel.basic_nack(fetch(channel), requeue=False), 2),
        (lambda channel: channel.basic_get("q", no_ack=True), 2),
        (lambda channel: channel.basic_consume("q"), 3),
        (lambda channel: channel.basic_consume("q", no_ack=True), 0),
        (lambda channel: (channel.basic_consume("q"), channel.basic_ack(0, multiple=True)), 0),
        (lambda channel: (fetch(channel), channel.queue_purge("q")), 1),
        (lambda channel: (fetch(channel), channel.queue_delete("q")), 1),
        (lambda channel: (fetch(channel), channel.queue_delete("q"), channel.close()), 0),
        (lambda channel: (fetch(channel), channel.close()), 3),
        (lambda channel: (fetch(channel), channel.connection.close()), 3),
    ],
)
def test_what_is_held_is_what_nobody_has_settled(
    broker: Broker, channel: Channel, act: Callable[[Channel], Any], left: int
) -> None:
    channel.queue_declare("q")
    for _ in range(3):
        channel.basic_publish("", "q", bytes(100))
    act(channel)
    assert broker.held_bytes == left * ONE


def test_copies_that_die_are_held_no_more(broker: Broker, channel: Channel, clock: Any) -> None:
    channel.queue_declare("short", arguments={"x-max-length": 1})
    channel.queue_declare("brief", arguments={"x-message-ttl": 10})
    for queue in ("short", "short", "brief", "brief"):
        channel.basic_publish("", queue, bytes(100))
    assert broker.held_bytes == 3 * ONE
    clock.advance_ms(10)
    broker.expire()
    assert broker.held_bytes == ONE


def test_a_connection_without_room_waits_and_others_do_not(
    broker: Broker, channel: Channel, other_channel: Channel
) -> None:
    channel.queue_declare("q")
    channel.connection.room = 2 * ONE
    channel.basic_consume("q", "narrow", no_ack=True)
    for _ in range(5):
        channel.basic_publish("", "q", bytes(100))
    assert [event.consumer_tag for event in broker.drain() if isinstance(event, Delivery)] == ["narrow"] * 2
    other_channel.basic_consume("q", "wide")
    assert [event.consumer_tag for event in broker.drain() if isinstance(event, Delivery)] == ["wide"] * 3
    channel.connection.make_room(ONE)
    channel.basic_publish("", "q", bytes(100))
    channel.basic_publish("", "q", bytes(100))
    channel.basic_publish("", "q", bytes(100))
    tags = [event.consumer_tag for event in broker.drain() if isinstance(event, Delivery)]
    assert tags.count("narrow") == 1


def test_room_does_not_change_what_a_prefetch_allows(clock: Any) -> None:
    broker = Broker(clock, random.Random(1))
    channel = broker.open_connection().open_channel()
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.connection.room = 0
    channel.basic_consume("q")
    channel.basic_publish("", "q", b"1")
    channel.basic_publish("", "q", b"2")
    assert broker.drain() == []
    channel.connection.make_room(1 << 20)
    assert len(broker.drain()) == 1
    channel.connection.make_room(1 << 20)
    assert broker.drain() == []
