"""Methods: the bytes of the frequent ones by hand, and all of them against pamqp."""

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.base import Frame

from phrasim.broker import AmqpConnectionError
from phrasim.broker.amqp import methods
from phrasim.broker.amqp.frames import METHOD, frame
from phrasim.broker.amqp.tables import Int32, short_string
from phrasim.broker.errors import AmqpUnansweredError

ALL = sorted(commands.INDEX_MAPPING.items())

texts = st.text().filter(lambda text: len(text.encode()) <= 255)
arguments = {
    "octet": st.integers(0, 2**8 - 1),
    "short": st.integers(0, 2**16 - 1),
    "long": st.integers(0, 2**32 - 1),
    "longlong": st.integers(0, 2**63 - 1),
    "shortstr": texts,
    "longstr": st.text(),
    "bit": st.booleans(),
    # pamqp cuts names to 128 bytes.
    "table": st.dictionaries(st.text(max_size=30), st.booleans() | st.text() | st.integers(-(2**63), 2**63 - 1)),
}


@st.composite
def any_command(draw: st.DrawFn) -> Frame:
    """A command with any arguments, also such as its own constructor would refuse."""
    _, command_class = draw(st.sampled_from(ALL))
    command = command_class.__new__(command_class)
    for name in command_class.attributes():
        setattr(command, name, draw(arguments[command_class.amqp_type(name)]))
    return command


def fields(command: Frame) -> tuple[str, dict[str, object]]:
    return command.name, dict(command)


def refusal(payload: bytes) -> str | None:
    try:
        methods.decode(payload)
    except AmqpConnectionError as error:
        return str(error)
    return None


@given(any_command())
def test_every_method_comes_back(command: Frame) -> None:
    assert fields(methods.decode(methods.encode(command))) == fields(command)


@pytest.mark.filterwarnings("ignore:This command is deprecated:DeprecationWarning")
@given(any_command())
def test_pamqp_reads_every_method_that_we_write(command: Frame) -> None:
    stream = frame(METHOD, 7, methods.encode(command))
    assert pamqp.frame.unmarshal(stream)[:2] == (len(stream), 7)
    assert fields(pamqp.frame.unmarshal(stream)[2]) == fields(command)


# What pamqp checks before it writes: names by a pattern, and that deprecated arguments have their only value.
polite = {
    "ticket": st.just(0),
    "insist": st.just(False),
    "capabilities": st.just(""),
    "known_hosts": st.just(""),
    "cluster_id": st.just(""),
    "out_of_band": st.just("0"),
    "channel_id": st.just("0"),
    **dict.fromkeys(
        ("exchange", "queue", "source", "destination", "virtual_host"), st.from_regex(r"[a-z.:-]{1,20}", fullmatch=True)
    ),
}


@given(any_command(), st.data())
def test_we_read_every_method_that_pamqp_writes(command: Frame, data: st.DataObject) -> None:
    for name in command.attributes():
        if name in polite:
            setattr(command, name, data.draw(polite[name]))
    stream = pamqp.frame.marshal(command, 7)
    assert fields(methods.decode(stream[7:-1])) == fields(command)


@given(any_command(), st.data())
def test_cut_or_continued_arguments_cannot_be_decoded(command: Frame, data: st.DataObject) -> None:
    payload = methods.encode(command)
    wrong = data.draw(st.integers(4, len(payload)).map(lambda end: payload[:end]) | st.binary().map(payload.__add__))
    refused = refusal(wrong)
    assert (refused is None) == (wrong == payload)
    assert refused is None or refused.startswith("501 FRAME_ERROR - cannot decode <<")


@given(any_command(), st.data())
def test_changed_bytes_are_another_method_or_refused(command: Frame, data: st.DataObject) -> None:
    payload = bytearray(methods.encode(command))
    for place in data.draw(st.lists(st.integers(0, len(payload) - 1))):
        payload[place] = data.draw(st.integers(0, 255))
    refused = refusal(bytes(payload))
    assert refused is None or refused.startswith(("501 FRAME_ERROR", "502 SYNTAX_ERROR", "540 NOT_IMPLEMENTED"))
    for parse in (methods.parse_publish, methods.parse_ack, methods.parse_reject, methods.parse_nack):
        try:
            parse(bytes(payload))
        except AmqpConnectionError as error:
            refused = str(error)
        else:
            refused = None
        assert refused is None or refused.startswith("501 FRAME_ERROR - cannot decode <<")


