"""The pump: sockets, back-pressure, timers, the end."""

import random
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Connection, Queue

from phrasim.broker import Broker

HEADER = b"AMQP\0\0\x09\x01"


class Caller:
    """A client on a socket."""

    def __init__(self, served: Any, amqp: Any, *, heartbeat: int = 0, capabilities: bool = True) -> None:
        self.socket: socket.socket = served.socket()
        self.received = b""
        self.write(HEADER)
        self.read()
        self.write(amqp.start_ok() if capabilities else amqp.start_ok(capabilities={}))
        self.read()
        self.write(Connection.TuneOk(2047, 131072, heartbeat))
        self.write(Connection.Open("/"))
        self.read()
        self.call(Channel.Open())

    def write(self, value: Any, channel: int = 0) -> None:
        self.socket.sendall(value if isinstance(value, bytes) else frame.marshal(value, channel))

    def call(self, command: Any) -> Any:
        self.write(command, 1)
        return self.read()[1]

    def read(self) -> tuple[int, Any]:
        """The next frame."""
        while len(self.received) < 7 or len(self.received) < 8 + struct.unpack_from(">I", self.received, 3)[0]:
            more = self.socket.recv(1 << 16)
            assert more, "the server has closed the socket"
            self.received += more
        size, channel, value = frame.unmarshal(self.received)
        self.received = self.received[size:]
        return channel, value.value if isinstance(value, ContentBody) else value

    def ended(self) -> bool:
        """Whether the server closes the socket, within the socket's time-out."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            return True
        return True


@pytest.fixture
def caller(amqp: Any) -> Callable[..., Caller]:
    callers: list[Caller] = []

    def call(served: Any, **options: Any) -> Caller:
        callers.append(Caller(served, amqp, **options))
        return callers[-1]

    yield call
    for one in callers:
        one.socket.close()


def test_a_connection_that_is_closed_is_hung_up_on(served: Any, caller: Any) -> None:
    client = caller(served)
    client.write(Connection.Close(200, "bye", 0, 0))
    assert client.read()[1].name == "Connection.CloseOk"
    assert client.ended()


def test_a_wrong_protocol_is_answered_and_hung_up_on(served: Any) -> None:
    with served.socket() as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(100) == HEADER
        assert client.recv(100) == b""


def test_the_end_of_the_server_waits_for_clients_that_answer(serve: Any, caller: Any) -> None:
    served = serve()
    client, silent = caller(served), caller(served)
    stopping = served.run(served.server.stop(0.3))
    assert client.read()[1].reply_code == 320
    client.write(Connection.CloseOk())
    assert client.ended()
    stopping.result(5)
    assert silent.ended()
    with pytest.raises(ConnectionRefusedError):
        served.socket()
    assert not served.server.pumps


def test_a_client_that_vanishes_gives_back_what_it_had(served: Any, caller: Any, amqp: Any) -> None:
    gone, other = caller(served), caller(served)
    gone.call(Queue.Declare(queue="q"))
    gone.write(amqp.message("q"))
    assert gone.call(Basic.Get(queue="q")).delivery_tag == 1
    other.call(Basic.Consume(queue="q"))
    gone.socket.close()
    assert other.read()[1].redelivered


def test_a_half_open_connection_ends_by_its_heartbeat(served: Any, caller: Any) -> None:
    client = caller(served, heartbeat=1)
    assert client.read()[1].name == "Heartbeat"
    assert client.ended()


def test_a_message_expires_by_itself(served: Any, caller: Any, amqp: Any) -> None:
    client = caller(served)
    client.call(Queue.Declare(queue="dead"))
    client.call(Basic.Consume(queue="dead", no_ack=True))
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-message-ttl": 30}
    client.call(Queue.Declare(queue="q", arguments=arguments))
    client.write(amqp.message("q", b"1") + amqp.message("q", b"2"))
    assert [client.read()[1] for _ in range(6)][2::3] == [b"1", b"2"]


def test_a_consumer_that_does_not_read_gets_no_more_than_a_few_buffers(serve: Any, caller: Any, amqp: Any) -> None:
    served = serve(unsent_bytes_max=100_000)
    publisher, slow, other = caller(served), caller(served), caller(served)
    publisher.call(Queue.Declare(queue="q"))
    slow.call(Basic.Consume(queue="q", no_ack=True))
    for _ in range(40):
        publisher.write(amqp.message("q", bytes(1 << 20)))
    ready = publisher.call(Queue.Declare(queue="q", passive=True)).message_count
    assert 20 < ready < 40
    # What it was not sent, another one can have.
    assert other.call(Basic.Get(queue="q", no_ack=True)).message_count == ready - 1
    sent = 40 - ready
    received = 0
    while received < sent << 20:
        received += len(slow.socket.recv(1 << 16))
    assert publisher.call(Queue.Declare(queue="q", passive=True)).message_count < ready - 1


def test_a_publisher_is_not_read_while_the_broker_is_full(serve: Any, caller: Any, amqp: Any) -> None:
    served = serve(held_bytes_max=1 << 20)
    publisher, consumer = caller(served), caller(served)
    publisher.call(Queue.Declare(queue="q"))
    publisher.write(amqp.message("q", bytes(1 << 20)))
    publisher.call(Queue.Declare(queue="q", passive=True))
    publisher.write(amqp.message("q", b"more"))
    assert publisher.read()[1].name == "Connection.Blocked"
    publisher.write(Queue.Declare(queue="q", passive=True), 1)
    consumer.call(Queue.Purge(queue="q"))
    assert publisher.read()[1].name == "Connection.Unblocked"
    assert publisher.read()[1].message_count == 0


def test_a_broker_that_is_replaced_lets_go_of_its_messages_at_once(served: Any, caller: Any, amqp: Any) -> None:
    gone = served.broker
    client = caller(served)
    client.call(Queue.Declare(queue="q"))
    client.write(amqp.message("q", b"x" * 1000))
    client.call(Queue.Declare(queue="q", passive=True))

    async def replace() -> None:
        served.server.replace({"/": Broker(gone.now, random.Random(1))})

    served.run(replace()).result(5)
    assert (gone.queues, gone.held_bytes, gone.events) == ({}, 0, [])
