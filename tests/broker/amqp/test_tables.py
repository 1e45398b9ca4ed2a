"""Field tables in RabbitMQ's dialect, held against pamqp and against bytes written by hand."""

import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import pamqp.decode
import pamqp.encode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrasim.broker import AmqpConnectionError
from phrasim.broker.amqp.tables import (
    TABLE_BYTES_MAX,
    TABLE_DEPTH_MAX,
    Float32,
    Int8,
    Int16,
    Int32,
    MalformedTableError,
    Timestamp,
    UInt8,
    UInt16,
    UInt32,
    decode_table,
    encode_table,
    read_short_string,
    short_string,
)

pytestmark = pytest.mark.unmeasured


def from_bytes(encoded: bytes) -> str:
    return encoded.decode("utf-8", "surrogateescape")


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    least = -(2 ** (bits - 1)) if signed else 0
    return st.integers(least, least + 2**bits - 1)


times = st.integers(0, 253_402_300_799).map(lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, seconds))
finite = {"allow_nan": False, "allow_infinity": False}
decimals = st.builds(
    lambda digits, scale: Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -scale)),
    integers(32, signed=True),
    st.integers(0, 255),
)
scalars = (
    st.none()
    | st.booleans()
    | integers(8, signed=True).map(Int8)
    | integers(8, signed=False).map(UInt8)
    | integers(16, signed=True).map(Int16)
    | integers(16, signed=False).map(UInt16)
    | integers(32, signed=True).map(Int32)
    | integers(32, signed=False).map(UInt32)
    | integers(64, signed=True)
    | st.floats(width=32, **finite).map(Float32)
    | st.floats(**finite)
    | decimals
    | st.binary().map(from_bytes)
    | st.binary()
    | times
    | st.integers(253_402_300_800, 2**64 - 1).map(Timestamp)
)
names = st.binary(max_size=30).map(from_bytes)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=8)
tables = st.dictionaries(names, values)


def typed(value: object) -> object:
    """The value with the type of every part of it, so that two are equal only if all types are."""
    if isinstance(value, dict):
        return {name: typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return type(value), value


@given(tables)
def test_a_table_comes_back_with_its_values_types_and_order(table: dict) -> None:
    encoded = encode_table(table)
    decoded, end = decode_table(encoded)
    assert typed(decoded) == typed(table)
    assert list(decoded) == list(table)
    assert end == len(encoded)
    assert encode_table(decoded) == encoded


@given(tables, st.binary(), st.binary())
def test_a_table_is_read_where_it_lies(table: dict, before: bytes, behind: bytes) -> None:
    encoded = encode_table(table)
    assert decode_table(before + encoded + behind, len(before)) == (table, len(before) + len(encoded))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"t\x01", True),
        (b"b\xff", Int8(-1)),
        (b"B\xff", UInt8(255)),
        (b"s\xff\xfe", Int16(-2)),
        (b"u\xff\xfe", UInt16(65534)),
        (b"I\xff\xff\xff\xfd", Int32(-3)),
        (b"i\xff\xff\xff\xfd", UInt32(4294967293)),
        (b"l\xff\xff\xff\xff\xff\xff\xff\xfc", -4),
        (b"f\x3f\x80\x00\x00", Float32(1)),
        (b"d\x3f\xf0\x00\x00\x00\x00\x00\x00", 1.0),
        (b"D\x02\x00\x00\x01\x2c", Decimal("3.00")),
        (b"D\x00\x80\x00\x00\x00", Decimal(-(2**31))),
        (b"S\x00\x00\x00\x02\xc3\xa9", "é"),
        (b"S\x00\x00\x00\x01\xff", "\udcff"),
        (b"T\x00\x00\x00\x00\x68\xe7\x78\x00", datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        (b"T\x00\x00\x01\x99\xc8\x2c\xc0\x00", Timestamp(1_760_000_000_000)),
        (b"V", None),
        (b"x\x00\x00\x00\x02\x00\xff", b"\x00\xff"),
        (b"A\x00\x00\x00\x03Vt\x00", [None, False]),
        (b"F\x00\x00\x00\x03\x01aV", {"a": None}),
    ],
)
def test_each_type_has_the_bytes_of_rabbitmqs_dialect(field: bytes, value: object) -> None:
    encoded = struct.pack(">I", len(field) + 2) + b"\x01k" + field
    assert typed(decode_table(encoded)[0]) == typed({"k": value})
    assert encode_table({"k": value}) == encoded