@pytest.mark.parametrize(
    "payload", [b"\x00\x3c\x00\x29", b"\x00\x63\x00\x0a", b"\xff\xff\xff\xff", b"\x00\x3c\x00\x00"]
)
def test_a_method_nobody_knows_is_not_implemented_and_not_answered(payload: bytes) -> None:
    class_id, method_id = int.from_bytes(payload[:2]), int.from_bytes(payload[2:])
    with pytest.raises(AmqpUnansweredError):
        methods.decode(payload)
    assert refusal(payload) == f"540 NOT_IMPLEMENTED - unknown method {{{class_id},{method_id}}}"


def test_an_error_names_the_method_that_could_not_be_read() -> None:
    for arguments_, reply in (
        (b"\x00\x00\x01q", "501 FRAME_ERROR - cannot decode <<0,0,1,113>>"),
        (b"\x00\x00\x01q\x00\x00\x00\x00\x03\x01k?", "502 SYNTAX_ERROR - a field has the unknown type '?'"),
    ):
        with pytest.raises(AmqpConnectionError) as exc_info:
            methods.decode(b"\x00\x32\x00\x0a" + arguments_)
        assert str(exc_info.value) == reply
        assert (exc_info.value.class_id, exc_info.value.method_id) == (50, 10)
    with pytest.raises(AmqpConnectionError, match="Malformed UTF-8 in shortstr") as exc_info:
        methods.decode(b"\x00\x32\x00\x0a\x00\x00\x01\xff\x00\x00\x00\x00\x00")
    assert (exc_info.value.class_id, exc_info.value.method_id) == (0, 0)
    with pytest.raises(AmqpConnectionError) as exc_info:
        methods.parse_ack(methods.ACK + bytes(8))
    assert (exc_info.value.class_id, exc_info.value.method_id) == (60, 80)


def test_the_types_in_a_method_s_table_are_kept() -> None:
    declare = methods.decode(b"\x00\x32\x00\x0a\x00\x00\x01q\x02\x00\x00\x00\x13\x0dx-message-ttlI\x00\x00\x27\x10")
    assert isinstance(declare, commands.Queue.Declare)
    assert (declare.queue, declare.passive, declare.durable) == ("q", False, True)
    assert declare.arguments == {"x-message-ttl": 10_000}
    assert type(declare.arguments["x-message-ttl"]) is Int32


def test_a_long_string_keeps_any_bytes() -> None:
    """The response of AMQPLAIN is a table, and so seldom UTF-8."""
    start_ok = commands.Connection.StartOk({}, "AMQPLAIN", "\x05LOGINS\x00\x00\x00\x01\udcff")
    decoded = methods.decode(methods.encode(start_ok))
    assert isinstance(decoded, commands.Connection.StartOk)
    assert decoded.response.encode("utf-8", "surrogateescape") == b"\x05LOGINS\x00\x00\x00\x01\xff"


def test_publish_is_read_from_its_bytes() -> None:
    payload = b"\x00\x3c\x00\x28\x00\x00\x02ex\x04a.\xff." + b"\x03"
    assert payload[:4] == methods.PUBLISH
    assert methods.parse_publish(payload) == ("ex", "a.\udcff.", True, True)
    assert methods.parse_publish(payload[:-1] + b"\x01") == ("ex", "a.\udcff.", True, False)
    assert methods.parse_publish(b"\x00\x3c\x00\x28\x00\x07\x00\x00\x00") == ("", "", False, False)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00\x3c\x00\x28",
        b"\x00\x3c\x00\x28\x00\x00\x02e",
        b"\x00\x3c\x00\x28\x00\x00\x02ex\x04a",
        b"\x00\x3c\x00\x28\x00\x00\x00\x00",
        b"\x00\x3c\x00\x28\x00\x00\x00\x00\x00\x00",
    ],
)
def test_a_publish_that_does_not_end_where_it_should_is_refused_each_time(payload: bytes) -> None:
    for _ in range(2):
        with pytest.raises(AmqpConnectionError, match="501 FRAME_ERROR - cannot decode") as exc_info:
            methods.parse_publish(payload)
        assert (exc_info.value.class_id, exc_info.value.method_id) == (60, 40)


