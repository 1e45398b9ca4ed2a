"""In which order consumers get what a settled delivery makes room for: seen on RabbitMQ 3.10.8."""

from phrasim.broker import Broker, Channel, Delivery


def delivered(broker: Broker) -> list[str]:
    return [event.consumer_tag for event in broker.drain() if isinstance(event, Delivery)]


def test_the_consumer_that_was_blocked_first_comes_back_first(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_qos(2, global_=True)
    for tag in ("c0", "c1"):
        channel.basic_consume("q", tag)
    for _ in range(4):
        channel.basic_publish("", "q", b"x")
    assert delivered(broker) == ["c0", "c1"]
    channel.basic_ack(1)
    channel.basic_ack(2)
    assert delivered(broker) == ["c0", "c1"]


def test_many_deliveries_are_settled_consumer_by_consumer(broker: Broker, channel: Channel) -> None:
    """The queue works as soon as the first consumer has room, and the second finds nothing left."""
    channel.queue_declare("q")
    channel.basic_qos(2)
    channel.basic_consume("q", "c0")
    channel.basic_publish("", "q", b"x")
    channel.basic_publish("", "q", b"x")
    channel.basic_qos(1)
    channel.basic_consume("q", "c1")
    for _ in range(3):
        channel.basic_publish("", "q", b"x")
    assert delivered(broker) == ["c0", "c0", "c1"]
    channel.basic_ack(0, multiple=True)
    assert delivered(broker) == ["c0", "c0"]
