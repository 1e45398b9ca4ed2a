"""A connection that is fed by hand: what is asked for an answer at once, and in which order answers go out."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from phrasim.edge.at_once import Answer, AtOnce
from phrasim.edge.http_connection import HttpConnection


class Written(asyncio.Transport):
    """A transport that keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default

    def close(self) -> None:
        pass


class Application:
    """Keeps the scopes of its requests, and answers each."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await Response(b"1", headers={"x-answer": "the application's"})(scope, receive, send)


def connection(app: Application, transport: Written, at_once: AtOnce) -> HttpConnection:
    config = Config(app, http=HttpConnection, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    made = HttpConnection(config, ServerState(), {}, at_once=at_once)
    made.connection_made(transport)
    return made


class Asked:
    """Keeps the scopes of what it is asked, and has no answer; `headers` as they were then."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    def __call__(self, scope: Scope) -> Answer | None:
        self.scopes.append({**scope, "headers": list(scope["headers"])})
        return None


def asked_and_called(request: bytes) -> tuple[list[Scope], list[Scope], bytes]:
    """The scopes of the questions and of the calls that come of these bytes, and what is written."""

    async def main() -> tuple[list[Scope], list[Scope], bytes]:
        asked, app, transport = Asked(), Application(), Written()
        made = connection(app, transport, asked)
        made.data_received(request)
        for _ in range(3):
            await asyncio.sleep(0)
        made.connection_lost(None)
        return asked.scopes, app.scopes, b"".join(transport.writes)

    return asyncio.run(main())


TARGETS = st.builds(
    lambda path, more: f"/{path}{more}",
    st.text("abz09/._~-%41?#;:@!$&'()*+,=", max_size=12),
    st.sampled_from(["", "?", "?a=b", "?a%20b?c", "#part", "//"]),
)
HEADERS = st.lists(st.sampled_from(["Accept: */*", "X-A: 1", "x-a: 2", "Connection: keep-alive", "Authorization: a b"]))


@given(TARGETS, HEADERS)
def test_a_question_says_of_a_request_what_the_application_is_told(target: str, headers: list[str]) -> None:
    request = "\r\n".join((f"GET {target} HTTP/1.1", *headers, "", "")).encode()
    asked, called, written = asked_and_called(request)
    if not called:
        assert written.startswith(b"HTTP/1.1 400 ")
        return
    (question,), (scope,) = asked, called
    for key in ("type", "method", "path", "raw_path", "query_string", "headers"):
        assert question[key] == scope[key]


@pytest.mark.parametrize("target", ["http://upload/assets/1", "*", "/a b", "/\xe9"])
def test_a_target_of_another_form_means_the_same_to_both_or_is_refused(target: str) -> None:
    asked, called, written = asked_and_called(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
    assert [scope["raw_path"] for scope in asked] == [scope["raw_path"] for scope in called]
    assert called or written.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "head",
    [
        "HEAD / HTTP/1.1",
        "PUT / HTTP/1.1",
        "POST / HTTP/1.1\r\nExpect: 100-continue",
        "GET / HTTP/1.0",
        "GET / HTTP/1.0\r\nConnection: keep-alive",
        "GET / HTTP/2.0",
        "GET / HTTP/1.1\r\nConnection: close",
        "GET / HTTP/1.1\r\nConnection: keep-alive, close",
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c",
        "GET / HTTP/1.1\r\nContent-Length: 0",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked",
        "GET / HTTP/1.1\r\nExpect: 100-continue",
    ],
)
def test_what_is_special_is_left_to_the_application(head: str) -> None:
    asked, called, _ = asked_and_called(f"{head}\r\nHost: a\r\n\r\n".encode())
    assert asked == []
    assert len(called) == 1


@pytest.mark.parametrize("head", ["Connection: keep-alive", "Upgrade: h2c", "Host: a"])
def test_what_only_looks_special_is_asked_for(head: str) -> None:
    asked, _, _ = asked_and_called(f"GET / HTTP/1.1\r\n{head}\r\n\r\n".encode())
    assert len(asked) == 1


def test_a_request_that_comes_byte_by_byte_is_asked_for_once() -> None:
    async def main() -> None:
        asked, app = Asked(), Application()
        made = connection(app, Written(), asked)
        for byte in b"GET /a%20b?c HTTP/1.1\r\nhost: a\r\nx-a: b\r\n\r\n":
            made.data_received(bytes([byte]))
        await asyncio.sleep(0)
        (question,), (scope,) = asked.scopes, app.scopes
        assert (question["path"], question["query_string"]) == (scope["path"], scope["query_string"]) == ("/a b", b"c")
        assert question["headers"] == scope["headers"] == [(b"host", b"a"), (b"x-a", b"b")]
        made.connection_lost(None)

    asyncio.run(main())


def test_an_answer_at_once_goes_behind_a_head_that_still_waits_for_its_turn() -> None:
    """The head of an answer to HEAD has nothing behind it in its turn, in which the next request may come."""

    async def main() -> list[bytes]:
        transport = Written()

        def at_once(_scope: Scope) -> Answer:
            assert len(transport.writes) == 1, "room for a file is what is left behind that head"
            return Response(b"at once")

        made = connection(Application(), transport, at_once)
        made.data_received(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.sleep(0)  # The application has answered, and the loop has not gone on.
        assert transport.writes == []
        made.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        made.connection_lost(None)
        return transport.writes

    first, second = asyncio.run(main())
    assert b"x-answer: the application's" in first
    assert second.endswith(b"\r\n\r\nat once")
