"""What must hold whatever clients send: every answer is well-formed and in order, whoever has not been sent away is
answered, and of a client that has gone nothing is left. What must not be is raised as a Fault.

`Arena` plays cases against connections without sockets, `played_on_a_socket` against a running server.
"""

import asyncio
import gc
import random
import socket
import struct
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pamqp import frame
from pamqp.commands import INDEX_MAPPING, Basic, Connection, Queue

from broker.amqp.fuzzing import BODY, CAPABILITIES, CONTENT_HEADER, HEAD, HEADER, METHOD, Case, conversation, message
from phrasim.broker import Broker
from phrasim.broker.amqp.connection import AmqpConnection
from phrasim.broker.amqp.outlet import Outlet
from phrasim.broker.amqp.properties import WireProperties
from phrasim.broker.amqp.server import AmqpServer
from phrasim.broker.amqp.settings import Settings
from phrasim.broker.core import PREDECLARED
from phrasim.contract.broker import wire

SMALL = Settings(held_bytes_max=6_000, unsent_bytes_max=2_000, arriving_bytes_max=3_000, body_bytes_max=5_000)
"""Limits that the recorded conversations come to when their frames are doubled."""

SMALL_ON_SOCKETS = replace(SMALL, held_bytes_max=Settings().held_bytes_max)
"""The same, but that nobody is blocked: a client that waits for the end of that would wait for ever."""


SENT_BY_SERVERS = {
    *(name for name in (command.name for command in INDEX_MAPPING.values()) if name.endswith("Ok")),
    "Connection.Start", "Connection.Tune", "Connection.Close", "Connection.Blocked", "Connection.Unblocked",
    "Channel.Close", "Basic.Deliver", "Basic.Return", "Basic.GetEmpty", "Basic.Ack", "Basic.Nack", "Basic.Cancel",
    "Access.RequestOk",
} - {"Connection.StartOk", "Connection.TuneOk", "Connection.SecureOk"}  # fmt: skip
WITH_CONTENT = {"Basic.Deliver", "Basic.Return", "Basic.GetOk"}
_OF_CLOSED_CHANNELS = {"Channel.CloseOk", "Channel.OpenOk", "Channel.Close"}
"""A channel that is not open can be closed by an error, as by `queue.purge` of the queue declared last."""
ACCESS_REQUEST_OK = struct.pack(">HH", 30, 11)


class Fault(Exception):
    """The server has done what it must not do."""


