"""Peers that misbehave, between the simulated services: a respx router on the wire of a testbed in one process.

A misbehaviour is told by how it looks to a client that reads an answer to its end: no answer, or a status and a body.
What PROTOCOL makes of it is not known here.
"""

import asyncio
import gzip
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import respx
from contracts.played import Played, playing

from phrasim.documents import Operation, contract
from phrasim.testbed import URLS, Setting
from phrasim.testbed.network import InProcess

ENDLESS_BYTES, ENDLESS_SECONDS = 64 * 2**20, 3600.0
"""Whoever reads so much of a body that has no end, or for so long, would read for ever."""

Honest = Callable[[httpx.Request], Awaitable[httpx.Response]]
Act = Callable[[httpx.Request, Honest], Awaitable[httpx.Response]]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """What a peer does in the place of answering rightly.

    `status` is that of an answer that arrives whole, None where none does. `content` is the body of such an answer,
    None where it is the right one, or the right one with something changed (`spoilt`). An answer that
    `redirects` leads to where nothing is. `done` says that the peer has done what it was asked to, whatever it answers,
    and `instant` that all this takes no time.
    """

    name: str
    act: Act = field(repr=False)
    status: int | None = None
    content: bytes | None = field(default=None, repr=False)
    spoilt: bool = False
    redirects: bool = False
    done: bool = False
    instant: bool = True

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong with what it says, however oddly it is said."""
        return self.status == 200 and self.content is None and not self.spoilt


class Parts(httpx.AsyncByteStream):
    """A body of these parts, which ends or breaks off as httpx has it; after each part `pause` seconds pass."""

    def __init__(self, parts: Sequence[bytes], broken: httpx.HTTPError | None = None, pause: float = 0) -> None:
        self._parts = parts
        self._broken = broken
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
            await asyncio.sleep(self._pause)
        if self._broken is not None:
            raise self._broken


class Endless(httpx.AsyncByteStream):
    """A body without an end. AssertionError for whoever never leaves."""

    def __init__(self, part: bytes, pause: float) -> None:
        self._part = part
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent, began = 0, asyncio.get_running_loop().time()
        while sent < ENDLESS_BYTES and asyncio.get_running_loop().time() < began + ENDLESS_SECONDS:
            yield self._part
            sent += len(self._part)
            await asyncio.sleep(self._pause)
        raise AssertionError(f"a body without an end is read for ever: {sent} bytes so far")


# What can go wrong with a connection.


def failing(error: type[httpx.TransportError], said: str) -> Misbehaviour:
    async def act(request: httpx.Request, _honest: Honest) -> httpx.Response:
        raise error(said, request=request)

    return Misbehaviour(f"{error.__name__}: {said}", act)


def timing_out(error: type[httpx.TimeoutException], phase: str) -> Misbehaviour:
    """The client's own patience ends, as httpcore has it; who has none waits for as long as this suite does."""

    async def act(request: httpx.Request, _honest: Honest) -> httpx.Response:
        patience = request.extensions["timeout"][phase]
        await asyncio.sleep(ENDLESS_SECONDS if patience is None else patience)
        assert patience is not None, f"{request.method} {request.url} has no {phase} time-out"
        raise error(f"the {phase} time-out", request=request)

    return Misbehaviour(f"{error.__name__}", act, instant=False)


def lost_answer(error: type[httpx.TransportError]) -> Misbehaviour:
    """The peer does what it is asked to, and its answer is lost on the way."""

    async def act(request: httpx.Request, honest: Honest) -> httpx.Response:
        answer = await honest(request)
        await answer.aread()
        await answer.aclose()
        raise error("the answer is lost", request=request)

    return Misbehaviour(f"done, and then {error.__name__}", act, done=True)


CONNECTIONS: tuple[Misbehaviour, ...] = (
    failing(httpx.ConnectError, "connection refused"),
    timing_out(httpx.ConnectTimeout, "connect"),
    timing_out(httpx.ReadTimeout, "read"),
    timing_out(httpx.WriteTimeout, "write"),
    timing_out(httpx.PoolTimeout, "pool"),
    failing(httpx.ReadError, "connection reset by peer"),
    failing(httpx.WriteError, "broken pipe"),
    failing(httpx.RemoteProtocolError, "Server disconnected without sending a response."),
    failing(httpx.RemoteProtocolError, "illegal status line: bytearray(b'SSH-2.0-OpenSSH')"),
)