def test_an_x_death_header_has_the_types_that_rabbitmq_gives_it() -> None:
    """The count is an `l`, the time a `T`, the routing keys an array of `S`."""
    death = {
        "count": 1,
        "exchange": "ex",
        "queue": "q",
        "reason": "rejected",
        "routing-keys": ["k"],
        "time": datetime.fromtimestamp(1_760_000_000, UTC),
    }
    assert encode_table({"x-death": [death]}) == (
        b"\x00\x00\x00\x77"
        b"\x07x-deathA\x00\x00\x00\x6a"
        b"F\x00\x00\x00\x65"
        b"\x05countl\x00\x00\x00\x00\x00\x00\x00\x01"
        b"\x08exchangeS\x00\x00\x00\x02ex"
        b"\x05queueS\x00\x00\x00\x01q"
        b"\x06reasonS\x00\x00\x00\x08rejected"
        b"\x0crouting-keysA\x00\x00\x00\x06S\x00\x00\x00\x01k"
        b"\x04timeT\x00\x00\x00\x00\x68\xe7\x78\x00"
    )


def test_a_number_is_equal_to_the_same_number_of_another_type_and_grows_into_a_long() -> None:
    table, _ = decode_table(encode_table({"narrow": Int32(3), "wide": 3}))
    assert table["narrow"] == table["wide"] == 3
    assert type(table["narrow"]) is Int32
    assert encode_table({"n": table["narrow"] + 1}) == b"\x00\x00\x00\x0b\x01nl\x00\x00\x00\x00\x00\x00\x00\x04"


def test_an_l_in_capitals_and_any_octet_but_zero_leave_as_rabbitmq_writes_them() -> None:
    decoded, _ = decode_table(b"\x00\x00\x00\x0f\x01aL\xff\xff\xff\xff\xff\xff\xff\xff\x01bt\x07")
    assert decoded == {"a": -1, "b": True}
    assert encode_table(decoded) == b"\x00\x00\x00\x0f\x01al\xff\xff\xff\xff\xff\xff\xff\xff\x01bt\x01"


def test_what_python_has_besides_is_written_as_what_it_is() -> None:
    written = encode_table(MappingProxyType({"a": (1, 2), "b": bytearray(b"x"), "c": Decimal("2E+3")}))
    assert decode_table(written)[0] == {"a": [1, 2], "b": b"x", "c": Decimal(2000)}


def test_parts_of_a_second_are_cut_off() -> None:
    time = datetime(2025, 1, 1, tzinfo=UTC)
    assert decode_table(encode_table({"t": time + timedelta(seconds=1, microseconds=999_999)}))[0] == {
        "t": time + timedelta(seconds=1)
    }


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        Int8(128),
        UInt16(-1),
        float("inf"),
        Float32("nan"),
        Float32(1e300),
        Decimal(2**31),
        Decimal("1E-256"),
        Decimal("1E+999999"),
        Decimal("NaN"),
        Decimal("0.1234567890123"),
        datetime(2025, 1, 1),  # noqa: DTZ001 - this is what is wrong with it
        datetime(1969, 12, 31, tzinfo=UTC),
    ],
)
def test_a_value_that_amqp_cannot_express_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"does not fit|no finite|no time zone"):
        encode_table({"k": value})


def test_a_value_of_no_type_of_amqp_is_refused() -> None:
    with pytest.raises(TypeError, match=r"cannot hold \{1\} of type set"):
        encode_table({"k": {1}})


def test_a_short_string_has_255_bytes_at_most() -> None:
    assert short_string("é" * 127) == b"\xfe" + "é".encode() * 127
    assert read_short_string(short_string("\udcff" * 255), 0) == ("\udcff" * 255, 256)
    with pytest.raises(ValueError, match="256 bytes long"):
        short_string("é" * 128)


@pytest.mark.parametrize(
    ("payload", "explanation"),
    [
        (b"", "cut off"),
        (b"\x00\x00\x00", "cut off"),
        (b"\x00\x00\x00\x01", "1 bytes has 0 bytes to lie in"),
        (b"\xff\xff\xff\xff\x01kV", "4294967295 bytes has 3 bytes"),
        (b"\x00\x00\x00\x01\x01", "cut off"),
        (b"\x00\x00\x00\x02\x01k", "cut off"),
        (b"\x00\x00\x00\x02\x01kV", "cut off"),
        (b"\x00\x00\x00\x03\x01kq", "unknown type 'q'"),
        (b"\x00\x00\x00\x03\x01k\x00", r"unknown type '\\x00'"),
        (b"\x00\x00\x00\x04\x01kl\x00", "cut off"),
        (b"\x00\x00\x00\x07\x01kS\x00\x00\x00\x01\x01kV", "cut off"),
        (b"\x00\x00\x00\x07\x01kS\xff\xff\xff\xff", "cut off"),
        (b"\x00\x00\x00\x09\x01kA\x00\x00\x00\x02Vt", "cut off"),
        (b"\x00\x00\x00\x0a\x01kA\x00\x00\x00\x02b\x00\x00", "cut off"),
        (b"\x00\x00\x00\x09\x01kA\x00\x00\x00\x02s\x00\x01kV", "cut off"),
        (b"\x00\x00\x00\x07\x01kf\x7f\x80\x00\x00", "inf, which is no finite number"),
        (b"\x00\x00\x00\x0b\x01kd\x7f\xf8\x00\x00\x00\x00\x00\x00", "nan, which is no finite number"),
    ],
)
def test_a_malformed_table_is_refused_with_the_reason(payload: bytes, explanation: str) -> None:
    with pytest.raises(MalformedTableError, match=explanation):
        decode_table(payload)


