"""Streams of bytes that a client could have sent, and that somebody has spoilt.

`recorded` are whole conversations, written by pamqp; `spoilt` makes a Case of them, the same one for the same
`random.Random`. What must hold whatever is sent, `arena.py` says.
"""

import random
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pamqp import body, frame, header, heartbeat
from pamqp.commands import INDEX_MAPPING, Basic, Channel, Confirm, Connection, Exchange, Queue, Tx

HEADER = b"AMQP\0\0\x09\x01"
HANDSHAKE_FRAMES = 5
"""The protocol header, start-ok, tune-ok, open and the first channel.open: no conversation goes on without them."""

METHOD, CONTENT_HEADER, BODY = 1, 2, 3
HEAD = struct.Struct(">BHI")
CAPABILITIES = {"authentication_failure_close": True, "connection.blocked": True, "consumer_cancel_notify": True}

Frames = list[bytes]


# What clients say.


def raw_frame(kind: int, channel: int, payload: bytes) -> bytes:
    return HEAD.pack(kind, channel, len(payload)) + payload + b"\xce"


def message(
    routing_key: str,
    content: bytes = b"x",
    *,
    exchange: str = "",
    channel: int = 1,
    mandatory: bool = False,
    **properties: Any,
) -> Frames:
    """The frames of a publish, with its body in pieces."""
    publish = Basic.Publish(0, exchange, routing_key, mandatory)
    return [
        frame.marshal(publish, channel),
        frame.marshal(header.ContentHeader(0, len(content), Basic.Properties(**properties)), channel),
        *(frame.marshal(body.ContentBody(content[at : at + 1_000]), channel) for at in range(0, len(content), 1_000)),
    ]


def conversation(*steps: Any, mechanism: str = "PLAIN", heartbeat_s: int = 0) -> Frames:
    """The handshake, and then the steps: commands for channel 1, or for the channel they stand in a pair with."""
    responses = {"PLAIN": "\0guest\0guest", "AMQPLAIN": "\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest"}
    frames = [
        HEADER,
        frame.marshal(Connection.StartOk({"capabilities": CAPABILITIES}, mechanism, responses[mechanism], "en_US"), 0),
        frame.marshal(Connection.TuneOk(2047, 131072, heartbeat_s), 0),
        frame.marshal(Connection.Open("/"), 0),
        frame.marshal(Channel.Open(), 1),
    ]
    for step in steps:
        match step:
            case list():
                frames += step
            case bytes():
                frames.append(step)
            case (channel, command):
                frames.append(frame.marshal(command, channel))
            case _:
                frames.append(frame.marshal(step, 0 if step.name.startswith("Connection.") else 1))
    return frames


