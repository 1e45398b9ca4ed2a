"""One connection: bytes in, bytes out, and calls on the broker between; no socket, no clock but the one it is given.

`receive` takes what the client sent, `data_to_send` gives what it is to be sent; the order of the handshake and of
the end is the table CONNECTION of `states.py`. Here is the one place where an error becomes `connection.close`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Any

from pamqp.base import Frame
from pamqp.commands import Connection

from phrasim.broker.amqp import methods
from phrasim.broker.amqp.channel import AmqpChannel
from phrasim.broker.amqp.frames import (
    BODY,
    FRAME_MAX_MIN,
    HEADER,
    HEARTBEAT,
    METHOD,
    FrameReader,
    frame,
    snippet_text,
    unexpected_frame,
)
from phrasim.broker.amqp.handshake import (
    MECHANISMS,
    PROTOCOL_HEADER,
    PROTOCOL_HEADERS,
    Limits,
    agree,
    login,
    login_refused,
)
from phrasim.broker.amqp.heartbeats import NS_PER_S, Heartbeats
from phrasim.broker.amqp.outlet import Outlet
from phrasim.broker.amqp.settings import CLOSING_S, HANDSHAKE_S, Settings, server_properties
from phrasim.broker.amqp.states import CONNECTION, ConnectionEvent, ConnectionState
from phrasim.broker.channel import Connection as BrokerConnection
from phrasim.broker.errors import AmqpChannelError, AmqpConnectionError, AmqpError, channel_error, not_allowed

_IDS = Struct(">HH")
_FRAME_BYTES_WITHOUT_LIMIT = 2**31
_HEARTBEAT = frame(HEARTBEAT, 0, b"")

_EVENTS: Mapping[type[Frame], ConnectionEvent] = {
    Connection.StartOk: "start-ok",
    Connection.TuneOk: "tune-ok",
    Connection.Open: "open",
    Connection.Close: "close",
    Connection.CloseOk: "close-ok",
}


class AmqpConnection:
    """A client's connection. `outlets` are the brokers by virtual host; `now` gives nanoseconds.

    `wake` is called when there is something to do for whoever pumps: bytes to send, or input that may go on.
    While `stalled` is true, nothing more should be read from the client: what was received waits for `go_on`.
    `failure` is the error that ended the connection, also where the client was not told of it.
    """

    def __init__(
        self,
        outlets: Mapping[str, Outlet],
        settings: Settings,
        now: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.state: ConnectionState = "new"
        self.user = ""
        self.failure: AmqpError | None = None
        self.frame_bytes_max = FRAME_MAX_MIN
        self.stalled = False
        self._outlets = outlets
        self._outlet: Outlet | None = None
        self._core: BrokerConnection | None = None
        self._now = now
        self._wake = wake
        self._limits = Limits(0, FRAME_MAX_MIN, 0)
        self._capabilities: Mapping[str, Any] = {}
        self._channels: dict[int, AmqpChannel] = {}
        self._heartbeats = Heartbeats(now())
        self._deadline: int | None = now() + HANDSHAKE_S * NS_PER_S
        self._head = b""
        self._reader = FrameReader()
        self._received: deque[bytes] = deque()
        self._frames: Iterator[tuple[int, int, bytes]] | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._arriving_bytes = 0
        self._blocked = False

    @property
    def closed(self) -> bool:
        """Whether the connection is over: what is still to be sent is the last."""
        return self.state == "closed"

    @property
    def outlet(self) -> Outlet:
        """Where the events of the virtual host come from; there is one from `connection.open` on."""
        assert self._outlet is not None
        return self._outlet

    @property
    def core(self) -> BrokerConnection:
        """The connection's side in the broker; there is one from `connection.open` on."""
        assert self._core is not None
        return self._core

    # Bytes.

    def receive(self, data: bytes) -> None:
        """Take bytes of the client. Every error of the client is answered, none is raised."""
        if self.closed:
            return
        self._heartbeats.received_at = self._now()
        if self.state == "new":
            data = self._protocol_header(data)
        if data and not self.closed:
            self._received.append(data)
            self.go_on()

    def go_on(self) -> None:
        """Work on what was received, until it is done or the connection is stalled."""
        try:
            while not self.stalled and not self.closed:
                if self._frames is None:
                    if not self._received:
                        break
                    self._frames = self._reader.feed(self._received.popleft())
                self._work(self._frames)
        except AmqpError as error:
            # Whoever sends no frames any more cannot answer a close either.
            self.fail(error)
            self._end("lost")
        if self._outlet is not None:
            self._outlet.pump()

    def data_to_send(self) -> bytes:
        """Take the bytes that the client is to be sent, all of them; then there is room for further deliveries."""
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        self.stalled = self._blocked
        if data:
            self._heartbeats.sent_at = self._now()
        if self._core is not None and self._outlet is not None:
            self._core.make_room(self.settings.unsent_bytes_max)
            self._outlet.pump()
        return data

    def send(self, data: bytes) -> None:
        """Have bytes sent, one or more whole frames."""
        if not self._unsent:
            self._wake()
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > self.settings.unsent_bytes_max:
            self.stalled = True

    # Time.

    def next_timer(self) -> int | None:
        """When `on_timer` is to be called next, in nanoseconds; None for never."""
        if self.closed:
            return None
        heartbeats = self._heartbeats
        times = [at for at in (self._deadline, heartbeats.send_at(), heartbeats.dead_at()) if at is not None]
        return min(times, default=None)

    def on_timer(self) -> None:
        """Send a heartbeat, or give up a client that is silent or too slow, if it is time."""
        now = self._now()
        if self.closed:
            return
        for at in (self._deadline, self._heartbeats.dead_at()):
            if at is not None and at <= now:
                self._end("lost")
                return
        send_at = self._heartbeats.send_at()
        if send_at is not None and send_at <= now:
            self._heartbeats.sent_at = now
            self.send(_HEARTBEAT)

    # The end.

    def fail(self, error: AmqpError) -> None:
        """End the connection by an error; the client is told if it has come far enough to be."""
        if self.state in {"closing", "closed"}:
            return
        self.failure = error
        if self._outlet is not None:
            self._outlet.pump()
        self._leave_broker()
        self._close_by(error, "fail")

    def shut_down(self, reason: str) -> None:
        """End the connection because the server ends: 320 for a client that is connected."""
        if self.state == "running":
            text = f"CONNECTION_FORCED - broker forced connection closure with reason '{reason}'"
            self.fail(AmqpConnectionError(320, text))
        elif self.state != "closing":
            self._end("lost")

    def lose(self) -> None:
        """The client is gone."""
        if not self.closed:
            self._end("lost")

    # For channels.

    def has_capability(self, name: str) -> bool:
        """Whether the client says that it has a capability."""
        return self._capabilities.get(name) is True

    def forget(self, channel: AmqpChannel) -> None:
        """The number of `channel` is free again."""
        self._channels.pop(channel.number, None)

    def count_arriving(self, size: int) -> None:
        """Count bytes of unfinished bodies; negative when they are unfinished no more. Raises 506."""
        self._arriving_bytes += size
        if self._arriving_bytes > self.settings.arriving_bytes_max:
            raise AmqpConnectionError(
                506,
                f"RESOURCE_ERROR - unfinished bodies of {self._arriving_bytes} bytes are more than the "
                f"{self.settings.arriving_bytes_max} bytes that one connection may have",
            )

    def block(self) -> None:
        """Read nothing more from this publisher: the broker holds too much."""
        if self._blocked:
            return
        self._blocked = self.stalled = True
        self._heartbeats.watch(False, self._now())
        if self.has_capability("connection.blocked"):
            self._send_method(Connection.Blocked("low on memory"))

    def unblock(self) -> None:
        """Read again."""
        if not self._blocked:
            return
        self._blocked = False
        self.stalled = self._unsent_bytes > self.settings.unsent_bytes_max
        self._heartbeats.watch(True, self._now())
        if self.has_capability("connection.blocked"):
            self._send_method(Connection.Unblocked())
        self._wake()

    # Frames.

    def _protocol_header(self, data: bytes) -> bytes:
        """Collect the eight bytes that a connection begins with; gives what follows them."""
        missing = len(PROTOCOL_HEADER) - len(self._head)
        self._head += data[:missing]
        if len(data) < missing:
            return b""
        if self._head in PROTOCOL_HEADERS:
            self.state = CONNECTION["new"]["header"]
            self._send_method(Connection.Start(0, 9, server_properties(self.settings), MECHANISMS, "en_US"))
        else:
            self.send(PROTOCOL_HEADER)
            self._end("fail")
        return data[missing:]

    def _work(self, frames: Iterator[tuple[int, int, bytes]]) -> None:
        """Frame by frame. Raises AmqpError where the stream is lost; any other error is answered."""
        channels = self._channels
        for kind, number, payload in frames:
            channel = channels.get(number)
            try:
                if channel is None or kind > BODY:
                    self._frame(kind, number, payload)
                elif kind == METHOD:
                    channel.method(payload)
                elif kind == HEADER:
                    channel.header(payload)
                else:
                    channel.body(payload)
            except AmqpChannelError as error:
                assert channel is not None
                channel.fail(error)
            except AmqpError as error:
                self.fail(error)
            if self.stalled or self.state == "closed":
                return
        self._frames = None

    def _frame(self, kind: int, number: int, payload: bytes) -> None:
        """A frame of no open channel: of the connection itself, a channel's first, or one that is out of order."""
        if number == 0:
            if kind == METHOD:
                self._method(payload)
            elif kind != HEARTBEAT and self.state != "closing":
                raise unexpected_frame(snippet_text(kind, payload))
            return
        if self.state == "closing":
            return
        if self.state != "running" or kind == HEARTBEAT:
            raise unexpected_frame(snippet_text(kind, payload))
        limit = self._limits.channel_max
        if limit and len(self._channels) >= limit:
            raise not_allowed(f"number of channels opened ({limit}) has reached the negotiated channel_max ({limit})")
        channel = self._channels[number] = AmqpChannel(self, number)
        if kind == METHOD:
            channel.method(payload)
        else:
            raise unexpected_frame("expected method frame, got non method frame instead")

    def _method(self, payload: bytes) -> None:
        """A method of the class connection."""
        state = self.state
        try:
            command = methods.decode(payload)
            event = _EVENTS.get(type(command))
            following = CONNECTION[state].get(event) if event is not None else None
            if following is not None:
                self._answer(command, following)
            elif state == "running" and isinstance(command, Connection.UpdateSecret):
                self._send_method(Connection.UpdateSecretOk())
            elif state != "closing":
                raise channel_error(f"unexpected method in connection state {state}")
        except AmqpError as error:
            if not error.class_id:
                error.class_id, error.method_id = _IDS.unpack_from(payload)
            raise

    def _answer(self, command: Frame, following: ConnectionState) -> None:
        """Do what a method asks for whose time it is."""
        match command:
            case Connection.StartOk():
                self._start_ok(command, following)
            case Connection.TuneOk():
                self._limits = agree(self.settings, command.channel_max, command.frame_max, command.heartbeat)
                self.frame_bytes_max = self._limits.frame_max or _FRAME_BYTES_WITHOUT_LIMIT
                self._reader.frame_max = self.frame_bytes_max
                self._heartbeats.start(self._limits.heartbeat_s, self._now())
                self.state = following
            case Connection.Open():
                self._open(command.virtual_host, following)
            case Connection.Close():
                if self.state == "running":
                    self.outlet.pump()
                    self._leave_broker()
                self.state = following
                self._send_method(Connection.CloseOk())
            case _:
                self._end("close-ok")

    def _start_ok(self, command: Connection.StartOk, following: ConnectionState) -> None:
        capabilities = (command.client_properties or {}).get("capabilities")
        if isinstance(capabilities, Mapping):
            self._capabilities = capabilities
        response = command.response.encode("utf-8", "surrogateescape")
        user = login(command.mechanism, response, self.settings.users)
        if user is None:
            error = login_refused(command.mechanism)
            if not self.has_capability("authentication_failure_close"):
                raise error
            self.failure = error
            self._close_by(error, "refuse")
            return
        self.user = user
        self.state = following
        settings = self.settings
        self._send_method(Connection.Tune(settings.channel_max, settings.frame_max, settings.heartbeat_s))

    def _open(self, virtual_host: str, following: ConnectionState) -> None:
        outlet = self._outlets.get(virtual_host)
        if outlet is None:
            raise not_allowed(f"vhost {virtual_host} not found")
        self._outlet = outlet
        self._core = outlet.broker.open_connection()
        self._core.room = self.settings.unsent_bytes_max
        outlet.connections[self] = None
        self._deadline = None
        self.state = following
        self._send_method(Connection.OpenOk(""))

    def _close_by(self, error: AmqpError, event: ConnectionEvent) -> None:
        """Go where `event` leads; say why, and wait for the answer, if that is not the end already."""
        following = CONNECTION[self.state][event]
        if following == "closed":
            self._end(event)
            return
        self.state = following
        seconds = min(CLOSING_S, self._limits.heartbeat_s or CLOSING_S)
        self._deadline = self._now() + seconds * NS_PER_S
        text = methods.reply_text(error.reply_text)
        self._send_method(Connection.Close(error.reply_code, text, error.class_id, error.method_id))

    def _end(self, event: ConnectionEvent) -> None:
        """It is over."""
        self.state = CONNECTION[self.state].get(event, "closed")
        self._leave_broker()
        self._received.clear()
        self._frames = None
        self._wake()

    def _leave_broker(self) -> None:
        """Close every channel, and requeue what the client had."""
        outlet, core = self._outlet, self._core
        if outlet is None or core is None:
            return
        self._core = None
        for channel in list(self._channels.values()):
            if channel.core is not None:
                outlet.channels.pop(channel.core, None)
        self._channels.clear()
        outlet.connections.pop(self, None)
        core.close()
        self._blocked = False
        self.stalled = False
        outlet.pump()

    def _send_method(self, command: Frame) -> None:
        self.send(frame(METHOD, 0, methods.encode(command)))
