"""Clients without sockets, whose bytes pamqp writes and reads: it is not our codec."""

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from pamqp import body, commands, frame, header

from phrasim.broker import Broker
from phrasim.broker.amqp.connection import AmqpConnection
from phrasim.broker.amqp.outlet import Outlet
from phrasim.broker.amqp.server import AmqpServer
from phrasim.broker.amqp.settings import Settings
from phrasim.clock import Clock

CAPABILITIES = {"authentication_failure_close": True, "connection.blocked": True, "consumer_cancel_notify": True}


class Wire:
    """One client. `wakes` counts how often the connection asked to be pumped."""

    def __init__(self, outlets: dict[str, Outlet], settings: Settings, now: Callable[[], int]) -> None:
        self.wakes = 0
        self.connection = AmqpConnection(outlets, settings, now, self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    def send(self, *values: Any, channel: int = 0) -> list[Any]:
        """Send bytes or commands; gives what came back."""
        for value in values:
            self.connection.receive(value if isinstance(value, bytes) else frame.marshal(value, channel))
        return self.take()

    def take(self) -> list[Any]:
        """What the client is sent: channel and command, or header, or body, of each frame."""
        return [(channel, value) for channel, value in self.frames()]

    def frames(self) -> list[tuple[int, Any]]:
        found = []
        data = b""
        while more := self.connection.data_to_send():
            data += more
            self.connection.go_on()
        while data:
            size, channel, value = frame.unmarshal(data)
            data = data[size:]
            if isinstance(value, body.ContentBody):
                value = value.value
            found.append((channel, value))
        return found

    def log_in(
        self, *, capabilities: dict[str, bool] = CAPABILITIES, heartbeat: int = 0, frame_max: int = 131072
    ) -> None:
        """From the protocol header to an open connection."""
        self.send(b"AMQP\0\0\x09\x01")
        self.send(start_ok(capabilities=capabilities))
        self.send(commands.Connection.TuneOk(2047, frame_max, heartbeat))
        assert names(self.send(commands.Connection.Open("/"))) == ["Connection.OpenOk"]

    def open(self, channel: int = 1) -> None:
        assert names(self.send(commands.Channel.Open(), channel=channel)) == ["Channel.OpenOk"]

    def call(self, command: Any, channel: int = 1) -> Any:
        """Send a method and give the only answer."""
        ((number, answer),) = self.send(command, channel=channel)
        assert number == channel
        return answer


def start_ok(
    user: str = "guest", password: str = "guest", capabilities: dict[str, bool] = CAPABILITIES
) -> commands.Connection.StartOk:
    return commands.Connection.StartOk({"capabilities": capabilities}, "PLAIN", f"\0{user}\0{password}", "en_US")


def names(frames: list[Any]) -> list[str]:
    return [getattr(value, "name", "body") for _, value in frames]


def message(
    routing_key: str,
    content: bytes = b"x",
    *,
    exchange: str = "",
    channel: int = 1,
    mandatory: bool = False,
    **properties: Any,
) -> bytes:
    """The frames of a publish."""
    parts = [
        frame.marshal(commands.Basic.Publish(0, exchange, routing_key, mandatory), channel),
        frame.marshal(header.ContentHeader(0, len(content), commands.Basic.Properties(**properties)), channel),
    ]
    for start in range(0, len(content), 100_000):
        parts.append(frame.marshal(body.ContentBody(content[start : start + 100_000]), channel))
    return b"".join(parts)


class Landscape:
    """Brokers, and clients that come to them."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.settings = Settings()
        self.broker = Broker(now, random.Random(7), epoch_ns=1_760_000_000 * 10**9)
        self.outlets = self.with_settings(self.settings)

    def with_settings(self, settings: Settings, observer: Any = None) -> dict[str, Outlet]:
        self.settings = settings
        self.outlets = {"/": Outlet(self.broker, settings.held_bytes_max, observer)}
        return self.outlets

    def stranger(self) -> Wire:
        """A client that has not said a word."""
        return Wire(self.outlets, self.settings, self.now)

    def client(self, **options: Any) -> Wire:
        """A client that has logged in and has channel 1 open."""
        wire = self.stranger()
        wire.log_in(**options)
        wire.open()
        return wire


@pytest.fixture
def landscape(clock: Any) -> Landscape:
    return Landscape(clock)


class Amqp:
    """What tests write with."""

    start_ok = staticmethod(start_ok)
    names = staticmethod(names)
    message = staticmethod(message)
    Settings = Settings


@pytest.fixture
def amqp() -> type[Amqp]:
    return Amqp


class Served:
    """A server on a loop and a thread of its own, for clients that block."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker")
        self._thread.start()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self.broker, self.server = self.run(self._start(listener, settings)).result(10)

    async def _start(self, listener: socket.socket, settings: Settings) -> tuple[Broker, AmqpServer]:
        clock = Clock(asyncio.get_running_loop())
        broker = Broker(clock.now_ns, random.Random(7), epoch_ns=1_760_000_000 * 10**9)
        second = Broker(clock.now_ns, random.Random(8), vhost="second")
        server = AmqpServer({"/": broker, "second": second}, clock, settings)
        await server.start(listener)
        return broker, server

    def run(self, call: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Have the server's loop do something."""
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def socket(self) -> socket.socket:
        """A connected socket that says nothing."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def close(self) -> None:
        self.run(self.server.stop(2)).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts servers with the given settings."""
    servers: list[Served] = []

    def start(**options: Any) -> Served:
        servers.append(Served(Settings(**options)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()
