"""The in-process wire behaves as a socket would: time-outs, back-pressure, open streams, failures, disconnects."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.clock import ThreadRefusedError, run_simulated
from phrasim.edge.transport import InProcessTransport


def call(app: ASGIApp, use: Callable[[httpx.AsyncClient], Awaitable[Any]], **options: Any) -> Any:
    """Run `use` with a client of `app` on simulated time."""

    async def main() -> Any:
        transport = InProcessTransport({"app.test": app})
        async with httpx.AsyncClient(
            transport=transport, base_url="http://app.test", trust_env=False, **options
        ) as client:
            return await use(client)

    return run_simulated(main())


def app_of(endpoint: Callable[[Request], Awaitable[Response]], *methods: str) -> Starlette:
    return Starlette(routes=[Route("/", endpoint, methods=list(methods) or ["GET", "POST"])])


def now() -> float:
    return asyncio.get_running_loop().time()


async def chunks(*parts: bytes, pause: float = 0) -> AsyncIterator[bytes]:
    for part in parts:
        if pause:
            await asyncio.sleep(pause)
        yield part


@given(st.lists(st.binary(max_size=50), max_size=6), st.lists(st.binary(max_size=50), max_size=6))
def test_both_bodies_arrive_whole_however_they_are_cut(asked: list[bytes], answered: list[bytes]) -> None:
    seen: list[bytes] = []

    async def endpoint(request: Request) -> Response:
        seen.append(await request.body())
        return StreamingResponse(chunks(*answered), status_code=201, headers={"x-kept": "yes"})

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/?a=b", content=chunks(*asked))

    response = call(app_of(endpoint), use)
    assert (response.status_code, response.headers["x-kept"]) == (201, "yes")
    assert seen == [b"".join(asked)]
    assert response.content == b"".join(answered)


def test_a_slow_answer_meets_the_read_timeout_on_simulated_time() -> None:
    async def endpoint(_: Request) -> Response:
        await asyncio.sleep(3600)
        return PlainTextResponse("late")

    async def use(client: httpx.AsyncClient) -> float:
        with pytest.raises(httpx.ReadTimeout) as caught:
            await client.get("/")
        assert "read time-out of 20 s" in str(caught.value)
        return now()

    assert call(app_of(endpoint), use, timeout=20) == 20


def test_the_read_timeout_counts_from_the_last_part_of_the_body() -> None:
    async def endpoint(_: Request) -> Response:
        return StreamingResponse(chunks(b"a", b"b", b"c", pause=4))

    async def use(client: httpx.AsyncClient) -> tuple[bytes, float]:
        return (await client.get("/")).content, now()

    assert call(app_of(endpoint), use, timeout=5) == (b"abc", 12)


def test_an_application_that_does_not_read_meets_the_write_timeout() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(3600)

    async def use(client: httpx.AsyncClient) -> float:
        with pytest.raises(httpx.WriteTimeout):
            await client.post("/", content=chunks(b"1", b"2", b"3", b"4"))
        return now()

    assert call(app, use, timeout=7) == 7


def test_an_application_is_held_back_by_a_caller_that_does_not_read() -> None:
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        for number in range(1000):
            sent.append(number)
            yield b"x" * 10

    async def endpoint(_: Request) -> Response:
        return StreamingResponse(endless())

    async def use(client: httpx.AsyncClient) -> int:
        async with client.stream("GET", "/") as response:
            body = response.aiter_raw()
            await anext(body)
            await asyncio.sleep(60)
            return len(sent)

    assert call(app_of(endpoint), use) <= 4


def test_a_caller_is_held_back_by_an_application_that_does_not_read() -> None:
    produced: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        for number in range(1000):
            produced.append(b"%d" % number)
            yield produced[-1]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(60)
        produced_when_resumed.append(len(produced))
        await PlainTextResponse("enough")(scope, receive, send)

    produced_when_resumed: list[int] = []

    async def use(client: httpx.AsyncClient) -> int:
        return (await client.post("/", content=body(), timeout=None)).status_code

    assert call(app, use) == 200
    assert produced_when_resumed[0] <= 3
    # The answer came early, so nobody asks for the rest of the body.
    assert len(produced) <= 4


def test_a_stream_stays_open_until_the_caller_leaves_and_the_application_is_told() -> None:
    told: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"open", "more_body": True})
        assert (await receive())["more_body"] is False
        told.append(await receive())
        with pytest.raises(OSError, match="the caller has left"):
            await send({"type": "http.response.body", "body": b"nobody reads"})
        told.append({"type": "refused"})

    async def use(client: httpx.AsyncClient) -> tuple[bytes, list[Message]]:
        async with client.stream("GET", "/", timeout=None) as response:
            first = await anext(response.aiter_raw())
            await asyncio.sleep(10_000)
            assert told == []
        await asyncio.sleep(1)
        return first, told

    assert call(app, use) == (b"open", [{"type": "http.disconnect"}, {"type": "refused"}])


def test_a_starlette_stream_ends_quietly_when_its_caller_leaves() -> None:
    ended: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(1)
                yield b"tick"
        finally:
            ended.append("closed")

    async def endpoint(_: Request) -> Response:
        return StreamingResponse(endless())

    async def use(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/") as response:
            await anext(response.aiter_raw())
        await asyncio.sleep(5)

    call(app_of(endpoint), use)
    assert ended == ["closed"]


def test_an_exception_before_the_answer_is_a_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("boom")

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/")

    with caplog.at_level(logging.ERROR, logger="phrasim"):
        response = call(app, use)
    assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert "boom" in caplog.text


def test_an_application_that_never_answers_is_a_500() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    async def use(client: httpx.AsyncClient) -> int:
        return (await client.get("/")).status_code

    assert call(app, use) == 500


def test_an_exception_in_the_middle_of_a_body_cuts_it_for_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("boom")

    async def use(client: httpx.AsyncClient) -> list[bytes]:
        got = []
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", "/") as response:
                async for part in response.aiter_raw():
                    got.append(part)
        return got

    assert call(app, use) == [b"half"]


def test_a_body_shorter_than_its_declared_length_is_a_protocol_error_as_on_a_socket() -> None:
    async def endpoint(_: Request) -> Response:
        return StreamingResponse(chunks(b"abc"), headers={"content-length": "5"})

    async def use(client: httpx.AsyncClient) -> str:
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await client.get("/")
        return str(caught.value)

    assert "received 3 bytes, expected 5" in call(app_of(endpoint), use)


def test_the_answer_to_head_has_no_body_whatever_the_application_sends() -> None:
    async def endpoint(_: Request) -> Response:
        return PlainTextResponse("twelve bytes")

    async def use(client: httpx.AsyncClient) -> tuple[str, bytes]:
        response = await client.head("/")
        return response.headers["content-length"], response.content

    assert call(app_of(endpoint, "GET"), use) == ("12", b"")


def test_the_answer_does_not_wait_for_background_tasks() -> None:
    done: list[float] = []

    async def later() -> None:
        await asyncio.sleep(30)
        done.append(now())

    async def endpoint(_: Request) -> Response:
        return PlainTextResponse("now", background=BackgroundTask(later))

    async def use(client: httpx.AsyncClient) -> tuple[float, list[float]]:
        await client.get("/")
        answered = now()
        await asyncio.sleep(31)
        return answered, done

    assert call(app_of(endpoint), use) == (0, [30])


def test_what_still_runs_when_the_wire_is_taken_down_is_cancelled() -> None:
    ended: list[str] = []

    async def later() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    async def endpoint(_: Request) -> Response:
        return PlainTextResponse("now", background=BackgroundTask(later))

    async def use(client: httpx.AsyncClient) -> float:
        await client.get("/")
        await asyncio.sleep(1)
        return now()

    assert call(app_of(endpoint), use) == 1
    assert ended == ["cancelled"]


def test_what_the_caller_raises_while_it_writes_reaches_the_caller_and_the_application_reads_a_disconnect() -> None:
    read: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not read or read[-1]["type"] != "http.disconnect":
            read.append(await receive())

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(1)
        raise KeyError("the file went away")

    async def use(client: httpx.AsyncClient) -> None:
        with pytest.raises(KeyError):
            await client.post("/", content=body())
        await asyncio.sleep(1)

    call(app, use)
    assert [message["type"] for message in read] == ["http.request", "http.disconnect"]


def test_a_cancelled_caller_disconnects() -> None:
    read: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        read.extend([await receive(), await receive()])

    async def use(client: httpx.AsyncClient) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(9):
                await client.get("/", timeout=None)
        await asyncio.sleep(0)
        return now()

    assert call(app, use) == 9
    assert [message["type"] for message in read] == ["http.request", "http.disconnect"]


def test_an_unknown_host_is_a_connect_error_that_names_the_known_ones() -> None:
    async def use(client: httpx.AsyncClient) -> str:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get("http://elsewhere.test/")
        return str(caught.value)

    message = call(app_of(lambda _: None), use)  # type: ignore[arg-type, return-value]
    assert "'elsewhere.test'" in message
    assert "'app.test'" in message


@pytest.mark.parametrize("work_seconds", [0, 0.2])
def test_a_synchronous_endpoint_fails_the_run_since_starlette_hands_it_to_a_thread(work_seconds: float) -> None:
    done = threading.Event()
    before = set(threading.enumerate())

    def endpoint(_: Request) -> Response:
        done.wait()
        return PlainTextResponse("from a thread")

    async def use(client: httpx.AsyncClient) -> None:
        await client.get("/")

    work = threading.Timer(work_seconds, done.set)
    work.daemon = True
    work.start()
    with pytest.raises(ThreadRefusedError):
        call(Starlette(routes=[Route("/", endpoint)]), use)
    # The thread ends with the run: one that stayed would keep the process from ending.
    for thread in threading.enumerate():
        if thread not in before and not thread.daemon:
            thread.join(10)
            assert not thread.is_alive()


def test_an_application_that_breaks_off_the_connection_is_no_failure_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ConnectionAbortedError

    async def use(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")

    call(app, use)
    assert caplog.text == ""
