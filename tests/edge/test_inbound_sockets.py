"""The receiver's edge under uvicorn, on real sockets: what callers do to the wire, and what the journal has of it."""

import asyncio
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import uvloop
from starlette.requests import Request as StarletteRequest
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.clock import Clock
from phrasim.documents import contract, specification
from phrasim.edge.addresses import Addresses
from phrasim.edge.context import Correlation
from phrasim.edge.edge import Edge, Wire
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Fault, Faults
from phrasim.edge.http_connection import HttpConnection, _Answering
from phrasim.edge.inbound import STORED_DIGEST
from phrasim.edge.outbound import FILE_ASKED_FOR
from phrasim.journal.events import Body, Event, Lost, Noted, Received, Request, Response, Sent
from phrasim.journal.recorder import Journal
from phrasim.service.operations import Call, service
from phrasim.upload.multipart_file import receive_file
from phrasim.upload.storage import IncomingFile, Storage

PATH = "/users/info/0"
"""An operation of Auth, `getPublisherInfo`, whose parameter no edge looks at."""

DEADLINE_SECONDS = 20
MIB = 1024 * 1024


class Port:
    """`auth`, whose application is given, on a port of its own: for `phraseanet`, and for whoever opens a socket."""

    def __init__(self, app: ASGIApp, faults: tuple[Fault, ...], http: Any) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.number = self.socket.getsockname()[1]
        url = f"http://127.0.0.1:{self.number}"
        clock = Clock(asyncio.get_running_loop())
        self.journal = Journal(clock.now_ns)
        self._told = asyncio.Event()
        self.journal.listen(lambda _: self._told.set())
        wire = Wire(
            journal=self.journal,
            clock=clock,
            contract=contract("documented"),
            faults=Faults(faults),
            correlation=Correlation(),
            addresses=Addresses.of({"auth": url}),
            transport=httpx.AsyncHTTPTransport(),
            played=frozenset({"auth", "phraseanet"}),
        )
        self.wire = wire
        caller, callee = (Edge(name, wire, random.Random(name)) for name in ("phraseanet", "auth"))
        config = uvicorn.Config(
            callee.around(app),
            http=http,
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=5,
        )
        config.load()
        self.server = uvicorn.Server(config)
        self.server.lifespan = config.lifespan_class(config)
        self.client = caller.client(url, timeout=DEADLINE_SECONDS)

    async def stop(self) -> None:
        await self.server.shutdown([self.socket])

    async def connect(self, limit: int = 2**16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.number, limit=limit)

    async def exchange(self, asked: bytes) -> bytes:
        """Everything that is answered to these bytes until the server closes; the last request must ask for that."""
        reader, writer = await self.connect()
        writer.write(asked)
        answer = await reader.read()
        writer.close()
        return answer

    def told(self) -> list[str]:
        """The events in words."""
        return [in_words(event) for event in self.journal.events]

    async def until(self, line: str) -> None:
        """Wait for an event."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while line not in self.told():
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            pytest.fail(f"waiting for {line!r}: the journal has {self.told()}")

    def message(self, message_id: str) -> Any:
        """The message in full."""
        return next(
            event.message
            for event in self.journal.events
            if not isinstance(event, Noted) and not isinstance(event.message, str) and event.message.id == message_id
        )

    def reason(self, message_id: str) -> str:
        """Why the message was lost."""
        (reason,) = (
            event.reason
            for event in self.journal.events
            if isinstance(event, Lost) and in_words(event) == f"Lost {message_id}"
        )
        return reason


def in_words(event: Event) -> str:
    if isinstance(event, Noted):
        return f"{event.by} notes {event.note}"
    return f"{type(event).__name__} {event.message if isinstance(event.message, str) else event.message.id}"


Main = Callable[[Port], Awaitable[Any]]


@pytest.fixture
def served(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run `main(port)` while `app` is served, stop the server, and hold it to have logged and printed nothing."""

    def played(app: ASGIApp, main: Main, *effects: Any, http: Any = HttpConnection, quiet: bool = True) -> Any:
        async def run() -> Any:
            port = Port(app, tuple(Fault("getPublisherInfo", effect) for effect in effects), http)
            await port.server.startup([port.socket])
            try:
                async with asyncio.timeout(DEADLINE_SECONDS * 2):
                    return await main(port)
            finally:
                await port.client.aclose()
                await port.wire.transport.aclose()
                await port.stop()
                left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                assert left == []

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(run())
        if quiet:
            assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []
            assert capfd.readouterr() == ("", "")
        return result

    return played


