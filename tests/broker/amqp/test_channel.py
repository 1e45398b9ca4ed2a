"""One channel on the wire: contents, dispatch, confirms, returns, errors and their texts."""

import struct
from typing import Any

import pytest
from pamqp import body, commands, frame
from pamqp.commands import Basic, Channel, Confirm, Exchange, Queue, Tx

from phrasim.broker import Properties
from phrasim.broker.amqp import access, dispatch


def error(answers: list[Any]) -> tuple[int, int, str]:
    """Channel, reply code and text of the last answer, which is a close."""
    channel, close = answers[-1]
    assert close.name in {"Channel.Close", "Connection.Close"}
    return channel, close.reply_code, close.reply_text


def content_header(size: int, *, class_id: int = 60, weight: int = 0, flags: int = 0, rest: bytes = b"") -> bytes:
    payload = struct.pack(">HHQH", class_id, weight, size, flags) + rest
    return struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"


PUBLISH = frame.marshal(Basic.Publish(routing_key="q"), 1)
PART = frame.marshal(body.ContentBody(b"abc"), 1)


def test_every_method_is_answered_by_its_ok(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    calls = [
        (Exchange.Declare(exchange="a"), "Exchange.DeclareOk"),
        (Exchange.Declare(exchange="b", exchange_type="fanout"), "Exchange.DeclareOk"),
        (Exchange.Bind(destination="b", source="a", routing_key="k"), "Exchange.BindOk"),
        (Queue.Declare(queue="q", arguments={"x-max-length": 10}), "Queue.DeclareOk"),
        (Queue.Bind(queue="q", exchange="b", routing_key="k"), "Queue.BindOk"),
        (Basic.Qos(prefetch_count=5), "Basic.QosOk"),
        (Basic.Consume(queue="q", consumer_tag="c"), "Basic.ConsumeOk"),
        (Basic.Cancel("c"), "Basic.CancelOk"),
        (Basic.Cancel("unknown"), "Basic.CancelOk"),
        (Basic.Get(queue="q"), "Basic.GetEmpty"),
        (Basic.Recover(requeue=True), "Basic.RecoverOk"),
        (Confirm.Select(), "Confirm.SelectOk"),
        (Channel.Flow(True), "Channel.FlowOk"),
        (Queue.Purge(queue="q"), "Queue.PurgeOk"),
        (Queue.Unbind(queue="q", exchange="b", routing_key="k"), "Queue.UnbindOk"),
        (Queue.Delete(queue="q"), "Queue.DeleteOk"),
        (Exchange.Unbind(destination="b", source="a", routing_key="k"), "Exchange.UnbindOk"),
        (Exchange.Delete(exchange="a"), "Exchange.DeleteOk"),
        (Channel.Close(0, "", 0, 0), "Channel.CloseOk"),
    ]
    assert [wire.call(command).name for command, _ in calls] == [answer for _, answer in calls]


@pytest.mark.parametrize(
    "command",
    [
        Exchange.Declare(exchange="n", nowait=True),
        Exchange.Bind(destination="amq.fanout", source="amq.topic", nowait=True),
        Exchange.Unbind(destination="amq.fanout", source="amq.topic", nowait=True),
        Exchange.Delete(exchange="n", nowait=True),
        Queue.Declare(queue="n", nowait=True),
        Queue.Bind(queue="q", exchange="amq.topic", nowait=True),
        Queue.Purge(queue="q", nowait=True),
        Queue.Delete(queue="q", nowait=True),
        Basic.Consume(queue="q", nowait=True),
        Basic.Cancel("c", nowait=True),
        Confirm.Select(nowait=True),
    ],
    ids=lambda command: command.name,
)
def test_nowait_is_not_answered(landscape: Any, command: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    assert wire.send(command, channel=1) == []
    assert wire.connection.state == "running"


def test_recover_async_is_not_answered_but_by_deliveries(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    wire.call(Basic.Consume(queue="q"))
    wire.send(amqp.message("q"))
    recover_async = frame.marshal(Basic.Recover(requeue=True), 1).replace(b"\0\x3c\0\x6e", b"\0\x3c\0\x64")
    (_, delivery), *_ = wire.send(recover_async)
    assert (delivery.name, delivery.redelivered) == ("Basic.Deliver", True)


def test_a_message_comes_as_it_was_sent(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    headers = {"n": 1, "nested": {"list": [True, None, "x"]}}
    wire.send(amqp.message("q", b"abc", headers=headers, content_type="text/plain", priority=3, app_id="me"))
    (_, ok), (_, head), (_, content) = wire.send(Basic.Get(queue="q", no_ack=True), channel=1)
    assert (ok.delivery_tag, ok.redelivered, ok.exchange, ok.routing_key, ok.message_count) == (1, False, "", "q", 0)
    assert head.properties.headers == headers
    assert (head.properties.content_type, head.properties.priority, head.properties.app_id) == ("text/plain", 3, "me")
    assert content == b"abc"


def test_a_body_may_come_in_parts_and_leaves_in_frames_that_fit(landscape: Any) -> None:
    wire, small = landscape.client(), landscape.client(frame_max=4096)
    wire.call(Queue.Declare(queue="q"))
    content = bytes(range(256)) * 40
    wire.send(PUBLISH, content_header(len(content)))
    for start in range(0, len(content), 1_000):
        wire.send(frame.marshal(body.ContentBody(content[start : start + 1_000]), 1))
    wire.send(PUBLISH, content_header(0))
    parts = [value for _, value in small.send(Basic.Get(queue="q"), channel=1)[2:]]
    assert [len(part) for part in parts] == [4088, 4088, 2064]
    assert b"".join(parts) == content
    assert len(small.send(Basic.Get(queue="q"), channel=1)) == 2


def test_contents_of_two_channels_may_interleave(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.open(2)
    wire.call(Queue.Declare(queue="q"))
    one, two = amqp.message("q", b"one"), amqp.message("q", b"two", channel=2)
    wire.send(one[:-11], two[:-11], one[-11:], two[-11:])
    bodies = [wire.send(Basic.Get(queue="q"), channel=1)[-1][1] for _ in range(2)]
    assert bodies == [b"one", b"two"]


@pytest.mark.parametrize(
    ("data", "code", "text", "ids"),
    [
        (PART, 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", (0, 0)),
        (content_header(3), 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", (0, 0)),
        (
            PUBLISH + PART,
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
            (60, 40),
        ),
        (
            PUBLISH + PUBLISH,
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
            (60, 40),
        ),
        (
            PUBLISH + content_header(3, class_id=61),
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got one for class 61 instead",
            (60, 40),
        ),
        (
            PUBLISH + content_header(3) + PUBLISH,
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            (60, 40),
        ),
        (
            PUBLISH + content_header(3) + frame.marshal(Queue.Declare(queue="x"), 1),
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            (60, 40),
        ),
        (
            PUBLISH + content_header(2) + PART + PART + PUBLISH,
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            (60, 40),
        ),
        (PUBLISH + content_header(3, flags=0x8000) + PART, 541, "INTERNAL_ERROR", (0, 0)),
        (
            PUBLISH + content_header(6) + PART + frame.marshal(Channel.Close(0, "", 0, 0), 1),
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            (60, 40),
        ),
        (
            frame.marshal(Basic.Deliver("c", 1, False, "", ""), 1) + content_header(0),
            503,
            "COMMAND_INVALID - unimplemented method",
            (60, 60),
        ),
        (
            frame.marshal(Basic.Return(312, "", "", ""), 1) + PUBLISH,
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
            (60, 50),
        ),
        (
            PUBLISH[:7] + PUBLISH[7:-1].replace(b"\x01q", b"\x02q") + b"\xce",
            501,
            "FRAME_ERROR - cannot decode",
            (60, 40),
        ),
    ],
)
def test_contents_out_of_order_close_the_connection(
    landscape: Any, data: bytes, code: int, text: str, ids: tuple[int, int]
) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    answers = wire.send(data)
    assert error(answers)[:2] == (0, code)
    assert error(answers)[2].startswith(text)
    assert (answers[-1][1].class_id, answers[-1][1].method_id) == ids


def test_a_wrong_table_in_a_header_is_541_when_it_is_read(landscape: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    answers = wire.send(PUBLISH, content_header(0, flags=0x2000, rest=b"\0\0\0\x03\x01a?"))
    assert error(answers) == (0, 541, "INTERNAL_ERROR")


@pytest.mark.parametrize(
    "command",
    [
        Queue.Bind(queue="", exchange="absent"),
        Queue.Unbind(queue="", exchange="absent"),
        Queue.Purge(queue=""),
        Queue.Delete(queue=""),
        Basic.Get(queue=""),
        Basic.Consume(queue=""),
    ],
    ids=lambda command: command.name,
)
def test_the_queue_declared_last_is_looked_for_before_the_channel_is(landscape: Any, command: Any) -> None:
    wire = landscape.client()
    assert error(wire.send(command, channel=7)) == (7, 404, "NOT_FOUND - no previously declared queue")
    assert wire.send(command, Queue.Declare(queue="q"), channel=7) == []
    wire.send(Channel.CloseOk(), channel=7)
    wire.open(7)


def test_a_second_open_of_a_channel_that_fails_is_504(landscape: Any) -> None:
    wire = landscape.client()
    wire.send(Basic.Get(queue="absent"), channel=1)
    assert error(wire.send(Channel.Open(), channel=1)) == (0, 504, "CHANNEL_ERROR - second 'channel.open' seen")


def test_a_publish_on_a_channel_never_opened_is_504_when_it_is_complete(landscape: Any) -> None:
    wire = landscape.client()
    publish = frame.marshal(Basic.Publish(routing_key="q"), 7)
    assert wire.send(publish) == []
    assert error(wire.send(b"\x02\0\x07\0\0\0\x0e\0\x3c" + bytes(12) + b"\xce")) == (
        0,
        504,
        "CHANNEL_ERROR - expected 'channel.open'",
    )


def test_access_is_granted_to_whoever_asks(landscape: Any) -> None:
    wire = landscape.client()
    wire.connection.receive(b"\x01\0\x01\0\0\0\x0b\0\x1e\0\x0a\x05/data\x1f\xce")
    assert wire.connection.data_to_send() == b"\x01\0\x01\0\0\0\x06\0\x1e\0\x0b\0\x01\xce"


@pytest.mark.parametrize(
    ("user_id", "exchange", "code"), [("guest", "", None), ("other", "", 406), ("other", "absent", 404)]
)
def test_the_user_id_is_looked_at_behind_the_exchange(
    landscape: Any, amqp: Any, user_id: str, exchange: str, code: int | None
) -> None:
    wire = landscape.client()
    answers = wire.send(amqp.message("q", exchange=exchange, user_id=user_id), channel=1)
    assert [value.reply_code for _, value in answers] == ([] if code is None else [code])


def test_too_large_a_message_is_406_and_its_body_is_dropped(landscape: Any, amqp: Any) -> None:
    landscape.with_settings(amqp.Settings(body_bytes_max=10))
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    wire.send(amqp.message("q", bytes(10)))
    answers = wire.send(amqp.message("q", bytes(11)), amqp.message("q", b"y"))
    assert len(answers) == 1
    assert error(answers) == (1, 406, "PRECONDITION_FAILED - message size 11 is larger than configured max size 10")
    wire.send(Channel.CloseOk(), channel=1)
    wire.open()
    assert wire.call(Queue.Declare(queue="q", passive=True)).message_count == 1


@pytest.mark.parametrize(
    ("command", "code", "text", "ids"),
    [
        (Queue.Declare(queue="x", passive=True), 404, "NOT_FOUND - no queue 'x' in vhost '/'", (50, 10)),
        (Queue.Declare(queue="amq.x"), 403, "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix", (50, 10)),
        (Queue.Declare(queue="q", durable=True), 406, "PRECONDITION_FAILED - inequivalent arg 'durable'", (50, 10)),
        (Basic.Get(queue="x"), 404, "NOT_FOUND - no queue 'x' in vhost '/'", (60, 70)),
        (Basic.Ack(7), 406, "PRECONDITION_FAILED - unknown delivery tag 7", (60, 80)),
        (Basic.Nack(7), 406, "PRECONDITION_FAILED - unknown delivery tag 7", (60, 120)),
        (Basic.Reject(7), 406, "PRECONDITION_FAILED - unknown delivery tag 7", (60, 90)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_soft_error_closes_the_channel_only(
    landscape: Any, amqp: Any, command: Any, code: int, text: str, ids: tuple[int, int]
) -> None:
    wire = landscape.client()
    wire.open(2)
    wire.call(Queue.Declare(queue="q"))
    answers = wire.send(command, channel=1)
    assert error(answers)[:2] == (1, code)
    assert error(answers)[2].startswith(text)
    assert (answers[0][1].class_id, answers[0][1].method_id) == ids
    # Until the client has answered, what it sends on the channel is dropped, but for a close.
    assert wire.send(Queue.Declare(queue="q"), amqp.message("q"), Basic.Ack(1), channel=1) == []
    assert amqp.names(wire.send(Channel.Close(0, "", 0, 0), channel=1)) == ["Channel.CloseOk"]
    assert wire.call(Queue.Declare(queue="q", passive=True), channel=2).message_count == 0
    assert wire.send(Channel.CloseOk(), channel=1) == []
    wire.open(1)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (Channel.Open(), 504, "CHANNEL_ERROR - second 'channel.open' seen"),
        (Channel.CloseOk(), 503, "COMMAND_INVALID - unimplemented method"),
        (Channel.FlowOk(True), 503, "COMMAND_INVALID - unimplemented method"),
        (Channel.Flow(False), 540, "NOT_IMPLEMENTED - active=false"),
        (Queue.DeclareOk("q", 0, 0), 503, "COMMAND_INVALID - unimplemented method"),
        (commands.Connection.Close(0, "", 0, 0), 503, "COMMAND_INVALID - unimplemented method"),
        (Exchange.Declare(exchange="e", exchange_type="odd"), 503, "COMMAND_INVALID - unknown exchange type 'odd'"),
        (Basic.Qos(prefetch_size=9), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)"),
        (Basic.Recover(requeue=False), 540, "NOT_IMPLEMENTED - requeue=false"),
        (Tx.Select(), 540, "NOT_IMPLEMENTED - transactions are not simulated: use publisher confirms"),
        (Tx.Commit(), 540, "NOT_IMPLEMENTED - transactions are not simulated: use publisher confirms"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_hard_error_closes_the_connection(landscape: Any, command: Any, code: int, text: str) -> None:
    wire = landscape.client()
    answers = wire.send(command, channel=1)
    assert error(answers) == (0, code, text)
    assert (answers[0][1].class_id, answers[0][1].method_id) == divmod(command.index, 1 << 16)
    assert not landscape.broker.connections


def test_a_consumer_tag_that_is_used_already_is_530(landscape: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    wire.call(Basic.Consume(queue="q", consumer_tag="c"))
    answers = wire.send(Basic.Consume(queue="q", consumer_tag="c"), channel=1)
    assert error(answers) == (0, 530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'")


@pytest.mark.parametrize(
    "command", [Queue.Declare(queue="q"), Channel.Close(0, "", 0, 0), Channel.CloseOk(), Basic.Ack(1)]
)
def test_a_method_on_a_channel_that_is_not_open_is_504(landscape: Any, command: Any) -> None:
    answers = landscape.client().send(command, channel=5)
    assert error(answers) == (0, 504, "CHANNEL_ERROR - expected 'channel.open'")


def test_a_publish_on_a_channel_that_is_not_open_is_504(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    assert error(wire.send(amqp.message("q", channel=3))) == (0, 504, "CHANNEL_ERROR - expected 'channel.open'")


def test_immediate_is_540(landscape: Any) -> None:
    wire = landscape.client()
    answers = wire.send(frame.marshal(Basic.Publish(immediate=True), 1), content_header(0))
    assert error(answers) == (0, 540, "NOT_IMPLEMENTED - immediate=true")


def test_a_user_id_must_be_ones_own(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    assert wire.send(amqp.message("q", user_id="guest")) == []
    assert error(wire.send(amqp.message("q", user_id="root"))) == (
        1,
        406,
        "PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was 'guest'",
    )


def test_a_long_reply_text_is_cut(landscape: Any) -> None:
    wire = landscape.client()
    _, code, text = error(wire.send(Queue.Declare(queue="x" * 255, passive=True), channel=1))
    assert (code, len(text), text[-4:]) == (404, 255, "x...")


def test_confirms_of_one_read_come_together(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Confirm.Select())
    wire.call(Queue.Declare(queue="q"))
    ((_, one),) = wire.send(amqp.message("q"))
    ((_, many),) = wire.send(amqp.message("q") * 50)
    assert (one.name, one.delivery_tag, one.multiple) == ("Basic.Ack", 1, False)
    assert (many.name, many.delivery_tag, many.multiple) == ("Basic.Ack", 51, True)


def test_a_full_queue_refuses_by_nacks_between_the_acks(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Confirm.Select())
    wire.call(Queue.Declare(queue="full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}))
    wire.call(Queue.Declare(queue="q"))
    answers = wire.send(b"".join(amqp.message(name) for name in ("q", "full", "full", "full", "q", "q")))
    assert [(value.name, value.delivery_tag, value.multiple) for _, value in answers] == [
        ("Basic.Ack", 2, True),
        ("Basic.Nack", 4, True),
        ("Basic.Ack", 6, True),
    ]


def test_a_return_comes_before_the_confirm_of_its_message(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Confirm.Select())
    wire.call(Queue.Declare(queue="q"))
    answers = wire.send(amqp.message("q") + amqp.message("nowhere", b"lost", mandatory=True, message_id="m"))
    assert amqp.names(answers) == ["Basic.Return", "ContentHeader", "body", "Basic.Ack"]
    returned, head, content, ack = (value for _, value in answers)
    assert (returned.reply_code, returned.reply_text, returned.routing_key) == (312, "NO_ROUTE", "nowhere")
    assert (head.properties.message_id, content) == ("m", b"lost")
    assert (ack.delivery_tag, ack.multiple) == (2, True)


def test_an_answer_stands_behind_what_came_before(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Confirm.Select())
    wire.call(Queue.Declare(queue="q"))
    wire.call(Basic.Consume(queue="q", consumer_tag="c"))
    answers = wire.send(amqp.message("q") + frame.marshal(Channel.Close(0, "", 0, 0), 1))
    assert amqp.names(answers) == ["Basic.Deliver", "ContentHeader", "body", "Basic.Ack", "Channel.CloseOk"]


def test_deliveries_wait_for_acks_when_there_is_a_prefetch(landscape: Any, amqp: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    wire.call(Basic.Qos(prefetch_count=2))
    assert wire.call(Basic.Consume(queue="q", consumer_tag="c")).consumer_tag == "c"
    answers = wire.send(amqp.message("q") * 5)
    assert [value.delivery_tag for _, value in answers if hasattr(value, "delivery_tag")] == [1, 2]
    answers = wire.send(Basic.Ack(2, True), channel=1)
    assert [value.delivery_tag for _, value in answers if hasattr(value, "delivery_tag")] == [3, 4]
    answers = wire.send(Basic.Nack(4, False, True), channel=1)
    assert [(value.delivery_tag, value.redelivered) for _, value in answers if hasattr(value, "delivery_tag")] == [
        (5, True)
    ]
    answers = wire.send(Basic.Reject(3, False), channel=1)
    assert [value.delivery_tag for _, value in answers if hasattr(value, "delivery_tag")] == [6]


def test_a_cancelled_consumer_is_told_if_its_client_wants_to_know(landscape: Any, amqp: Any) -> None:
    told, untold = landscape.client(), landscape.client(capabilities={})
    told.call(Queue.Declare(queue="q"))
    told.call(Basic.Consume(queue="q", consumer_tag="c"))
    untold.call(Basic.Consume(queue="q", consumer_tag="d"))
    untold.call(Queue.Delete(queue="q"))
    ((_, cancel),) = told.take()
    assert (cancel.name, cancel.consumer_tag, cancel.nowait) == ("Basic.Cancel", "c", True)
    assert untold.take() == []


def test_a_dead_letter_reads_as_the_client_expects_it(landscape: Any, amqp: Any, clock: Any) -> None:
    wire = landscape.client()
    wire.call(Queue.Declare(queue="dead"))
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    wire.call(Queue.Declare(queue="q", arguments=arguments))
    wire.send(amqp.message("q", b"late", expiration="1000", content_type="text/plain"))
    clock.advance_ms(1_000)
    landscape.broker.expire()
    (_, ok), (_, head), (_, content) = wire.send(Basic.Get(queue="dead"), channel=1)
    (death,) = head.properties.headers["x-death"]
    assert (death["queue"], death["reason"], death["count"]) == ("q", "expired", 1)
    assert death["original-expiration"] == "1000"
    assert death["time"].timestamp() == 1_760_000_001
    assert head.properties.expiration is None
    assert (head.properties.content_type, content, ok.routing_key) == ("text/plain", b"late", "dead")


def test_a_message_that_cannot_be_written_ends_that_connection_only(landscape: Any) -> None:
    """Only who publishes without a wire can have such a message; RabbitMQ would end the next connection too."""
    publisher = landscape.broker.open_connection().open_channel()
    publisher.queue_declare("q", arguments={"x-dead-letter-exchange": "amq.fanout"})
    publisher.queue_declare("dead")
    publisher.queue_bind("dead", "amq.fanout")
    for command in (Basic.Consume(queue="q"), Basic.Get(queue="q"), Basic.Get(queue="q", no_ack=True)):
        bystander = landscape.client()
        for properties in (Properties(priority=256), Properties(headers={"n": 2**63})):
            publisher.basic_publish("", "q", b"bad", properties)
            publisher.basic_publish("", "q", b"good")
            wire = landscape.client()
            answers = wire.send(command, channel=1)
            assert error(answers)[:2] == (0, 541)
            assert "a message cannot be written: " in error(answers)[2]
            wire = landscape.client()
            (_, _), (_, _), (_, body) = wire.send(Basic.Get(queue="q", no_ack=True), channel=1)
            assert body == b"good"
            dead = publisher.basic_get("dead", no_ack=True)
            assert (dead is None) == getattr(command, "no_ack", False)
        assert bystander.call(Queue.Declare(queue="q", passive=True)).message_count == 0


def test_a_message_that_cannot_be_written_may_be_behind_another(landscape: Any, amqp: Any) -> None:
    publisher = landscape.broker.open_connection().open_channel()
    publisher.queue_declare("q")
    wire = landscape.client()
    wire.send(Basic.Qos(prefetch_count=1), Basic.Consume(queue="q"), channel=1)
    for properties in (Properties(priority=256), Properties(priority=256), Properties()):
        publisher.basic_publish("", "q", b"x", properties)
    landscape.outlets["/"].pump()
    answers = wire.take()
    assert error(answers)[:2] == (0, 541)
    assert amqp.names(answers).count("Connection.Close") == 1


class Onlooker:
    """Writes down what an observer is told, and adds a header."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def publishing(self, user: str, exchange: str, routing_key: str, properties: Any, body: bytes) -> Any:
        self.seen.append(("publishing", user, exchange, routing_key, body))
        return properties.with_headers({**(properties.headers or {}), "traceparent": "t"}, properties.expiration)

    def published(self, user: str, outcome: Any) -> None:
        self.seen.append(("published", user, getattr(outcome, "seq", str(outcome))))

    def delivering(self, user: str, delivery: Any) -> Any:
        self.seen.append(("delivering", user, delivery.queue, delivery.message.seq))
        return delivery.message.properties

    def fetching(self, user: str, fetched: Any) -> None:
        self.seen.append(("fetching", user, fetched.queue, fetched.message.seq))

    def happened(self, event: Any) -> None:
        self.seen.append(("happened", type(event).__name__))


def test_an_observer_sees_every_message_and_may_add_a_header(landscape: Any, amqp: Any) -> None:
    onlooker = Onlooker()
    landscape.with_settings(amqp.Settings(), onlooker)
    wire = landscape.client()
    wire.call(Queue.Declare(queue="q"))
    wire.send(
        amqp.message("q", b"1"), amqp.message("q", b"2"), amqp.message("none"), amqp.message("none", mandatory=True)
    )
    answers = wire.send(Basic.Get(queue="q"), channel=1)
    wire.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    wire.send(amqp.message("k", exchange="none"))
    assert answers[1][1].properties.headers == {"traceparent": "t"}
    assert onlooker.seen == [
        ("publishing", "guest", "", "q", b"1"),
        ("published", "guest", 1),
        ("publishing", "guest", "", "q", b"2"),
        ("published", "guest", 2),
        ("publishing", "guest", "", "none", b"x"),
        ("published", "guest", 3),
        ("happened", "Dropped"),
        ("publishing", "guest", "", "none", b"x"),
        ("published", "guest", 4),
        ("happened", "Returned"),
        ("fetching", "guest", "q", 1),
        ("delivering", "guest", "q", 2),
        ("publishing", "guest", "none", "k", b"x"),
        ("published", "guest", "404 NOT_FOUND - no exchange 'none' in vhost '/'"),
    ]


def test_every_method_that_a_client_may_send_has_an_operation() -> None:
    sent = {
        command
        for kind in (Exchange, Queue, Basic, Confirm, Tx)
        for command in vars(kind).values()
        if isinstance(command, type) and getattr(command, "index", 0) >= 1 << 16 and not command.name.endswith("Ok")
    }
    by_hand = {Basic.Publish, Basic.Ack, Basic.Nack, Basic.Reject, Basic.Get}
    from_broker = {Basic.Deliver, Basic.Return, Basic.GetEmpty}
    assert sent - by_hand - from_broker | {Channel.Flow, access.Request} == set(dispatch.OPERATIONS)
