"""A client's connection on sockets: what is sent, how an answer is read, and how what goes wrong is told."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from phrasim.serve import transport as transport_module
from phrasim.serve.client_connection import AHEAD_BYTES_MAX, ClientConnection, _give_up
from phrasim.serve.transport import SocketTransport

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Ask = Callable[[httpx.AsyncClient, str], Awaitable[Any]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue"


def no_tls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def played(answer: Answer, ask: Ask, **timeouts: float) -> Any:
    """What `ask` returns, which has a client and the URL of a server that plays `answer` on each connection."""

    async def run() -> Any:
        playing: list[asyncio.Task[None]] = []

        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await answer(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(
            lambda reader, writer: playing.append(asyncio.create_task(play(reader, writer))), "127.0.0.1", 0
        )
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            transport = SocketTransport({url: url}, own_tls=no_tls, external_tls=no_tls)
            timeout = httpx.Timeout(timeouts.pop("timeout", 5.0), **timeouts)
            try:
                async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
                    return await asyncio.wait_for(ask(client, url), 20)
            finally:
                for one in playing:
                    one.cancel()
                await asyncio.gather(*playing, return_exceptions=True)

    return asyncio.run(run())


def answering(*answers: bytes, whole: bool = True) -> Answer:
    """Answers each request of a connection by the next of these; then the server leaves, unless it is `whole`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for one in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(one)
            await writer.drain()
        if whole:
            await reader.read()
        else:
            writer.close()
            await writer.wait_closed()

    return answer


async def get(client: httpx.AsyncClient, url: str) -> httpx.Response:
    return await client.get(url)


# Answers


@pytest.mark.parametrize(
    ("answer", "status", "content"),
    [
        (OK, 200, b"true"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntr\r\n2\r\nue\r\n0\r\nx: y\r\n\r\n", 200, b"true"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nx: y\r\n\r\n" + OK, 200, b"true"),
        (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nother", 101, b""),
    ],
    ids=["length", "empty", "204", "304", "chunks", "interim", "upgrade"],
)
@pytest.mark.parametrize("cut", [False, True], ids=["at once", "byte by byte"])
def test_an_answer_is_read(answer: bytes, status: int, content: bytes, *, cut: bool) -> None:
    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in answer:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await reader.read()
        writer.close()

    found = played(slowly if cut else answering(answer), get)
    assert (found.status_code, found.content) == (status, content)
    assert "x" not in found.headers
    assert found.http_version == "HTTP/1.1"


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    found = played(answering(b"HTTP/1.0 200 Fine, thank you\r\nX: a \r\ny:\r\n\r\ntrue", whole=False), get)
    assert (found.content, found.http_version, found.reason_phrase) == (b"true", "HTTP/1.0", "Fine, thank you")
    assert found.headers.raw == [(b"X", b"a"), (b"y", b"")]


def test_the_answer_to_a_head_has_no_body() -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> list[bytes]:
        return [(await client.head(url)).content, (await client.get(url)).content]

    assert played(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", OK), ask) == [b"", b"true"]


def test_a_body_that_is_sent_with_the_answer_to_a_head_is_passed_over() -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> list[bytes]:
        return [(await client.head(url)).content, (await client.get(url)).content]

    connections: list[None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        await answering(OK, OK)(reader, writer)

    assert played(answer, ask) == [b"", b"true"]
    assert len(connections) == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "Server disconnected without sending a response."),
        (b"HTTP/1.1 200 O", "Server disconnected without sending a response."),
        (OK[:-1], r"without sending complete message body \(received 3 bytes, expected 4\)"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue", "incomplete chunked read"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfour", "Invalid"),
        (b"SSH-2.0-OpenSSH\r\n", "Expected HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 110_000, "more than 102400 bytes came that are no body"),
    ],
    ids=["nothing", "half a head", "short", "cut between chunks", "no chunk", "no HTTP", "long head"],
)
def test_what_is_wrong_with_an_answer_is_a_protocol_error(answer: bytes, told: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match=told):
        played(answering(answer, whole=False), get)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (lambda connection: connection.data_received(b"SSH-2.0-OpenSSH\r\n"), "Expected HTTP"),
        (lambda connection: connection.eof_received(), "Server disconnected"),
    ],
    ids=["speaks first", "leaves first"],
)
def test_what_a_server_does_before_it_is_asked_counts_as_its_answer(before: Any, told: str) -> None:
    async def run() -> None:
        connection = ClientConnection()
        connection.connection_made(Mock())
        before(connection)
        assert not connection.is_reusable
        await connection.ask(httpx.Request("GET", "http://h/"), b"/", {})

    with pytest.raises(httpx.RemoteProtocolError, match=told):
        asyncio.run(run())


