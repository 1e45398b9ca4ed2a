"""The HTTP server of a landscape: callers who misbehave harm nobody else, and a stop takes a bounded time."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.serve.control import control_app
from phrasim.serve.landscape import CONTROL, Landscape, Plan, open_landscape
from phrasim.serve.server import HttpServer
from phrasim.serve.sockets import bind_all, url_of
from phrasim.testbed import SERVICES
from phrasim.testbed.seed import SeedCommit, SeedFile
from phrasim.testbed.seeding import seed_commits

pytestmark = pytest.mark.unmeasured

PATIENCE_SECONDS = 20
MIB = 1024 * 1024
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)

Quiet = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture
def quietly(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Quiet:
    """Run `main()` on a loop of the server's kind; nothing may be logged or printed, nor a task or descriptor stay."""

    def run(main: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(2 * PATIENCE_SECONDS):
                result = await main()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(bounded())
        assert [record.getMessage() for record in caplog.records if record.name != "httpx"] == []
        assert capfd.readouterr() == ("", "")
        return result

    return run


class Caller:
    """Somebody with a socket to one of a landscape's ports."""

    def __init__(self, landscape: Landscape, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.landscape = landscape
        self.read = reader
        self.write = writer

    def head(self, *lines: str, path: str = "/assets", method: str = "POST") -> None:
        """Send the head of a request of the publisher's."""
        user = self.landscape.accounts.publisher
        authorization = f"Authorization: Bearer {self.landscape.tokens[user.id]}"
        head = (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", authorization, *lines, "", "")
        self.write.write("\r\n".join(head).encode())

    def upload(self, *lines: str) -> None:
        """Send the head of an upload, and the beginning of its body."""
        self.head("Content-Type: multipart/form-data; boundary=b", *lines)

    PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'

    async def answer(self) -> bytes:
        """All that comes until the server closes."""
        try:
            return await self.read.read()
        except ConnectionResetError:
            return b""

    def partial(self) -> list[Path]:
        """The files that are on their way in."""
        return list(self.landscape.testbed.storage.folder.glob("*.partial"))


async def until(met: Callable[[], object]) -> None:
    """Let the others go on until that is so."""
    while not met():
        await asyncio.sleep(0.001)


# What they do.


async def dies_within_an_upload(caller: Caller) -> None:
    caller.upload(f"Content-Length: {1024 * MIB}")
    caller.write.write(Caller.PART + bytes(MIB))
    await until(lambda: bool(caller.partial()))
    caller.write.transport.abort()


async def closes_within_an_upload(caller: Caller) -> None:
    caller.upload(f"Content-Length: {1024 * MIB}")
    caller.write.write(Caller.PART + bytes(MIB))
    await until(lambda: bool(caller.partial()))
    caller.write.close()


async def sends_a_byte_now_and_then(caller: Caller) -> None:
    caller.upload("Content-Length: 1000")
    for byte in Caller.PART:
        caller.write.write(bytes([byte]))
        await asyncio.sleep(0.001)
    caller.write.close()


async def sends_garbage(caller: Caller) -> None:
    caller.write.write(bytes(range(256)) * 100)
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def sends_half_a_request_line(caller: Caller) -> None:
    caller.write.write(b"GET /ass")


async def sends_half_a_request_line_and_closes(caller: Caller) -> None:
    caller.write.write(b"GET /ass")
    caller.write.write_eof()


async def sends_a_header_of_1_mib(caller: Caller) -> None:
    caller.head("X-Long: " + "x" * MIB, "Content-Length: 0")
    await caller.read.read(12)


async def sends_many_headers(caller: Caller) -> None:
    caller.head(*(f"X-{number}: x" for number in range(20_000)), "Content-Length: 0")
    await caller.read.read(12)


async def sends_more_than_it_said(caller: Caller) -> None:
    caller.upload("Content-Length: 10")
    caller.write.write(Caller.PART + b"more\r\n--b--\r\n")
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def says_a_length_that_is_no_number(caller: Caller) -> None:
    caller.upload("Content-Length: many")
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def says_two_lengths(caller: Caller) -> None:
    caller.upload("Content-Length: 10", "Content-Length: 20")
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def says_a_negative_length(caller: Caller) -> None:
    caller.upload("Content-Length: -1")
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def says_a_huge_length(caller: Caller) -> None:
    caller.upload("Content-Length: 99999999999999999999999999")
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def says_a_length_and_chunks(caller: Caller) -> None:
    caller.upload("Content-Length: 10", "Transfer-Encoding: chunked")
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def sends_garbage_as_chunks(caller: Caller) -> None:
    caller.upload("Transfer-Encoding: chunked")
    caller.write.write(b"%x\r\n%b\r\n" % (len(Caller.PART), Caller.PART) + b"zz\r\nno chunk at all")
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def sends_chunks_without_end(caller: Caller) -> None:
    caller.upload("Transfer-Encoding: chunked")
    caller.write.write(b"%x\r\n%b\r\n" % (len(Caller.PART) + MIB, Caller.PART + bytes(MIB)))
    await until(lambda: bool(caller.partial()))
    caller.write.close()


async def speaks_tls(caller: Caller) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    caller.write.write(outgoing.read())
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def asks_for_a_web_socket(caller: Caller) -> None:
    caller.head("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", method="GET")
    await caller.read.read(12)


async def speaks_http_2(caller: Caller) -> None:
    caller.write.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    assert (await caller.answer()).startswith((b"HTTP/1.1 400", b""))


async def asks_for_a_target_that_is_no_path(caller: Caller) -> None:
    caller.write.write(b"GET http://[/ HTTP/1.1\r\nHost: a\r\n\r\n")
    await caller.read.read(12)


async def asks_for_a_target_of_bytes(caller: Caller) -> None:
    caller.write.write(b"GET /\xff\xfe%ff%00 HTTP/1.1\r\nHost: a\r\n\r\n")
    await caller.read.read(12)


async def asks_a_thousand_times_and_leaves(caller: Caller) -> None:
    for _ in range(1000):
        caller.head(path="/commits", method="GET")
    await caller.read.read(12)
    caller.write.transport.abort()


async def does_not_read_its_download(caller: Caller) -> None:
    landscape = caller.landscape
    file = SeedFile("large.bin", None, 64 * MIB, "application/octet-stream")
    commit = SeedCommit(landscape.accounts.publisher.email, (file,), {})
    (asset,) = seed_commits(landscape.testbed, (commit,))[0].assets
    user = caller.landscape.accounts.administrator
    caller.write.write(
        f"GET /assets/{asset.id}/download HTTP/1.1\r\nHost: a\r\n"
        f"Authorization: Bearer {caller.landscape.tokens[user.id]}\r\n\r\n".encode()
    )
    await caller.read.readexactly(1000)


MISBEHAVIOURS = {
    act.__name__.replace("_", " "): act
    for act in (
        dies_within_an_upload,
        closes_within_an_upload,
        sends_a_byte_now_and_then,
        sends_garbage,
        sends_half_a_request_line,
        sends_half_a_request_line_and_closes,
        sends_a_header_of_1_mib,
        sends_many_headers,
        sends_more_than_it_said,
        says_a_length_that_is_no_number,
        says_two_lengths,
        says_a_negative_length,
        says_a_huge_length,
        says_a_length_and_chunks,
        sends_garbage_as_chunks,
        sends_chunks_without_end,
        speaks_tls,
        asks_for_a_web_socket,
        speaks_http_2,
        asks_for_a_target_that_is_no_path,
        asks_for_a_target_of_bytes,
        asks_a_thousand_times_and_leaves,
        does_not_read_its_download,
    )
}


async def hand_over(landscape: Landscape) -> None:
    """As a user does, and whole."""
    user = landscape.accounts.publisher
    before = len(landscape.testbed.phraseanet.records)
    headers = {"authorization": f"Bearer {landscape.tokens[user.id]}"}
    url = landscape.description()["upload"]["url"]
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False, verify=False
    ) as client:
        uploaded = await client.post("/assets", files={"file": ("test.png", PNG)})
        committed = await client.post("/commit", json={"files": [uploaded.json()["id"]], "formData": {"title": "A"}})
        assert committed.status_code == 200
    await until(lambda: landscape.testbed.upload.commits[-1].acknowledged)
    assert len(landscape.testbed.phraseanet.records) == before + 1


def open_files(folder: Path) -> list[Path]:
    """The files below a folder that this process has open, as far as /proc tells."""
    there = Path("/proc/self/fd")
    targets = [link.readlink() for link in there.iterdir() if link.is_symlink()] if there.exists() else []
    return [target for target in targets if target.is_relative_to(folder)]


def connections(landscape: Landscape) -> list[Any]:
    """The connections of its servers."""
    return [one for server in landscape._servers.values() for one in server._state.connections]


class Callers:
    """Who has connected to a landscape's ports."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self._all: list[Caller] = []

    async def one(self, name: str) -> Caller:
        url = httpx.URL(self._landscape.description()[name]["url"])
        caller = Caller(self._landscape, *await asyncio.open_connection(url.host, url.port))
        self._all.append(caller)
        return caller

    async def leave(self) -> None:
        """All of them, at once."""
        for caller in self._all:
            caller.write.transport.abort()
        await asyncio.gather(*(caller.write.wait_closed() for caller in self._all), return_exceptions=True)


def served(tmp_path: Path, main: Callable[[Landscape, Callers], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """`main(landscape, callers)`, while a landscape with its control port is served."""

    async def run() -> None:
        listeners = bind_all("127.0.0.1", dict.fromkeys((*SERVICES, CONTROL), (0, "")))
        async with open_landscape(Plan(), listeners, tmp_path) as landscape:
            landscape.mount_control(control_app(landscape, None))
            await hand_over(landscape)
            callers = Callers(landscape)
            await main(landscape, callers)
            await callers.leave()

    return run


@pytest.mark.parametrize("act", MISBEHAVIOURS)
def test_a_caller_who_misbehaves_harms_nobody_else(act: str, quietly: Quiet, tmp_path: Path) -> None:
    async def main(landscape: Landscape, callers: Callers) -> None:
        tasks = len(asyncio.all_tasks())
        three = [await callers.one("upload") for _ in range(3)]
        addresses = [caller.write.get_extra_info("sockname") for caller in three]
        await asyncio.gather(hand_over(landscape), *(MISBEHAVIOURS[act](caller) for caller in three))
        # Not their addresses: the port of one that has gone may be given to the next who connects.
        theirs = [one for one in connections(landscape) if one.client in addresses]
        await callers.leave()
        await hand_over(landscape)
        await until(lambda: not any(one in connections(landscape) for one in theirs))
        await until(lambda: len(asyncio.all_tasks()) == tasks and open_files(tmp_path) == [])
        assert three[0].partial() == []
        assert not any("failed" in str(event) for event in landscape.network.journal.events)

    quietly(served(tmp_path, main))


@pytest.mark.parametrize("name", [*SERVICES, CONTROL])
def test_200_idle_connections_leave_room_for_others(name: str, quietly: Quiet, tmp_path: Path) -> None:
    async def main(landscape: Landscape, callers: Callers) -> None:
        for _ in range(200):  # both ends are in this process, which may open 1024 files as a rule
            await callers.one(name)
        await hand_over(landscape)

    quietly(served(tmp_path, main))


@pytest.mark.parametrize("path", ["/_phrasim/seed-data", "/_phrasim/faults", "/_phrasim/landscapes", "/_phrasim/poll"])
def test_a_caller_who_leaves_the_control_port_within_a_request_is_no_news(
    path: str, quietly: Quiet, tmp_path: Path
) -> None:
    async def main(landscape: Landscape, callers: Callers) -> None:
        caller = await callers.one(CONTROL)
        caller.head("Content-Type: application/json", "Content-Length: 1000", path=path)
        caller.write.write(b"{")
        await hand_over(landscape)
        await callers.leave()
        await hand_over(landscape)

    quietly(served(tmp_path, main))


@pytest.mark.parametrize("host", ["[", "a b", "", "127.0.0.1:port", "\xff", "%", "127.0.0.1@evil", "xn--a"])
@pytest.mark.parametrize("header", ["Host", "Origin"])
def test_no_header_makes_the_control_port_fail(header: str, host: str, quietly: Quiet, tmp_path: Path) -> None:
    async def main(landscape: Landscape, callers: Callers) -> None:
        caller = await callers.one(CONTROL)
        head = f"GET /_phrasim/state HTTP/1.1\r\nConnection: close\r\n{header}: {host}\r\n\r\n"
        caller.write.write(head.encode("latin-1"))
        assert (await caller.answer()).split()[1] in (b"200", b"400", b"403")

    quietly(served(tmp_path, main))


# The server alone.


class Port:
    """An application on a port."""

    def __init__(self, app: ASGIApp) -> None:
        self.listener = bind_all("127.0.0.1", {"it": (0, "")})["it"]
        self.server = HttpServer(app, self.listener)
        self.url = httpx.URL(url_of(self.listener, "http"))

    async def ask(self, *heads: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which these are asked."""
        reader, writer = await asyncio.open_connection(self.url.host, self.url.port, limit=4096)
        for head in heads:
            writer.write(f"{head}\r\nHost: a\r\n\r\n".encode())
        return reader, writer

    async def stopped(self, seconds: float) -> float:
        """The seconds that a stop takes."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await self.server.stop(seconds)
        return loop.time() - begin


class App:
    """Answers with `body` once it is let; counts who asked, and who was broken off."""

    def __init__(self, body: bytes = b"text") -> None:
        self.body = body
        self.let = asyncio.Event()
        self.asked = 0
        self.broken_off = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        headers = [(b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


GET = "GET / HTTP/1.1"


def test_a_stop_lets_every_pipelined_request_end(quietly: Quiet) -> None:
    async def main() -> None:
        app = App()
        port = Port(app)
        await port.server.start()
        reader, writer = await port.ask(GET, GET, GET)
        await until(lambda: app.asked)
        stopping = asyncio.create_task(port.stopped(PATIENCE_SECONDS))
        await asyncio.sleep(0)
        app.let.set()
        assert await stopping < PATIENCE_SECONDS
        answers = await reader.read()
        assert answers.count(b"HTTP/1.1 200") == app.asked
        assert answers.endswith(b"text")
        writer.close()

    quietly(main)


def test_a_stop_breaks_off_what_takes_too_long(quietly: Quiet) -> None:
    async def main() -> None:
        app = App()
        port = Port(app)
        await port.server.start()
        connections = [await port.ask(GET) for _ in range(3)]
        await until(lambda: app.asked == 3)
        assert 0.04 < await port.stopped(0.05) < 1
        assert app.broken_off == 3
        for reader, writer in connections:
            await reader.read()
            writer.close()

    quietly(main)


def test_a_stop_waits_until_an_answer_is_read(quietly: Quiet) -> None:
    """The application is done with it long before."""

    async def main() -> None:
        app = App(bytes(16 * MIB))
        port = Port(app)
        await port.server.start()
        app.let.set()
        reader, writer = await port.ask(GET)
        await reader.readuntil(b"\r\n\r\n")
        stopping = asyncio.create_task(port.stopped(PATIENCE_SECONDS))
        body = await reader.read()
        while part := await reader.read():
            body += part
        assert len(body) == 16 * MIB
        assert await stopping < PATIENCE_SECONDS
        writer.close()

    quietly(main)


def test_a_stop_does_not_wait_for_ever_until_an_answer_is_read(quietly: Quiet) -> None:
    async def main() -> None:
        app = App(bytes(16 * MIB))
        port = Port(app)
        await port.server.start()
        app.let.set()
        reader, writer = await port.ask(GET)
        await reader.readuntil(b"\r\n\r\n")
        assert 0.04 < await port.stopped(0.05) < 1
        writer.close()

    quietly(main)


def test_a_stopped_server_is_not_reached(quietly: Quiet) -> None:
    async def main() -> None:
        port = Port(App())
        await port.server.start()
        reader, writer = await port.ask()
        assert await port.stopped(PATIENCE_SECONDS) < 1
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await port.ask(GET)

    quietly(main)


def test_a_server_that_never_started_can_be_stopped(quietly: Quiet) -> None:
    async def main() -> None:
        port = Port(App())
        await port.server.stop(0)
        assert port.listener.fileno() == -1

    quietly(main)


def test_an_answer_bears_the_time_and_no_name_of_a_server(quietly: Quiet) -> None:
    async def main() -> None:
        app = App()
        app.let.set()
        port = Port(app)
        await port.server.start()
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            answer = await client.get(port.url)
        date = parsedate_to_datetime(answer.headers["date"])
        assert abs((datetime.now(UTC) - date).total_seconds()) < 60
        assert "server" not in answer.headers
        await port.server.stop(0)

    quietly(main)