LOST_ANSWERS: tuple[Misbehaviour, ...] = (lost_answer(httpx.ReadError), lost_answer(httpx.RemoteProtocolError))


# What can be wrong with the head of an answer.


def answering(
    name: str, status: int, headers: Mapping[str, str], content: bytes, *, redirects: bool = False
) -> Misbehaviour:
    """An answer that arrives whole; its length stands in its head unless it says that it has another form."""

    async def act(request: httpx.Request, _honest: Honest) -> httpx.Response:
        told = {"content-length": str(len(content)), **headers}
        return httpx.Response(status, headers=told, stream=Parts([content]), request=request)

    return Misbehaviour(name, act, status, content, redirects=redirects)


def redirecting(status: int, location: str, name: str) -> Misbehaviour:
    headers = {"location": location, "content-type": "text/html"}
    return answering(f"{status} to {name}", status, headers, b"<a>moved</a>", redirects=True)


ROUND = "round"
"""The parameter by which a request is known that was led in a circle; it is no call of its own."""


def redirect_loop(status: int) -> Misbehaviour:
    async def act(request: httpx.Request, _honest: Honest) -> httpx.Response:
        location = str(request.url.copy_merge_params({ROUND: "1"}))
        return httpx.Response(status, headers={"location": location}, stream=Parts([b""]), request=request)

    return Misbehaviour(f"{status} to itself", act, status, b"", redirects=True)


STATUSES: tuple[Misbehaviour, ...] = tuple(
    answering(str(status), status, {"content-type": "application/problem+json"}, b'{"title": "No."}')
    for status in (400, 401, 403, 404, 409, 415, 422, 429, 500, 502, 503, 504)
)

OTHER_SUCCESSES: tuple[Misbehaviour, ...] = (
    answering("201", 201, {"content-type": JSON}, b"true"),
    answering("202", 202, {"content-type": JSON}, b"true"),
    answering("204", 204, {}, b""),
    answering("206", 206, {"content-type": "application/octet-stream"}, b"half"),
)

REDIRECTS: tuple[Misbehaviour, ...] = (
    *(redirecting(status, "/nowhere", "another path") for status in (301, 302, 303, 307, 308)),
    *(redirecting(status, "https://elsewhere.test/", "another host") for status in (302, 307)),
    redirecting(308, "http://x:y/", "what is no URL"),
    redirecting(301, "mailto:somebody@example.org", "what is no web"),
    *(redirect_loop(status) for status in (302, 307)),
)

BARE_REDIRECTS: tuple[Misbehaviour, ...] = tuple(
    answering(f"{status} without a Location", status, {}, b"") for status in (302, 304, 307)
)


# What can be wrong with the body of an answer.


def oddly(
    name: str,
    change: Callable[[bytes], tuple[Sequence[bytes], httpx.HTTPError | None]],
    *,
    status: int | None,
    **headers: str,
) -> Misbehaviour:
    """The right answer with another body, or other headers; a header that is "" is taken out."""

    async def act(request: httpx.Request, honest: Honest) -> httpx.Response:
        answer = await honest(request)
        content = await answer.aread()
        await answer.aclose()
        parts, broken = change(content)
        told = {key: value for key, value in answer.headers.items() if key != "content-length"}
        told = {
            key: value
            for key, value in {**told, **{k.replace("_", "-"): v for k, v in headers.items()}}.items()
            if value
        }
        return httpx.Response(answer.status_code, headers=told, stream=Parts(parts, broken), request=request)

    return Misbehaviour(name, act, status, done=True)


def cut(share: float) -> Misbehaviour:
    """The body breaks off behind that share of it, and h11 tells."""
    error = httpx.RemoteProtocolError("peer closed connection without sending complete message body")
    return oddly(
        f"broken off after {share:.0%}", lambda right: ([right[: int(len(right) * share)]], error), status=None
    )


def endless(name: str, part: bytes, pause: float, **headers: str) -> Misbehaviour:
    async def act(request: httpx.Request, _honest: Honest) -> httpx.Response:
        told = {"content-type": JSON, **{key.replace("_", "-"): value for key, value in headers.items()}}
        return httpx.Response(200, headers=told, stream=Endless(part, pause), request=request)

    return Misbehaviour(f"endless: {name}", act, instant=False)


def endless_redirect() -> Misbehaviour:
    async def act(request: httpx.Request, _honest: Honest) -> httpx.Response:
        body = Endless(b" " * 65_536, 0)
        return httpx.Response(302, headers={"location": "/nowhere"}, stream=body, request=request)

    return Misbehaviour("endless: a redirect", act, instant=False)