def test_a_table_beyond_the_limit_is_not_implemented() -> None:
    field = b"\x01kx" + struct.pack(">I", TABLE_BYTES_MAX - 7) + bytes(TABLE_BYTES_MAX - 7)
    assert decode_table(struct.pack(">I", TABLE_BYTES_MAX) + field)[1] == TABLE_BYTES_MAX + 4
    with pytest.raises(AmqpConnectionError, match=r"540 .* 131073 bytes is longer than 131072 bytes"):
        decode_table(struct.pack(">I", TABLE_BYTES_MAX + 1) + field + b"\x00")


@pytest.mark.parametrize("kind", ["array", "table"])
def test_depth_is_limited(kind: str) -> None:
    def nested(depth: int) -> dict:
        value: object = None
        for _ in range(depth - 1):
            value = [value] if kind == "array" else {"k": value}
        return {"k": value}

    assert decode_table(encode_table(nested(TABLE_DEPTH_MAX)))[0] == nested(TABLE_DEPTH_MAX)
    with pytest.raises(AmqpConnectionError, match=r"540 .* more than 64 deep"):
        decode_table(encode_table(nested(TABLE_DEPTH_MAX + 1)))


@given(tables, st.data())
def test_changed_bytes_are_another_table_or_malformed(table: dict, data: st.DataObject) -> None:
    encoded = bytearray(encode_table(table))
    for position in data.draw(st.lists(st.integers(0, len(encoded) - 1))):
        encoded[position] = data.draw(st.integers(0, 255))
    cut = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    try:
        decoded, _ = decode_table(cut)
    except MalformedTableError:
        return
    assert typed(decode_table(encode_table(decoded))[0]) == typed(decoded)


def pamqp_view(value: object) -> object:
    """What pamqp makes of a value of ours: `x` is a bytearray, and `S` is bytes where it is not UTF-8."""
    match value:
        case dict():
            return {name: pamqp_view(inner) for name, inner in value.items()}
        case list():
            return [pamqp_view(inner) for inner in value]
        case bytes():
            return bytearray(value)
        case str() if not is_utf8(value):
            return value.encode("utf-8", "surrogateescape")
        case _:
            return value


def is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


# pamqp takes a time after 2106 for milliseconds, and its decimals are rounded to the context.
early = st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
shared_names = st.text(max_size=30)
shared_scalars = scalars.filter(lambda value: not isinstance(value, datetime | Timestamp | Decimal)) | early
shared_values = st.recursive(
    shared_scalars, lambda inner: st.lists(inner) | st.dictionaries(shared_names, inner), max_leaves=8
)


@settings(max_examples=100)
@given(st.dictionaries(shared_names, shared_values))
def test_pamqp_reads_what_we_write(table: dict) -> None:
    encoded = encode_table(table)
    assert pamqp.decode.field_table(encoded) == (len(encoded), pamqp_view(table))


@given(decimals)
def test_pamqp_reads_our_decimals_as_the_same_number(number: Decimal) -> None:
    _, decoded = pamqp.decode.field_table(encode_table({"d": number}))
    assert decoded == {"d": number}


pamqp_values = st.recursive(
    st.none()
    | st.booleans()
    | integers(64, signed=True)
    | st.floats(width=32, **finite)
    | st.text()
    | st.binary().map(bytearray)
    | early
    | st.decimals(-2_000_000, 2_000_000, places=3),
    lambda inner: st.lists(inner) | st.dictionaries(shared_names, inner),
    max_leaves=8,
)


@given(st.dictionaries(shared_names, pamqp_values))
def test_we_read_what_pamqp_writes_and_write_it_again(table: dict) -> None:
    """It writes integers in the shortest type that holds them and every float as `f`: we give back the same bytes."""
    encoded = pamqp.encode.field_table(table)
    decoded, end = decode_table(encoded)
    assert decoded == table
    assert end == len(encoded)
    assert encode_table(decoded) == encoded
