"""A client whose bytes are prepared and whose answers are only counted, so that the broker is what is measured.

All functions give seconds, for a broker on a port of 127.0.0.1 that knows the user guest.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from struct import Struct

from pamqp import body, commands, frame, header
from pamqp.base import Frame

QUEUE = "benchmark"
PREFETCH = 200
WAIT_S = 60

TRANSIENT, PERSISTENT = 1, 2

_HEAD = Struct(">BHI")
_OVERHEAD = 8
_HEADER, _BODY = 2, 3
_BODY_SIZE = Struct(">Q")
_SETTLEMENT = Struct(">BHIHHQBB")
"""A whole frame with `basic.ack`: head, class and method, delivery tag, multiple, end."""
_ACK = (60, 80)
_BURST_BYTES = 1 << 18


class Wire:
    """A connection with one channel, spoken to by blocking calls; `received` is what has not been read as a frame."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.read()
        self.call(commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"), 0)
        self.send(commands.Connection.TuneOk(2047, 131072, 0), 0)
        self.call(commands.Connection.Open("/"), 0)
        self.call(commands.Channel.Open())

    def send(self, command: Frame, channel: int = 1) -> None:
        self.socket.sendall(frame.marshal(command, channel))

    def call(self, command: Frame, channel: int = 1) -> None:
        """Send a method and wait for its answer, whose name must be in pamqp's list."""
        self.send(command, channel)
        answer = frame.unmarshal(self.read())[2]
        if answer.name not in command.valid_responses and not isinstance(answer, commands.Connection.Tune):
            raise RuntimeError(f"calling {command.name}: {command.valid_responses} would be right; found {answer!r}")

    def read(self) -> bytes:
        """The next frame, whole."""
        while True:
            if len(self.received) >= _HEAD.size:
                size = _HEAD.unpack_from(self.received)[2] + _OVERHEAD
                if len(self.received) >= size:
                    whole, self.received = self.received[:size], self.received[size:]
                    return whole
            self.received += self.more()

    def read_message(self) -> int:
        """Read the frames of one delivery; gives the bytes of all of them."""
        size = len(self.read())
        head = self.read()
        size += len(head)
        missing = _BODY_SIZE.unpack_from(head, _HEAD.size + 4)[0]
        while missing > 0:
            part = self.read()
            size += len(part)
            missing -= len(part) - _OVERHEAD
        return size

    def more(self) -> bytes:
        received = self.socket.recv(_BURST_BYTES)
        if not received:
            raise RuntimeError("reading from the broker: more bytes would be right; found the end")
        return received

    def close(self) -> None:
        """Close as AMQP asks for, and see the broker hang up."""
        self.call(commands.Connection.Close(200, "", 0, 0), 0)
        self.socket.close()


@contextmanager
def wired(port: int, queue: str = QUEUE) -> Iterator[Wire]:
    """A connection and an empty durable queue, which is deleted afterwards."""
    wire = Wire(port)
    wire.call(commands.Queue.Declare(queue=queue, durable=True))
    wire.call(commands.Queue.Purge(queue=queue))
    yield wire
    wire.call(commands.Queue.Delete(queue=queue))
    wire.close()


def there_and_back(port: int, count: int, size: int, delivery_mode: int) -> float:
    """Publish `count` messages of `size` bytes with confirms, then consume and ack each by itself."""
    message = _message(size, delivery_mode)
    with wired(port) as wire:
        wire.call(commands.Confirm.Select())
        seconds = _publish(wire, message, count)
        wire.call(commands.Basic.Qos(prefetch_count=PREFETCH))
        return seconds + _consume(wire, count)


def round_trips(port: int, count: int) -> float:
    """One message at a time, published on one connection, delivered and acked on another."""
    message = _message(200, PERSISTENT)
    with wired(port) as publisher:
        consumer = Wire(port)
        consumer.call(commands.Basic.Qos(prefetch_count=1))
        consumer.call(commands.Basic.Consume(queue=QUEUE, consumer_tag="c"))
        begin = time.perf_counter()
        for tag in range(1, count + 1):
            publisher.socket.sendall(message)
            consumer.read_message()
            consumer.socket.sendall(_ack(tag))
        seconds = time.perf_counter() - begin
        consumer.close()
        return seconds


def connections(port: int, count: int) -> float:
    """Connect, open a channel, declare a durable queue and close, one connection after the other."""
    with wired(port):
        begin = time.perf_counter()
        for _ in range(count):
            wire = Wire(port)
            wire.call(commands.Queue.Declare(queue=QUEUE, durable=True))
            wire.close()
        return time.perf_counter() - begin


def _message(size: int, delivery_mode: int) -> bytes:
    """The frames of one message to the queue; its body must fit one frame."""
    properties = commands.Basic.Properties(content_type="application/json", delivery_mode=delivery_mode)
    return (
        frame.marshal(commands.Basic.Publish(exchange="", routing_key=QUEUE), 1)
        + frame.marshal(header.ContentHeader(0, size, properties), 1)
        + frame.marshal(body.ContentBody(b"x" * size), 1)
    )


def _ack(tag: int) -> bytes:
    return _SETTLEMENT.pack(1, 1, 13, *_ACK, tag, 0, 0xCE)


def _publish(wire: Wire, message: bytes, count: int) -> float:
    """The seconds until the last message is confirmed; sending waits for no confirm."""
    burst = memoryview(message * max(1, _BURST_BYTES // len(message)))
    unsent = count * len(message)
    confirms = Confirms(count)
    connection = wire.socket
    connection.setblocking(False)
    begin = time.perf_counter()
    while not confirms.all():
        readable, writable, _ = select([connection], [connection] if unsent else [], [], WAIT_S)
        if not readable and not writable:
            raise RuntimeError(f"publishing {count} messages: nothing came for {WAIT_S} s")
        if writable:
            # Every message is the same: where the last write ended inside of one, the next begins.
            start = -unsent % len(message)
            unsent -= connection.send(burst[start : start + unsent])
        if readable:
            confirms.take(wire.more())
    seconds = time.perf_counter() - begin
    connection.settimeout(WAIT_S)
    return seconds


class Confirms:
    """Which of the messages 1 to `count` the broker has confirmed; it may do so in any order."""

    def __init__(self, count: int) -> None:
        self._open = bytearray(b"\1" * (count + 1))
        self._open[0] = 0
        self._first_open = 1
        self._rest = b""

    def all(self) -> bool:
        return 1 not in self._open

    def take(self, received: bytes) -> None:
        received = self._rest + received
        whole = len(received) - len(received) % _SETTLEMENT.size
        self._rest = received[whole:]
        for _, _, _, class_id, method_id, tag, multiple, _ in _SETTLEMENT.iter_unpack(received[:whole]):
            if (class_id, method_id) != _ACK:
                raise RuntimeError(f"publishing: a confirm {_ACK} would be right; found {(class_id, method_id)}")
            if multiple:
                self._open[self._first_open : tag + 1] = bytes(tag + 1 - self._first_open)
                self._first_open = tag + 1
            else:
                self._open[tag] = 0


def _consume(wire: Wire, count: int) -> float:
    """The seconds from `basic.consume` until the broker has taken the last ack."""
    acks = memoryview(b"".join(_ack(tag) for tag in range(1, count + 1)))
    space = bytearray(_BURST_BYTES)
    begin = time.perf_counter()
    wire.call(commands.Basic.Consume(queue=QUEUE, consumer_tag="c"))
    # Tags, and so deliveries, are of one length: where the first ends tells where all end.
    length = wire.read_message()
    received = length + len(wire.received)
    wire.received = b""
    acked = 0
    while True:
        arrived = received // length
        if arrived > acked:
            wire.socket.sendall(acks[acked * _SETTLEMENT.size : arrived * _SETTLEMENT.size])
            acked = arrived
        if acked == count:
            break
        received += wire.socket.recv_into(space)
    # A channel takes one method after the other: the answer is behind all acks.
    wire.call(commands.Basic.Cancel("c"))
    seconds = time.perf_counter() - begin
    if received != count * length:
        raise RuntimeError(f"consuming {count} messages: {count * length} bytes would be right; found {received}")
    return seconds