def test_a_time_that_is_over_as_the_answer_comes_changes_nothing() -> None:
    async def run() -> None:
        waiter = asyncio.get_running_loop().create_future()
        waiter.set_result(None)
        _give_up(waiter)
        assert waiter.exception() is None

    asyncio.run(run())


def test_what_came_before_a_wrong_part_is_read() -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> list[bytes]:
        parts = []
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", url) as answer:
                async for part in answer.aiter_raw():
                    parts.append(part)
        return parts

    assert played(answering(OK[:-1], whole=False), ask) == [b"tru"]


def test_a_connection_that_is_reset_is_a_read_error() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    with pytest.raises(httpx.ReadError, match="reset"):
        played(reset, get)


def test_an_answer_follows_one_that_was_whole_while_reading_paused() -> None:
    length = AHEAD_BYTES_MAX + 1000
    long = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length + bytes(length)

    async def late(client: httpx.AsyncClient, url: str) -> list[int]:
        async with client.stream("GET", url) as answer:
            for _ in range(2000):  # turns of the loop, in which all of it comes
                await asyncio.sleep(0)
            taken = len(await answer.aread())
        return [taken, (await client.get(url)).status_code]

    assert played(answering(long, OK), late) == [length, 200]


def test_a_body_is_not_read_far_ahead_of_who_takes_it() -> None:
    taken: list[int] = []

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()
            taken.append(65_536)

    async def ask(client: httpx.AsyncClient, url: str) -> int:
        async with client.stream("GET", url) as answer:
            await asyncio.sleep(0.3)
            ahead = sum(taken)
            read = 0
            async for part in answer.aiter_raw():
                read += len(part)
                if read > ahead + 2**20:
                    break
        return ahead

    # What the sockets of both sides hold comes on top of it.
    assert AHEAD_BYTES_MAX < played(endless, ask) < AHEAD_BYTES_MAX + 16 * 2**20


# Requests


def heard(ask: Ask) -> bytes:
    """All that a server reads of one request."""
    seen = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65_536):
            seen.extend(part)
            if seen.endswith((b"true", b"0\r\n\r\n")):
                writer.write(OK)
        writer.close()

    played(answer, ask)
    return bytes(seen)


def test_a_request_stands_on_the_wire_as_it_was_given_and_host_first() -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> None:
        client.headers.clear()
        await client.post(
            f"{url}/a%20b?c=%22", headers=[("X-One", "1"), ("Host", "h"), ("x-one", "2")], content=b"true"
        )

    head = b"POST /a%20b?c=%22 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 4\r\n\r\n"
    assert heard(ask) == head + b"true"


async def _parts() -> AsyncIterator[bytes]:
    yield b"tr"
    yield b""
    yield b"ue"


@pytest.mark.parametrize("body", [b"true", _parts()], ids=["whole", "in parts"])
def test_a_body_of_unknown_length_is_sent_in_chunks(body: Any) -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> None:
        await client.post(url, headers={"Transfer-Encoding": "chunked"}, content=body)

    chunks = heard(ask).partition(b"\r\n\r\n")[2]
    assert b"".join(re.findall(rb"(?:^|\r\n)[24]\r\n([true]+)", chunks)) == b"true"
    assert chunks.endswith(b"\r\n0\r\n\r\n")


def test_a_body_of_a_known_length_is_sent_part_by_part() -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> None:
        await client.post(url, headers={"Content-Length": "4"}, content=_parts())

    assert heard(ask).endswith(b"\r\n\r\ntrue")


@pytest.mark.parametrize(
    ("length", "body", "told"),
    [("3", b"true", "Too much"), ("5", b"true", "Too little"), ("5", _parts(), "Too little")],
)
def test_a_body_of_another_length_than_it_says_is_not_sent(length: str, body: Any, told: str) -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> None:
        with pytest.raises(httpx.LocalProtocolError, match=told):
            await client.post(url, headers={"Content-Length": length}, content=body)

    played(answering(OK), ask)


@pytest.mark.parametrize("header", [("x", "a\r\nb: c"), ("x y", "z"), ("x", "\0"), ("x", " z")])
def test_a_header_that_would_be_another_one_is_not_sent(header: tuple[str, str]) -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> None:
        with pytest.raises(httpx.LocalProtocolError, match="Illegal header"):
            await client.get(url, headers=[header])

    played(answering(OK), ask)