def answering(content: bytes = b'{"a":1}', *, status: int = 200, reading: bool = True) -> ASGIApp:
    """An application that reads the request, or does not, and answers."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while reading and (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json")]
        if status != 204:
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


class Download:
    """An application that answers with as many parts, as a file of storage or of a length that nobody knows."""

    part = bytes(256 * 1024)

    def __init__(self, parts: int, *, stored: bool = True) -> None:
        self.parts = parts
        self.stored = stored
        self.sent = 0
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"image/png")]
        if self.stored:
            scope["state"][STORED_DIGEST] = hashlib.sha256().hexdigest()
            headers.append((b"content-length", str(self.parts * len(self.part)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            for number in range(1, self.parts + 1):
                await send({"type": "http.response.body", "body": self.part, "more_body": number < self.parts})
                self.sent = number
        except ConnectionError as error:
            self.error = error
            raise


def get(*headers: str, path: str = PATH, method: str = "GET", version: str = "1.1") -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/{version}", "Host: auth", *headers, "", ""]
    return "\r\n".join(lines).encode()


CLOSE = "Connection: close"
GIBIBYTE = 4096
"""Parts of a download."""


# How a body comes in.


@pytest.mark.parametrize("sizes", [[1], [70_000], [1] * 50_000, [3, 70_000, 1, 200_000], [65_536, 65_537]])
def test_a_body_arrives_whole_however_it_is_cut_into_chunks(served: Any, sizes: list[int]) -> None:
    body = random.Random(3).randbytes(sum(sizes))
    seen: list[bytes] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            seen.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        ends = list(accumulate(sizes))
        chunks = [body[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        head = get("Transfer-Encoding: chunked", method="POST")
        writer.write(head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.close()

    served(app, main)
    assert b"".join(seen) == body
    assert {type(part) for part in seen} == {bytes}


# How an answer goes out.


def test_a_head_goes_out_alone_where_its_body_waits(served: Any) -> None:
    going_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await going_on.wait()
        await send({"type": "http.response.body", "body": b"ab"})

    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        going_on.set()
        assert await reader.readexactly(2) == b"ab"
        writer.close()

    served(app, main)


class Written:
    """A transport that keeps what is written, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.writes.append(b"".join(parts))

    def close(self) -> None:
        self.writes.append(b"the end")

    def is_closing(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("acts", "writes"),
    [
        ("head part part", [b"headpart", b"part"]),
        ("head turn part", [b"head", b"part"]),
        ("head turn", [b"head"]),
        ("head close turn", [b"head", b"the end"]),
        ("head part close turn", [b"headpart", b"the end"]),
        ("close turn", [b"the end"]),
    ],
)
def test_a_head_goes_out_with_what_follows_in_the_same_turn(acts: str, writes: list[bytes]) -> None:
    async def main() -> list[bytes]:
        transport = Written()
        answering = _Answering(transport, asyncio.get_running_loop())  # type: ignore[arg-type]
        for act in acts.split():
            if act == "turn":
                await asyncio.sleep(0)
            elif act == "close":
                answering.close()
            else:
                answering.write(act.encode())
        return transport.writes

    assert asyncio.run(main()) == writes


# Who leaves.