@cache
def recorded() -> Mapping[str, Frames]:
    """Conversations that a client may have, by name; between them every method that a client has."""
    bye = (Channel.Close(0, "", 0, 0), Connection.Close(0, "", 0, 0))
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    deaths = [{"queue": "q", "reason": "expired", "count": 1}, {"queue": "dead", "reason": "rejected", "count": 7}]
    long_deaths: Any = {"x-death": deaths, "CC": ["dead", "q"], "BCC": ["other"]}
    return {
        "consume": conversation(
            Exchange.Declare(exchange="x"),
            Queue.Declare(queue="q", arguments={"x-max-length": 5}),
            Queue.Bind(queue="q", exchange="x", routing_key="k"),
            Basic.Qos(prefetch_count=2),
            Basic.Consume(queue="q", consumer_tag="c"),
            message("k", b"abc", exchange="x", headers={"a": [1, {"b": 2.5}], "t": True}, expiration="50") * 3,
            Basic.Ack(1),
            Basic.Nack(2, False, True),
            Basic.Reject(3, False),
            Basic.Cancel("c"),
            Queue.Unbind(queue="q", exchange="x", routing_key="k"),
            Queue.Purge(queue="q"),
            Queue.Delete(queue="q"),
            Exchange.Delete(exchange="x"),
            *bye,
        ),
        "confirms": conversation(
            Confirm.Select(),
            Queue.Declare(queue="q", durable=True),
            message("nowhere", b"abc", mandatory=True, user_id="guest", message_id="m", app_id="fuzz", priority=3),
            message("q", b"b" * 2_500, delivery_mode=2, content_type="text/plain"),
            message("q", b""),
            Basic.Get(queue="q"),
            Basic.Get(queue="q", no_ack=True),
            Basic.Get(queue="q"),
            Basic.Ack(0, True),
            Channel.Flow(True),
            *bye,
        ),
        "dead letters": conversation(
            Queue.Declare(queue="dead"),
            Queue.Declare(queue="q", arguments={**letters, "x-message-ttl": 2, "x-expires": 30}),
            Queue.Declare(queue="full", arguments={**letters, "x-max-length": 1, "x-overflow": "reject-publish-dlx"}),
            Confirm.Select(),
            message("q", b"1", headers=long_deaths),
            message("full", b"2") * 3,
            message("dead", b"3", expiration="0"),
            Basic.Get(queue="dead"),
            Basic.Get(queue="full"),
            Basic.Nack(2, False, False),
            Basic.Recover(True),
            raw_frame(METHOD, 1, b"\0\x3c\0\x64\1"),  # basic.recover-async, of which pamqp warns
            Basic.Consume(queue="dead"),
            *bye,
        ),
        "exchanges": conversation(
            Exchange.Declare(exchange="t", exchange_type="topic", arguments={"alternate-exchange": "f"}),
            Exchange.Declare(exchange="f", exchange_type="fanout", auto_delete=True),
            Exchange.Declare(exchange="h", exchange_type="headers", internal=True),
            Queue.Declare(queue="", exclusive=True),
            Queue.Bind(queue="", exchange="f"),
            Queue.Bind(queue="", exchange="h", arguments={"x-match": "any", "a": 1}),
            Queue.Bind(queue="", exchange="t", routing_key="#.a.*"),
            Exchange.Bind(destination="h", source="t", routing_key="b.#"),
            message("b.a.c", exchange="t", headers={"a": 1}),
            message("", exchange="f"),
            Exchange.Unbind(destination="h", source="t", routing_key="b.#"),
            Exchange.Declare(exchange="t", passive=True),
            Queue.Purge(queue=""),
            Basic.Consume(queue="", exclusive=True, no_ack=True, nowait=True),
            *bye,
        ),
        "channels": conversation(
            Connection.UpdateSecret("new", "renewal"),
            *((number, Channel.Open()) for number in (2, 3, 2047)),
            (2, Queue.Declare(queue="q", auto_delete=True)),
            (3, Basic.Consume(queue="q", consumer_tag="c")),
            (2047, Basic.Consume(queue="q", consumer_tag="c")),
            # The contents of two channels lie in each other.
            [
                one
                for pair in zip(message("q", b"2", channel=2), message("q", b"3", channel=3), strict=True)
                for one in pair
            ],
            heartbeat.Heartbeat().marshal(),
            (3, Basic.Ack(1)),
            (2, Channel.Close(0, "", 0, 0)),
            (2, Channel.Open()),
            (2, Queue.Delete(queue="q")),
            *bye,
            mechanism="AMQPLAIN",
            heartbeat_s=5,
        ),
        "refused": conversation(
            Basic.Get(queue="nothing"),
            Channel.CloseOk(),
            Channel.Open(),
            Queue.Declare(queue="amq.q"),
            Channel.CloseOk(),
            (2, Channel.Open()),
            message("q", exchange="nowhere", channel=2),
            (2, Channel.CloseOk()),
            Channel.Open(),
            Tx.Select(),
            Connection.CloseOk(),
        ),
        "transaction": conversation((3, Channel.Open()), (3, Tx.Commit()), Connection.CloseOk()),
        "taken back": conversation((3, Channel.Open()), (3, Tx.Rollback()), Connection.CloseOk()),
        "access": conversation(
            raw_frame(METHOD, 1, struct.pack(">HH", 30, 10) + b"\x05/data\x1f"),
            Queue.Declare(queue="q"),
            *bye,
            Connection.CloseOk(),
        ),
    }