@pytest.mark.parametrize("method", ["GET /", "GÉT", ""])
def test_a_method_that_is_none_is_not_sent(method: str) -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> None:
        with pytest.raises(httpx.LocalProtocolError, match="Illegal method"):
            await client.request(method, url)

    played(answering(OK), ask)


def test_a_long_body_is_sent_as_fast_as_it_is_taken() -> None:
    length = 8 * 2**20

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(length)
        writer.write(OK)
        await reader.read()

    async def ask(client: httpx.AsyncClient, url: str) -> bytes:
        return (await client.post(url, content=bytes(length))).content

    assert played(answer, ask) == b"true"


def test_an_answer_that_comes_while_the_body_is_sent_counts() -> None:
    """The server refuses a body that it does not read, and leaves: there is no use in sending the rest."""

    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.write_eof()
        while await reader.read(65_536):
            await asyncio.sleep(0)
        writer.close()

    async def ask(client: httpx.AsyncClient, url: str) -> int:
        return (await client.post(url, content=bytes(32 * 2**20))).status_code

    assert played(refusing, ask) == 413


# Time


def silent() -> Answer:
    async def answer(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    return answer


def test_an_answer_that_does_not_come_in_time_is_a_read_timeout() -> None:
    with pytest.raises(httpx.ReadTimeout, match=r"the read time-out of 0\.05 s"):
        played(silent(), get, read=0.05)


def test_a_body_that_is_not_taken_in_time_is_a_write_timeout() -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> None:
        await client.post(url, content=bytes(64 * 2**20))

    with pytest.raises(httpx.WriteTimeout, match=r"the write time-out of 0\.05 s"):
        played(silent(), ask, write=0.05)


def test_without_a_timeout_an_answer_may_take_any_time() -> None:
    async def ask(client: httpx.AsyncClient, url: str) -> bytes:
        return (await client.get(url, timeout=None)).content

    assert played(answering(OK), ask) == b"true"


def test_a_connection_that_is_not_made_in_time_is_a_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connected(*_: object) -> None:
        await asyncio.sleep(5)

    monkeypatch.setattr(transport_module, "_connected", connected)
    with pytest.raises(httpx.ConnectTimeout, match=r"the connect time-out of 0\.05 s"):
        played(silent(), get, connect=0.05)


def test_a_request_that_finds_every_connection_in_use_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "CONNECTIONS_MAX", 1)
    goes_on = asyncio.Event()

    async def in_parts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK[:-2])
            await goes_on.wait()
            writer.write(OK[-2:])
        await reader.read()

    async def ask(client: httpx.AsyncClient, url: str) -> list[bytes]:
        async with client.stream("GET", url) as held:
            with pytest.raises(httpx.PoolTimeout, match=r"no connection was free within 0\.05 s"):
                await client.get(url, timeout=httpx.Timeout(5, pool=0.05))
            waiting = asyncio.create_task(client.get(url))
            await asyncio.sleep(0.01)
            goes_on.set()
            await held.aread()
        answer = await waiting
        assert isinstance(held.stream, httpx.AsyncByteStream)
        await held.stream.aclose()  # once more: that gives nothing back a second time
        goes_on.clear()
        async with client.stream("GET", url):
            with pytest.raises(httpx.PoolTimeout):
                await client.get(url, timeout=httpx.Timeout(5, pool=0.05))
        return [answer.content]

    assert played(in_parts, ask) == [b"true"]


def test_an_answer_that_has_come_whole_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "CONNECTIONS_MAX", 1)

    async def ask(client: httpx.AsyncClient, url: str) -> list[bytes]:
        async with client.stream("GET", url) as first, client.stream("GET", url) as second:
            return [await answer.aread() for answer in (second, first)]

    assert played(answering(OK, OK.replace(b"true", b"more")), ask) == [b"more", b"true"]


# Connections


@pytest.fixture
def counted() -> tuple[list[int], Callable[[Answer], Answer]]:
    """How many connections a server has had, and what counts them."""
    connections: list[int] = []

    def counting(answer: Answer) -> Answer:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(len(connections))
            await answer(reader, writer)

        return play

    return connections, counting


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (OK, 1),
        (OK + b"more", 2),
        (OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 2),
        (OK.replace(b"1.1", b"1.0"), 2),
    ],
    ids=["kept", "with more behind it", "closing", "HTTP/1.0"],
)
def test_a_connection_is_used_again_unless_the_answer_forbids_it(counted: Any, answer: bytes, found: int) -> None:
    connections, counting = counted

    async def ask(client: httpx.AsyncClient, url: str) -> None:
        for _ in range(2):
            assert (await client.get(url)).content == b"true"

    played(counting(answering(answer, answer)), ask)
    assert len(connections) == found