@pytest.mark.parametrize("http", [HttpConnection, "httptools", "h11"])
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "of unknown length"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_download_of_1_gib_stops_where_its_caller_leaves(served: Any, http: Any, stored: bool, reset: bool) -> None:
    app = Download(GIBIBYTE, stored=stored)

    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get())
        assert await reader.readexactly(MIB)
        if reset:
            writer.transport.abort()
        else:
            writer.close()
        await port.until("Lost auth-2")
        assert port.told() == ["Received auth-1", "Sent auth-2", "Lost auth-2"]
        assert port.reason("auth-2") == "the caller has left: nobody reads this response"

    served(app, main, http=http)
    assert app.sent < 100
    assert isinstance(app.error, ConnectionResetError)


def test_a_caller_that_leaves_while_its_next_request_waits_loses_the_first_answer_alone(served: Any) -> None:
    app = Download(GIBIBYTE)

    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get() + get())
        assert await reader.readexactly(MIB)
        writer.transport.abort()
        await port.until("Lost auth-2")
        assert port.told() == ["Received auth-1", "Sent auth-2", "Lost auth-2"]

    served(app, main)
    assert app.sent < 100


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "of unknown length"])
def test_a_known_caller_says_itself_that_it_left_within_a_download(served: Any, stored: bool) -> None:
    app = Download(GIBIBYTE, stored=stored)

    async def main(port: Port) -> None:
        async with port.client.stream("GET", PATH) as answer:
            async for _ in answer.aiter_raw():
                break
        lost = "auth-1" if stored else "phraseanet-1-answer"
        sent = ["Sent auth-1"] if stored else []
        assert port.told() == ["Sent phraseanet-1", "Received phraseanet-1", *sent, f"Lost {lost}"]
        assert port.reason(lost) == "the caller left before the end of the body"

    served(app, main)
    assert app.sent < 100


