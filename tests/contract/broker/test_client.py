"""What comes over the wire: everything is read to the type of a table's field, and what is no AMQP is told."""

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from contract.broker.proxy import scripted
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.contract.broker.access import Access, told, unanswered
from phrasim.contract.broker.client import Account, Client
from phrasim.contract.broker.seen import content, count_of, handshake_fields
from phrasim.contract.broker.slot import Slot
from phrasim.contract.broker.wire import (
    BODY,
    HEADER,
    HEARTBEAT,
    METHOD,
    Received,
    Strange,
    decode_header,
    decode_method,
    encode_field,
    encode_header,
    encode_method,
    encode_value,
    frame,
)

DELIVER = frame(METHOD, 1, encode_method("basic.deliver", {"consumer_tag": "c", "delivery_tag": 1}))
TABLE = {
    "b": ["b", -1], "B": ["B", 255], "s": ["s", -300], "u": ["u", 65535], "I": ["I", -5], "i": ["i", 4_000_000_000],
    "l": ["l", 1 << 40], "f": ["f", 0.5], "d": ["d", 1.25], "D": ["D", [2, 314]], "T": ["T", 1_700_000_000],
    "S": ["S", "text"], "x": ["x", "ÿ\0"], "t": ["t", True], "V": ["V", None],
    "F": ["F", {"deep": ["A", [["u", 9], ["A", []]]]}],
}  # fmt: skip


def heard(said: bytes) -> list[Received]:
    """What a client makes of what a broker says before it hangs up."""
    with scripted(said) as address:
        client = Client(BrokerUrl(*address))
        client.write(b"hello")
        try:
            return client.hear_out(1)
        finally:
            client.drop()


def strangeness(said: bytes) -> str:
    with pytest.raises(Strange) as raised:
        heard(said)
    return str(raised.value)


def test_a_table_comes_back_as_it_was_sent_to_the_type() -> None:
    header = encode_header({"headers": TABLE, "priority": 3, "timestamp": 7}, 0)
    assert decode_header(header) == ({"headers": TABLE, "priority": 3, "timestamp": 7}, 0)


def test_a_message_is_put_together_from_its_frames() -> None:
    parts = [frame(HEADER, 1, encode_header({}, 4)), frame(BODY, 1, b"ab"), frame(HEARTBEAT, 0, b"")]
    (received,) = heard(DELIVER + b"".join(parts) + frame(BODY, 1, b"cd"))
    assert (received.name, received.body, received.properties) == ("basic.deliver", b"abcd", {})


def test_a_message_without_a_body_is_there_with_its_header() -> None:
    (received,) = heard(DELIVER + frame(HEADER, 1, encode_header({}, 0)))
    assert received.body == b""


def table(*pieces: bytes) -> bytes:
    inner = b"".join(pieces)
    return struct.pack(">HHQH", 60, 0, 0, 1 << 13) + struct.pack(">I", len(inner)) + inner


DEEP = b""
for _ in range(70):
    DEEP = b"\x01aF" + struct.pack(">I", len(DEEP)) + DEEP

STRANGE = {
    "a frame without its end": (b"\x01\0\x01\0\0\0\x04\0\x3c\0\x47\0", "does not end where it should"),
    "a huge frame": (b"\x01\0\x01\xff\xff\xff\xff", "a frame of 4,294,967,295 bytes"),
    "a frame of no kind": (frame(9, 0, b"x"), "the unknown kind 9"),
    "a method of nobody": (frame(METHOD, 0, b"\0\x0a\0\x63"), "the method 10.99"),
    "a method that breaks off": (frame(METHOD, 0, b"\0\x0a\0\x0a\0"), "breaks off in the middle"),
    "a method that is too long": (frame(METHOD, 1, encode_method("basic.recover-ok", {}) + b"x"), "1 bytes too long"),
    "a method inside a message": (DELIVER + DELIVER, "in the middle of a message on channel 1"),
    "a header without a method": (frame(HEADER, 1, encode_header({}, 0)), "no method before it"),
    "a body without a header": (DELIVER + frame(BODY, 1, b"x"), "a body without a content header"),
    "two headers": (DELIVER + frame(HEADER, 1, encode_header({}, 5)) * 2, "a second content header"),
    "too much body": (
        DELIVER + frame(HEADER, 1, encode_header({}, 1)) + frame(BODY, 1, b"xx"),
        "announced a body of 1 bytes and sent 2",
    ),
    "a header of another class": (DELIVER + frame(HEADER, 1, bytes(14)), "of the class 0"),
    "a header that is too long": (DELIVER + frame(HEADER, 1, encode_header({}, 0) + b"x"), "longer than its prop"),
    "a table that is too long": (DELIVER + frame(HEADER, 1, table()[:-1] + b"\x09"), "longer than what it is in"),
    "a field of no type": (DELIVER + frame(HEADER, 1, table(b"\x01a?")), "the unknown type '?'"),
    "a table without an end": (DELIVER + frame(HEADER, 1, table(DEEP)), "more than 64 deep"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_no_broker_may_send_is_told(what: str) -> None:
    said, words = STRANGE[what]
    assert words in strangeness(said + bytes(8))


def test_a_name_that_is_twice_in_a_table_is_kept() -> None:
    properties, _ = decode_header(table(b"\x01at\x01\x01at\x00"))
    assert properties["headers"] == {"a": ["t", True], "a (again)": ["t", False]}


def test_what_is_sent_wrong_is_the_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match=r"has no field \{'nonsense'\}"):
        encode_method("basic.get", {"nonsense": 1})
    with pytest.raises(ValueError, match=r"no AMQP field type '\?'"):
        encode_value(["?", 1])
    with pytest.raises(ValueError, match="no field type 'odd'"):
        encode_field("odd", 1)


def test_a_method_comes_back_as_it_was_sent() -> None:
    fields = {"queue": "q", "durable": True, "arguments": TABLE, "nowait": True}
    name, decoded = decode_method(encode_method("queue.declare", fields))
    assert (name, {key: decoded[key] for key in fields}) == ("queue.declare", fields)


@pytest.fixture
def silent() -> Iterator[BrokerUrl]:
    """A broker that takes connections and says nothing, until the test is over."""
    listener = socket.create_server(("127.0.0.1", 0))
    yield BrokerUrl(*listener.getsockname()[:2])
    listener.close()


def test_nothing_is_waited_for_longer_than_asked(silent: BrokerUrl) -> None:
    client = Client(silent)
    assert client.hear_out(0.01, hoped=3, closes=True, hoped_s=0.02) == []
    with pytest.raises(TimeoutError):
        client.receive(0.0)
    client.drop()


def test_a_silent_broker_is_told_by_how_long_it_was_silent() -> None:
    assert unanswered(TimeoutError()) == "the broker did not answer within 10 s"
    assert unanswered(OSError("gone")) == "gone"
    assert unanswered(OSError()) == "OSError"


def test_what_came_instead_is_told_in_a_few_words() -> None:
    assert told(None) == "it closed the socket"
    assert told(Received(0, "connection.close", {"reply_code": 320, "reply_text": "bye"})) == "320 bye"
    assert told(Received(0, "connection.blocked", {})) == "connection.blocked"


def handshake(*methods: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(frame(METHOD, 0, encode_method(name, fields)) for name, fields in methods)


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ([("connection.start", {})], "the user or the password is wrong"),
        ([("connection.start", {}), ("connection.tune", {})], "there is no virtual host 'mine'"),
        ([("connection.start", {}), ("connection.secure", {})], "does not open a connection: connection.secure"),
    ],
)
def test_a_handshake_that_breaks_off_is_told(methods: list[tuple[str, dict[str, Any]]], words: str) -> None:
    with scripted(handshake(*methods)) as address, pytest.raises(Exception, match=words):
        Access(BrokerUrl(*address, vhost="mine")).connect()


