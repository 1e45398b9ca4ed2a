"""Frames (AMQP 0-9-1 §4.2.3): a stream of bytes in, frames out, and the other way. What is in them, others know.

The errors and their texts are those of `rabbit_reader.erl` and `rabbit_command_assembler.erl`; how Erlang would print
octets is imitated for short payloads only, without its line breaks.
"""

from collections.abc import Iterator
from struct import Struct

from phrasim.broker.errors import AmqpConnectionError

METHOD = 1
HEADER = 2
BODY = 3
HEARTBEAT = 8
FRAME_END = 0xCE

FRAME_MAX_MIN = 4096
"""The least that a peer must take as the size of a frame, in bytes, and all it may send before `tune-ok`."""

FRAME_OVERHEAD = 8
"""The bytes of a frame besides its payload: seven in front and its end."""

_HEAD_BYTES = 7
_HEAD = Struct(">BHI")
_NEXT_HEAD = Struct(">BBHI")
"""The end of a frame and the head of the one behind it."""

_END = bytes((FRAME_END,))
_SNIPPET_BYTES = 16

_PAYLOAD_BYTES_MIN = tuple({METHOD: 4, HEADER: 12, BODY: 0, HEARTBEAT: 0}.get(kind, 2**32) for kind in range(256))
"""For each kind of frame, how long its payload is at least: longer than any for the kinds that do not exist."""


def frame_error(explanation: str) -> AmqpConnectionError:
    """501: the frame, or the method in it, cannot be decoded."""
    return AmqpConnectionError(501, f"FRAME_ERROR - {explanation}")


def unexpected_frame(explanation: str) -> AmqpConnectionError:
    """505: a frame of this kind is not what must come next."""
    return AmqpConnectionError(505, f"UNEXPECTED_FRAME - {explanation}")


def octets_text(octets: bytes) -> str:
    """How Erlang writes a binary as a list of numbers."""
    return f"<<{','.join(map(str, octets))}>>"


def snippet_text(kind: int, payload: bytes) -> str:
    """How reply texts quote a frame: its kind and the first octets."""
    snippet = payload[:_SNIPPET_BYTES]
    # Erlang prints a binary of printable characters as a string.
    text = f'<<"{snippet.decode()}">>' if snippet and _is_printable(snippet) else octets_text(snippet)
    extent = "all" if len(payload) <= _SNIPPET_BYTES else f"first {_SNIPPET_BYTES}"
    return f"type {kind}, {extent} octets = {text}"


class FrameReader:
    """Cuts a stream into frames. `frame_max`, in bytes, may be changed at any time, also between two frames of a feed.

    It holds no more than one incomplete frame, and so no more than `frame_max` and the last feed together.
    """

    __slots__ = ("_missing", "_pieces", "frame_max")

    def __init__(self, frame_max: int = FRAME_MAX_MIN) -> None:
        self.frame_max = frame_max
        self._pieces: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Give kind, channel and payload of every frame that `data` completes; nothing is read but by iterating.

        Raises 501, behind the frames that were good, for a frame that is too large (RabbitMQ lets eight bytes more
        pass than agreed), has a wrong end, is of an unknown kind or is too short for its kind. The stream is lost then.
        """
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        start = 0
        length = len(data)
        needed = _HEAD_BYTES
        while length - start >= _HEAD_BYTES:
            kind, channel, size = _HEAD.unpack_from(data, start)
            if size > self.frame_max:
                limit = self.frame_max - FRAME_OVERHEAD
                raise frame_error(f"{snippet_text(kind, b'')}: {{frame_too_large,{size},{limit}}}")
            end = start + _HEAD_BYTES + size
            if end >= length:
                needed = size + FRAME_OVERHEAD
                break
            payload = data[start + _HEAD_BYTES : end]
            if data[end] != FRAME_END:
                raise frame_error(f"{snippet_text(kind, payload)}: {{invalid_frame_end_marker,{data[end]}}}")
            if size < _PAYLOAD_BYTES_MIN[kind] or (kind == HEARTBEAT and size):
                raise frame_error(f"{snippet_text(kind, payload)}: unknown_frame")
            start = end + 1
            yield kind, channel, payload
        if start < length:
            self._pieces.append(data[start:])
            self._missing = needed - (length - start)


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """One frame."""
    return b"".join((_HEAD.pack(kind, channel, len(payload)), payload, _END))


def content_frames(channel: int, method_payload: bytes, header_payload: bytes, body: bytes, frame_max: int) -> bytes:
    """All frames of a message: method, content header, and the body in as many frames as `frame_max` bytes ask for.

    An empty body has no frame. Nothing but bodies can be divided: a larger method or header is sent as it is.
    """
    body_bytes_max = frame_max - FRAME_OVERHEAD
    if 0 < len(body) <= body_bytes_max:
        return b"".join(
            (
                _HEAD.pack(METHOD, channel, len(method_payload)),
                method_payload,
                _NEXT_HEAD.pack(FRAME_END, HEADER, channel, len(header_payload)),
                header_payload,
                _NEXT_HEAD.pack(FRAME_END, BODY, channel, len(body)),
                body,
                _END,
            )
        )
    frames = [frame(METHOD, channel, method_payload), frame(HEADER, channel, header_payload)]
    frames += [
        frame(BODY, channel, body[start : start + body_bytes_max]) for start in range(0, len(body), body_bytes_max)
    ]
    return b"".join(frames)


def _is_printable(octets: bytes) -> bool:
    return all(0x20 <= octet < 0x7F and octet not in b'"\\' for octet in octets)