def test_a_download_leaves_the_loop_to_others(served: Any) -> None:
    """Also where the caller takes as much as it is given, so that the server's `send` never waits."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (answering() if scope["query_string"] else Download(GIBIBYTE // 4))(scope, receive, send)

    async def main(port: Port) -> None:
        async def download() -> int:
            async with port.client.stream("GET", PATH, extensions={FILE_ASKED_FOR: True}) as answer:
                return sum([len(part) async for part in answer.aiter_raw()])

        downloading = asyncio.create_task(download())
        await port.until("Sent auth-1")
        assert (await port.client.get(f"{PATH}?short")).json() == {"a": 1}
        assert not downloading.done()
        assert await downloading == 256 * MIB

    served(app, main)


def test_a_whole_download_is_received(served: Any) -> None:
    async def main(port: Port) -> None:
        assert len((await port.client.get(PATH)).content) == 10 * MIB
        assert port.told() == ["Sent phraseanet-1", "Received phraseanet-1", "Sent auth-1", "Received auth-1"]

    served(Download(40), main)


def test_a_known_caller_that_left_before_a_short_answer_loses_it(served: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await answering(reading=False)(scope, receive, send)

    async def main(port: Port) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await port.client.get(PATH, timeout=0.1)
        await port.until("Lost auth-1")
        assert port.told() == [
            "Sent phraseanet-1",
            "Received phraseanet-1",
            "phraseanet notes no answer",
            "Sent auth-1",
            "Lost auth-1",
        ]
        assert port.reason("auth-1") == "the caller has left: nobody reads this response"

    served(app, main)


def test_a_caller_that_dies_within_its_upload_leaves_a_lost_request_and_no_file(served: Any, tmp_path: Path) -> None:
    storage = Storage(tmp_path, random.Random(1))
    begun = asyncio.Event()

    async def upload(call: Call) -> ASGIApp:
        async def parts(incoming: IncomingFile) -> AsyncIterator[bytes]:
            async for part in call.request.stream():
                yield part
                if incoming.place is not None:
                    begun.set()

        with storage.incoming() as incoming:
            await receive_file(call.request.headers["content-type"], parts(incoming), incoming, None)
            return answering()

    async def nothing(call: Call) -> ASGIApp:
        return answering()

    upload_specification = specification("upload.yaml")
    handlers = dict.fromkeys(upload_specification.operations, nothing) | {"uploadAsset": upload}

    async def main(port: Port) -> None:
        _, writer = await port.connect()
        writer.write(
            get(
                "Content-Type: multipart/form-data; boundary=b",
                f"Content-Length: {1024 * MIB}",
                method="POST",
                path="/assets",
            )
        )
        writer.write(b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' + bytes(MIB))
        await begun.wait()
        assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
        writer.transport.abort()
        await port.until("Lost auth-1")
        assert port.reason("auth-1") == "the caller left before the end of the body"
        assert "Sent auth-1" not in port.told()
        assert "auth notes failed" not in port.told()

    served(service(upload_specification, handlers), main)
    assert list(tmp_path.iterdir()) == []


def test_a_known_caller_that_gives_up_within_its_upload_has_sent_a_lost_request(served: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise KeyError("the file went away")

    async def main(port: Port) -> None:
        with pytest.raises(KeyError):
            await port.client.post(PATH, content=body())
        await port.until("Lost phraseanet-1")
        assert port.told() == ["Sent phraseanet-1", "Lost phraseanet-1"]

    served(answering(), main)


# Faults.


@pytest.mark.parametrize("known", [True, False], ids=["a known caller", "a stranger"])
@pytest.mark.parametrize("after", [0, 1, 300_000])
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "of unknown length"])
def test_a_cut_body_breaks_off_after_so_many_bytes(served: Any, known: bool, after: int, stored: bool) -> None:
    async def main(port: Port) -> None:
        client = port.client if known else httpx.AsyncClient(base_url=f"http://127.0.0.1:{port.number}")
        got = 0
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", PATH) as answer:
                async for part in answer.aiter_raw():
                    got += len(part)
        assert got == after
        first, second = ("phraseanet-1", "auth-1") if known else ("auth-1", "auth-2")
        told = [line for line in port.told() if line != "auth notes fault"]
        assert told == [*([f"Sent {first}"] if known else []), f"Received {first}", f"Sent {second}", f"Lost {second}"]
        await client.aclose()

    served(Download(8, stored=stored), main, CutBody(after))


def test_a_dropped_reply_is_waited_for_until_the_caller_loses_patience(served: Any) -> None:
    async def main(port: Port) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await port.client.get(PATH, timeout=0.1)
        assert port.told() == [
            "Sent phraseanet-1",
            "Received phraseanet-1",
            "auth notes fault",
            "Sent auth-1",
            "Lost auth-1",
            "phraseanet notes no answer",
        ]

    served(answering(), main, DropReply())


def test_a_server_that_stops_hangs_up_on_the_caller_of_a_dropped_reply(served: Any) -> None:
    """It neither waits for that caller's patience nor answers it 500."""

    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get())
        await port.until("Lost auth-2")
        started = asyncio.get_running_loop().time()
        await port.server.shutdown()
        assert asyncio.get_running_loop().time() - started < 4
        assert await reader.read() == b""
        writer.close()
        assert [line for line in port.told() if line != "auth notes fault"] == [
            "Received auth-1",
            "Sent auth-2",
            "Lost auth-2",
        ]

    served(answering(), main, DropReply())


def test_a_dropped_reply_that_fails_within_its_body_is_kept_back_all_the_same(served: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("a bug")

    async def main(port: Port) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await port.client.get(PATH, timeout=0.1)
        assert port.told()[-2:] == ["auth notes failed", "phraseanet notes no answer"]

    served(app, main, DropReply(), quiet=False)


def test_an_exchange_that_is_cancelled_with_its_server_is_no_error(served: Any) -> None:
    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get())
        await port.until("auth notes fault")
        for task in port.server.server_state.tasks:
            task.cancel()  # As uvicorn does when it has waited long enough.
        await reader.read(1)
        writer.close()
        assert port.told() == ["Received auth-1", "auth notes fault"]

    served(answering(), main, Delay(3600))