# What is done to it.


@dataclass(frozen=True, slots=True)
class Case:
    """What one client sends, piece by piece, and what was done to it."""

    pieces: tuple[bytes, ...]
    changes: tuple[str, ...]

    @property
    def stream(self) -> bytes:
        return b"".join(self.pieces)

    def hex(self) -> str:
        """The pieces as text, one a line."""
        return "".join(f"{piece.hex()}\n" for piece in self.pieces)


def kept(text: str) -> Case:
    """The case whose pieces `text` holds, as `Case.hex` wrote them."""
    return Case(tuple(map(bytes.fromhex, text.splitlines())), ("kept",))


def spoilt(chance: random.Random) -> Case:
    """A conversation with one to four changes, in pieces."""
    frames = list(chance.choice(list(recorded().values())))
    changes = [chance.choice(list(CHANGES)) for _ in range(chance.choice((1, 1, 2, 4)))]
    for name in changes:
        CHANGES[name](chance, frames)
    return Case(tuple(_pieces(chance, frames)), tuple(changes))


def _pieces(chance: random.Random, frames: Frames) -> Iterator[bytes]:
    stream = b"".join(frames)
    match chance.randrange(4):
        case 0:
            yield stream
        case 1:
            yield from (one for one in frames if one)
        case 2 if len(stream) < 3_000:
            yield from (bytes((octet,)) for octet in stream)
        case _:
            while stream:
                size = chance.randint(1, chance.choice((3, 20, 500, 20_000)))
                yield stream[:size]
                stream = stream[size:]


def _place(chance: random.Random, frames: Frames) -> int:
    """The index of some frame, seldom one of the handshake: what follows a spoilt handshake is not read."""
    least = 0 if len(frames) <= HANDSHAKE_FRAMES or chance.random() < 0.1 else HANDSHAKE_FRAMES
    return chance.randrange(least, len(frames)) if frames else 0


def _in_bytes(change: Callable[[random.Random, bytearray], None]) -> Callable[[random.Random, Frames], None]:
    """Make a change of one frame's bytes a change of frames."""

    def changed(chance: random.Random, frames: Frames) -> None:
        if frames:
            place = _place(chance, frames)
            octets = bytearray(frames[place])
            if octets:
                change(chance, octets)
            frames[place] = bytes(octets)

    return changed


def _flip_bits(chance: random.Random, octets: bytearray) -> None:
    for _ in range(chance.randint(1, 3)):
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)


def _change_byte(chance: random.Random, octets: bytearray) -> None:
    octets[chance.randrange(len(octets))] = chance.choice((0, 1, 127, 128, 206, 255, chance.randrange(256)))


def _insert_bytes(chance: random.Random, octets: bytearray) -> None:
    at = chance.randint(0, len(octets))
    octets[at:at] = chance.randbytes(chance.randint(1, 12))


def _delete_bytes(chance: random.Random, octets: bytearray) -> None:
    at = chance.randrange(len(octets))
    del octets[at : at + chance.randint(1, 12)]


def _double_bytes(chance: random.Random, octets: bytearray) -> None:
    at = chance.randrange(len(octets))
    octets[at:at] = octets[at : at + chance.randint(1, 60)]


def _wrong_length(chance: random.Random, octets: bytearray) -> None:
    """Another size in the head of the frame, its bytes as they were."""
    if len(octets) >= HEAD.size:
        size = len(octets) - HEAD.size - 1
        sizes = (0, size - 1, size + 1, size + chance.randrange(2_000), 131_064, 131_073, 2**31, 2**32 - 1)
        octets[3:7] = struct.pack(">I", max(0, chance.choice(sizes)))


