"""One connection: bytes in, bytes out, and calls on the broker between; no socket, no clock but the one it is given.

`receive` takes what the client sent, `data_to_send` gives what it is to be sent. Frames go to their channels from here;
what the connection itself is asked, how it begins and how it ends, is `lifecycle.py`'s.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping

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
from phrasim.broker.amqp.handshake import PROTOCOL_HEADER, PROTOCOL_HEADERS
from phrasim.broker.amqp.lifecycle import Lifecycle
from phrasim.broker.amqp.outlet import Outlet
from phrasim.broker.amqp.settings import Settings
from phrasim.broker.amqp.states import ConnectionState
from phrasim.broker.channel import Connection as BrokerConnection
from phrasim.broker.errors import (
    AmqpChannelError,
    AmqpConnectionError,
    AmqpError,
    AmqpUnansweredError,
    not_allowed,
)

_FRAME_BYTES_WITHOUT_LIMIT = 2**31


class AmqpConnection:
    """A client's connection. `outlets` are the brokers by virtual host; `now` gives nanoseconds.

    `wake` is called when there is something to do for whoever pumps: bytes to send, or input that may go on.
    While `stalled` is true, nothing more should be read from the client: what was received waits for `go_on`.
    """

    def __init__(
        self,
        outlets: Mapping[str, Outlet],
        settings: Settings,
        now: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.frame_bytes_max = FRAME_MAX_MIN
        self.stalled = False
        self._outlets = outlets
        self._outlet: Outlet | None = None
        self._core: BrokerConnection | None = None
        self._now = now
        self._wake = wake
        self._life = Lifecycle(self, settings, now)
        self._channels: dict[int, AmqpChannel] = {}
        self._head = b""
        self._reader = FrameReader()
        self._received: deque[bytes] = deque()
        self._frames: Iterator[tuple[int, int, bytes]] | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._arriving_bytes = 0
        self._blocked = False

    @property
    def state(self) -> ConnectionState:
        """Where the connection is in the table CONNECTION."""
        return self._life.state

    @property
    def closed(self) -> bool:
        """Whether the connection is over: what is still to be sent is the last."""
        return self._life.state == "closed"

    @property
    def user(self) -> str:
        """The name that the client logged in with, "" before."""
        return self._life.user

    @property
    def failure(self) -> AmqpError | None:
        """The error that ended the connection, also where the client was not told of it."""
        return self._life.failure

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
        state = self._life.state
        if state in {"silent", "closed"}:
            return
        self._life.heartbeats.received_at = self._now()
        if state == "new":
            data = self._protocol_header(data)
        if data and not self.closed:
            self._received.append(data)
            self.go_on()

    def go_on(self) -> None:
        """Work on what was received, until it is done or the connection is stalled."""
        try:
            while not self.stalled and self._life.state not in {"silent", "closed"}:
                if self._frames is None:
                    if not self._received:
                        break
                    self._frames = self._reader.feed(self._received.popleft())
                self._work(self._frames)
        except AmqpError as error:
            # Whoever sends no frames any more cannot answer a close either.
            self.leave_broker()
            self._life.close_by(error, "garbled")
        if self._outlet is not None:
            self._outlet.pump()

    def data_to_send(self) -> bytes:
        """Take the bytes that the client is to be sent, all of them; then there is room for further deliveries."""
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        self.stalled = self._blocked
        if data:
            self._life.heartbeats.sent_at = self._now()
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
        return self._life.next_timer()

    def on_timer(self) -> None:
        """Send a heartbeat, or give up a client that is silent or too slow, if it is time."""
        self._life.on_timer()

    # The end.

    def fail(self, error: AmqpError) -> None:
        """End the connection by an error; the client is told if it has come far enough to be."""
        if isinstance(error, AmqpUnansweredError):
            self._life.failure = self._life.failure or error
            self._life.end("lost")
        elif self.state not in {"closing", "silent", "closed"}:
            self.leave_broker()
            self._life.close_by(error, "fail")

    def shut_down(self, reason: str) -> None:
        """End the connection because the server ends: 320 for a client that is connected."""
        if self.state == "running":
            text = f"CONNECTION_FORCED - broker forced connection closure with reason '{reason}'"
            self.fail(AmqpConnectionError(320, text))
        elif self.state != "closing":
            self._life.end("lost")

    def lose(self) -> None:
        """The client is gone."""
        if not self.closed:
            self._life.end("lost")

    # For channels.

    def has_capability(self, name: str) -> bool:
        """Whether the client says that it has a capability."""
        return self._life.capabilities.get(name) is True

    def forget(self, channel: AmqpChannel) -> None:
        """The number of `channel` is free again."""
        self._channels.pop(channel.number, None)

    def count_arriving(self, size: int) -> None:
        """Count bytes of unfinished bodies; negative when they are unfinished no more. Raises 506."""
        self._arriving_bytes += size
        self.outlet.arriving_bytes += size
        settings = self.settings
        for arriving, most, whose in (
            (self._arriving_bytes, settings.arriving_bytes_max, "one connection"),
            (self.outlet.arriving_bytes, settings.held_bytes_max, "all connections together"),
        ):
            if size > 0 and arriving > most:
                raise AmqpConnectionError(
                    506,
                    f"RESOURCE_ERROR - unfinished bodies of {arriving} bytes are more than the {most} bytes that "
                    f"{whose} may have",
                )

    def block(self) -> None:
        """Read nothing more from this publisher: the broker holds too much."""
        if self._blocked:
            return
        self._blocked = self.stalled = True
        self._life.heartbeats.watch(False, self._now())
        if self.has_capability("connection.blocked"):
            self._send_method(Connection.Blocked("low on memory"))

    def unblock(self) -> None:
        """Read again."""
        if not self._blocked:
            return
        self._blocked = False
        self.stalled = self._unsent_bytes > self.settings.unsent_bytes_max
        self._life.heartbeats.watch(True, self._now())
        if self.has_capability("connection.blocked"):
            self._send_method(Connection.Unblocked())
        self._wake()

    # For the lifecycle.

    def limit_frames(self, frame_max: int) -> None:
        """Take and send no larger frames than these bytes from now on; 0 is no limit."""
        self.frame_bytes_max = frame_max or _FRAME_BYTES_WITHOUT_LIMIT
        self._reader.frame_max = self.frame_bytes_max

    def join(self, virtual_host: str) -> None:
        """Enter the broker of a virtual host. Raises 530 for one that is not there."""
        outlet = self._outlets.get(virtual_host)
        if outlet is None:
            raise not_allowed(f"vhost {virtual_host} not found")
        self._outlet = outlet
        self._core = outlet.broker.open_connection()
        self._core.user = self.user
        self._core.room = self.settings.unsent_bytes_max
        outlet.connections[self] = None

    def leave(self) -> None:
        """It is over: nothing more is worked on."""
        self.leave_broker()
        self._received.clear()
        self._frames = None
        self._wake()

    def leave_broker(self) -> None:
        """Close every channel, and requeue what the client had; what happened before is told before."""
        outlet, core = self._outlet, self._core
        if outlet is None or core is None:
            return
        outlet.pump()
        self._core = None
        for channel in list(self._channels.values()):
            if channel.core is not None:
                outlet.channels.pop(channel.core, None)
        self._channels.clear()
        outlet.arriving_bytes -= self._arriving_bytes
        self._arriving_bytes = 0
        outlet.connections.pop(self, None)
        core.close()
        self._blocked = False
        self.stalled = False
        outlet.pump()

    # Frames.

    def _protocol_header(self, data: bytes) -> bytes:
        """Collect the eight bytes that a connection begins with; gives what follows them."""
        missing = len(PROTOCOL_HEADER) - len(self._head)
        self._head += data[:missing]
        if len(data) < missing:
            return b""
        if self._head in PROTOCOL_HEADERS:
            self._life.begin()
        else:
            self.send(PROTOCOL_HEADER)
            self._life.end("fail")
        return data[missing:]

    def _work(self, frames: Iterator[tuple[int, int, bytes]]) -> None:
        """Frame by frame. Raises AmqpError where the stream is lost; any other error is answered."""
        channels, life = self._channels, self._life
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
                (channel or channels[number]).fail(error)
            except AmqpError as error:
                self.fail(error)
            if self.stalled or life.state == "closed" or life.state == "silent":
                return
        self._frames = None

    def _frame(self, kind: int, number: int, payload: bytes) -> None:
        """A frame of no open channel: of the connection itself, a channel's first, or one that is out of order."""
        if number == 0:
            if kind == METHOD:
                self._life.method(payload)
            elif kind != HEARTBEAT and self.state != "closing":
                raise unexpected_frame(snippet_text(kind, payload))
            return
        if self.state == "closing":
            return
        if self.state != "running" or kind == HEARTBEAT:
            raise unexpected_frame(snippet_text(kind, payload))
        limit = self._life.limits.channel_max
        if limit and len(self._channels) >= limit:
            raise not_allowed(f"number of channels opened ({limit}) has reached the negotiated channel_max ({limit})")
        channel = self._channels[number] = AmqpChannel(self, number)
        if kind == METHOD:
            channel.method(payload)
        else:
            raise unexpected_frame("expected method frame, got non method frame instead")

    def _send_method(self, command: Frame) -> None:
        self.send(frame(METHOD, 0, methods.encode(command)))