def test_an_application_that_fails_within_its_body_is_told_of_once(
    served: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("a bug")

    async def main(port: Port) -> None:
        assert (await port.exchange(get())).endswith(b"\r\n4\r\nhalf\r\n")
        assert "auth notes failed" in port.told()

    served(app, main, quiet=False)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.name for record in errors] == ["phrasim.edge.inbound"]


# What stands on the wire.


@pytest.mark.parametrize(
    ("line", "target", "operation_id"),
    [
        (f"GET {PATH}?b=%20c HTTP/1.1", f"{PATH}?b=%20c", "getPublisherInfo"),
        ("GET /users/info/a%C3%A9%2Fb HTTP/1.1", "/users/info/a%C3%A9%2Fb", None),
        ("GET /users/info/a%20b%3Fc HTTP/1.1", "/users/info/a%20b%3Fc", "getPublisherInfo"),
        (f"GET http://auth.test:80{PATH}?x=1 HTTP/1.1", f"{PATH}?x=1", "getPublisherInfo"),
        (f"GET {PATH} HTTP/1.0", PATH, "getPublisherInfo"),
        (f"GET /{PATH} HTTP/1.1", f"/{PATH}", None),
    ],
    ids=["a query", "an escaped slash", "escaped signs", "absolute form", "HTTP/1.0", "two slashes"],
)
def test_the_target_is_what_stood_on_the_wire(served: Any, line: str, target: str, operation_id: str | None) -> None:
    async def main(port: Port) -> None:
        answer = await port.exchange(f"{line}\r\nHost: auth\r\n{CLOSE}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b'{"a":1}')
        request = port.message("auth-1")
        assert (request.target, request.operation_id) == (target, operation_id)
        assert request.headers == (("host", "auth"), ("connection", "close"))
        assert request.body == Body(length=0)
        assert port.told() == ["Received auth-1", "Sent auth-2"]

    served(answering(), main)


def test_the_answer_to_a_head_is_recorded_without_a_body(served: Any) -> None:
    async def main(port: Port) -> None:
        answer = await port.exchange(get(CLOSE, method="HEAD"))
        assert answer.endswith(b"\r\n\r\n")
        response = port.message("auth-2")
        assert response.body == Body(length=0)
        assert dict(response.headers)["content-length"] == "7"

    served(answering(), main)


def test_a_204_has_no_body(served: Any) -> None:
    async def main(port: Port) -> None:
        assert (await port.exchange(get(CLOSE))).startswith(b"HTTP/1.1 204 No Content\r\n")
        response = port.message("auth-2")
        assert (response.status, response.body) == (204, Body(length=0))

    served(answering(b"", status=204), main)


JSON = "Content-Type: application/json"
ASKED = Body(length=14, json={"asked": True})


def test_a_chunked_request_is_one_body(served: Any) -> None:
    async def main(port: Port) -> None:
        chunks = b'5\r\n{"ask\r\n9;e=f\r\ned":true}\r\n0\r\nTrailer: x\r\n\r\n'
        await port.exchange(get(JSON, "Transfer-Encoding: chunked", CLOSE, method="POST") + chunks)
        assert port.message("auth-1").body == ASKED
        assert port.told() == ["Received auth-1", "Sent auth-2"]

    served(answering(), main)


def test_a_request_that_expects_100_is_received_when_its_body_is(served: Any) -> None:
    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get(JSON, "Content-Length: 14", "Expect: 100-continue", CLOSE, method="POST"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert port.told() == []
        writer.write(b'{"asked":true}')
        assert (await reader.read()).endswith(b'{"a":1}')
        writer.close()
        assert port.message("auth-1").body == ASKED
        assert port.told() == ["Received auth-1", "Sent auth-2"]

    served(answering(), main)


def test_a_request_that_expects_100_and_is_refused_sends_no_body(served: Any) -> None:
    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get(JSON, "Content-Length: 14", "Expect: 100-continue", method="POST"))
        assert (await reader.readuntil(b'{"a":1}')).startswith(b"HTTP/1.1 401 ")
        writer.close()
        assert port.told() == ["Received auth-1", "Sent auth-2"]
        assert port.message("auth-1").body == Body(length=0)

    served(answering(status=401, reading=False), main)


def test_requests_that_come_at_once_are_answered_in_their_order(served: Any) -> None:
    async def main(port: Port) -> None:
        posted = get(JSON, "Content-Length: 14", path=f"{PATH}?2", method="POST") + b'{"asked":true}'
        answer = await port.exchange(get(path=f"{PATH}?1") + posted + get(CLOSE, path=f"{PATH}?3"))
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert port.told() == [f"{kind} auth-{n}" for n, kind in enumerate(["Received", "Sent"] * 3, 1)]
        requests = [port.message(f"auth-{n}") for n in (1, 3, 5)]
        assert [(request.target, request.body) for request in requests] == [
            (f"{PATH}?1", Body(length=0)),
            (f"{PATH}?2", ASKED),
            (f"{PATH}?3", Body(length=0)),
        ]
        assert [port.message(f"auth-{n}").reply_to for n in (2, 4, 6)] == ["auth-1", "auth-3", "auth-5"]

    served(answering(), main)


def test_a_stranger_is_known_by_no_traceparent_and_its_receipt_by_nobody(served: Any) -> None:
    async def main(port: Port) -> None:
        foreign = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await port.exchange(get(foreign, CLOSE))
        assert port.told() == ["Received auth-1", "Sent auth-2"]
        request, response = port.message("auth-1"), port.message("auth-2")
        assert isinstance(request, Request)
        assert isinstance(response, Response)
        assert (request.sender, response.receiver, response.reply_to) == ("user", "user", "auth-1")

    served(answering(), main)


def test_a_known_caller_is_recorded_on_both_sides(served: Any) -> None:
    async def main(port: Port) -> None:
        assert (await port.client.post(PATH, json={"asked": True})).json() == {"a": 1}
        assert [(type(event), in_words(event)) for event in port.journal.events] == [
            (Sent, "Sent phraseanet-1"),
            (Received, "Received phraseanet-1"),
            (Sent, "Sent auth-1"),
            (Received, "Received auth-1"),
        ]

    served(answering(), main)


# What the application does not read.


@pytest.mark.parametrize("effects", [(), (Answer(503),)], ids=["refused", "answered by a fault"])
def test_a_body_that_nobody_reads_is_passed_over_and_the_connection_serves_the_next_request(
    served: Any, effects: tuple[Any, ...]
) -> None:
    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get(f"Content-Length: {64 * MIB}") + bytes(MIB))
        await port.until("Sent auth-2")
        for _ in range(63):
            writer.write(bytes(MIB))
            await writer.drain()
        writer.write(get(CLOSE, path="/"))
        answers = await reader.read()
        writer.close()
        assert answers.startswith(b"HTTP/1.1 503 " if effects else b"HTTP/1.1 401 ")
        assert answers.count(b"HTTP/1.1 ") == 2
        told = [line for line in port.told() if line != "auth notes fault"]
        assert told == ["Received auth-1", "Sent auth-2", "Received auth-3", "Sent auth-4"]
        request = port.message("auth-1")
        assert (request.body, dict(request.headers)["content-length"]) == (Body(length=0), str(64 * MIB))

    served(answering(status=401, reading=False), main, *effects)