def _wrong_end(chance: random.Random, octets: bytearray) -> None:
    octets[-1] = chance.choice((0, 0xCD, 0xCF, 0xFF))


def _wrong_channel(chance: random.Random, octets: bytearray) -> None:
    if len(octets) >= HEAD.size:
        octets[1:3] = struct.pack(">H", chance.choice((0, 1, 2, 3, 2047, 2048, 65_535)))


def _wrong_kind(chance: random.Random, octets: bytearray) -> None:
    octets[0] = chance.choice((0, 1, 2, 3, 4, 8, 9, 255))


def _inside(chance: random.Random, octets: bytearray) -> None:
    """Other bytes in the payload, in a frame whose size is right: what is wrong is the method or the header."""
    if len(octets) > 12:
        payload = bytearray(octets[HEAD.size : -1])
        change = chance.choice((_flip_bits, _change_byte, _insert_bytes, _delete_bytes, _double_bytes))
        change(chance, payload)
        octets[3:] = struct.pack(">I", len(payload)) + payload + b"\xce"


def _truncate(chance: random.Random, frames: Frames) -> None:
    """The client stops in the middle of a frame."""
    if frames:
        place = _place(chance, frames)
        frames[place:] = [frames[place][: chance.randrange(len(frames[place]) + 1)]]


def _drop(chance: random.Random, frames: Frames) -> None:
    place = _place(chance, frames)
    del frames[place : place + chance.randint(1, 2)]


def _double(chance: random.Random, frames: Frames) -> None:
    place = _place(chance, frames)
    frames[place:place] = frames[place : place + chance.randint(1, 6)] * chance.choice((1, 1, 2, 20))


def _swap(chance: random.Random, frames: Frames) -> None:
    if frames:
        one, other = _place(chance, frames), _place(chance, frames)
        frames[one], frames[other] = frames[other], frames[one]


def _shuffle(chance: random.Random, frames: Frames) -> None:
    tail = frames[HANDSHAKE_FRAMES:]
    chance.shuffle(tail)
    frames[HANDSHAKE_FRAMES:] = tail


def _splice(chance: random.Random, frames: Frames) -> None:
    """Some frames of another conversation."""
    other = chance.choice(list(recorded().values()))
    start = chance.randrange(len(other))
    place = _place(chance, frames)
    frames[place:place] = other[start : start + chance.randint(1, 12)]


def _go_over(chance: random.Random, frames: Frames) -> None:
    """Go over to another conversation."""
    other = chance.choice(list(recorded().values()))
    place = _place(chance, frames)
    frames[place:] = other[chance.randint(HANDSHAKE_FRAMES, len(other)) :]


def _stray_method(chance: random.Random, frames: Frames) -> None:
    """Any method there is, also such as only a server has, with any arguments; or one that nobody knows."""
    if chance.random() < 0.1:
        payload = struct.pack(">HH", chance.choice((10, 30, 60, 99)), chance.randrange(130)) + chance.randbytes(6)
    else:
        index, command = chance.choice(sorted(INDEX_MAPPING.items()))
        kinds = [command.amqp_type(name) for name in command.attributes()]
        payload = struct.pack(">I", index) + b"".join(_arguments(chance, kinds))
    frames.insert(_place(chance, frames), raw_frame(METHOD, chance.choice((0, 1, 1, 2)), payload))


def _arguments(chance: random.Random, kinds: list[str]) -> Iterator[bytes]:
    sizes = {"octet": 1, "short": 2, "long": 4, "longlong": 8}
    before = ""
    for kind in kinds:
        if kind == "bit" and before == "bit":
            continue
        before = kind
        match kind:
            case "bit":
                yield chance.randbytes(1)
            case "shortstr":
                yield _short(chance.choice((b"", b"q", b"x", b"c", b"amq.direct", b"\xff\xfe", bytes(255))))
            case "longstr":
                yield _long(chance.choice((b"", b"text", bytes(2_000))))
            case "table":
                yield hostile_table(chance)
            case _:
                yield chance.choice((bytes(sizes[kind]), chance.randbytes(sizes[kind]), b"\xff" * sizes[kind]))


