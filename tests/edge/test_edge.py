"""Both sides of an edge: who records what, and what each fault looks like from either side."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim import __version__
from phrasim.clock import Clock, run_simulated
from phrasim.documents import contract
from phrasim.edge.addresses import Addresses
from phrasim.edge.context import Correlation
from phrasim.edge.edge import Edge, Wire
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Duplicate, Fault, Faults, Refuse
from phrasim.edge.inbound import STORED_DIGEST
from phrasim.edge.outbound import FILE_ASKED_FOR, FILE_DIGEST
from phrasim.edge.transport import InProcessTransport
from phrasim.journal.events import Body, Noted, Received, Request, Response, Sent
from phrasim.journal.recorder import Journal
from phrasim.testbed import Testbed

PATH = "/users/info/0"
"""An operation of Auth, `getPublisherInfo`, whose parameter no edge looks at."""


class Pair:
    """`phraseanet` calls `auth`, whose application is given; `stranger` calls it past any edge."""

    def __init__(self, app: ASGIApp, *faults: Fault) -> None:
        self.apps: dict[str, ASGIApp] = {}
        self.transport = InProcessTransport(self.apps)
        clock = Clock(asyncio.get_running_loop())
        self.journal = Journal(clock.now_ns)
        self.wire = Wire(
            journal=self.journal,
            clock=clock,
            contract=contract("documented"),
            faults=Faults(faults),
            correlation=Correlation(),
            addresses=Addresses.of({"auth": "https://auth.test"}),
            transport=self.transport,
            played=frozenset({"phraseanet", "auth"}),
        )
        self.caller, self.callee = (Edge(name, self.wire, random.Random(name)) for name in ("phraseanet", "auth"))
        self.apps["auth.test"] = self.callee.around(app)
        self.client = self.caller.client("https://auth.test", timeout=20)
        self.stranger = httpx.AsyncClient(transport=self.transport, base_url="https://auth.test", trust_env=False)

    def over(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
        """The caller's client over another wire."""
        edge = Edge("phraseanet", replace(self.wire, transport=transport), random.Random("phraseanet"))
        return edge.client("https://auth.test", timeout=20)

    def told(self) -> list[str]:
        """The events in words."""
        return [self._told(event) for event in self.journal.events]

    def _told(self, event: Any) -> str:
        if isinstance(event, Noted):
            return f"{event.by} notes {event.note}"
        message = event.message if isinstance(event.message, str) else event.message.id
        return f"{type(event).__name__} {message}"

    def message(self, message_id: str) -> Any:
        """The message in full."""
        return next(
            event.message
            for event in self.journal.events
            if not isinstance(event, Noted) and not isinstance(event.message, str) and event.message.id == message_id
        )


Main = Callable[[Pair], Awaitable[Any]]


def joined(app: ASGIApp, main: Main, *effects: Any) -> Any:
    async def run() -> Any:
        return await main(Pair(app, *(Fault("getPublisherInfo", effect) for effect in effects)))

    return run_simulated(run())