def test_a_connection_on_which_something_comes_unasked_is_not_used_again(counted: Any) -> None:
    connections, counting = counted

    async def unasked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asyncio.sleep(0.01)
        writer.write(b"more")
        await reader.read()
        writer.close()

    async def ask(client: httpx.AsyncClient, url: str) -> None:
        for _ in range(2):
            await client.get(url)
            await asyncio.sleep(0.05)

    played(counting(unasked), ask)
    assert len(connections) == 2


def test_a_connection_that_the_server_has_closed_is_not_used_again(counted: Any) -> None:
    connections, counting = counted

    async def ask(client: httpx.AsyncClient, url: str) -> None:
        for _ in range(2):
            await client.get(url)
            await asyncio.sleep(0.05)

    played(counting(answering(OK, whole=False)), ask)
    assert len(connections) == 2


def test_a_connection_whose_answer_is_left_is_not_used_again(counted: Any) -> None:
    connections, counting = counted

    async def ask(client: httpx.AsyncClient, url: str) -> bytes:
        async with client.stream("GET", url):
            pass
        return (await client.get(url)).content

    half = OK.replace(b": 4", b": 400")
    assert played(counting(answering_by(connections, half, OK)), ask) == b"true"
    assert len(connections) == 2


def answering_by(connections: list[int], *answers: bytes) -> Answer:
    """Answers on the first connection by the first of these, and so on."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(answers[len(connections) - 1])(reader, writer)

    return answer


def test_a_connection_is_not_kept_for_long(counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connections, counting = counted
    monkeypatch.setattr(transport_module, "KEEP_SECONDS", 0.05)

    async def ask(client: httpx.AsyncClient, url: str) -> None:
        for _ in range(2):
            await client.get(url)
            await asyncio.sleep(0.1)

    played(counting(answering(OK, OK)), ask)
    assert len(connections) == 2


def test_of_too_many_connections_the_one_that_was_idle_for_longest_goes(
    counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections, counting = counted
    monkeypatch.setattr(transport_module, "CONNECTIONS_MAX", 1)

    async def ask(client: httpx.AsyncClient, url: str) -> None:
        server = await asyncio.start_server(answering(OK, OK), "127.0.0.1", 0)
        async with server:
            other = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            transport = SocketTransport({url: url, other: other}, own_tls=no_tls, external_tls=no_tls)
            async with httpx.AsyncClient(transport=transport) as both:
                for one in (url, other, url):
                    await both.get(one)
        assert len(connections) == 2

    played(counting(answering(OK, OK, OK)), ask)


def test_closing_the_transport_ends_what_is_under_way() -> None:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def ask(client: httpx.AsyncClient, url: str) -> None:
        waiting = asyncio.create_task(client.get(url))
        await asyncio.sleep(0.05)
        await client._transport.aclose()
        with pytest.raises(httpx.RemoteProtocolError):
            await waiting

    played(run, ask)


@pytest.mark.parametrize("first_hangs", [False, True], ids=["refuses", "hangs"])
def test_the_next_address_of_a_name_is_tried_where_one_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, *, first_hangs: bool
) -> None:
    monkeypatch.setattr(transport_module, "ADDRESS_SECONDS", 0.05)

    async def ask(client: httpx.AsyncClient, url: str) -> bytes:
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def addresses(_: str, port: int, **_kinds: object) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", one)) for one in (1, port)]

        async def connecting(one: socket.socket, address: Any) -> None:
            if first_hangs and address[1] == 1:
                await asyncio.sleep(5)
            await connect(one, address)

        class Loop:
            def __getattr__(self, name: str) -> Any:
                return {"getaddrinfo": addresses, "sock_connect": connecting}.get(name) or getattr(loop, name)

        monkeypatch.setattr(transport_module.asyncio, "get_running_loop", Loop)
        try:
            return (await client.get(url)).content
        finally:
            monkeypatch.undo()

    assert played(answering(OK), ask) == b"true"


def test_a_scheme_that_nobody_speaks_is_said_to_be_one() -> None:
    async def ask(client: httpx.AsyncClient, _: str) -> None:
        await client.get("ftp://127.0.0.1/a")

    with pytest.raises(httpx.UnsupportedProtocol, match="ftp"):
        played(answering(OK), ask)
