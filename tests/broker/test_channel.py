"""Consuming, acknowledging, publishing: AMQP 0-9-1 §1.8.3, RabbitMQ "Consumer Acknowledgements and Confirms"."""

import pytest

from phrasim.broker import (
    AmqpChannelError,
    AmqpConnectionError,
    Broker,
    Channel,
    Confirmed,
    Delivery,
    Dropped,
    Fetched,
    Properties,
    Returned,
)


def publish(channel: Channel, *bodies: str, queue: str = "q") -> None:
    for body in bodies:
        channel.basic_publish("", queue, body.encode())


def deliveries(broker: Broker) -> list[tuple[str, int, str, bool]]:
    """Consumer tag, delivery tag, body and redelivered flag of what was delivered since the last look."""
    return [
        (event.consumer_tag, event.delivery_tag, event.message.body.decode(), event.redelivered)
        for event in broker.drain()
        if isinstance(event, Delivery)
    ]


def test_a_delivery_says_all_that_a_client_needs(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    tag = channel.basic_consume("q")
    message = channel.basic_publish("", "q", b"x", Properties(content_type="text/plain"))
    assert tag.startswith("amq.ctag-")
    assert broker.drain() == [Delivery(channel, tag, 1, False, message, "q")]
    assert broker.drain() == []


def test_messages_that_wait_are_delivered_in_order_when_a_consumer_comes(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    publish(channel, "1", "2", "3")
    channel.basic_consume("q", "c")
    assert deliveries(broker) == [("c", 1, "1", False), ("c", 2, "2", False), ("c", 3, "3", False)]


def test_consumers_take_turns(broker: Broker, channel: Channel, other_channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c1")
    other_channel.basic_consume("q", "c2")
    channel.basic_consume("q", "c3", no_ack=True)
    publish(channel, *"123456")
    assert [(tag, body) for tag, _, body, _ in deliveries(broker)] == [
        ("c1", "1"),
        ("c2", "2"),
        ("c3", "3"),
        ("c1", "4"),
        ("c2", "5"),
        ("c3", "6"),
    ]


def test_a_consumer_at_its_limit_is_passed_over(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.basic_consume("q", "c1")
    channel.basic_qos(2)
    channel.basic_consume("q", "c2")
    publish(channel, *"12345")
    assert [(tag, body) for tag, _, body, _ in deliveries(broker)] == [("c1", "1"), ("c2", "2"), ("c2", "3")]
    channel.basic_ack(2)
    assert deliveries(broker) == [("c2", 4, "4", False)]
    channel.basic_ack(1)
    assert deliveries(broker) == [("c1", 5, "5", False)]


def test_prefetch_counts_for_consumers_started_later_only(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    channel.basic_qos(1)
    publish(channel, "1", "2")
    assert len(deliveries(broker)) == 2


def test_a_channels_limit_is_shared_by_its_consumers(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.queue_declare("q2")
    channel.basic_qos(2, global_=True)
    channel.basic_consume("q", "c1")
    channel.basic_consume("q2", "c2")
    publish(channel, "1", "2", "3")
    publish(channel, "a", queue="q2")
    assert [body for _, _, body, _ in deliveries(broker)] == ["1", "2"]
    channel.basic_ack(1)
    assert [body for _, _, body, _ in deliveries(broker)] == ["3"]
    channel.basic_ack(2)
    assert [body for _, _, body, _ in deliveries(broker)] == ["a"]


def test_both_limits_hold_together(broker: Broker, channel: Channel) -> None:
    """RabbitMQ "Consumer Prefetch", the last example: 10 for each consumer, 15 for the channel."""
    channel.queue_declare("q")
    channel.basic_qos(10)
    channel.basic_qos(15, global_=True)
    channel.basic_consume("q", "c1")
    channel.basic_consume("q", "c2")
    publish(channel, *"abcdefghijklmnopqrstuvwxyz")
    tags = [tag for tag, _, _, _ in deliveries(broker)]
    assert len(tags) == 15
    assert max(tags.count("c1"), tags.count("c2")) <= 10


def test_lifting_a_channels_limit_delivers_what_it_held_back(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_qos(1, global_=True)
    channel.basic_consume("q", "c")
    publish(channel, "1", "2", "3")
    deliveries(broker)
    channel.basic_qos(2, global_=True)
    assert [body for _, _, body, _ in deliveries(broker)] == ["2"]
    channel.basic_qos(0, global_=True)
    assert [body for _, _, body, _ in deliveries(broker)] == ["3"]


def test_a_consumer_without_acknowledgements_knows_no_limit(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.basic_consume("q", "c", no_ack=True)
    publish(channel, "1", "2")
    assert len(deliveries(broker)) == 2
    assert channel.unacked == {}


def test_a_limit_in_bytes_is_not_implemented(channel: Channel) -> None:
    with pytest.raises(AmqpConnectionError) as exc_info:
        channel.basic_qos(1, prefetch_size=10)
    assert exc_info.value.reply_text == "NOT_IMPLEMENTED - prefetch_size!=0 (10)"


def test_an_acknowledged_message_is_gone(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    publish(channel, "1")
    broker.drain()
    channel.basic_ack(1)
    channel.close()
    assert broker.drain() == []
    assert broker.queues["q"].ready_count == 0
    assert broker.queues["q"].unacked_count == 0


def test_multiple_acknowledges_everything_up_to_the_tag(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    publish(channel, "1", "2", "3", "4")
    channel.basic_ack(3, multiple=True)
    assert list(channel.unacked) == [4]
    publish(channel, "5")
    channel.basic_ack(0, multiple=True)
    assert list(channel.unacked) == []
    channel.basic_ack(0, multiple=True)
    assert not channel.closed


@pytest.mark.parametrize("operation", ["ack", "ack multiple", "nack", "nack multiple", "reject", "ack twice"])
def test_an_unknown_delivery_tag_closes_the_channel(broker: Broker, channel: Channel, operation: str) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    publish(channel, "1", "2")
    if operation == "ack twice":
        channel.basic_ack(1)
    tag = 1 if operation == "ack twice" else 7
    calls = {
        "ack": lambda: channel.basic_ack(tag),
        "ack twice": lambda: channel.basic_ack(tag),
        "ack multiple": lambda: channel.basic_ack(tag, multiple=True),
        "nack": lambda: channel.basic_nack(tag),
        "nack multiple": lambda: channel.basic_nack(tag, multiple=True),
        "reject": lambda: channel.basic_reject(tag),
    }
    with pytest.raises(AmqpChannelError) as exc_info:
        calls[operation]()
    assert exc_info.value.reply_code == 406
    assert exc_info.value.reply_text == f"PRECONDITION_FAILED - unknown delivery tag {tag}"
    assert channel.closed
    assert not channel.connection.closed
    assert broker.queues["q"].ready_count == (1 if operation == "ack twice" else 2)


def test_another_channels_delivery_tag_is_unknown(channel: Channel, other_channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    publish(channel, "1")
    with pytest.raises(AmqpChannelError):
        other_channel.basic_ack(1)
    assert list(channel.unacked) == [1]


def test_a_nacked_delivery_is_requeued_once(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    publish(channel, "1")
    broker.drain()
    channel.basic_nack(1)
    assert deliveries(broker) == [("c", 2, "1", True)]
    assert list(channel.unacked) == [2]


def test_a_sole_consumer_at_its_limit_gets_back_what_it_requeues(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.basic_consume("q", "c")
    publish(channel, "1", "2")
    broker.drain()
    channel.basic_reject(1)
    assert deliveries(broker) == [("c", 2, "1", True)]


def test_rejecting_without_a_dead_letter_exchange_drops_the_message(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    message = channel.basic_publish("", "q", b"x")
    channel.basic_get("q")
    channel.basic_reject(1, requeue=False)
    assert broker.drain() == [Dropped(message, "q", "rejected")]


def test_recover_requeues_all_of_the_channel(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    publish(channel, "1", "2")
    channel.basic_get("q")
    channel.basic_consume("q", "c")
    broker.drain()
    channel.basic_recover()
    assert deliveries(broker) == [("c", 3, "1", True), ("c", 4, "2", True)]


@pytest.mark.parametrize("operation", ["recover", "flow"])
def test_what_rabbitmq_does_not_implement_closes_the_connection(channel: Channel, operation: str) -> None:
    with pytest.raises(AmqpConnectionError) as exc_info:
        if operation == "recover":
            channel.basic_recover(requeue=False)
        else:
            channel.flow(False)
    assert exc_info.value.reply_code == 540
    assert channel.connection.closed


def test_flow_that_is_active_changes_nothing(channel: Channel) -> None:
    assert channel.flow(True) is True


def test_a_limit_of_the_channel_holds_back_consumers_without_acknowledgements(channel: Channel, broker: Broker) -> None:
    channel.queue_declare("q")
    channel.queue_declare("other")
    channel.basic_qos(1, global_=True)
    channel.basic_consume("q", "held")
    channel.basic_consume("other", "free", no_ack=True)
    channel.basic_publish("", "q", b"1")
    for body in (b"2", b"3"):
        channel.basic_publish("", "other", body)
    assert broker.queues["other"].ready_count == 2
    channel.basic_ack(1)
    assert broker.queues["other"].ready_count == 0


def test_get_takes_the_head_and_tells_what_is_left(channel: Channel) -> None:
    channel.queue_declare("q")
    assert channel.basic_get("q") is None
    first = channel.basic_publish("", "q", b"1")
    publish(channel, "2")
    assert channel.basic_get("q") == Fetched(1, False, first, 1, "q")
    channel.basic_nack(1)
    assert channel.basic_get("q", no_ack=True) == Fetched(2, True, first, 1, "q")
    assert channel.unacked == {}


def test_what_get_took_does_not_use_up_prefetch(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    publish(channel, "1", "2", "3")
    channel.basic_get("q")
    channel.basic_qos(1, global_=True)
    channel.basic_consume("q", "c")
    assert [body for _, _, body, _ in deliveries(broker)] == ["2"]
    channel.basic_ack(1)
    assert deliveries(broker) == []


def test_a_cancelled_consumer_gets_nothing_more_and_may_still_acknowledge(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.basic_consume("q", "c")
    publish(channel, "1", "2")
    broker.drain()
    channel.basic_cancel("c")
    channel.basic_ack(1)
    assert deliveries(broker) == []
    assert broker.queues["q"].ready_count == 1
    channel.basic_cancel("c")


def test_an_exclusive_consumer_is_alone(broker: Broker, channel: Channel) -> None:
    connection = broker.open_connection()
    channel.queue_declare("q")
    channel.basic_consume("q", "c", exclusive=True)
    for exclusive in (False, True):
        with pytest.raises(AmqpChannelError) as exc_info:
            connection.open_channel().basic_consume("q", exclusive=exclusive)
        assert exc_info.value.reply_code == 403
        assert exc_info.value.reply_text == "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"
    channel.basic_cancel("c")
    channel.basic_consume("q", "c")
    with pytest.raises(AmqpChannelError):
        connection.open_channel().basic_consume("q", exclusive=True)


def test_a_consumer_tag_is_used_once_on_a_channel(channel: Channel, other_channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    other_channel.basic_consume("q", "c")
    with pytest.raises(AmqpConnectionError) as exc_info:
        channel.basic_consume("q", "c")
    assert str(exc_info.value) == "530 NOT_ALLOWED - attempt to reuse consumer tag 'c'"


def test_a_priority_that_is_no_integer_is_refused_and_any_other_is_not_simulated(
    channel: Channel, other_channel: Channel
) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", arguments={"x-priority": 0})
    with pytest.raises(AmqpChannelError, match="expected integer, got longstr"):
        channel.basic_consume("q", arguments={"x-priority": "1"})
    with pytest.raises(AmqpConnectionError, match="is not simulated"):
        other_channel.basic_consume("q", arguments={"x-priority": 1})


def test_a_mandatory_message_that_no_queue_takes_is_returned_before_its_confirm(
    broker: Broker, channel: Channel
) -> None:
    channel.confirm_select()
    message = channel.basic_publish("amq.direct", "k", b"x", mandatory=True)
    assert broker.drain() == [Returned(channel, 312, "NO_ROUTE", message), Confirmed(channel, 1, True)]


def test_an_unroutable_message_is_dropped_and_confirmed(broker: Broker, channel: Channel) -> None:
    channel.confirm_select()
    message = channel.basic_publish("amq.direct", "k", b"x")
    assert broker.drain() == [Dropped(message, None, "unroutable"), Confirmed(channel, 1, True)]


def test_confirms_count_publishes_since_confirm_select(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    publish(channel, "before")
    channel.confirm_select()
    publish(channel, "1")
    channel.confirm_select()
    publish(channel, "2")
    assert broker.drain() == [Confirmed(channel, 1, True), Confirmed(channel, 2, True)]


def test_closing_a_channel_requeues_in_the_original_order(
    broker: Broker, channel: Channel, other_channel: Channel
) -> None:
    channel.queue_declare("q")
    publish(channel, *"12345")
    other_channel.basic_qos(3)
    other_channel.basic_consume("q", "c")
    broker.drain()
    other_channel.close()
    channel.basic_consume("q", "d")
    assert [(body, redelivered) for _, _, body, redelivered in deliveries(broker)] == [
        ("1", True),
        ("2", True),
        ("3", True),
        ("4", False),
        ("5", False),
    ]
    other_channel.close()


def test_a_closing_connection_delivers_nothing_to_its_own_channels(broker: Broker, channel: Channel) -> None:
    second = channel.connection.open_channel()
    channel.queue_declare("q")
    channel.basic_consume("q", "c1")
    second.basic_consume("q", "c2")
    publish(channel, "1", "2", "3")
    broker.drain()
    channel.connection.close()
    assert broker.drain() == []
    assert broker.queues["q"].ready_count == 3
    channel.connection.close()


def test_a_closed_channel_or_connection_takes_no_more_calls(broker: Broker, channel: Channel) -> None:
    connection = channel.connection
    channel.close()
    with pytest.raises(AmqpConnectionError) as exc_info:
        channel.basic_publish("", "q", b"")
    assert str(exc_info.value) == "504 CHANNEL_ERROR - expected 'channel.open'"
    assert connection.closed
    with pytest.raises(AmqpConnectionError):
        channel.basic_ack(1)
    with pytest.raises(AmqpConnectionError):
        channel.queue_declare("q")
    with pytest.raises(AmqpConnectionError):
        connection.open_channel()


def test_channels_get_the_lowest_free_number_or_the_one_asked_for(broker: Broker) -> None:
    connection = broker.open_connection()
    first, fourth, second = connection.open_channel(), connection.open_channel(4), connection.open_channel()
    assert [first.number, fourth.number, second.number] == [1, 4, 2]
    first.close()
    assert connection.open_channel().number == 1
    with pytest.raises(AmqpConnectionError):
        connection.open_channel(4)
    assert connection.closed


def test_what_a_closed_connection_held_on_several_channels_comes_back_in_its_order(
    broker: Broker, channel: Channel, other_channel: Channel
) -> None:
    channel.queue_declare("q")
    later = channel.connection.open_channel()
    later.basic_qos(1)
    later.basic_consume("q", "first")
    channel.basic_qos(1)
    channel.basic_consume("q", "second")
    publish(other_channel, "older", "younger")
    assert [body for _, _, body, _ in deliveries(broker)] == ["older", "younger"]
    other_channel.basic_consume("q", "heir")
    channel.connection.close()
    assert [body for _, _, body, _ in deliveries(broker)] == ["older", "younger"]
