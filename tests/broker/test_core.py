"""Declaring, binding and deleting: AMQP 0-9-1 §3.1, RabbitMQ "Queues", "Exchanges", "AMQP 0-9-1 Errata"."""

import random

import pytest

from phrasim.broker import AmqpChannelError, AmqpConnectionError, Broker, Channel, ConsumerCancelled, Dropped


def refusal(call: object, *args: object, **kwargs: object) -> tuple[int, str]:
    assert callable(call)
    with pytest.raises(AmqpChannelError) as exc_info:
        call(*args, **kwargs)
    return exc_info.value.reply_code, exc_info.value.reply_text


def test_predeclared_exchanges_are_there_and_may_be_declared_again(channel: Channel) -> None:
    for name, kind in (
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ):
        channel.exchange_declare(name, kind, durable=True)
        channel.exchange_declare(name, passive=True)


@pytest.mark.parametrize("operation", ["declare", "passive", "delete", "bind", "unbind", "from", "to", "unbind from"])
def test_the_default_exchange_may_not_be_touched(channel: Channel, operation: str) -> None:
    channel.queue_declare("q")
    calls = {
        "declare": lambda: channel.exchange_declare(""),
        "passive": lambda: channel.exchange_declare("", passive=True),
        "delete": lambda: channel.exchange_delete(""),
        "bind": lambda: channel.queue_bind("q", "", "k"),
        "unbind": lambda: channel.queue_unbind("q", "", "k"),
        "from": lambda: channel.exchange_bind("amq.fanout", ""),
        "to": lambda: channel.exchange_bind("", "amq.fanout"),
        "unbind from": lambda: channel.exchange_unbind("amq.fanout", ""),
    }
    assert refusal(calls[operation]) == (403, "ACCESS_REFUSED - operation not permitted on the default exchange")


def test_reserved_names_are_refused_for_new_things_only(broker: Broker) -> None:
    connection = broker.open_connection()
    assert refusal(connection.open_channel().exchange_declare, "amq.mine") == (
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    )
    assert refusal(connection.open_channel().queue_declare, "amq.mine") == (
        403,
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    )
    channel = connection.open_channel()
    name = channel.queue_declare().name
    assert channel.queue_declare(name).name == name
    assert refusal(channel.exchange_delete, "amq.direct") == (
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    )


def test_a_generated_name_is_22_characters_of_base64_from_the_given_randomness() -> None:
    names = [
        Broker(lambda: 0, random.Random(3)).open_connection().open_channel().queue_declare().name for _ in range(2)
    ]
    assert names[0] == names[1]
    assert names[0].startswith("amq.gen-")
    assert len(names[0]) == len("amq.gen-") + 22


def test_an_empty_queue_name_stands_for_the_queue_declared_last(channel: Channel) -> None:
    name = channel.queue_declare().name
    channel.queue_bind("", "amq.direct")
    channel.basic_publish("amq.direct", name, b"x")
    assert channel.queue_purge("") == 1
    channel.queue_unbind("", "amq.direct")
    channel.basic_publish("amq.direct", name, b"x")
    assert channel.basic_get("") is None
    assert channel.queue_delete("") == 0


def test_an_empty_queue_name_before_any_declaration_is_refused(channel: Channel) -> None:
    assert refusal(channel.queue_bind, "", "amq.direct") == (404, "NOT_FOUND - no previously declared queue")


@pytest.mark.parametrize("operation", ["get", "consume", "purge", "passive", "bind"])
def test_a_missing_queue_is_not_found(channel: Channel, operation: str) -> None:
    calls = {
        "get": lambda: channel.basic_get("q"),
        "consume": lambda: channel.basic_consume("q"),
        "purge": lambda: channel.queue_purge("q"),
        "passive": lambda: channel.queue_declare("q", passive=True),
        "bind": lambda: channel.queue_bind("q", "amq.direct"),
    }
    assert refusal(calls[operation]) == (404, "NOT_FOUND - no queue 'q' in vhost '/'")


@pytest.mark.parametrize("operation", ["publish", "passive", "bind", "bind to"])
def test_a_missing_exchange_is_not_found(channel: Channel, operation: str) -> None:
    calls = {
        "publish": lambda: channel.basic_publish("x", "k", b""),
        "passive": lambda: channel.exchange_declare("x", passive=True),
        "bind": lambda: channel.queue_bind("q", "x"),
        "bind to": lambda: channel.exchange_bind("x", "amq.direct"),
    }
    assert refusal(calls[operation]) == (404, "NOT_FOUND - no exchange 'x' in vhost '/'")


