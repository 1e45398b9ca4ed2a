"""Order, time to live and limits: RabbitMQ "Queues", "Time-To-Live and Expiration", "Queue Length Limit"."""

import random

import pytest

from phrasim.broker import Broker, Channel, Confirmed, DeadLettered, Delivery, Dropped, Event, Properties
from phrasim.broker.channel import Connection


def publish(channel: Channel, *bodies: str, expiration: str | None = None) -> None:
    for body in bodies:
        channel.basic_publish("", "q", body.encode(), Properties(expiration=expiration))


def drain_queue(broker: Broker) -> list[str]:
    """The bodies of all ready messages, in order."""
    channel = broker.open_connection().open_channel()
    bodies = []
    while (fetched := channel.basic_get("q", no_ack=True)) is not None:
        bodies.append(fetched.message.body.decode())
    return bodies


def dropped(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.message.body.decode(), event.reason) for event in events if isinstance(event, Dropped)]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_requeued_messages_return_to_their_places(broker: Broker, channel: Channel, order: tuple[int, ...]) -> None:
    channel.queue_declare("q")
    publish(channel, *"abcde")
    for _ in range(3):
        channel.basic_get("q")
    for tag in order:
        channel.basic_nack(tag)
    publish(channel, "f")
    assert drain_queue(broker) == list("abcdef")


