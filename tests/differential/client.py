"""One AMQP connection of the differential tests: a blocking socket, methods in order, content put together.

It hides nothing and decides nothing: what the broker sends comes out, a close as well.
"""

import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from differential.wire import (
    BODY,
    FRAME_END,
    HEADER,
    HEARTBEAT,
    METHOD,
    Received,
    decode_header,
    decode_method,
    encode_header,
    encode_method,
    encode_table,
    frame,
)

ANSWERS_WITHIN_S = 10
CAPABILITIES = {
    name: ["t", True]
    for name in (
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
    )
}


@dataclass(frozen=True, slots=True)
class Account:
    """With what a connection is opened. `mechanism` is PLAIN or AMQPLAIN."""

    user: str = "guest"
    password: str = "guest"
    vhost: str = "/"
    mechanism: str = "PLAIN"

    def response(self) -> bytes:
        if self.mechanism == "AMQPLAIN":
            login = {"LOGIN": ["S", self.user], "PASSWORD": ["S", self.password]}
            return encode_table(login)[4:]
        return f"\0{self.user}\0{self.password}".encode()


class Client:
    """A connection to the broker at `address`; `open` does the handshake."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.closed = False
        self._socket = socket.create_connection(address, timeout=ANSWERS_WITHIN_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = b""
        self._received: deque[Received] = deque()
        self._partial: dict[int, tuple[Received, int]] = {}

    def open(self, account: Account, up_to: str = "connection.open-ok") -> list[Received]:
        """Open the connection; gives what the broker sent, of which the last is open-ok, or a close, or nothing.

        Or go only so far that the broker has sent the method `up_to`.
        """
        transcript: list[Received] = []
        self._socket.sendall(b"AMQP\0\0\x09\x01")
        if self._follow(transcript) != "connection.start" or up_to == "connection.start":
            return transcript
        self.send(
            0,
            "connection.start-ok",
            {
                "client_properties": {"product": ["S", "differential"], "capabilities": ["F", CAPABILITIES]},
                "mechanism": account.mechanism,
                "response": account.response(),
                "locale": "en_US",
            },
        )
        if self._follow(transcript) != "connection.tune" or up_to == "connection.tune":
            return transcript
        tune = transcript[-1].fields
        self.send(0, "connection.tune-ok", {**tune, "heartbeat": 0})
        if up_to == "connection.tune-ok":
            return transcript
        self.send(0, "connection.open", {"virtual_host": account.vhost})
        self._follow(transcript)
        return transcript

    def hear_out(self, within_s: float) -> list[Received]:
        """What comes until the socket or the connection is closed, or nothing has come for so long."""
        heard: list[Received] = []
        self._socket.settimeout(within_s)
        with suppress(TimeoutError):
            while (received := self.receive()) is not None:
                heard.append(received)
                if received.name == "connection.close":
                    break
        return heard

    def _follow(self, transcript: list[Received]) -> str | None:
        received = self.receive()
        if received is None:
            return None
        transcript.append(received)
        return received.name

    def send(self, channel: int, name: str, fields: dict[str, Any]) -> None:
        """Send a method. Nothing is said when the broker has gone: what it said last is still to be read."""
        self._write(frame(METHOD, channel, encode_method(name, fields)))

    def publish(
        self, channel: int, fields: dict[str, Any], properties: dict[str, Any], body: bytes, times: int = 1
    ) -> None:
        """Send `basic.publish` with its content, `times` times."""
        message = frame(METHOD, channel, encode_method("basic.publish", fields))
        message += frame(HEADER, channel, encode_header(properties, len(body)))
        if body:
            message += frame(BODY, channel, body)
        self._write(message * times)

    def write(self, raw: bytes) -> None:
        """Send bytes that need not be AMQP."""
        self._write(raw)

    def _write(self, raw: bytes) -> None:
        with suppress(OSError):
            self._socket.sendall(raw)

    def receive(self) -> Received | None:
        """The next method; None when the broker closed the socket. Raises TimeoutError when nothing comes."""
        while not self._received:
            if not self._read():
                return None
        return self._received.popleft()

    def _read(self) -> bool:
        try:
            read = self._socket.recv(1 << 16)
        except ConnectionError:
            read = b""
        if not read:
            self.closed = True
            return False
        self._input += read
        while len(self._input) >= 8:
            kind, channel, size = struct.unpack_from(">BHI", self._input)
            if self._input[:4] == b"AMQP":
                self._received.append(Received(0, "protocol-header", {"version": list(self._input[4:8])}))
                self._input = self._input[8:]
                continue
            if len(self._input) < size + 8:
                break
            assert self._input[size + 7] == FRAME_END, "a frame does not end where it should"
            self._frame(kind, channel, self._input[7 : size + 7])
            self._input = self._input[size + 8 :]
        return True

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == HEARTBEAT:
            return
        if kind == METHOD:
            received = Received(channel, *decode_method(payload))
            if received.name in {"basic.deliver", "basic.return", "basic.get-ok"}:
                self._partial[channel] = received, -1
            else:
                assert channel not in self._partial, f"{received.name} came inside a message"
                self._received.append(received)
            return
        received, size = self._partial[channel]
        if kind == HEADER:
            received.properties, size = decode_header(payload)
            received.body = b""
        else:
            assert received.body is not None
            received.body += payload
        if len(received.body) == size:
            del self._partial[channel]
            self._received.append(received)
        else:
            self._partial[channel] = received, size

    def drop(self) -> None:
        """Close the socket without a word."""
        self.closed = True
        self._socket.close()