def test_deleting_or_unbinding_what_is_not_there_succeeds(channel: Channel) -> None:
    channel.exchange_delete("x")
    assert channel.queue_delete("q") == 0
    channel.queue_unbind("q", "amq.direct", "k")
    channel.exchange_unbind("x", "y", "k")
    channel.queue_declare("q")
    channel.queue_unbind("q", "amq.direct", "k")


def test_an_exchange_declared_again_with_a_difference_is_refused(broker: Broker) -> None:
    connection = broker.open_connection()
    first = {"exchange_type": "direct", "durable": True, "auto_delete": False, "internal": False}
    connection.open_channel().exchange_declare("x", **first)
    for name, value, received, current in (
        ("exchange_type", "fanout", "fanout", "direct"),
        ("durable", False, "false", "true"),
        ("auto_delete", True, "true", "false"),
        ("internal", True, "true", "false"),
    ):
        word = "type" if name == "exchange_type" else name
        assert refusal(connection.open_channel().exchange_declare, "x", **{**first, name: value}) == (
            406,
            (
                f"PRECONDITION_FAILED - inequivalent arg '{word}' for exchange 'x' in vhost '/': "
                f"received '{received}' but current is '{current}'"
            ),
        )
    assert refusal(connection.open_channel().exchange_declare, "x", **first, arguments={"alternate-exchange": "y"}) == (
        406,
        (
            "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': "
            "received the value 'y' of type 'longstr' but current is none"
        ),
    )


def test_an_alternate_exchange_that_is_no_name_is_refused(channel: Channel) -> None:
    assert refusal(channel.exchange_declare, "x", arguments={"alternate-exchange": 1})[0] == 406


def test_an_unknown_exchange_type_closes_the_connection(channel: Channel) -> None:
    with pytest.raises(AmqpConnectionError) as exc_info:
        channel.exchange_declare("x", "x-delayed-message")
    assert str(exc_info.value) == "503 COMMAND_INVALID - unknown exchange type 'x-delayed-message'"
    assert channel.connection.closed


def test_a_queue_declared_again_with_a_difference_is_refused(broker: Broker) -> None:
    connection = broker.open_connection()
    connection.open_channel().queue_declare("q", durable=True)
    assert refusal(connection.open_channel().queue_declare, "q") == (
        406,
        (
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': "
            "received 'false' but current is 'true'"
        ),
    )
    assert refusal(connection.open_channel().queue_declare, "q", durable=True, auto_delete=True)[1].startswith(
        "PRECONDITION_FAILED - inequivalent arg 'auto_delete'"
    )
    assert refusal(connection.open_channel().queue_declare, "q", durable=True, exclusive=True)[0] == 405


@pytest.mark.parametrize("operation", ["declare", "passive", "bind", "unbind", "get", "consume", "purge", "delete"])
def test_an_exclusive_queue_is_locked_for_other_connections(
    channel: Channel, other_channel: Channel, operation: str
) -> None:
    channel.queue_declare("q", exclusive=True, durable=True)
    calls = {
        "declare": lambda: other_channel.queue_declare("q", exclusive=True),
        "passive": lambda: other_channel.queue_declare("q", passive=True),
        "bind": lambda: other_channel.queue_bind("q", "amq.direct"),
        "unbind": lambda: other_channel.queue_unbind("q", "amq.direct"),
        "get": lambda: other_channel.basic_get("q"),
        "consume": lambda: other_channel.basic_consume("q"),
        "purge": lambda: other_channel.queue_purge("q"),
        "delete": lambda: other_channel.queue_delete("q"),
    }
    code, text = refusal(calls[operation])
    assert code == 405
    assert text.startswith("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It ")


def test_an_exclusive_queue_serves_its_connection_and_anyone_may_publish_to_it(
    channel: Channel, other_channel: Channel
) -> None:
    channel.queue_declare("q", exclusive=True, durable=True)
    other_channel.basic_publish("", "q", b"x")
    second = channel.connection.open_channel()
    assert second.queue_declare("q", exclusive=True).message_count == 1
    assert second.basic_get("q") is not None