def test_an_account_logs_in_by_the_mechanism_that_it_is_told() -> None:
    assert Account("me", "sesame").response() == b"\0me\0sesame"
    assert Account("me", "sesame", mechanism="AMQPLAIN").response().startswith(b"\x05LOGINS\0\0\0\x02me\x08PASSWORDS")
    assert "sesame" not in repr(Account("me", "sesame"))


def test_a_strange_greeting_is_written_down_all_the_same() -> None:
    fields = {"server_properties": {"capabilities": ["S", "many"]}, "mechanisms": "B A"}
    shown = handshake_fields(Received(0, "connection.start", fields))
    assert shown == {"server_properties": {"capabilities": {}}, "mechanisms": ["A", "B"]}


def test_a_queue_is_counted_or_why_it_is_not() -> None:
    assert count_of(Received(1, "queue.declare-ok", {"message_count": 2, "consumer_count": 1})) == [2, 1]
    assert count_of(Received(1, "channel.close", {"reply_code": 404, "reply_text": ""})) == "gone"
    assert count_of(Received(1, "channel.close", {"reply_code": 405, "reply_text": "no"})) == {
        "reply_code": 405,
        "reply_text": "no",
    }
    assert count_of(Received(1, "basic.qos-ok", {})) == "basic.qos-ok"


def test_a_long_body_is_written_down_by_its_digest() -> None:
    received = Received(1, "basic.deliver", {}, {"user_id": "me"}, b"x" * 1000)
    assert content(received, "me")[1].startswith("1000 bytes, SHA-256 ")


def ack(tag: int, *, multiple: bool = False) -> Received:
    return Received(1, "basic.ack", {"delivery_tag": tag, "multiple": multiple})


def test_a_confirm_of_what_was_not_published_is_strange() -> None:
    with pytest.raises(Strange, match=r"basic\.ack for message 9 on a channel where 2 are published"):
        Slot(0, 1, "guest", published=2).take(ack(9, multiple=True))


def test_a_confirm_that_comes_twice_is_told() -> None:
    slot = Slot(0, 1, "guest", published=2)
    assert slot.take(ack(2, multiple=True)) == []
    assert slot.take(ack(1)) == ["1 is confirmed twice"]


def test_deliveries_out_of_order_and_of_nobody_are_told() -> None:
    slot = Slot(0, 1, "guest")
    for tag in (2, 1):
        fields = {"consumer_tag": "c", "delivery_tag": tag}
        slot.take(Received(1, "basic.deliver", fields, {}, b""))
    first, *_ = slot.observed(str)
    assert first == "delivery tags out of order: [2, 1]"
    assert slot.steps == [(1, 2, False)]


def test_a_broker_that_streams_on_does_not_keep_who_leaves() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def stream() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(100)
            client.sendall(frame(METHOD, 0, encode_method("connection.unblocked", {})) * 3)
            client.sendall(frame(METHOD, 0, encode_method("connection.close-ok", {})))
            client.recv(100)

    thread = threading.Thread(target=stream)
    thread.start()
    client = Client(BrokerUrl(*listener.getsockname()[:2]))
    client.leave()
    thread.join()
    listener.close()
    assert client.closed
