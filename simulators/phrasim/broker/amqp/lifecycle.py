"""The life of one connection from the protocol header to its end: who the client is, what was agreed, when it ends.

The order is the table CONNECTION of `states.py`; here are the methods of the class connection, the timers, and the one
place where an error becomes `connection.close`. What lies between, the frames of channels, is `connection.py`'s.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import TYPE_CHECKING, Any

from pamqp.base import Frame
from pamqp.commands import Connection

from phrasim.broker.amqp import methods
from phrasim.broker.amqp.frames import FRAME_MAX_MIN, HEARTBEAT, METHOD, frame
from phrasim.broker.amqp.handshake import MECHANISMS, Limits, agree, login, login_refused
from phrasim.broker.amqp.heartbeats import NS_PER_S, Heartbeats
from phrasim.broker.amqp.settings import CLOSING_S, HANDSHAKE_S, SILENCE_S, Settings, server_properties
from phrasim.broker.amqp.states import CONNECTION, ConnectionEvent, ConnectionState
from phrasim.broker.errors import INTERNAL_ERROR, AmqpError, channel_error, internal_error

if TYPE_CHECKING:
    from phrasim.broker.amqp.connection import AmqpConnection

_IDS = Struct(">HH")
_HEARTBEAT = frame(HEARTBEAT, 0, b"")

_EVENTS: Mapping[type[Frame], ConnectionEvent] = {
    Connection.StartOk: "start-ok",
    Connection.TuneOk: "tune-ok",
    Connection.Open: "open",
    Connection.Close: "close",
    Connection.CloseOk: "close-ok",
}


class Lifecycle:
    """Where `connection` stands, in the table CONNECTION; `user` has logged in, `limits` are agreed with the client.

    `failure` is the error that ended the connection, also where the client was not told of it.
    """

    def __init__(self, connection: "AmqpConnection", settings: Settings, now: Callable[[], int]) -> None:
        self.state: ConnectionState = "new"
        self.user = ""
        self.failure: AmqpError | None = None
        self.limits = Limits(0, FRAME_MAX_MIN, 0)
        self.capabilities: Mapping[str, Any] = {}
        self.heartbeats = Heartbeats(now())
        self._connection = connection
        self._settings = settings
        self._now = now
        self._deadline: int | None = now() + HANDSHAKE_S * NS_PER_S

    def begin(self) -> None:
        """The protocol header has come: tell the client who speaks."""
        self.state = CONNECTION["new"]["header"]
        self._send(Connection.Start(0, 9, server_properties(self._settings), MECHANISMS, "en_US"))

    def method(self, payload: bytes) -> None:
        """A method of the client on channel 0. Raises AmqpError."""
        state = self.state
        try:
            command = _decode(payload)
            event = _EVENTS.get(type(command))
            following = CONNECTION[state].get(event) if event is not None else None
            if following is not None:
                self._answer(command, following)
            elif state == "running" and isinstance(command, Connection.UpdateSecret):
                self._send(Connection.UpdateSecretOk())
            elif state != "closing":
                raise channel_error(f"unexpected method in connection state {state}")
        except AmqpError as error:
            if not error.class_id and error.reply_code != INTERNAL_ERROR:
                error.class_id, error.method_id = _IDS.unpack_from(payload)
            raise

    # Time.

    def next_timer(self) -> int | None:
        """When `on_timer` is to be called next, in nanoseconds; None for never."""
        if self.state == "closed":
            return None
        if self.state == "silent":
            return self._deadline
        times = [self._deadline, self.heartbeats.send_at(), self.heartbeats.dead_at()]
        return min((at for at in times if at is not None), default=None)

    def on_timer(self) -> None:
        """Send a heartbeat, or give up a client that is silent or too slow, if it is time."""
        now = self._now()
        if self.state == "closed":
            return
        watched = self.state != "silent"
        for at in (self._deadline, self.heartbeats.dead_at() if watched else None):
            if at is not None and at <= now:
                self.end("lost")
                return
        send_at = self.heartbeats.send_at()
        if watched and send_at is not None and send_at <= now:
            self.heartbeats.sent_at = now
            self._connection.send(_HEARTBEAT)

    # The end.

    def close_by(self, error: AmqpError, event: ConnectionEvent) -> None:
        """Go where `event` leads because of `error`; tell a client that has come so far, and wait for the end."""
        self.failure = self.failure or error
        before = self.state
        following = CONNECTION[before][event]
        if following == "closed":
            self.end(event)
            return
        if event == "refuse" or following == "silent":
            seconds = SILENCE_S
        else:
            seconds = min(CLOSING_S, self.limits.heartbeat_s or CLOSING_S)
        self.state = following
        self._deadline = self._now() + seconds * NS_PER_S
        if following == "silent":
            self._connection.leave()
        if event == "refuse" or before in {"opening", "running"}:
            text = methods.reply_text(error.reply_text)
            self._send(Connection.Close(error.reply_code, text, error.class_id, error.method_id))

    def end(self, event: ConnectionEvent) -> None:
        """It is over."""
        self.state = CONNECTION[self.state].get(event, "closed")
        self._connection.leave()

    # The client's methods.

    def _answer(self, command: Frame, following: ConnectionState) -> None:
        """Do what a method asks for whose time it is."""
        match command:
            case Connection.StartOk():
                self._start_ok(command, following)
            case Connection.TuneOk():
                self.limits = agree(self._settings, command.channel_max, command.frame_max, command.heartbeat)
                self._connection.limit_frames(self.limits.frame_max)
                self.heartbeats.start(self.limits.heartbeat_s, self._now())
                self.state = following
            case Connection.Open():
                self._connection.join(command.virtual_host)
                self._deadline = None
                self.state = following
                self._send(Connection.OpenOk(""))
            case Connection.Close():
                if self.state == "running":
                    self._connection.leave_broker()
                self.state = following
                self._send(Connection.CloseOk())
            case _:
                self.end("close-ok")

    def _start_ok(self, command: Connection.StartOk, following: ConnectionState) -> None:
        capabilities = (command.client_properties or {}).get("capabilities")
        if isinstance(capabilities, Mapping):
            self.capabilities = capabilities
        response = command.response.encode("utf-8", "surrogateescape")
        user = login(command.mechanism, response, self._settings.users)
        if user is None:
            told = self.capabilities.get("authentication_failure_close") is True
            self.close_by(login_refused(command.mechanism), "refuse" if told else "fail")
            return
        self.user = user
        self.state = following
        settings = self._settings
        self._send(Connection.Tune(settings.channel_max, settings.frame_max, settings.heartbeat_s))

    def _send(self, command: Frame) -> None:
        self._connection.send(frame(METHOD, 0, methods.encode(command)))


def _decode(payload: bytes) -> Frame:
    """Read a method on channel 0, where RabbitMQ answers 541 to arguments that cannot be read."""
    try:
        return methods.decode(payload)
    except AmqpError as error:
        # The others are a method that nobody knows, and a name that is not UTF-8.
        if not error.class_id:
            raise
        raise internal_error() from error
