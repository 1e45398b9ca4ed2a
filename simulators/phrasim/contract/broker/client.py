"""One AMQP connection: a blocking socket, methods in order, content put together.

It hides nothing and decides nothing: what the broker sends comes out, a close as well. What no broker may send raises
`Strange`. It blocks on purpose: a program is one conversation, and nothing else goes on beside it.
"""

import socket
import ssl
import struct
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from phrasim.broker.amqp.connecting import reason_of
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerError
from phrasim.contract.broker.wire import (
    BODY,
    FRAME_END,
    HEADER,
    HEARTBEAT,
    METHOD,
    Received,
    Strange,
    decode_header,
    decode_method,
    encode_header,
    encode_method,
    encode_table,
    frame,
)

ANSWERS_WITHIN_S = 10
PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"
FRAME_BYTES_MAX = 64 * 1024 * 1024
"""More in one frame is taken for a broker that has lost its way: RabbitMQ sends 131,072 bytes at most."""

HEARD_MAX = 10_000
"""How many methods are listened to in one go."""

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

WITH_CONTENT = frozenset({"basic.deliver", "basic.return", "basic.get-ok"})


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """With what a connection is opened. `mechanism` is PLAIN or AMQPLAIN."""

    user: str = "guest"
    password: str = "guest"
    vhost: str = "/"
    mechanism: str = "PLAIN"

    def response(self) -> bytes:
        """What `connection.start-ok` carries of it."""
        if self.mechanism == "AMQPLAIN":
            login = {"LOGIN": ["S", self.user], "PASSWORD": ["S", self.password]}
            return encode_table(login)[4:]
        return f"\0{self.user}\0{self.password}".encode()


class Client:
    """A connection to the broker at `url`; `open` does the handshake. Raises BrokerError where nobody is reached."""

    def __init__(self, url: BrokerUrl, tls: ssl.SSLContext | None = None) -> None:
        self.closed = False
        try:
            self._socket = socket.create_connection((url.host, url.port), timeout=ANSWERS_WITHIN_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=url.host)
        except ssl.SSLCertVerificationError as error:
            raise BrokerError(f"the broker's certificate is not to be trusted: {error.verify_message}") from error
        except OSError as error:
            raise BrokerError(reason_of(error)) from error
        self._input = bytearray()
        self._received: deque[Received] = deque()
        self._partial: dict[int, tuple[Received, int]] = {}

    def open(self, account: Account, up_to: str = "connection.open-ok") -> list[Received]:
        """Open the connection; gives what the broker sent, of which the last is open-ok, or a close, or nothing.

        Or go only so far that the broker has sent the method `up_to`.
        """
        transcript: list[Received] = []
        self._write(PROTOCOL_HEADER)
        if self._follow(transcript) != "connection.start" or up_to == "connection.start":
            return transcript
        self.send(
            0,
            "connection.start-ok",
            {
                "client_properties": {"product": ["S", "phrasim verify"], "capabilities": ["F", CAPABILITIES]},
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

    def hear_out(self, within_s: float, hoped: int = 0, closes: bool = False, hoped_s: float = 0.0) -> list[Received]:
        """What comes until the socket or the connection is closed, or nothing has come for so long.

        For so many methods as are hoped for, and then for the socket to be closed if it is, `hoped_s` is waited.
        """
        heard: list[Received] = []
        with suppress(TimeoutError):
            while len(heard) < HEARD_MAX:
                is_hoped = len(heard) < hoped or closes
                received = self.receive(max(within_s, hoped_s) if is_hoped else within_s)
                if received is None:
                    break
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
            self._socket.settimeout(ANSWERS_WITHIN_S)
            self._socket.sendall(raw)

    def receive(self, within_s: float = ANSWERS_WITHIN_S) -> Received | None:
        """The next method; None when the broker closed the socket. Raises TimeoutError when nothing comes."""
        deadline = time.monotonic() + within_s
        while not self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            if not self._read():
                return None
        return self._received.popleft()

    def leave(self) -> None:
        """Close the connection as a client should, and the socket."""
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        with suppress(OSError, Strange):
            if not self.closed:
                self.send(0, "connection.close", {"reply_code": 200})
                while (received := self.receive(deadline - time.monotonic())) is not None:
                    if received.name == "connection.close-ok":
                        break
        self.drop()

    def _read(self) -> bool:
        try:
            read = self._socket.recv(1 << 16)
        except (ConnectionError, ssl.SSLEOFError):
            read = b""
        if not read:
            self.closed = True
            return False
        self._input += read
        start = 0
        while len(self._input) - start >= 8:
            if self._input[start : start + 4] == b"AMQP":
                version = list(self._input[start + 4 : start + 8])
                self._received.append(Received(0, "protocol-header", {"version": version}))
                start += 8
                continue
            kind, channel, size = struct.unpack_from(">BHI", self._input, start)
            if size > FRAME_BYTES_MAX:
                raise Strange(f"what the broker sent is no AMQP, or a frame of {size:,} bytes")
            end = start + size + 7
            if len(self._input) <= end:
                break
            if self._input[end] != FRAME_END:
                raise Strange("the broker sent a frame that does not end where it should")
            self._frame(kind, channel, bytes(self._input[start + 7 : end]))
            start = end + 1
        del self._input[:start]
        return True

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == HEARTBEAT:
            return
        if kind == METHOD:
            received = Received(channel, *decode_method(payload))
            if channel in self._partial:
                raise Strange(f"the broker's {received.name} came in the middle of a message on channel {channel}")
            if received.name in WITH_CONTENT:
                self._partial[channel] = received, -1
            else:
                self._received.append(received)
            return
        if kind not in {HEADER, BODY}:
            raise Strange(f"the broker sent a frame of the unknown kind {kind}")
        if channel not in self._partial:
            raise Strange(f"the broker sent a part of a message on channel {channel}, and no method before it")
        received, size = self._partial[channel]
        if kind == HEADER:
            if size != -1:
                raise Strange("the broker sent a second content header to one message")
            received.properties, size = decode_header(payload)
            received.body = b""
        elif received.body is None:
            raise Strange("the broker sent a body without a content header")
        else:
            received.body += payload
        if len(received.body) > size:
            raise Strange(f"the broker announced a body of {size} bytes and sent {len(received.body)}")
        if len(received.body) == size:
            del self._partial[channel]
            self._received.append(received)
        else:
            self._partial[channel] = received, size

    def drop(self) -> None:
        """Close the socket without a word."""
        self.closed = True
        self._socket.close()
