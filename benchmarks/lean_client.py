"""A client of `phrasim serve` that costs little itself: HTTP/1.1 on an asyncio protocol, answers by their length."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

FORM = "multipart/form-data; boundary=b"

_BEGIN = b'--b\r\nContent-Disposition: form-data; name="file"; filename="asset.bin"\r\n\r\n'
_END = b"\r\n--b--\r\n"


def form(content: bytes) -> bytes:
    """The body of an upload."""
    return _BEGIN + content + _END


class Connection(asyncio.Protocol):
    """A connection that is kept, and has one request under way at a time."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._transport: asyncio.Transport
        self._answered: asyncio.Future[tuple[int, bytes]] | None = None
        self._read = b""

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport  # uvloop's are no `asyncio.Transport` by their class

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, blank, body = self._read.partition(b"\r\n\r\n")
        if not blank:
            return
        named = head.lower().partition(b"content-length:")[2]
        if len(body) < int(named.partition(b"\r\n")[0]):
            return
        self._read = b""
        answered, self._answered = self._answered, None
        if answered is not None and not answered.done():
            answered.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("the server has closed the connection"))

    async def ask(
        self, method: str, path: str, authorization: str, body: bytes = b"", media_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: {authorization}\r\n"
        if method == "POST":
            head += f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(head.encode() + b"\r\n" + body)
        return await self._answered

    def close(self) -> None:
        self._transport.close()


class Connections:
    """Connections to one service; whoever asks takes one that is free, or opens another."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._host, self._port = at.hostname or "", at.port or 0
        self._free: list[Connection] = []

    async def ask(self, method: str, path: str, authorization: str, **parts: Any) -> Any:
        """The JSON of the answer. Raises RuntimeError for one that does not begin with 2."""
        while self._free and not self._free[-1].is_open:
            self._free.pop()
        if self._free:
            connection = self._free.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(
                lambda: Connection(f"{self._host}:{self._port}"), self._host, self._port
            )
        status, body = await connection.ask(method, path, authorization, **parts)
        self._free.append(connection)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path}: 2xx would be right; found {status}: {body[:200]!r}")
        return json.loads(body)

    def close(self) -> None:
        for connection in self._free:
            connection.close()