BROKEN: tuple[Misbehaviour, ...] = (
    cut(0),
    cut(0.5),
    oddly("broken gzip", lambda right: ([b"\x1f\x8b" + right], None), status=None, content_encoding="gzip"),
    oddly("gzip that breaks off", lambda right: ([gzip.compress(right)[:12]], httpx.ReadError("reset")), status=None,
          content_encoding="gzip"),
)  # fmt: skip

ENDLESS: tuple[Misbehaviour, ...] = (
    endless("as fast as can be", b"[" * 65_536, 0),
    endless("100 bytes each second", b" " * 100, 1),
    endless("100 bytes every 29 seconds", b" " * 100, 29),
    endless_redirect(),
)

RIGHT_AND_ODD: tuple[Misbehaviour, ...] = (
    oddly("right, and said to be HTML", lambda right: ([right], None), status=200, content_type="text/html"),
    oddly("right, and said to be nothing", lambda right: ([right], None), status=200, content_type=""),
    oddly("right, in gzip", lambda right: ([gzip.compress(right, mtime=0)], None), status=200, content_encoding="gzip"),
    oddly("right, byte by byte", lambda right: ([right[i : i + 1] for i in range(len(right))], None), status=200),
)

DEEP = 100_000

CONTENTS: Mapping[str, bytes] = {
    "nothing": b"",
    "no JSON": b"certainly!",
    "HTML": b"<!doctype html><title>Log in</title>",
    "half an object": b'{"id": "',
    "null": b"null",
    "true": b"true",
    "a number": b"0",
    "a text": b'"text"',
    "an empty list": b"[]",
    "an empty object": b"{}",
    "a list of null": b"[null]",
    "a list of objects": b"[{}]",
    "a commit of wrong types": b'[{"id": [], "userId": {}, "token": 7, "assets": 7, "hashes": []}]',
    "a commit of texts for lists": b'[{"id": "a", "userId": "b", "token": "c", "assets": "defg"}]',
    "members that are none": b'{"hydra:member": [null, [], "x", {}]}',
    "members of wrong types": b'{"hydra:member": [{"acknowledged": false, "id": [], "assets": 7}]}',
    "members that are an object": b'{"hydra:member": {"0": {}}}',
    "metadata of wrong types": b'{"size": "x", "originalName": 7, "mimeType": [], "formData": "x", "url": {}}',
    "a URL that is none": b'{"size": 1, "originalName": "", "mimeType": "", "formData": {}, "url": "http://["}',
    "a URL of nobody": b'{"size": 1, "originalName": "", "mimeType": "", "formData": {}, "url": "https://x.test/"}',
    "a token that is none": b'{"access_token": 7, "token_type": "bearer", "expires_in": "x"}',
    "a token that no header can hold": b'{"access_token": "\xc3\xa9\\r\\nx: y", "token_type": "bearer"}',
    "a token of two lines": b'{"access_token": "a\\nb", "token_type": "bearer"}',
    "a token of nobody": b'{"access_token": "nobody", "token_type": "bearer", "expires_in": 5}',
    "a key that is none": b'{"keys": [{"kid": "x", "kty": "RSA", "alg": "RS256", "n": "\xc3\xa9", "e": ""}]}',
    "keys that are none": b'{"keys": [null, 7]}',
    "a principal of wrong types": b'{"scopes": "x", "user": {"id": 7, "roles": null}, "expires_in": 1e400}',
    "NaN": b'{"size": NaN, "access_token": NaN, "hydra:member": NaN, "keys": NaN}',
    "infinity": b'{"size": 1e999, "access_token": -Infinity}',
    "a number of 5000 digits": b'{"size": ' + b"9" * 5000 + b"}",
    "keys twice": b'{"id": 1, "id": 2, "size": 1, "size": 2, "hydra:member": [], "hydra:member": 1}',
    "deep and open": b"[" * DEEP,
    "deep and closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "UTF-16": '{"access_token": "x"}'.encode("utf-16"),
    "latin-1": '{"originalName": "é"}'.encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "half a surrogate pair": b'{"originalName": "\\ud800"}',
    "zero bytes": b"\0" * 64,
}  # fmt: skip
"""Bodies that no client can use."""

ODD_CONTENTS: tuple[Misbehaviour, ...] = tuple(
    answering(f"200 with {name}", 200, {"content-type": JSON}, content) for name, content in CONTENTS.items()
)