@pytest.mark.parametrize(
    ("version", "headers"), [("1.0", ()), ("1.1", (CLOSE,))], ids=["HTTP/1.0", "a connection to be closed"]
)
def test_a_refusal_arrives_although_the_connection_ends_behind_it_and_the_caller_still_sends(
    served: Any, version: str, headers: tuple[str, ...]
) -> None:
    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get(f"Content-Length: {16 * MIB}", *headers, version=version))
        await port.until("Sent auth-2")
        for _ in range(16):
            writer.write(bytes(MIB))
            await writer.drain()
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.endswith(b'{"a":1}')
        assert port.told() == ["Received auth-1", "Sent auth-2"]

    served(answering(status=401, reading=False), main)


def test_a_refusal_does_not_wait_for_a_body_that_is_not_sent(served: Any) -> None:
    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get(f"Content-Length: {16 * MIB}", CLOSE, "Expect: 100-continue"))
        assert (await reader.readuntil(b'{"a":1}')).startswith(b"HTTP/1.1 401 ")
        writer.close()

    served(answering(status=401, reading=False), main)


def test_who_leaves_within_a_body_that_was_refused_loses_nothing(served: Any) -> None:
    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get(f"Content-Length: {64 * MIB}", method="POST") + bytes(MIB))
        assert await reader.readuntil(b'{"a":1}')
        writer.transport.abort()
        assert (await port.exchange(get(CLOSE))).startswith(b"HTTP/1.1 401 ")
        assert port.told() == ["Received auth-1", "Sent auth-2", "Received auth-3", "Sent auth-4"]

    served(answering(status=401, reading=False), main)


