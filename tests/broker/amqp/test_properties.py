"""Content headers: what was received goes out as it came, and the broker reads from it what it reads elsewhere."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, header

from phrasim.broker import (
    NO_PROPERTIES,
    AmqpChannelError,
    AmqpConnectionError,
    Broker,
    Channel,
    Delivery,
    Properties,
    Table,
)
from phrasim.broker.amqp.properties import WireProperties, encode_header
from phrasim.broker.amqp.tables import Int32, Timestamp, decode_table

NAMES = tuple(field.name for field in fields(Properties))
JSON_PERSISTENT = b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc8\x90\x00\x10application/json\x02"

short = st.binary(max_size=255).map(lambda encoded: encoded.decode("utf-8", "surrogateescape"))
headers = st.dictionaries(
    st.text(max_size=20), st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()
)
seconds = st.integers(0, 2**32 - 1).map(lambda since: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, since))


def all_properties(text: st.SearchStrategy[str], table: st.SearchStrategy[dict]) -> st.SearchStrategy[Properties]:
    kinds = {
        "headers": table,
        "delivery_mode": st.integers(0, 255),
        "priority": st.integers(0, 255),
        "timestamp": seconds,
    }
    return st.builds(Properties, **{name: st.none() | kinds.get(name, text) for name in NAMES})


def values(properties: object) -> dict[str, object]:
    return {name: getattr(properties, name) for name in NAMES}


@given(all_properties(short, headers), st.integers(0, 2**64 - 1))
def test_properties_come_back(properties: Properties, body_size: int) -> None:
    raw = encode_header(properties, body_size)
    received = WireProperties(raw)
    assert received.body_size == body_size
    assert values(received) == values(properties)
    assert encode_header(Properties(**values(received)), body_size) == raw


@given(all_properties(short, headers), st.data())
def test_every_property_can_be_the_first_that_is_asked_for(properties: Properties, data: st.DataObject) -> None:
    received = WireProperties(encode_header(properties, 0))
    for name in data.draw(st.permutations(NAMES)):
        assert getattr(received, name) == getattr(properties, name)


def test_a_received_header_goes_out_as_it_came() -> None:
    # Flags that mean nothing, a delivery mode of 9, an integer in a type that Python would not choose.
    raw = b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x30\x03\x00\x00\x00\x07\x01kI\x00\x00\x00\x01\x09"
    received = WireProperties(raw)
    assert encode_header(received, 5) is raw
    assert (received.headers, received.delivery_mode) == ({"k": 1}, 9)
    assert encode_header(received, 5) is raw


def test_a_received_header_for_another_body_is_written_anew() -> None:
    received = WireProperties(JSON_PERSISTENT)
    assert encode_header(received, 256) == JSON_PERSISTENT[:10] + b"\x01\x00" + JSON_PERSISTENT[12:]


def test_json_and_persistent_have_these_bytes() -> None:
    properties = Properties(content_type="application/json", delivery_mode=2)
    assert encode_header(properties, 200) == JSON_PERSISTENT
    assert encode_header(NO_PROPERTIES, 1) == b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"
    assert values(WireProperties(JSON_PERSISTENT)) == values(properties)


def test_a_time_beyond_datetime_is_its_number_of_seconds() -> None:
    """Some clients send milliseconds: RabbitMQ hands them on."""
    raw = b"\x00\x3c\x00\x00" + bytes(8) + b"\x00\x40\x00\x00\x01\x99\xc8\x2c\xc0\x00"
    received = WireProperties(raw)
    assert received.timestamp == Timestamp(1_760_000_000_000)
    assert encode_header(Properties(timestamp=received.timestamp), 0) == raw


def test_a_property_that_amqp_cannot_express_is_refused() -> None:
    with pytest.raises(ValueError, match="256 bytes long"):
        encode_header(Properties(message_id="m" * 256), 0)
    with pytest.raises(ValueError, match="range"):
        encode_header(Properties(priority=256), 0)


def test_it_has_no_other_attributes_than_properties_have() -> None:
    with pytest.raises(AttributeError, match="colour"):
        WireProperties(JSON_PERSISTENT).colour  # noqa: B018 - that it cannot be read is the point


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        (
            b"\x00\x32" + JSON_PERSISTENT[2:],
            "505 UNEXPECTED_FRAME - expected content header for class 60, got one for ",
        ),
        (b"\x00\x3c\x00\x01" + JSON_PERSISTENT[4:], "505 UNEXPECTED_FRAME - .* got non content header frame instead"),
    ],
)
def test_a_header_of_another_kind_is_refused_when_it_arrives(raw: bytes, reply: str) -> None:
    with pytest.raises(AmqpConnectionError, match=f"^{reply}"):
        WireProperties(raw)


@pytest.mark.parametrize(
    "raw",
    [
        JSON_PERSISTENT[:12],
        JSON_PERSISTENT[:13],
        JSON_PERSISTENT[:14],
        JSON_PERSISTENT[:20],
        JSON_PERSISTENT[:-1],
        JSON_PERSISTENT + b"\x00",
        JSON_PERSISTENT[:12] + b"\x20\x00\xff\xff\xff\xff",
        JSON_PERSISTENT[:12] + b"\x00\x40" + bytes(7),
        JSON_PERSISTENT[:12] + b"\x20\x00\x00\x00\x00\x03\x01k?",
    ],
)
def test_properties_that_cannot_be_read_are_541_but_not_before_the_exchange(
    broker: Broker, channel: Channel, raw: bytes
) -> None:
    other = channel.connection.open_channel()
    with pytest.raises(AmqpChannelError, match="404 NOT_FOUND - no exchange 'absent'"):
        channel.basic_publish("absent", "q", b"", WireProperties(raw))
    with pytest.raises(AmqpConnectionError, match=r"^541 INTERNAL_ERROR$") as exc_info:
        other.basic_publish("", "q", b"", WireProperties(raw))
    assert (exc_info.value.class_id, exc_info.value.method_id) == (0, 0)
    assert other.connection.closed
    assert broker.drain() == []


@given(all_properties(short, headers), st.data())
def test_changed_bytes_are_other_properties_or_refused(properties: Properties, data: st.DataObject) -> None:
    raw = bytearray(encode_header(properties, 3))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1))):
        raw[place] = data.draw(st.integers(0, 255))
    refusal = None
    try:
        values(WireProperties(bytes(raw[: data.draw(st.integers(12, len(raw)))])))
    except AmqpConnectionError as error:
        refusal = error.reply_code
    assert refusal in {None, 505, 541}


# pamqp leaves out what is empty, and has no bytes in strings.
filled = st.text(min_size=1).filter(lambda text: len(text.encode()) <= 255)
pamqp_headers = st.dictionaries(st.text(max_size=20), st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text())


@given(all_properties(filled, pamqp_headers), st.integers(0, 2**64 - 1))
def test_pamqp_reads_and_writes_the_same_header(properties: Properties, body_size: int) -> None:
    ours = header.ContentHeader()
    ours.unmarshal(encode_header(properties, body_size))
    theirs = commands.Basic.Properties()
    for name, value in values(properties).items():
        if value is not None:
            setattr(theirs, "message_type" if name == "type" else name, value)
    assert (ours.class_id, ours.weight, ours.body_size) == (60, 0, body_size)
    assert ours.properties == theirs
    assert values(WireProperties(header.ContentHeader(0, body_size, theirs).marshal())) == values(properties)


def received(*, headers: Table | None = None, expiration: str | None = None) -> WireProperties:
    properties = Properties(
        headers=headers, expiration=expiration, message_id="m", timestamp=datetime(2025, 1, 1, tzinfo=UTC)
    )
    return WireProperties(encode_header(properties, 1))


def test_the_broker_takes_received_properties(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.basic_consume("q", "c")
    properties = received(headers={"a": Int32(1)}, expiration="1000")
    message = channel.basic_publish("", "q", b"x", properties)
    assert message.expiration_ms == 1000
    (delivery,) = broker.drain()
    assert isinstance(delivery, Delivery)
    assert encode_header(delivery.message.properties, 1) is properties.raw


def test_an_expiration_that_is_no_utf_8_is_refused_like_any_other(channel: Channel) -> None:
    with pytest.raises(AmqpChannelError) as exc_info:
        channel.basic_publish("", "q", b"x", received(expiration="\udcff"))
    assert exc_info.value.reply_text == "PRECONDITION_FAILED - invalid expiration '\udcff': no_integer"


def test_bcc_is_taken_out_of_received_properties_and_nothing_else(broker: Broker, channel: Channel) -> None:
    for name in ("to", "bcc"):
        channel.queue_declare(name)
    channel.basic_publish("", "to", b"x", received(headers={"BCC": ["bcc"], "n": Int32(1)}))
    fetched = channel.basic_get("bcc")
    assert fetched is not None
    assert encode_header(fetched.message.properties, 1) == received(headers={"n": Int32(1)}).raw


def test_a_letter_has_the_types_of_rabbitmq_on_the_wire(broker: Broker, channel: Channel) -> None:
    """PROTOCOL §4.3; what the publisher sent keeps its types, and what the broker adds has RabbitMQ's."""
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    channel.queue_declare("dead")
    channel.basic_publish("", "q", b"x", received(headers={"n": Int32(1)}, expiration="9"))
    channel.basic_get("q")
    channel.basic_reject(1, requeue=False)
    fetched = channel.basic_get("dead")
    assert fetched is not None
    assert encode_header(fetched.message.properties, 1) == (
        b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\xc0"
        b"\x00\x00\x00\xee"
        b"\x01nI\x00\x00\x00\x01"
        b"\x07x-deathA\x00\x00\x00\x82F\x00\x00\x00\x7d"
        b"\x05countl\x00\x00\x00\x00\x00\x00\x00\x01"
        b"\x06reasonS\x00\x00\x00\x08rejected"
        b"\x05queueS\x00\x00\x00\x01q"
        b"\x04timeT\x00\x00\x00\x00\x68\xe7\x78\x00"
        b"\x08exchangeS\x00\x00\x00\x00"
        b"\x0crouting-keysA\x00\x00\x00\x06S\x00\x00\x00\x01q"
        b"\x13original-expirationS\x00\x00\x00\x019"
        b"\x16x-first-death-exchangeS\x00\x00\x00\x00"
        b"\x13x-first-death-queueS\x00\x00\x00\x01q"
        b"\x14x-first-death-reasonS\x00\x00\x00\x08rejected"
        b"\x01m"
        b"\x00\x00\x00\x00\x67\x74\x85\x80"
    )
    assert decode_table(encode_header(fetched.message.properties, 1), 14)[0] == fetched.message.properties.headers