PUT_IN: Sequence[Any] = (None, True, 7, -1.5, [], {}, [[]], {"a": 1}, "", "é\r\n", "x" * 70_000, 10**30)
"""What stands in the place of a value of the right answer."""


def spoiling(place: int, value: Any, *, drop: bool) -> Misbehaviour:
    """The right JSON with one of its values left out or another one: that at `place`, counted around."""

    def change(right: bytes) -> tuple[Sequence[bytes], None]:
        try:
            answer = json.loads(right)
        except ValueError:
            return [right], None
        owners = list(_owners(answer))
        if owners:
            owner, key = owners[place % len(owners)]
            if drop:
                del owner[key]
            else:
                owner[key] = value
        else:
            answer = value
        return [json.dumps(answer).encode()], None

    made = oddly(f"200 with value {place} {'left out' if drop else f'= {str(value)[:9]!r}'}", change, status=200)
    return replace(made, spoilt=True)


def _owners(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where the values inside a JSON value stand, outermost first."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
    for key in keys:
        yield from _owners(value[key])


ALWAYS_WRONG = (*CONNECTIONS, *LOST_ANSWERS, *STATUSES, *REDIRECTS, *BROKEN, *ENDLESS)
"""What no operation can take for a success."""

MISBEHAVIOURS = (*ALWAYS_WRONG, *OTHER_SUCCESSES, *BARE_REDIRECTS, *RIGHT_AND_ODD, *ODD_CONTENTS)


# The wire.


@dataclass(frozen=True, slots=True)
class Misdeed:
    """A misbehaviour that struck, and the path of the request that it struck, by which one sees what it was about."""

    operation_id: str
    misbehaviour: Misbehaviour
    path: str
    at: float


class Peers(httpx.AsyncBaseTransport):
    """The wire of a testbed, on which respx stands before the services: what no route takes goes to them."""

    def __init__(self, inner: httpx.AsyncBaseTransport, operations: Mapping[str, Operation]) -> None:
        self.router = respx.MockRouter(assert_all_called=False)
        self.misdeeds: list[Misdeed] = []
        self._inner = inner
        self._operations = operations
        self.behave()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.router.async_handler(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def behave(self) -> None:
        """From now on all peers do as they should."""
        self.router.clear()
        self.router.route(name="the services").mock(side_effect=self._honest)

    def misbehave(self, operation_id: str, misbehaviour: Misbehaviour, first: int = 1, times: int = 1) -> None:
        """From its call number `first` on, that many calls of an operation are misbehaved at."""
        operation = self._operations[operation_id]
        calls = 0

        def strike(request: httpx.Request) -> Any:
            nonlocal calls
            if ROUND in request.url.params:
                return misbehaviour.act(request, self._honest)
            calls += 1
            if not first <= calls < first + times:
                return None
            at = asyncio.get_running_loop().time()
            self.misdeeds.append(Misdeed(operation_id, misbehaviour, request.url.path, at))
            return misbehaviour.act(request, self._honest)

        honest = self.router.pop("the services")
        pattern = re.sub(r"\\{[^}]+}", "[^/]+", re.escape(operation.path))
        host = httpx.URL(URLS[operation.participant]).host
        self.router.route(method=operation.method, host=host, path__regex=f"^{pattern}$").side_effect = strike
        self.router.add(honest, name="the services")

    async def _honest(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    def digests(self, operation_ids: Sequence[str]) -> set[str]:
        """The SHA-256 of each body that arrived whole with a 200 in the place of a right answer."""
        return {
            hashlib.sha256(one.misbehaviour.content).hexdigest()
            for one in self.misdeeds
            if one.operation_id in operation_ids
            and one.misbehaviour.status == 200
            and one.misbehaviour.content is not None
        }


Plan = tuple[str, Misbehaviour, int, int]
"""An operation, what is done at its calls, the first of these calls, and how many they are."""


@contextmanager
def playing_among_peers(setting: Setting, plans: Sequence[Plan]) -> Iterator[tuple[Played, Peers]]:
    """A testbed of that setting whose services misbehave at one another from the beginning; until the block ends."""
    wire = InProcess()
    peers = Peers(wire.addressing.transport, contract(setting.profile).operations)
    for plan in plans:
        peers.misbehave(*plan)
    wire.addressing = replace(wire.addressing, transport=peers)
    with playing(setting, wire) as played:
        yield played, peers
