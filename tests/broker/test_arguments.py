"""The optional arguments of queues: `rabbit_amqqueue:declare_args`, RabbitMQ "Property Equivalence"."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from phrasim.broker import AmqpChannelError, AmqpConnectionError, Channel
from phrasim.broker.amqp.tables import Int32
from phrasim.broker.message import type_word


@pytest.mark.parametrize(
    ("arguments", "explanation"),
    [
        ({"x-message-ttl": "5000"}, 'x-message-ttl: "expected integer, got longstr"'),
        ({"x-message-ttl": True}, 'x-message-ttl: "expected integer, got bool"'),
        ({"x-message-ttl": 1.5}, 'x-message-ttl: "expected integer, got double"'),
        ({"x-message-ttl": -1}, "x-message-ttl: {value_negative,-1}"),
        ({"x-message-ttl": 315_360_000_001}, "x-message-ttl: {value_too_large,315360000001}"),
        ({"x-expires": 0}, "x-expires: {value_zero,0}"),
        ({"x-expires": -5}, "x-expires: {value_negative,-5}"),
        ({"x-max-length": -1}, "x-max-length: {value_negative,-1}"),
        ({"x-max-length-bytes": None}, 'x-max-length-bytes: "expected integer, got void"'),
        ({"x-overflow": "drop-tail"}, "x-overflow: invalid_overflow"),
        ({"x-overflow": 1}, "x-overflow: {unacceptable_type,long}"),
        (
            {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": 1},
            "x-dead-letter-routing-key: {unacceptable_type,long}",
        ),
        ({"x-dead-letter-routing-key": "k"}, "x-dead-letter-routing-key: routing_key_but_no_dlx_defined"),
        ({"x-max-priority": "high"}, 'x-max-priority: "expected integer, got longstr"'),
        ({"x-max-priority": None}, 'x-max-priority: "expected integer, got void"'),
        ({"x-max-priority": -1}, "x-max-priority: {value_negative,-1}"),
        ({"x-max-priority": 256, "x-overflow": 1}, "x-max-priority: {max_value_exceeded,256}"),
        ({"x-single-active-consumer": 0}, "x-single-active-consumer: {unacceptable_type,long}"),
        ({"x-single-active-consumer": 1}, "x-single-active-consumer: {unacceptable_type,long}"),
        ({"x-single-active-consumer": Int32(0)}, "x-single-active-consumer: {unacceptable_type,signedint}"),
        ({"x-single-active-consumer": None}, "x-single-active-consumer: {unacceptable_type,void}"),
        ({"x-single-active-consumer": "true"}, "x-single-active-consumer: {unacceptable_type,longstr}"),
        ({"x-single-active-consumer": 0, "x-queue-mode": 1}, "x-queue-mode: {unacceptable_type,long}"),
        ({"x-queue-mode": "fast"}, "x-queue-mode: \"unsupported queue mode 'fast'\""),
    ],
)
def test_an_argument_that_rabbitmq_refuses_is_refused_with_its_words(
    channel: Channel, arguments: dict, explanation: str
) -> None:
    name, why = explanation.split(": ", 1)
    with pytest.raises(AmqpChannelError) as exc_info:
        channel.queue_declare("q", arguments=arguments)
    assert exc_info.value.reply_text == f"PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/': {why}"
    assert (exc_info.value.reply_code, exc_info.value.class_id, exc_info.value.method_id) == (406, 50, 10)


def test_a_dead_letter_exchange_of_another_type_is_refused_before_all_else(channel: Channel) -> None:
    with pytest.raises(AmqpChannelError) as exc_info:
        channel.queue_declare("q", arguments={"x-expires": 0, "x-dead-letter-exchange": 2**40})
    assert exc_info.value.reply_text == (
        "PRECONDITION_FAILED - invalid type 'long' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-max-priority": 5},
        {"x-single-active-consumer": True},
        {"x-queue-type": "quorum"},
        {"x-queue-type": None},
    ],
)
def test_what_is_not_simulated_is_refused_rather_than_ignored(channel: Channel, arguments: dict) -> None:
    with pytest.raises(AmqpConnectionError, match="is not simulated") as exc_info:
        channel.queue_declare("q", arguments=arguments)
    assert exc_info.value.reply_code == 540
    assert channel.connection.closed


def test_a_routing_key_of_dead_letters_is_no_longer_than_that_of_a_message_may_be(channel: Channel) -> None:
    """RabbitMQ 3.10 takes a longer one, and ends with 541 every connection that the letter is meant for."""
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "é" * 127 + "k"}
    channel.queue_declare("q", arguments=arguments)
    with pytest.raises(AmqpConnectionError, match="has 256 bytes") as exc_info:
        channel.queue_declare("r", arguments={**arguments, "x-dead-letter-routing-key": "é" * 128})
    assert exc_info.value.reply_code == 540


def test_arguments_that_mean_nothing_to_a_classic_queue_are_taken(channel: Channel) -> None:
    arguments = {"x-queue-type": "classic", "x-single-active-consumer": False, "x-queue-mode": "lazy", "mine": [1]}
    assert channel.queue_declare("q", arguments=arguments).name == "q"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"x-message-ttl": 5000}, {"x-message-ttl": 5000}),
        ({"x-queue-type": "classic"}, {}),
        ({}, {"x-queue-type": "classic"}),
        ({"unknown": 1}, {"unknown": 2}),
    ],
)
def test_a_second_declaration_with_equivalent_arguments_succeeds(channel: Channel, first: dict, second: dict) -> None:
    channel.queue_declare("q", arguments=first)
    assert channel.queue_declare("q", arguments=second).name == "q"


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (
            {"x-message-ttl": 5000},
            {"x-message-ttl": 10000},
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '10000' but current is '5000'",
        ),
        (
            {"x-message-ttl": 5000},
            {},
            (
                "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': "
                "received none but current is the value '5000' of type 'long'"
            ),
        ),
        (
            {},
            {"x-dead-letter-exchange": "dlx"},
            (
                "inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': "
                "received the value 'dlx' of type 'longstr' but current is none"
            ),
        ),
    ],
)
def test_a_second_declaration_with_other_arguments_is_refused(
    channel: Channel, first: dict, second: dict, difference: str
) -> None:
    channel.queue_declare("q", arguments=first)
    with pytest.raises(AmqpChannelError) as exc_info:
        channel.queue_declare("q", arguments=second)
    assert exc_info.value.reply_text == f"PRECONDITION_FAILED - {difference}"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (Decimal(1), "decimal"),
        (b"", "binary"),
        (datetime(2026, 1, 1, tzinfo=UTC), "timestamp"),
        ({}, "table"),
        ([], "array"),
    ],
)
def test_types_have_rabbitmqs_names(value: object, word: str) -> None:
    assert type_word(value) == word