def _hostile_arguments(chance: random.Random, frames: Frames) -> None:
    """A declaration, a binding, a consumer or a login with a table that is wrong, or has wrong things in it."""
    table = hostile_table(chance)
    match chance.randrange(6):
        case 0:
            payload = struct.pack(">HHH", 40, 10, 0) + _short(b"y") + _short(b"headers") + b"\0" + table
        case 1:
            payload = (
                struct.pack(">HHH", 50, 20, 0) + _short(b"q") + _short(b"amq.headers") + _short(b"k") + b"\0" + table
            )
        case 2:
            payload = struct.pack(">HHH", 60, 20, 0) + _short(b"q") + _short(b"") + b"\0" + table
        case 3 if len(frames) > 1:
            payload = (
                struct.pack(">HH", 10, 11) + table + _short(b"PLAIN") + _long(b"\0guest\0guest") + _short(b"en_US")
            )
            frames[1] = raw_frame(METHOD, 0, payload)
            return
        case _:
            payload = struct.pack(">HHH", 50, 10, 0) + _short(b"q") + chance.choice((b"\0", b"\x02", b"\x04")) + table
    frames.insert(_place(chance, frames), raw_frame(METHOD, 1, payload))


def _hostile_content(chance: random.Random, frames: Frames) -> None:
    """A publish whose content header or body is not what it says."""
    name = chance.choice((b"q", b"dead", b"amq.headers", b""))
    size = chance.choice((0, 1, 1, 3, 2_000, 6_000, 2**27, 2**27 + 1, 2**63, 2**64 - 1))
    flags, properties = chance.choice(
        (
            (0, b""),
            (0x2000, hostile_table(chance)),
            (0x2000, hostile_table(chance)),
            (0x2000, hostile_table(chance)),
            (0x0100, _short(chance.choice((b"0", b"-1", b"1e3", b"9" * 255, b"\xff")))),
            (0x0010, _short(chance.choice((b"guest", b"root", b"\xff" * 255)))),
            (0x0040, chance.choice((b"\xff" * 8, bytes(8)))),
            (chance.randrange(2**16), chance.randbytes(chance.randrange(40))),
        )
    )
    class_and_weight = chance.choice((60, 60, 60, 60, 60, 90)), chance.choice((0, 0, 0, 0, 0, 1))
    parts = [
        raw_frame(
            METHOD, 1, struct.pack(">HHH", 60, 40, 0) + _short(b"") + _short(name) + bytes((chance.randrange(4),))
        ),
        raw_frame(CONTENT_HEADER, 1, struct.pack(">HHQH", *class_and_weight, size, flags) + properties),
    ]
    parts += [raw_frame(BODY, 1, bytes(chance.choice((min(size, 4_000), 0, 1, 4_000))))] * chance.randint(0, 3)
    if chance.random() < 0.2:
        chance.shuffle(parts)
    place = _place(chance, frames)
    frames[place:place] = parts


def _huge_frame(chance: random.Random, frames: Frames) -> None:
    """A frame at, about and beyond the size that was agreed on."""
    size = chance.choice((4_088, 4_097, 131_064, 131_065, 131_072, 131_073, 140_000))
    kind = chance.choice((METHOD, CONTENT_HEADER, BODY, 8))
    frames.insert(_place(chance, frames), raw_frame(kind, chance.choice((0, 1)), bytes(size)))