def test_acknowledgements_are_read_from_their_bytes() -> None:
    tag = b"\x00\x00\x00\x00\x00\x00\x01\x00"
    assert methods.parse_ack(methods.ACK + tag + b"\x00") == (256, False)
    assert methods.parse_ack(methods.ACK + tag + b"\x01") == (256, True)
    assert methods.parse_reject(methods.REJECT + tag + b"\x01") == (256, True)
    assert methods.parse_nack(methods.NACK + tag + b"\x01") == (256, True, False)
    assert methods.parse_nack(methods.NACK + tag + b"\x02") == (256, False, True)


def test_what_the_broker_sends_has_these_bytes() -> None:
    assert methods.deliver("ctag", 7, True, "ex", "a.b") == (
        b"\x00\x3c\x00\x3c\x04ctag\x00\x00\x00\x00\x00\x00\x00\x07\x01\x02ex\x03a.b"
    )
    assert methods.get_ok(7, False, "ex", "a.b", 258) == (
        b"\x00\x3c\x00\x47\x00\x00\x00\x00\x00\x00\x00\x07\x00\x02ex\x03a.b\x00\x00\x01\x02"
    )
    assert methods.returned(312, "NO_ROUTE", "ex", "\udcff") == b"\x00\x3c\x00\x32\x01\x38\x08NO_ROUTE\x02ex\x01\xff"
    assert methods.ack(7) == b"\x00\x3c\x00\x50\x00\x00\x00\x00\x00\x00\x00\x07\x00"
    assert methods.ack(7, multiple=True) == b"\x00\x3c\x00\x50\x00\x00\x00\x00\x00\x00\x00\x07\x01"
    assert methods.nack(7) == b"\x00\x3c\x00\x78\x00\x00\x00\x00\x00\x00\x00\x07\x02"
    assert methods.nack(7, multiple=True) == b"\x00\x3c\x00\x78\x00\x00\x00\x00\x00\x00\x00\x07\x03"


@given(st.integers(0, 2**63 - 1), st.booleans(), texts, texts, texts, st.integers(0, 2**32 - 1))
def test_pamqp_reads_what_is_written_by_hand(
    tag: int, flag: bool, consumer_tag: str, exchange: str, routing_key: str, count: int
) -> None:
    for payload, expected in (
        (
            methods.deliver(consumer_tag, tag, flag, exchange, routing_key),
            {
                "consumer_tag": consumer_tag,
                "delivery_tag": tag,
                "redelivered": flag,
                "exchange": exchange,
                "routing_key": routing_key,
            },
        ),
        (
            methods.get_ok(tag, flag, exchange, routing_key, count),
            {
                "delivery_tag": tag,
                "redelivered": flag,
                "exchange": exchange,
                "routing_key": routing_key,
                "message_count": count,
            },
        ),
        (methods.ack(tag, flag), {"delivery_tag": tag, "multiple": flag}),
        (methods.nack(tag, flag), {"delivery_tag": tag, "multiple": flag, "requeue": True}),
    ):
        assert dict(pamqp.frame.unmarshal(frame(METHOD, 1, payload))[2]) == expected


@given(st.integers(0, 2**63 - 1), st.booleans(), st.booleans(), texts, texts)
def test_pamqp_s_frequent_methods_are_read_by_hand(
    tag: int, flag: bool, other: bool, exchange: str, routing_key: str
) -> None:
    publish = commands.Basic.Publish(0, "", routing_key, flag, other)
    publish.exchange = exchange
    assert methods.parse_publish(methods.encode(publish)) == (exchange, routing_key, flag, other)
    assert methods.parse_ack(pamqp.frame.marshal(commands.Basic.Ack(tag, flag), 1)[7:-1]) == (tag, flag)
    assert methods.parse_reject(pamqp.frame.marshal(commands.Basic.Reject(tag, flag), 1)[7:-1]) == (tag, flag)
    nack = pamqp.frame.marshal(commands.Basic.Nack(tag, flag, other), 1)[7:-1]
    assert methods.parse_nack(nack) == (tag, flag, other)


def test_a_reply_text_is_cut_to_what_a_short_string_holds() -> None:
    assert methods.reply_text("a" * 255) == "a" * 255
    assert methods.reply_text("a" * 256) == "a" * 252 + "..."
    assert short_string(methods.reply_text("é" * 200)) == b"\xff" + "é".encode() * 126 + b"..."
