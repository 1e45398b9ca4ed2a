"""RabbitMQ "Time-To-Live and Expiration" (per-message TTL) and "Sender-selected Distribution"."""

import pytest

from phrasim.broker import AmqpChannelError, Broker, Channel, Delivery, Properties


@pytest.mark.parametrize(
    ("expiration", "explanation"),
    [
        ("", "no_integer"),
        ("soon", "no_integer"),
        ("-", "no_integer"),
        ("10 s", '{leftover_string," s"}'),
        ("1.5", '{leftover_string,".5"}'),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ],
)
def test_an_expiration_that_is_no_time_to_live_is_refused(channel: Channel, expiration: str, explanation: str) -> None:
    with pytest.raises(AmqpChannelError) as exc_info:
        channel.basic_publish("", "q", b"", Properties(expiration=expiration))
    assert exc_info.value.reply_code == 406
    assert exc_info.value.reply_text == f"PRECONDITION_FAILED - invalid expiration '{expiration}': {explanation}"
    assert (exc_info.value.class_id, exc_info.value.method_id) == (60, 40)
    assert channel.closed


def test_the_longest_expiration_is_taken(channel: Channel) -> None:
    assert channel.basic_publish("", "q", b"", Properties(expiration="315360000000")).expiration_ms == 315360000000


def test_cc_and_bcc_send_copies_and_only_bcc_is_hidden(broker: Broker, channel: Channel) -> None:
    for name in ("to", "cc", "bcc", "nobody"):
        channel.queue_declare(name)
        channel.basic_consume(name, name)
    channel.basic_publish("", "to", b"x", Properties(headers={"CC": ["cc", "to"], "BCC": ["bcc"], "a": 1}))
    deliveries = [event for event in broker.drain() if isinstance(event, Delivery)]
    assert [delivery.queue for delivery in deliveries] == ["to", "cc", "bcc"]
    assert deliveries[0].message.properties.headers == {"CC": ["cc", "to"], "a": 1}


def test_a_cc_that_is_no_array_is_refused(channel: Channel) -> None:
    with pytest.raises(AmqpChannelError) as exc_info:
        channel.basic_publish("", "to", b"x", Properties(headers={"CC": "cc"}))
    assert exc_info.value.reply_code == 406