class Answers:
    """Reads what a server sends, as a client that takes nothing that is not well-formed and in order.

    `names` are the methods so far, `codes` what was refused, such as "channel.close 404". pamqp reads every frame but
    those with names or headers that it does not take and that the client has sent itself.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.codes: list[str] = []
        self._rest = b""
        self._first = True
        self._contents: dict[int, int] = {}
        self._closed_channels: set[int] = set()
        self._ended = ""

    def take(self, data: bytes) -> None:
        """Read what has come, which may end in the middle of a frame. Raises Fault."""
        data = self._rest + data
        if self._first and len(data) >= len(HEADER):
            self._first = False
            if data.startswith(b"AMQP"):
                if data != HEADER:
                    raise Fault(f"the refusal of a protocol is {data!r}")
                self._ended, data = "the protocol header", b""
        start = 0
        while len(data) - start >= HEAD.size:
            kind, channel, size = HEAD.unpack_from(data, start)
            end = start + HEAD.size + size
            if end >= len(data):
                break
            if data[end] != 0xCE or kind not in {METHOD, CONTENT_HEADER, BODY, 8}:
                raise Fault(f"no frame: {data[start : end + 1][:100]!r}")
            self._frame(kind, channel, data[start : end + 1])
            start = end + 1
        self._rest = data[start:]

    def done(self) -> None:
        """Nothing more comes. Raises Fault when it ends in the middle of something."""
        if self._rest:
            raise Fault(f"the answers end in the middle of a frame: {self._rest[:100]!r}")
        if self._contents:
            raise Fault(f"contents are not complete: {self._contents}")

    def _frame(self, kind: int, channel: int, octets: bytes) -> None:
        payload = octets[HEAD.size : -1]
        if kind == METHOD:
            self._method(channel, octets, payload)
        elif kind == CONTENT_HEADER:
            if self._contents.get(channel) != -1:
                raise Fault(f"a content header on channel {channel}, which waits for none")
            size = _size_in_header(octets, payload)
            self._contents[channel] = size
            if not size:
                del self._contents[channel]
        elif kind == BODY:
            left = self._contents.pop(channel, -1) - len(payload)
            if left < 0 or not payload:
                raise Fault(f"a body of {len(payload)} bytes on channel {channel}, {-left} too many")
            if left:
                self._contents[channel] = left
        elif channel or payload:
            raise Fault(f"a heartbeat on channel {channel} with {payload!r}")

    def _method(self, channel: int, octets: bytes, payload: bytes) -> None:
        name, code = _name_and_code(octets, payload)
        if channel in self._contents:
            raise Fault(f"{name} in the middle of a content")
        if (channel == 0) != name.startswith("Connection.") or name not in SENT_BY_SERVERS:
            raise Fault(f"{name} on channel {channel}")
        if self._ended and (name, self._ended) != ("Connection.CloseOk", "Connection.Close"):
            raise Fault(f"{name} behind {self._ended}")
        if channel in self._closed_channels and name not in _OF_CLOSED_CHANNELS:
            raise Fault(f"{name} on channel {channel}, which is closed")
        match name:
            case "Connection.Close" | "Connection.CloseOk":
                self._ended = self._ended or name
            case "Channel.Close" | "Channel.CloseOk":
                self._closed_channels.add(channel)
            case "Channel.OpenOk":
                self._closed_channels.discard(channel)
        if name in WITH_CONTENT:
            self._contents[channel] = -1
        if code is not None:
            self.codes.append(f"{name.lower()} {code}")
        self.names.append(name)


def _name_and_code(octets: bytes, payload: bytes) -> tuple[str, int | None]:
    if payload[:4] == ACCESS_REQUEST_OK and len(payload) == 6:
        return "Access.RequestOk", None  # of AMQP 0-9, which pamqp has not
    try:
        _, _, command = frame.unmarshal(octets)
    except Exception as error:
        if payload.isascii():
            raise Fault(f"pamqp does not read {payload[:100]!r}: {error!r}") from error
        # A name that the client made of other bytes than UTF-8. The other codec of the tests takes any.
        name, fields = wire.decode_method(payload)
        class_, method = name.split(".")
        return f"{class_.capitalize()}.{''.join(map(str.capitalize, method.split('-')))}", fields.get("reply_code")
    return command.name, getattr(command, "reply_code", None)


def _size_in_header(octets: bytes, payload: bytes) -> int:
    try:
        _, _, content = frame.unmarshal(octets)
    except Exception:  # noqa: BLE001
        # Headers are handed on as the bytes that they came as. pamqp fails at some that RabbitMQ takes.
        properties = WireProperties(payload)
        dict(properties.headers or {})
        return properties.body_size
    return int(content.body_size)


def unfinished(stream: bytes) -> bytes:
    """What is missing of the frame in the middle of which the stream ends, up to more than any frame may have."""
    if len(stream) < len(HEADER):
        return HEADER[len(stream) :]
    start = len(HEADER)
    while start < len(stream):
        head = stream[start : start + HEAD.size].ljust(HEAD.size, b"\0")
        end = start + HEAD.size + HEAD.unpack(head)[2]
        if end >= len(stream):
            return (
                head[len(stream) - start :] + bytes(min(end - max(len(stream), start + HEAD.size), 150_000)) + b"\xce"
            )
        start = end + 1
    return b""


SENTINELS: Mapping[str, tuple[Any, str]] = {
    "starting": (
        Connection.StartOk({"capabilities": CAPABILITIES}, "PLAIN", "\0guest\0guest", "en_US"),
        "Connection.Tune",
    ),
    "tuning": (Connection.TuneOk(2047, 131072, 0), ""),
    "opening": (Connection.Open("/"), "Connection.OpenOk"),
    "running": (Connection.UpdateSecret("s", "to see whether anybody is there"), "Connection.UpdateSecretOk"),
    "closing": (Connection.Close(0, "", 0, 0), "Connection.CloseOk"),
}
"""By the state of a connection: what is sent to see whether it lives, and what must be the answer."""


class Arena:
    """A broker without sockets, to which one client after the other comes, and a bystander that nothing may hurt."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._ns = 0
        self.settings = settings or Settings()
        self.broker = Broker(lambda: self._ns, random.Random(7))
        self.outlet = Outlet(self.broker, self.settings.held_bytes_max)
        self._connections: list[weakref.ref[AmqpConnection]] = []
        self._bystander = self._connection()
        self._heard = Answers()
        self._say(self._bystander, self._heard, *conversation())
        self.check_bystander()

    def play(self, case: Case) -> list[str]:
        """Let a client send the case and leave; gives the refusals it got, and how it ended. Raises what was raised."""
        connection, answers = self._connection(), Answers()
        self._say(connection, answers, *case.pieces)
        ended: str = connection.state
        if not connection.closed:
            ended = self._sentinel(connection, answers, case.stream)
        if connection.closed:
            self._say(connection, answers, b"anything")
        answers.done()
        connection.lose()
        if not connection.closed or connection.next_timer() is not None:
            raise Fault("a connection whose client has gone is not over")
        self._check_nothing_left()
        return [*answers.codes, f"ended {ended}"]

    def check_bystander(self) -> None:
        """The client that has been there all the time is served. Raises Fault."""
        del self._heard.names[:]
        declared = frame.marshal(Queue.Declare(queue="bystander"), 1)
        get = frame.marshal(Basic.Get(queue="bystander", no_ack=True), 1)
        delete = frame.marshal(Queue.Delete(queue="bystander"), 1)
        self._say(self._bystander, self._heard, declared, *message("bystander"), get, delete)
        if self._heard.names != ["Queue.DeclareOk", "Basic.GetOk", "Queue.DeleteOk"]:
            raise Fault(f"the bystander was answered {self._heard.names}")

    def check_end(self) -> None:
        """The bystander is served, and of all connections it is the only one in memory. Raises Fault."""
        self.check_bystander()
        gc.collect()
        alive = sum(connection() is not None for connection in self._connections)
        if alive != 1:
            raise Fault(f"{alive - 1} connections that are over are still in memory")

    def _connection(self) -> AmqpConnection:
        connection = AmqpConnection({"/": self.outlet}, self.settings, lambda: self._ns, lambda: None)
        self._connections.append(weakref.ref(connection))
        return connection

    def _say(self, connection: AmqpConnection, answers: Answers, *pieces: bytes) -> None:
        """Send pieces, a millisecond each; take the answers as a pump does."""
        for piece in pieces:
            connection.receive(piece)
            while data := connection.data_to_send():
                answers.take(data)
                connection.go_on()
            self._ns += 1_000_000
            deadline = self.broker.next_deadline()
            if deadline is not None and deadline <= self._ns:
                self.broker.expire()
                self.outlet.pump()
            connection.on_timer()
        while data := connection.data_to_send():
            answers.take(data)
            connection.go_on()

    def _sentinel(self, connection: AmqpConnection, answers: Answers, stream: bytes) -> str:
        """See whether the connection still answers, on its way to the end; tells how it was found."""
        self._say(connection, answers, unfinished(stream))
        found: str = connection.state
        if connection.stalled:
            if not self.outlet.conserving:
                raise Fault("the connection is stalled, though the broker has room")
            return "blocked"
        while not connection.closed:
            if connection.state == "silent":
                self._wait_for_the_end(connection, answers)
                break
            command, answer = SENTINELS[connection.state]
            state, known = connection.state, len(answers.names)
            self._say(connection, answers, frame.marshal(command, 0))
            if answer and answer not in answers.names[known:]:
                raise Fault(f"{command.name} was not answered in the state {state}")
            if state == "running":
                break
            if state == "closing":
                self._say(connection, answers, frame.marshal(Connection.CloseOk(), 0))
                if not connection.closed:
                    raise Fault("connection.close-ok did not end the connection")
        return found

    def _wait_for_the_end(self, connection: AmqpConnection, answers: Answers) -> None:
        """A connection that is neither read nor answered any more ends by time."""
        known = len(answers.names)
        self._say(connection, answers, frame.marshal(SENTINELS["closing"][0], 0))
        at = connection.next_timer()
        if at is None or len(answers.names) > known:
            raise Fault("a connection that should be silent is not, or has no end")
        self._ns = max(self._ns, at)
        connection.on_timer()
        if not connection.closed:
            raise Fault("the end of a silent connection does not come")

    def _check_nothing_left(self) -> None:
        left = left_behind(self.broker, self.outlet, connections=1)
        empty(self.broker)
        self.outlet.pump()
        if self.broker.held_bytes:
            left.append(f"{self.broker.held_bytes} bytes")
        if self.broker.next_deadline() is not None or self.broker.events or self.outlet.conserving:
            left.append("something to do")
        if left:
            raise Fault(f"a client that has gone left behind: {', '.join(left)}")


