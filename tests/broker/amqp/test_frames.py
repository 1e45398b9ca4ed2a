"""The frame reader and the frames written, held against pamqp and against cutting the stream anywhere."""

from itertools import pairwise

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, header, heartbeat

from phrasim.broker import AmqpConnectionError
from phrasim.broker.amqp.frames import (
    BODY,
    FRAME_MAX_MIN,
    HEADER,
    HEARTBEAT,
    METHOD,
    FrameReader,
    content_frames,
    frame,
)

pytestmark = pytest.mark.unmeasured

Frame = tuple[int, int, bytes]

channels = st.integers(0, 65535)
frames = (
    st.tuples(st.just(METHOD), channels, st.binary(min_size=4))
    | st.tuples(st.just(HEADER), channels, st.binary(min_size=12))
    | st.tuples(st.just(BODY), channels, st.binary())
    | st.tuples(st.just(HEARTBEAT), channels, st.just(b""))
)


def read(pieces: list[bytes], frame_max: int = FRAME_MAX_MIN) -> tuple[list[Frame], str | None]:
    """The frames that a stream in these pieces holds, and the error that ends it, if one does."""
    reader = FrameReader(frame_max)
    found: list[Frame] = []
    try:
        for piece in pieces:
            # Not by `extend`, which promises nothing about an iterator that ends in an error.
            for one in reader.feed(piece):
                found += [one]
    except AmqpConnectionError as error:
        return found, str(error)
    return found, None


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(st.lists(frames))
def test_frames_come_back(sent: list[Frame]) -> None:
    assert read([b"".join(frame(*one) for one in sent)]) == (sent, None)


@given(st.lists(frames), st.data())
def test_where_the_stream_is_cut_changes_nothing(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(frame(*one) for one in sent)
    places = data.draw(st.lists(st.integers(0, len(stream))))
    assert read(cut(stream, places)) == (sent, None)


def test_a_stream_of_single_bytes_gives_every_frame_as_soon_as_it_ends() -> None:
    reader = FrameReader()
    stream = frame(METHOD, 1, b"abcd") + frame(BODY, 2, b"")
    arrived = [list(reader.feed(stream[place : place + 1])) for place in range(len(stream))]
    assert arrived == [[]] * 11 + [[(METHOD, 1, b"abcd")]] + [[]] * 7 + [[(BODY, 2, b"")]]


@given(st.lists(frames), st.data())
def test_changed_bytes_end_in_a_frame_error_wherever_the_stream_is_cut(sent: list[Frame], data: st.DataObject) -> None:
    stream = bytearray(b"".join(frame(*one) for one in sent))
    for place in data.draw(st.lists(st.integers(0, max(0, len(stream) - 1)))):
        stream[place : place + 1] = bytes((data.draw(st.integers(0, 255)),))
    found, error = read([bytes(stream)])
    assert error is None or error.startswith("501 FRAME_ERROR - type ")
    assert read(cut(bytes(stream), data.draw(st.lists(st.integers(0, len(stream)))))) == (found, error)


@pytest.mark.parametrize(
    ("bad", "explanation"),
    [
        (b"\x01\x00\x01\x00\x00\x00\x04abcd\xcd", 'type 1, all octets = <<"abcd">>: {invalid_frame_end_marker,205}'),
        (
            b"\x03\x00\x01\x00\x00\x00\x11" + bytes(17) + b"\x00",
            f"type 3, first 16 octets = <<{','.join('0' * 16)}>>: {{invalid_frame_end_marker,0}}",
        ),
        (b"\x03\x00\x01\x00\x00\x10\x01", "type 3, all octets = <<>>: {frame_too_large,4097,4088}"),
        (b"\x04\x00\x01\x00\x00\x00\x00\xce", "type 4, all octets = <<>>: unknown_frame"),
        (b"\x01\x00\x01\x00\x00\x00\x03\x00\x0a\x00\xce", "type 1, all octets = <<0,10,0>>: unknown_frame"),
        (b"\x02\x00\x01\x00\x00\x00\x01\x22\xce", "type 2, all octets = <<34>>: unknown_frame"),
        (b"\x08\x00\x00\x00\x00\x00\x01x\xce", 'type 8, all octets = <<"x">>: unknown_frame'),
    ],
)
def test_a_malformed_frame_is_refused_behind_the_good_ones(bad: bytes, explanation: str) -> None:
    good = frame(HEARTBEAT, 0, b"")
    assert read([good + bad]) == ([(HEARTBEAT, 0, b"")], f"501 FRAME_ERROR - {explanation}")


def test_a_frame_may_be_eight_bytes_larger_than_agreed() -> None:
    largest = (BODY, 1, bytes(FRAME_MAX_MIN))
    assert read([frame(*largest)]) == ([largest], None)


def test_a_frame_that_will_be_too_large_is_refused_before_its_payload_arrives() -> None:
    found, error = read([b"\x03\x00\x01\xff\xff\xff\xff"], frame_max=131_072)
    assert (found, error) == ([], "501 FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4294967295,131064}")


def test_the_size_agreed_on_holds_for_the_next_frame_of_the_same_feed() -> None:
    reader = FrameReader()
    found = []
    for kind, _, payload in reader.feed(frame(METHOD, 0, b"tune") + frame(BODY, 1, bytes(5000))):
        reader.frame_max = 131_072
        found.append((kind, len(payload)))
    assert found == [(METHOD, 4), (BODY, 5000)]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(0, []), (1, [1]), (4088, [4088]), (4089, [4088, 1]), (10_000, [4088, 4088, 1824])],
)
def test_a_body_is_divided_into_frames_of_the_agreed_size(size: int, sizes: list[int]) -> None:
    content = bytes(range(256)) * 40
    found, error = read([content_frames(3, b"method", b"content header", content[:size], 4096)])
    assert error is None
    assert found[:2] == [(METHOD, 3, b"method"), (HEADER, 3, b"content header")]
    assert [(kind, channel, len(payload)) for kind, channel, payload in found[2:]] == [(BODY, 3, n) for n in sizes]
    assert b"".join(payload for _, _, payload in found[2:]) == content[:size]


@given(channels, st.binary(min_size=1))
def test_pamqp_writes_and_reads_the_same_frames(channel: int, content: bytes) -> None:
    ack = commands.Basic.Ack(1, True)
    theirs = (
        pamqp.frame.marshal(ack, channel)
        + pamqp.frame.marshal(header.ContentHeader(0, len(content)), channel)
        + pamqp.frame.marshal(body.ContentBody(content), channel)
        + pamqp.frame.marshal(heartbeat.Heartbeat(), 0)
    )
    found, _ = read([theirs])
    assert [kind for kind, _, _ in found] == [METHOD, HEADER, BODY, HEARTBEAT]
    (_, _, method), (_, _, properties), (_, _, payload), _ = found
    assert content_frames(channel, method, properties, payload, 131_072) + frame(HEARTBEAT, 0, b"") == theirs