def answering(
    content: bytes = b'{"a":1}', *, parts: int = 1, media_type: str = "application/json", length: bool = True
) -> ASGIApp:
    """An application that reads the request and answers with `content` in `parts`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", media_type.encode())]
        if length:
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        step = -(-len(content) // parts)
        for start in range(0, len(content), step):
            part = content[start : start + step]
            await send({"type": "http.response.body", "body": part, "more_body": start + step < len(content)})

    return app


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("a bug")


WHOLE = ["Sent phraseanet-1", "Received phraseanet-1", "Sent auth-1", "Received auth-1"]


def test_a_message_is_sent_and_then_received_under_one_id() -> None:
    async def main(pair: Pair) -> None:
        answer = await pair.client.get(f"{PATH}?b=c", headers={"x-of": "mine"})
        assert answer.json() == {"a": 1}
        assert pair.told() == WHOLE
        request, response = pair.message("phraseanet-1"), pair.message("auth-1")
        assert (request.sender, request.receiver, request.operation_id) == ("phraseanet", "auth", "getPublisherInfo")
        assert (request.method, request.target, request.cause) == ("GET", f"{PATH}?b=c", None)
        assert ("x-of", "mine") in request.headers
        assert (response.sender, response.receiver, response.operation_id) == ("auth", "phraseanet", "getPublisherInfo")
        assert (response.reply_to, response.cause, response.status) == ("phraseanet-1", "phraseanet-1", 200)
        assert response.body == Body(length=7, json={"a": 1})

    joined(answering(), main)


def test_nothing_of_the_machine_is_in_a_request() -> None:
    async def main(pair: Pair) -> None:
        await pair.client.get(PATH)
        headers = dict(pair.message("phraseanet-1").headers)
        traceparent = headers.pop("traceparent")
        assert len(traceparent) == 55
        assert headers == {
            "host": "auth.test",
            "accept": "*/*",
            "accept-encoding": "identity",
            "connection": "keep-alive",
            "user-agent": f"phrasim/{__version__}",
        }

    joined(answering(), main)


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_response_in_parts_is_one_message(parts: int, length: bool) -> None:
    async def main(pair: Pair) -> None:
        assert (await pair.client.get(PATH)).json() == {"a": 1}
        assert pair.told() == WHOLE
        assert pair.message("auth-1").body == Body(length=7, json={"a": 1})

    joined(answering(parts=parts, length=length), main)


def test_a_request_in_parts_is_received_when_the_last_part_is() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(1)
            yield b"x"

    async def main(pair: Pair) -> None:
        await pair.client.post(PATH, content=body())
        sent, received, *_ = pair.journal.events
        assert isinstance(sent, Sent)
        assert isinstance(received, Received)
        assert (sent.at, received.at) == (0, 3_000_000_000)

    joined(answering(), main)


def test_a_body_of_unknown_length_is_recorded_with_none_by_its_sender() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"xyz"

    async def main(pair: Pair) -> None:
        await pair.client.post(PATH, content=body())
        assert pair.message("phraseanet-1").body == Body(length=0)

    joined(answering(), main)


def test_a_file_that_is_sent_is_recorded_by_its_stored_digest() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"xyz"

    async def main(pair: Pair) -> None:
        headers = {"content-length": "3"}
        await pair.client.post(PATH, content=body(), headers=headers, extensions={FILE_DIGEST: "d"})
        assert pair.message("phraseanet-1").body == Body(length=3, sha256="d", digest="stored")

    joined(answering(), main)


def test_a_stored_response_is_recorded_at_its_first_part_by_the_digest_of_its_file() -> None:
    content = bytes(range(256)) * 100

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][STORED_DIGEST] = hashlib.sha256(content).hexdigest()
        await answering(content, parts=5, media_type="image/png")(scope, receive, send)

    async def main(pair: Pair) -> None:
        async with pair.client.stream("GET", PATH) as answer:
            assert pair.told() == WHOLE[:3]
            assert await answer.aread() == content
        assert pair.told() == WHOLE
        body = Body(length=len(content), sha256=hashlib.sha256(content).hexdigest(), digest="stored")
        assert pair.message("auth-1").body == body

    joined(app, main)


def test_an_application_that_fails_is_answered_for_by_500_and_noted() -> None:
    async def main(pair: Pair) -> None:
        answer = await pair.client.get(PATH)
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert answer.json() == {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "the service failed at this request",
        }
        assert pair.told() == [*WHOLE[:2], "auth notes failed", *WHOLE[2:]]

    joined(failing, main)


def test_an_application_that_fails_after_its_head_is_still_answered_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LookupError("a bug")

    async def main(pair: Pair) -> int:
        return (await pair.client.get(PATH)).status_code

    assert joined(app, main) == 500


def test_an_application_that_fails_within_its_body_leaves_it_cut() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("a bug")

    async def main(pair: Pair) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await pair.client.get(PATH)
        assert "auth notes failed" in pair.told()
        assert "Lost phraseanet-1-answer" in pair.told()

    joined(app, main)


def test_an_application_that_fails_after_its_answer_changes_nothing_of_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering()(scope, receive, send)
        raise LookupError("a bug")

    async def main(pair: Pair) -> None:
        assert (await pair.client.get(PATH)).json() == {"a": 1}
        assert set(pair.told()) == {*WHOLE, "auth notes failed"}

    joined(app, main)


def test_a_stranger_is_recorded_in_full() -> None:
    async def main(pair: Pair) -> None:
        await pair.stranger.post(f"{PATH}?x=1", json={"asked": True})
        assert pair.told() == ["Received auth-1", "Sent auth-2"]
        request, response = pair.message("auth-1"), pair.message("auth-2")
        assert isinstance(request, Request)
        assert (request.sender, request.receiver, request.target) == ("user", "auth", f"{PATH}?x=1")
        assert request.body == Body(length=14, json={"asked": True})
        assert isinstance(response, Response)
        assert (response.receiver, response.reply_to) == ("user", "auth-1")

    joined(answering(), main)


def test_a_foreign_traceparent_makes_nobody_known_and_stays_a_header() -> None:
    foreign = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def main(pair: Pair) -> None:
        await pair.stranger.get(PATH, headers={"traceparent": foreign})
        request = pair.message("auth-1")
        assert request.sender == "user"
        assert dict(request.headers)["traceparent"] == foreign

    joined(answering(), main)


@pytest.mark.parametrize(
    ("media_type", "content", "body"),
    [
        ("application/json", b'{"b":2}', Body(length=7, json={"b": 2})),
        (
            "image/png",
            b"\xff" * 5000,
            Body(length=5000, sha256=hashlib.sha256(b"\xff" * 5000).hexdigest(), digest="computed"),
        ),
    ],
)
def test_a_foreign_response_is_recorded_by_the_caller_alone(media_type: str, content: bytes, body: Body) -> None:
    async def main(pair: Pair) -> None:
        pair.apps["auth.test"] = answering(content, media_type=media_type, parts=2)
        assert (await pair.client.get(PATH)).content == content
        assert pair.told() == ["Sent phraseanet-1", "Received phraseanet-1-answer"]
        response = pair.message("phraseanet-1-answer")
        assert (response.sender, response.receiver, response.reply_to) == ("auth", "phraseanet", "phraseanet-1")
        assert (response.status, response.body) == (200, body)

    joined(answering(), main)


def test_who_leaves_within_a_response_loses_it() -> None:
    async def main(pair: Pair) -> None:
        async with pair.client.stream("GET", PATH) as answer:
            async for _ in answer.aiter_raw():
                break
        await asyncio.sleep(1)
        assert pair.told() == [*WHOLE[:2], "Lost phraseanet-1-answer"]

    joined(answering(b"x" * 100, parts=10, media_type="text/plain"), main)


def test_a_caller_that_has_left_before_the_answer_is_no_failure_of_the_receiver() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)
        await answering(parts=2, length=False)(scope, receive, send)

    async def main(pair: Pair) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await pair.client.get(PATH)
        await asyncio.sleep(60)
        assert pair.told() == [*WHOLE[:2], "phraseanet notes no answer", "Sent auth-1", "Lost auth-1"]

    joined(app, main)


def test_an_answer_that_broke_off_before_its_head_is_lost() -> None:
    """So it is on a real wire, where the head may be gone although the receiver has sent it."""

    async def main(pair: Pair) -> None:
        async def inner(request: httpx.Request) -> httpx.Response:
            await pair.transport.handle_async_request(request)
            raise httpx.ReadError("connection reset", request=request)

        pair.client = pair.over(httpx.MockTransport(inner))
        with pytest.raises(httpx.ReadError):
            await pair.client.get(PATH)
        assert pair.told() == [*WHOLE[:3], "Lost auth-1"]

    joined(answering(), main)


def test_a_request_to_nobody_is_noted_and_refused() -> None:
    async def main(pair: Pair) -> None:
        with pytest.raises(httpx.ConnectError, match="no participant of this run answers at"):
            await pair.client.get("https://elsewhere.test/")
        assert pair.told() == ["phraseanet notes nobody there"]

    joined(answering(), main)


def test_a_participant_that_is_not_there_is_a_lost_request() -> None:
    async def main(pair: Pair) -> None:
        del pair.apps["auth.test"]
        with pytest.raises(httpx.ConnectError):
            await pair.client.get(PATH)
        assert pair.told() == ["Sent phraseanet-1", "Lost phraseanet-1"]

    joined(answering(), main)


def test_what_is_no_http_passes_an_edge_unseen() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def main(pair: Pair) -> None:
        await pair.apps["auth.test"]({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
        assert (seen, pair.told()) == (["lifespan"], [])

    joined(app, main)


# Faults.


def test_a_refused_connection_is_a_request_that_never_leaves() -> None:
    async def main(pair: Pair) -> None:
        with pytest.raises(httpx.ConnectError):
            await pair.client.get(PATH)
        assert pair.told() == ["phraseanet notes fault", "Sent phraseanet-1", "Lost phraseanet-1"]

    joined(failing, main, Refuse())


def test_a_duplicate_goes_out_twice_and_the_second_answer_counts() -> None:
    answers = iter([b'{"n":1}', b'{"n":2}'])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(next(answers))(scope, receive, send)

    async def main(pair: Pair) -> None:
        assert (await pair.client.request("GET", PATH, json={"x": 1})).json() == {"n": 2}
        second = [line.replace("-1", "-2") for line in WHOLE]
        assert pair.told() == ["phraseanet notes fault", *WHOLE, *second]
        first, second_request = pair.message("phraseanet-1"), pair.message("phraseanet-2")
        assert first.body == second_request.body == Body(length=7, json={"x": 1})
        assert dict(first.headers)["traceparent"] != dict(second_request.headers)["traceparent"]

    joined(app, main, Duplicate())


def test_a_delay_comes_before_the_work() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert asyncio.get_running_loop().time() == 7
        await answering()(scope, receive, send)

    async def main(pair: Pair) -> None:
        assert (await pair.client.get(PATH)).status_code == 200
        assert [event.at for event in pair.journal.events][-1] == 7_000_000_000
        assert "auth notes fault" in pair.told()

    joined(app, main, Delay(7))


@pytest.mark.parametrize("status", [404, 503, 599])
def test_an_answer_takes_the_place_of_the_service(status: int) -> None:
    async def main(pair: Pair) -> None:
        answer = await pair.client.request("GET", PATH, json={})
        assert answer.status_code == answer.json()["status"] == status
        assert set(answer.json()) == {"type", "title", "status", "detail"}
        assert sorted(pair.told()) == sorted([*WHOLE, "auth notes fault"])

    joined(failing, main, Answer(status))


@pytest.mark.parametrize(
    "app", [answering(), answering(parts=3, length=False), failing], ids=["whole", "parts", "failing"]
)
def test_a_dropped_reply_is_lost_after_the_work_was_done(app: ASGIApp) -> None:
    async def main(pair: Pair) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await pair.client.get(PATH)
        told = [line for line in pair.told() if line not in ("auth notes fault", "auth notes failed")]
        assert told == [*WHOLE[:3], "Lost auth-1", "phraseanet notes no answer"]
        assert [event.at for event in pair.journal.events][-1] == 20_000_000_000

    joined(app, main, DropReply())


@pytest.mark.parametrize("known", [True, False], ids=["a known caller", "a stranger"])
@pytest.mark.parametrize("after", [0, 1, 40, 99])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("length", [True, False])
def test_a_cut_body_is_lost_after_so_many_bytes(known: bool, after: int, parts: int, length: bool) -> None:
    content = bytes(100)

    async def main(pair: Pair) -> None:
        got = b""
        with pytest.raises(httpx.RemoteProtocolError):
            async with (pair.client if known else pair.stranger).stream("GET", PATH) as answer:
                async for part in answer.aiter_raw():
                    got += part
        assert len(got) == after
        first, second = ("phraseanet-1", "auth-1") if known else ("auth-1", "auth-2")
        told = [line for line in pair.told() if line != "auth notes fault"]
        assert told == [*([f"Sent {first}"] if known else []), f"Received {first}", f"Sent {second}", f"Lost {second}"]

    joined(answering(content, parts=parts, media_type="a/b", length=length), main, CutBody(after))


def test_a_cut_beyond_the_end_of_a_body_cuts_nothing() -> None:
    async def main(pair: Pair) -> None:
        assert (await pair.client.get(PATH)).json() == {"a": 1}
        assert pair.told()[-1] == "Received auth-1"

    joined(answering(), main, CutBody(7))


def test_faults_of_one_call_strike_together() -> None:
    async def main(pair: Pair) -> None:
        answer = await pair.client.get(PATH)
        assert (answer.status_code, asyncio.get_running_loop().time()) == (503, 3)

    joined(failing, main, Delay(3), Answer(503))


def test_a_fault_strikes_the_occurrences_that_it_names_and_its_own_operation() -> None:
    async def run() -> list[int]:
        pair = Pair(answering(), Fault("getPublisherInfo", Answer(503), (2, 4)), Fault("getTokenInfo", Answer(404)))
        paths = [PATH, PATH, "/token-info", PATH, PATH, PATH, "/unknown"]
        return [(await pair.client.get(path)).status_code for path in paths]

    assert run_simulated(run()) == [200, 503, 404, 200, 503, 200, 200]


# Causes, in a whole run.


def test_each_message_of_a_hand_over_tells_what_caused_it(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed)
        messages = {message.id: message for message in act.seen(bed).messages}
        (acknowledgement,) = act.seen(bed).asked("acknowledgeCommit")
        chain, message = [], acknowledgement
        while True:
            chain.append(message.operation_id)
            cause = message.cause or getattr(message, "publish", None)
            if cause is None:
                break
            message = messages[cause]
        assert chain == ["acknowledgeCommit", "consumeMessage", "produceMessage", "enqueueAssets", "commitAssets"]

    play(main)


def test_one_trace_holds_all_that_a_commit_causes(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.hand_over(bed, b"one", b"two")
        seen = act.seen(bed)
        (commit,) = seen.asked("commitAssets")
        trace_id = dict(commit.headers)["traceparent"].split("-")[1]
        of_trace = {one.operation_id for one in seen.requests if trace_id in dict(one.headers)["traceparent"]}
        assert of_trace == {
            "commitAssets",
            "enqueueAssets",
            "issueToken",
            "getPublisherInfo",
            "getAsset",
            "downloadAsset",
            "acknowledgeCommit",
        }
        (publish,) = seen.publishes
        assert trace_id in publish.properties["headers"]["traceparent"]

    play(main)


class Trickle(httpx.AsyncBaseTransport):
    """Answers `status` with so many parts, a pause of seconds behind each."""

    def __init__(self, part: bytes, times: int, pause: float, status: int = 200, **headers: str) -> None:
        self._part, self._times, self._pause = part, times, pause
        self._status, self._headers = status, headers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(self._times):
                yield self._part
                await asyncio.sleep(self._pause)

        return httpx.Response(self._status, headers=self._headers, content=parts())


MIB = 2**20


@pytest.mark.parametrize(
    ("trickle", "error"),
    [
        (Trickle(b" " * MIB, 17, 0), httpx.ReadError),
        (Trickle(b" ", 10**9, 1), httpx.ReadTimeout),
        (Trickle(b" ", 10**9, 19), httpx.ReadTimeout),
        (Trickle(b" ", 10**9, 1, 302, location="/"), httpx.ReadTimeout),
    ],
    ids=["too long", "a byte a second", "a byte just in time", "a redirect"],
)
def test_a_service_leaves_an_answer_that_might_have_no_end(trickle: Trickle, error: type[httpx.HTTPError]) -> None:
    """It has as long in all as it may be late."""

    async def main(pair: Pair) -> None:
        with pytest.raises(error):
            await pair.over(trickle).get(PATH, follow_redirects=True)
        assert pair.told()[-1] == "Lost phraseanet-1-answer"
        assert asyncio.get_running_loop().time() <= 20

    joined(answering(), main)


@pytest.mark.parametrize("trickle", [Trickle(b" " * MIB, 16, 0), Trickle(b" ", 19, 1)], ids=["long", "slow"])
def test_an_answer_within_these_bounds_is_read(trickle: Trickle) -> None:
    async def main(pair: Pair) -> None:
        assert set((await pair.over(trickle).get(PATH)).content) == {32}

    joined(answering(), main)


def test_a_file_may_be_as_long_as_it_is_and_a_refusal_of_it_may_not() -> None:
    async def main(pair: Pair) -> None:
        asked = {FILE_ASKED_FOR: True}
        assert len((await pair.over(Trickle(b" " * MIB, 17, 30)).get(PATH, extensions=asked)).content) == 17 * MIB
        with pytest.raises(httpx.ReadError):
            await pair.over(Trickle(b" " * MIB, 17, 0, 404)).get(PATH, extensions=asked)

    joined(answering(), main)


def test_who_has_no_time_out_waits_for_the_end_of_an_answer() -> None:
    async def main(pair: Pair) -> None:
        client = pair.over(Trickle(b" ", 100, 100))
        assert len((await client.get(PATH, timeout=None)).content) == 100

    joined(answering(), main)


@pytest.mark.parametrize("location", ["mailto:somebody@example.org", "http://x:y/"])
def test_a_redirect_that_leads_to_no_url_is_the_peers_fault(location: str) -> None:
    async def main(pair: Pair) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await pair.over(Trickle(b"", 0, 0, 302, location=location)).get(PATH)

    joined(answering(), main)


def test_who_stands_in_the_url_logs_in_and_who_listens_is_told() -> None:
    """What httpx's layers are for, they do: the client leaves them out where there is nothing for them to do."""
    seen: list[httpx.Request] = []

    async def hook(request: httpx.Request) -> None:
        seen.append(request)

    async def main(pair: Pair) -> None:
        client = pair.over(Trickle(b" ", 1, 0))
        logged_in = await client.get(f"https://zoe:secret@auth.test{PATH}")
        assert logged_in.request.headers["authorization"].startswith("Basic ")
        assert (await client.get(PATH, auth=("zoe", "secret"))).request.headers["authorization"].startswith("Basic ")
        client.event_hooks = {"request": [hook]}
        told = await client.get(PATH)
        assert "authorization" not in told.request.headers
        assert seen == [told.request]
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.get(PATH)

    joined(answering(), main)


def test_an_error_names_its_request() -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("late")

    async def main(pair: Pair) -> None:
        with pytest.raises(httpx.ReadTimeout) as caught:
            await pair.over(Broken()).get(PATH)
        assert caught.value.request.url.path == PATH

    joined(answering(), main)