def left_behind(broker: Broker, outlet: Outlet, connections: int) -> list[str]:
    """What more there is than `connections` connections, with a channel each, leave behind them."""
    counts = {
        "connections of the broker": len(broker.connections),
        "connections of the outlet": len(outlet.connections),
        "channels": len(outlet.channels),
    }
    left = [f"{count} {name}" for name, count in counts.items() if count != connections]
    for queue in broker.queues.values():
        if queue.owner is not None:
            left.append(f"the exclusive queue {queue.name!r}")
        if queue.consumers:
            left.append(f"{len(queue.consumers)} consumers of {queue.name!r}")
        if queue.unacked_count:
            left.append(f"{queue.unacked_count} unacknowledged messages of {queue.name!r}")
    return left


def empty(broker: Broker) -> None:
    """Delete all that a client may leave behind."""
    for queue in list(broker.queues.values()):
        broker.delete_queue(queue)
    predeclared = {name for name, _, _ in PREDECLARED}
    for name in list(broker.exchanges):
        if name not in predeclared and name in broker.exchanges:
            broker.delete_exchange(broker.exchanges[name])


def played_on_a_socket(address: tuple[str, int], case: Case, chance: random.Random) -> list[str]:
    """Let a client send the case over a socket; gives the refusals that it got.

    Of four clients two read to the end. The others vanish: one leaves without reading anything, which
    resets the socket if there was something to read, and one resets it at once.
    """
    answers = Answers()
    with socket.create_connection(address, timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in case.pieces if len(case.pieces) < 50 else (case.stream,):
                client.sendall(piece)
            way = chance.randrange(4)
            if way == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if way < 2:
                return []
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(1 << 16):
                answers.take(data)
        except ConnectionError:
            return answers.codes  # the server has hung up while the client was talking
        answers.done()
    return answers.codes


def check_served(served: Any) -> None:
    """Of the clients of a running server nothing is left, now that they are gone. Raises Fault."""
    with served.socket() as last:
        # Clients are accepted in their order: when this one is answered, none waits before the door any more.
        last.sendall(b"GET / HTTP/1.1\r\n\r\n")
        if last.recv(100) != HEADER:
            raise Fault("a client of another protocol was not told which one is spoken")
    served.run(_check_server(served.server)).result(20)


async def _check_server(server: AmqpServer) -> None:
    try:
        async with asyncio.timeout(5):
            while server.pumps:
                await server.drained.wait()
    except TimeoutError:
        raise Fault(f"{len(server.pumps)} connections stay, whose clients have gone") from None
    for outlet in server.outlets.values():
        left = left_behind(outlet.broker, outlet, connections=0)
        empty(outlet.broker)
        outlet.pump()
        if outlet.broker.held_bytes:
            left.append(f"{outlet.broker.held_bytes} bytes")
        if left:
            raise Fault(f"clients that have gone left behind: {', '.join(left)}")


def errors_of(served: Any) -> list[Exception]:
    """What the loop of a running server reports from now on: exceptions that nobody has caught."""
    errors: list[Exception] = []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        errors.append(context.get("exception") or RuntimeError(context["message"]))

    served._loop.call_soon_threadsafe(served._loop.set_exception_handler, note)
    return errors