def test_an_application_may_read_on_while_it_answers(served: Any) -> None:
    """What the edge reads to learn whether the caller has left, the application reads after it."""
    read: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        read.append(await receive())
        await send({"type": "http.response.body", "body": b"2", "more_body": True})
        await send({"type": "http.response.body", "body": b"3"})
        read.append(await receive())

    async def main(port: Port) -> None:
        assert (await port.exchange(get(CLOSE))).endswith(b"1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n")
        answer = await port.exchange(get(CLOSE, "Content-Length: 3", method="POST") + b"abc")
        assert answer.endswith(b"3\r\n0\r\n\r\n")

    served(app, main)
    assert [message["type"] for message in read] == ["http.request", "http.disconnect"] * 2
    assert [message["body"] for message in read[::2]] == [b"", b"abc"]


def test_an_application_that_reads_all_while_it_answers_is_not_waited_for(served: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        assert (await receive())["body"] == b"abc"
        await send({"type": "http.response.body"})

    async def main(port: Port) -> None:
        answer = await port.exchange(get(CLOSE, "Content-Length: 3", method="POST") + b"abc")
        assert answer.endswith(b"1\r\n1\r\n0\r\n\r\n")

    served(app, main)


def test_an_application_that_sends_behind_the_end_is_noted_and_changes_nothing(served: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering()(scope, receive, send)
        await send({"type": "http.response.body", "body": b"more"})

    async def main(port: Port) -> None:
        assert (await port.exchange(get(CLOSE))).endswith(b'{"a":1}')
        assert port.told() == ["Received auth-1", "Sent auth-2", "auth notes failed"]

    served(app, main, quiet=False)


def test_an_application_may_look_for_the_callers_leaving_itself(served: Any) -> None:
    """Starlette does so in a task of its own, beside the one that sends."""
    parts: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def content() -> AsyncIterator[bytes]:
            for _ in range(GIBIBYTE):
                yield Download.part
                parts.append(Download.part)

        assert await StarletteRequest(scope, receive).body() == b""
        await StreamingResponse(content())(scope, receive, send)

    async def main(port: Port) -> None:
        reader, writer = await port.connect()
        writer.write(get())
        assert await reader.readexactly(MIB)
        writer.transport.abort()
        await port.exchange(get(CLOSE, path="/", method="OPTIONS"))

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["method"] == "GET" else answering())(scope, receive, send)

    served(either, main)
    assert len(parts) < 100
