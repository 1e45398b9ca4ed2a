"""A file that goes from the kernel's memory to a socket: whole, or as much as finds room and the rest behind it."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from phrasim.edge.file_sending import room, send_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sendfile is used on Linux alone")

CONTENT = bytes(range(256)) * 4096
HEAD = b"a head;"
LOOPS = [uvloop.new_event_loop, asyncio.new_event_loop]


class Ended(asyncio.Protocol):
    """A protocol that knows when its connection has ended."""

    def __init__(self) -> None:
        self.ended = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


Main = Callable[[Any, socket.socket, Ended], Awaitable[None]]


@pytest.fixture(params=LOOPS, ids=["uvloop", "asyncio"])
def connected(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """`connected(main)` runs `main(transport, peer, protocol)`, whose socket has room for little."""

    async def run(main: Main) -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.socket()
            peer.setblocking(False)
            # Before the connection is there: afterwards the window stays what it was.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(peer, listener.getsockname())
            accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        with peer:
            transport, protocol = await loop.create_connection(Ended, sock=accepted)
            async with asyncio.timeout(20):
                await main(transport, peer, protocol)
                transport.abort()
                await protocol.ended

    def played(main: Main) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(run(main))

    return played


async def read(peer: socket.socket, size: int | None = None) -> bytes:
    """So many bytes, or all until the end."""
    loop, got = asyncio.get_running_loop(), bytearray()
    while size is None or len(got) < size:
        part = await loop.sock_recv(peer, 65536)
        if not part:
            break
        got += part
    return bytes(got)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def test_room_is_what_the_socket_has_left(connected: Any) -> None:
    async def main(transport: Any, peer: socket.socket, _: Ended) -> None:
        capacity = room(transport)
        assert capacity == 64 * 1024  # twice what was asked for, as Linux has it (socket(7))
        transport.write(bytes(16 * 1024))
        if transport.get_write_buffer_size() == 0:
            assert 0 < room(transport) <= capacity
        transport.write(bytes(1024 * 1024))
        assert transport.get_write_buffer_size() > 0
        assert room(transport) == 0
        await read(peer, 1040 * 1024)

    connected(main)


def test_where_the_connection_ends_there_is_no_room(connected: Any) -> None:
    async def main(transport: Any, _peer: socket.socket, _: Ended) -> None:
        assert room(transport) > 0
        transport.close()
        assert room(transport) == 0

    connected(main)


def test_where_the_connection_is_encrypted_there_is_no_room() -> None:
    class Encrypted:
        def is_closing(self) -> bool:
            return False

        def get_write_buffer_size(self) -> int:
            return 0

        def get_extra_info(self, name: str) -> Any:
            return {"sslcontext": ssl.create_default_context()}[name]

    assert room(Encrypted()) == 0


@pytest.mark.parametrize("size", [1, 4096, len(CONTENT)])
def test_a_caller_has_the_head_and_the_file_whether_they_find_room_or_not(
    connected: Any, file: Path, size: int
) -> None:
    async def main(transport: Any, peer: socket.socket, _: Ended) -> None:
        fits = size < room(transport)
        with file.open("rb", buffering=0) as source:
            send_file(transport, HEAD, source, 0, size)
        assert (transport.get_write_buffer_size() == 0) == fits
        assert await read(peer, len(HEAD) + size) == HEAD + CONTENT[:size]
        transport.write(b"behind it")
        assert await read(peer, 9) == b"behind it"

    connected(main)


def test_a_file_that_is_shorter_than_its_head_says_ends_the_connection(connected: Any, file: Path) -> None:
    async def main(transport: Any, peer: socket.socket, _: Ended) -> None:
        file.write_bytes(b"short")
        with file.open("rb", buffering=0) as source:
            send_file(transport, HEAD, source, 0, 6)
        assert await read(peer) == HEAD + b"short"

    connected(main)


def test_where_the_caller_has_left_the_connection_ends(connected: Any, file: Path) -> None:
    async def main(transport: Any, peer: socket.socket, protocol: Ended) -> None:
        transport.pause_reading()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()  # With that option it is a reset, which the kernel has handed over by now.
        with file.open("rb", buffering=0) as source:
            send_file(transport, HEAD, source, 0, 1024)
        await protocol.ended

    connected(main)