def test_exclusive_queues_go_with_their_connection_not_with_the_channel(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", exclusive=True)
    connection = channel.connection
    channel.close()
    assert "q" in broker.queues
    message = connection.open_channel().basic_publish("", "q", b"x")
    connection.close()
    assert "q" not in broker.queues
    assert broker.drain() == [Dropped(message, "q", "queue deleted")]


def test_nobody_publishes_to_an_internal_exchange(broker: Broker, channel: Channel) -> None:
    channel.exchange_declare("x", internal=True)
    assert refusal(channel.basic_publish, "x", "k", b"") == (
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'",
    )


def test_an_exchange_in_use_is_not_deleted_if_unused(channel: Channel) -> None:
    channel.exchange_declare("x")
    channel.queue_declare("q")
    channel.queue_bind("q", "x", "k")
    assert refusal(channel.exchange_delete, "x", if_unused=True) == (
        406,
        "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use",
    )


def test_an_exchange_that_is_only_a_destination_counts_as_unused(broker: Broker, channel: Channel) -> None:
    channel.exchange_declare("x")
    channel.exchange_bind("x", "amq.fanout")
    channel.exchange_delete("x", if_unused=True)
    assert "x" not in broker.exchanges
    assert not broker.exchanges["amq.fanout"].bound


def test_a_queue_in_use_or_not_empty_is_kept_if_asked(broker: Broker, channel: Channel) -> None:
    connection = broker.open_connection()
    channel.queue_declare("q")
    channel.basic_publish("", "q", b"x")
    assert refusal(connection.open_channel().queue_delete, "q", if_empty=True) == (
        406,
        "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
    )
    channel.basic_consume("q")
    assert refusal(connection.open_channel().queue_delete, "q", if_unused=True) == (
        406,
        "PRECONDITION_FAILED - queue 'q' in vhost '/' in use",
    )
    assert channel.queue_delete("q", if_empty=True) == 0


def test_a_deleted_queue_cancels_its_consumers_and_drops_its_copies(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.basic_consume("q", "c")
    unacked = channel.basic_publish("", "q", b"1")
    ready = channel.basic_publish("", "q", b"2")
    broker.drain()
    assert channel.queue_delete("q") == 1
    assert broker.drain() == [
        Dropped(ready, "q", "queue deleted"),
        Dropped(unacked, "q", "queue deleted"),
        ConsumerCancelled(channel, "c"),
    ]
    channel.basic_ack(1)
    assert broker.drain() == []
    assert "c" not in channel.consumers


def test_an_auto_delete_queue_goes_with_its_last_consumer(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", auto_delete=True)
    channel.queue_bind("q", "amq.fanout")
    channel.basic_consume("q", "c1")
    channel.basic_consume("q", "c2")
    channel.basic_cancel("c1")
    assert "q" in broker.queues
    channel.basic_cancel("c2")
    assert "q" not in broker.queues
    assert not broker.exchanges["amq.fanout"].bound
    assert broker.drain() == []


def test_an_auto_delete_queue_that_never_had_a_consumer_stays(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", auto_delete=True)
    channel.basic_publish("", "q", b"x")
    channel.basic_get("q")
    channel.close()
    assert broker.queues["q"].ready_count == 1


def test_an_auto_delete_queue_goes_when_the_channel_of_its_consumers_closes(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", auto_delete=True)
    channel.basic_consume("q", "c1")
    channel.basic_consume("q", "c2")
    message = channel.basic_publish("", "q", b"x")
    broker.drain()
    channel.close()
    assert "q" not in broker.queues
    assert broker.drain() == [Dropped(message, "q", "queue deleted")]


def test_an_auto_delete_exchange_goes_with_its_last_binding(broker: Broker, channel: Channel) -> None:
    channel.exchange_declare("x", auto_delete=True)
    channel.exchange_declare("y", auto_delete=True)
    channel.queue_declare("q")
    channel.queue_bind("q", "y", "1")
    channel.queue_bind("q", "y", "2")
    channel.exchange_bind("y", "x")
    channel.queue_unbind("q", "y", "1")
    assert "y" in broker.exchanges
    channel.queue_delete("q")
    assert "y" not in broker.exchanges
    assert "x" not in broker.exchanges


def test_an_auto_delete_exchange_stays_until_it_had_a_binding(broker: Broker, channel: Channel) -> None:
    channel.exchange_declare("x", auto_delete=True)
    channel.queue_declare("q")
    channel.queue_unbind("q", "x", "k")
    assert "x" in broker.exchanges


def test_a_deleted_exchange_leaves_no_binding_behind(broker: Broker, channel: Channel) -> None:
    for name in ("x", "source"):
        channel.exchange_declare(name, "fanout")
    channel.queue_declare("q")
    channel.queue_bind("q", "x")
    channel.exchange_bind("x", "source")
    channel.basic_publish("source", "", b"1")
    channel.exchange_delete("x")
    channel.exchange_declare("x", "fanout")
    channel.basic_publish("source", "", b"2")
    channel.basic_publish("x", "", b"3")
    assert channel.queue_declare("q", passive=True).message_count == 1
    channel.queue_delete("q")
    assert "x" in broker.exchanges