def hostile_table(chance: random.Random) -> bytes:
    """A table, mostly such as no client should send."""
    match chance.randrange(8):
        case 0:
            content = _deep(chance)
        case 1:
            content = chance.randbytes(chance.randrange(60))
        case _:
            content = b"".join(_field(chance, 1) for _ in range(chance.choice((0, 1, 1, 1, 2, 5))))
    size = (
        len(content)
        if chance.random() < 0.9
        else chance.choice((0, max(0, len(content) - 1), len(content) + 1, 2**32 - 1))
    )
    return struct.pack(">I", size) + content


NAMES = (
    b"x-message-ttl", b"x-expires", b"x-max-length", b"x-max-length-bytes", b"x-dead-letter-exchange",
    b"x-dead-letter-routing-key", b"x-overflow", b"x-queue-mode", b"x-queue-type", b"x-max-priority",
    b"x-single-active-consumer", b"x-priority", b"x-match", b"alternate-exchange", b"x-death", b"CC", b"BCC",
    b"capabilities", b"queue", b"reason", b"count", b"a", b"", b"\xff", b"n" * 255,
)  # fmt: skip
TEXTS = (
    b"",
    b"q",
    b"dead",
    b"any",
    b"all-with-x",
    b"drop-head",
    b"reject-publish",
    b"classic",
    b"rejected",
    b"\xff\xfe",
)


def _field(chance: random.Random, depth: int) -> bytes:
    return _short(chance.choice(NAMES)) + _value(chance, depth)


def _value(chance: random.Random, depth: int) -> bytes:
    kind = chance.choice("tbBsuIilLfdDTVSSSxFA?" if depth < 4 else "tIlSV")
    sizes = {
        "t": 1,
        "b": 1,
        "B": 1,
        "s": 2,
        "u": 2,
        "I": 4,
        "i": 4,
        "f": 4,
        "l": 8,
        "L": 8,
        "d": 8,
        "T": 8,
        "D": 5,
        "V": 0,
    }
    match kind:
        case "S" | "x":
            content = _long(chance.choice((*TEXTS, bytes(300))))
        case "F":
            content = _long(b"".join(_field(chance, depth + 1) for _ in range(chance.randrange(3))))
        case "A":
            content = _long(b"".join(_value(chance, depth + 1) for _ in range(chance.randrange(3))))
        case "?":
            kind, content = chr(chance.randrange(128)), chance.randbytes(4)
        case _:
            size = sizes[kind]
            content = chance.choice(
                (
                    bytes(size),
                    b"\xff" * size,
                    b"\x7f" + b"\xff" * (size - 1) if size else b"",
                    bytes(max(0, size - 1)) + b"\1",
                )
            )
            content = content[:size]
    return kind.encode() + content


def _deep(chance: random.Random) -> bytes:
    """Tables or arrays in each other, about as deep as is taken."""
    levels = chance.choice((2, 62, 63, 64, 65, 300))
    value = b"V"
    for _ in range(levels):
        value = b"A" + _long(value) if chance.random() < 0.5 else b"F" + _long(_short(b"a") + value)
    return _short(b"a") + value


def _short(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


CHANGES: Mapping[str, Callable[[random.Random, Frames], None]] = {
    "bits flipped": _in_bytes(_flip_bits),
    "a byte changed": _in_bytes(_change_byte),
    "bytes put in": _in_bytes(_insert_bytes),
    "bytes cut out": _in_bytes(_delete_bytes),
    "bytes doubled": _in_bytes(_double_bytes),
    "a payload changed": _in_bytes(_inside),
    "a wrong length": _in_bytes(_wrong_length),
    "a wrong end": _in_bytes(_wrong_end),
    "a wrong channel": _in_bytes(_wrong_channel),
    "a wrong kind": _in_bytes(_wrong_kind),
    "truncated": _truncate,
    "frames left out": _drop,
    "frames doubled": _double,
    "frames swapped": _swap,
    "shuffled": _shuffle,
    "spliced": _splice,
    "gone over": _go_over,
    "a stray method": _stray_method,
    "hostile arguments": _hostile_arguments,
    "hostile content": _hostile_content,
    "a huge frame": _huge_frame,
}