def test_a_requeued_message_stays_behind_older_ones_that_are_out(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    publish(channel, *"abc")
    channel.basic_get("q")
    channel.basic_get("q")
    channel.basic_nack(2)
    assert drain_queue(broker) == ["b", "c"]
    channel.basic_nack(1)
    assert drain_queue(broker) == ["a"]


def test_purge_leaves_unacknowledged_messages(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    publish(channel, *"abc")
    channel.basic_get("q")
    assert channel.queue_purge("q") == 2
    assert dropped(broker.drain()) == [("b", "purged"), ("c", "purged")]
    channel.basic_nack(1)
    assert drain_queue(broker) == ["a"]


def test_a_purged_queue_waits_for_no_deadline(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-message-ttl": 100})
    publish(channel, "a")
    channel.queue_purge("q")
    assert broker.next_deadline() is None


def test_a_queues_time_to_live_drops_at_the_moment_it_ends(broker: Broker, channel: Channel, clock) -> None:
    channel.queue_declare("q", arguments={"x-message-ttl": 100})
    publish(channel, "a")
    clock.advance_ms(50)
    publish(channel, "b")
    assert broker.next_deadline() == 100_000_000
    clock.advance_ms(49)
    broker.expire()
    assert broker.drain() == []
    clock.advance_ms(1)
    broker.expire()
    assert dropped(broker.drain()) == [("a", "expired")]
    assert broker.next_deadline() == 150_000_000


@pytest.mark.parametrize(("queue_ms", "message_ms", "due_ms"), [(100, "40", 40), (40, "100", 40), (None, "70", 70)])
def test_the_shorter_time_to_live_counts(
    broker: Broker, channel: Channel, queue_ms: int | None, message_ms: str, due_ms: int
) -> None:
    channel.queue_declare("q", arguments={} if queue_ms is None else {"x-message-ttl": queue_ms})
    publish(channel, "a", expiration=message_ms)
    assert broker.next_deadline() == due_ms * 1_000_000


def test_a_message_expires_only_at_the_head(broker: Broker, channel: Channel, clock) -> None:
    """RabbitMQ "Time-To-Live": a queue with expired messages behind others keeps and counts them."""
    channel.queue_declare("q")
    publish(channel, "long", expiration="1000")
    publish(channel, "short", expiration="10")
    clock.advance_ms(500)
    assert channel.queue_declare("q", passive=True).message_count == 2
    assert broker.next_deadline() == 1_000_000_000
    assert channel.basic_get("q").message.body == b"long"
    assert dropped(broker.drain()) == [("short", "expired")]
    assert broker.next_deadline() is None


def test_no_expired_message_is_delivered_after_one_that_is_not(broker: Broker, channel: Channel, clock) -> None:
    channel.queue_declare("q")
    publish(channel, "forever")
    publish(channel, "short", expiration="10")
    publish(channel, "also forever")
    clock.advance_ms(11)
    channel.basic_consume("q", "c")
    delivered = [event.message.body for event in broker.drain() if isinstance(event, Delivery)]
    assert delivered == [b"forever", b"also forever"]


def test_a_requeued_message_keeps_its_time_to_live(broker: Broker, channel: Channel, clock) -> None:
    channel.queue_declare("q", arguments={"x-message-ttl": 100})
    publish(channel, "a")
    channel.basic_get("q")
    clock.advance_ms(200)
    broker.expire()
    assert broker.drain() == []
    channel.basic_nack(1)
    assert dropped(broker.drain()) == [("a", "expired")]


def test_a_time_to_live_of_zero_lets_only_a_waiting_consumer_have_it(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-message-ttl": 0})
    publish(channel, "nobody")
    assert dropped(broker.drain()) == [("nobody", "expired")]
    channel.basic_consume("q", "c")
    publish(channel, "somebody")
    assert [event.message.body for event in broker.drain() if isinstance(event, Delivery)] == [b"somebody"]


def test_every_call_applies_what_is_due_first(broker: Broker, channel: Channel, clock) -> None:
    channel.queue_declare("q", arguments={"x-message-ttl": 10})
    publish(channel, "a")
    clock.advance_ms(10)
    assert channel.basic_get("q") is None
    publish(channel, "b")
    clock.advance_ms(10)
    channel.basic_consume("q", "c")
    assert dropped(broker.drain()) == [("a", "expired"), ("b", "expired")]


def test_an_unused_queue_is_deleted_when_its_time_is_over(broker: Broker, channel: Channel, clock) -> None:
    channel.queue_declare("q", arguments={"x-expires": 100})
    publish(channel, "a")
    clock.advance_ms(99)
    broker.expire()
    assert "q" in broker.queues
    clock.advance_ms(1)
    broker.expire()
    assert "q" not in broker.queues
    assert dropped(broker.drain()) == [("a", "queue deleted")]
    assert broker.next_deadline() is None


@pytest.mark.parametrize("use", ["get", "declare", "passive", "consume and cancel"])
def test_using_a_queue_puts_off_its_deletion(broker: Broker, channel: Channel, clock, use: str) -> None:
    channel.queue_declare("q", arguments={"x-expires": 100})
    clock.advance_ms(60)
    if use == "get":
        channel.basic_get("q")
    elif use == "declare":
        channel.queue_declare("q", arguments={"x-expires": 100})
    elif use == "passive":
        channel.queue_declare("q", passive=True)
    else:
        channel.basic_consume("q", "c")
        channel.basic_cancel("c")
    assert broker.next_deadline() == 160_000_000


def test_publishing_does_not_count_as_use_and_a_consumer_keeps_the_queue(
    broker: Broker, channel: Channel, clock
) -> None:
    channel.queue_declare("q", arguments={"x-expires": 100})
    clock.advance_ms(60)
    publish(channel, "a")
    assert broker.next_deadline() == 100_000_000
    channel.basic_consume("q", "c")
    assert broker.next_deadline() is None
    clock.advance_ms(1000)
    channel.close()
    assert broker.next_deadline() == 1_160_000_000


def test_the_head_is_dropped_when_a_queue_grows_too_long(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-max-length": 2})
    publish(channel, *"abcd")
    assert dropped(broker.drain()) == [("a", "maxlen"), ("b", "maxlen")]
    assert drain_queue(broker) == ["c", "d"]


def test_unacknowledged_messages_do_not_count_until_they_are_requeued(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-max-length": 1})
    publish(channel, "a")
    channel.basic_get("q")
    publish(channel, "b")
    assert broker.drain() == []
    channel.basic_nack(1)
    assert dropped(broker.drain()) == [("a", "maxlen")]
    assert drain_queue(broker) == ["b"]


def test_a_limit_in_bytes_counts_bodies(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-max-length-bytes": 10})
    publish(channel, "12345", "67890")
    channel.basic_get("q")
    publish(channel, "abcde")
    assert broker.drain() == []
    channel.basic_nack(1)
    assert dropped(broker.drain()) == [("12345", "maxlen")]
    publish(channel, "x")
    assert dropped(broker.drain()) == [("67890", "maxlen")]
    channel.queue_purge("q")
    broker.drain()
    publish(channel, "abcdefghij")
    assert broker.drain() == []


@pytest.mark.parametrize("argument", ["x-max-length", "x-max-length-bytes"])
def test_a_full_queue_refuses_publishes_if_asked(broker: Broker, channel: Channel, argument: str) -> None:
    channel.queue_declare("q", arguments={argument: 1, "x-overflow": "reject-publish"})
    channel.queue_declare("roomy")
    for name in ("q", "roomy"):
        channel.queue_bind(name, "amq.fanout")
    channel.confirm_select()
    channel.basic_publish("amq.fanout", "", b"1")
    second = channel.basic_publish("amq.fanout", "", b"2")
    assert broker.drain() == [
        Confirmed(channel, 1, True),
        Dropped(second, "q", "maxlen"),
        Confirmed(channel, 2, False),
    ]
    assert channel.queue_declare("roomy", passive=True).message_count == 2


def test_a_full_queue_may_dead_letter_what_it_refuses(broker: Broker, channel: Channel) -> None:
    channel.queue_declare(
        "q",
        arguments={"x-max-length": 0, "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "amq.fanout"},
    )
    channel.queue_declare("dead")
    channel.queue_bind("dead", "amq.fanout")
    channel.confirm_select()
    publish(channel, "a")
    death, confirm = broker.drain()
    assert isinstance(death, DeadLettered)
    assert death.reason == "maxlen"
    assert confirm == Confirmed(channel, 1, False)
    assert channel.basic_get("dead").message is death.letter


def test_a_requeue_is_not_refused_by_a_full_queue(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(channel, "a")
    channel.basic_get("q")
    publish(channel, "b")
    channel.basic_nack(1)
    assert drain_queue(broker) == ["a", "b"]


def test_without_time_to_live_the_clock_is_not_asked() -> None:
    def now() -> int:
        raise AssertionError("the clock was read")

    broker = Broker(now, random.Random(1))
    connection: Connection = broker.open_connection()
    channel = connection.open_channel()
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    publish(channel, "a", "b")
    channel.basic_ack(1)
    channel.basic_nack(2)
    channel.basic_cancel("c")
    channel.close()
    other = connection.open_channel()
    assert other.basic_get("q", no_ack=True) is not None
    assert broker.next_deadline() is None
