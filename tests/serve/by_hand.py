"""A client of the upload service that writes its requests byte by byte."""

import asyncio
from typing import Any


def request(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: upload", *headers, "", "")).encode() + body


class Client:
    """Somebody who writes requests to the upload service by hand, on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @staticmethod
    async def at(one: Any) -> "Client":
        """A client of the upload service of a landscape."""
        port = int(one.suite.described["upload"]["url"].rpartition(":")[2])
        return Client(*await asyncio.open_connection("127.0.0.1", port))

    def ask(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> None:
        self.writer.write(request(target, *headers, method=method, body=body))

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(20):
            rest = await self._reader.read()
        self.writer.close()
        return rest

    async def answer(self) -> tuple[str, dict[str, str], bytes]:
        """Status line, headers but for what is of the connection, and body."""
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        assert "date" in headers
        body = await self._reader.readexactly(int(headers["content-length"]))
        return status, {name: headers[name] for name in headers if name not in ("date", "connection")}, body
