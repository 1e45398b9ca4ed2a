"""What is answered at once is answered and recorded as if the application had been called."""

import asyncio
import re
from typing import Any

import msgspec
import pytest
from starlette.responses import Response

from phrasim.documents import specification
from phrasim.edge.at_once import MATCHED
from phrasim.edge.at_once import at_once as at_once_of
from phrasim.edge.http_connection import HttpConnection
from phrasim.journal.events import Lost, Received, Sent
from phrasim.serve.landscape import Plan
from phrasim.service.operations import json_answer, service
from phrasim.testbed import Setting
from phrasim.upload.documented.state import UploadState
from serve.by_hand import Client, request

PLAN = Plan(setting=Setting(mode="off"))
NO_ID = "00000000-0000-4000-8000-000000000000"


async def connected(one: Any) -> tuple[Client, HttpConnection]:
    """A client and the server's end of its connection, to which bytes can be given as they are cut."""
    known = one.landscape._servers["upload"]._state.connections
    before = set(known)
    client = await Client.at(one)
    while not (made := set(known) - before):
        await asyncio.sleep(0)
    return client, made.pop()


async def committed(one: Any) -> tuple[str, str]:
    """The id of an asset, and the token of its commit."""
    await one.suite.commit(b"content", title="A title")
    (commit,) = (await one.suite.state())["commits"]
    return commit["assets"][0], commit["token"]


def sender_of(event: Received) -> str | None:
    """Who sent a message that stands in the event."""
    return None if isinstance(event.message, str) else event.message.sender


def exchange(one: Any) -> list[Any]:
    """The last request and its answer, without what differs between any two, nor the header `connection`."""
    events = one.landscape.network.journal.events
    received = next(event for event in reversed(events) if isinstance(event, Received) and sender_of(event) == "user")
    sent = next(event for event in reversed(events) if isinstance(event, Sent) and event.message.receiver == "user")
    assert (sent.message.reply_to, sent.message.cause) == (received.message.id, received.message.id)
    assert received.at <= sent.at
    plain = []
    for message in (received.message, sent.message):
        headers = tuple(header for header in message.headers if header[0] != "connection")
        ids = {"reply_to": "", "cause": ""} if hasattr(message, "reply_to") else {}
        plain.append(msgspec.structs.replace(message, id="", headers=headers, **ids))
    return plain


CASES = [
    ("/assets/{asset}", ["Authorization: AssetToken {token}"], 200, True),
    ("/assets/{asset}?a=b%20c", ["Authorization: AssetToken {token}"], 200, True),
    ("/assets/%7Basset%7D", ["Authorization: AssetToken {token}"], 404, True),
    ("/%61ssets/{asset}", ["authorization: AssetToken {token}", "Accept: */*"], 200, True),
    ("/assets/{asset}", ["Authorization: AssetToken wrong"], 403, True),
    ("/assets/{asset}", [], 401, True),
    ("/assets/{asset}", ["Authorization: Basic abc"], 401, True),
    ("/assets/{asset}", ["Authorization: AssetToken {token}", "Authorization: AssetToken wrong"], 200, True),
    (f"/assets/{NO_ID}", ["Authorization: AssetToken {token}"], 404, True),
    ("/assets/{asset}", ["Authorization: Bearer {administrator}"], 200, True),
    ("/assets/{asset}", ["Authorization: Bearer unknown"], 401, False),
    ("/assets/{asset}", ["Authorization: AssetToken {token}", "Content-Length: 0"], 200, False),
    ("/assets/{asset}", ["Authorization: AssetToken {token}", "traceparent: 00-{trace}-01"], 200, False),
    ("/assets/{asset}/", ["Authorization: AssetToken {token}"], 404, False),
    ("/assets/{asset}/download", ["Authorization: AssetToken {token}"], 200, True),
    ("/assets/{asset}/download?a=b", ["Authorization: AssetToken {token}", "Range: bytes=1-2"], 200, True),
    ("/assets/{asset}/download", ["Authorization: AssetToken {token}", 'If-None-Match: "a"'], 200, True),
    ("/assets/{asset}/download", ["Authorization: AssetToken wrong"], 403, True),
    ("/assets/{asset}/download", [], 401, True),
    (f"/assets/{NO_ID}/download", ["Authorization: AssetToken {token}"], 404, True),
    ("/assets/{asset}/download", ["Authorization: Bearer {administrator}"], 200, True),
    ("/assets/{asset}/download", ["Authorization: Bearer unknown"], 401, False),
    ("/assets/{asset}/download", ["Authorization: AssetToken {token}", "traceparent: 00-{trace}-01"], 200, False),
    ("/commits", ["Authorization: Bearer {administrator}"], 200, False),
]


@pytest.mark.parametrize(("target", "headers", "status", "taken"), CASES, ids=range(len(CASES)))
def test_the_answer_and_the_journal_are_those_of_the_application(
    served: Any, connect: Any, at_once: list[str], target: str, headers: list[str], status: int, taken: bool
) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        known = {"asset": asset, "token": token, "trace": f"{1:032x}-{1:016x}"}
        known["administrator"] = one.suite.described["users"][1]["token"]
        asked, lines = target.format(**known), [line.format(**known) for line in headers]
        client = await connect(one)
        if "Bearer {administrator}" in str(headers):
            client.ask(asked, *lines)  # Auth is asked once who that is.
            await client.answer()
        at_once.clear()
        client.ask(asked, *lines)
        answer, recorded = await client.answer(), exchange(one)
        assert at_once == [asked] * taken
        # Who wants the connection to be closed is never answered at once.
        client.ask(asked, *lines, "Connection: close")
        assert await client.answer() == answer
        assert exchange(one)[1:] == recorded[1:]
        assert exchange(one)[0] == recorded[0]
        assert at_once == [asked] * taken
        assert answer[0].split()[1] == str(status)
        client.writer.close()

    served(main, PLAN)


def test_a_first_request_may_be_answered_at_once_and_others_follow_on_the_connection(
    served: Any, connect: Any, at_once: list[str]
) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        client = await connect(one)
        for _ in range(3):
            client.ask(f"/assets/{asset}", f"Authorization: AssetToken {token}")
            assert (await client.answer())[0] == "HTTP/1.1 200 OK"
        client.ask(f"/assets/{asset}/download", f"Authorization: AssetToken {token}")
        assert (await client.answer())[2] == b"content"
        assert len(at_once) == 4
        client.writer.close()

    served(main, PLAN)


def test_requests_that_come_at_once_are_answered_in_their_order(served: Any, connect: Any, at_once: list[str]) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        client = await connect(one)
        targets = [f"/assets/{asset}{more}" for more in ("", "/download", "?1", "/download", "/", "?2")]
        for target in targets:
            client.ask(target, f"Authorization: AssetToken {token}")
        answers = [await client.answer() for _ in targets]
        assert [status.split()[1] for status, _, _ in answers] == ["200", "200", "200", "200", "404", "200"]
        assert [body == b"content" for _, _, body in answers] == [False, True, False, True, False, False]
        asked = [
            event.message.target
            for event in one.landscape.network.journal.events
            if isinstance(event, Received) and getattr(event.message, "target", "").startswith("/assets/")
        ]
        assert asked == targets
        client.writer.close()

    served(main, PLAN)


@pytest.mark.parametrize(("operation_id", "path"), [("getAsset", ""), ("downloadAsset", "/download")])
def test_a_fault_strikes_what_would_be_answered_at_once(
    served: Any, connect: Any, at_once: list[str], operation_id: str, path: str
) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        answer = await one.suite.control.post(
            "/faults", json={"operationId": operation_id, "occurrences": [1], "answer": {"status": 503}}
        )
        assert answer.status_code == 201
        client = await connect(one)
        for status in ("503", "200"):
            client.ask(f"/assets/{asset}{path}", f"Authorization: AssetToken {token}")
            assert (await client.answer())[0].split()[1] == status
        assert at_once == []
        client.writer.close()

    served(main, PLAN)


def test_a_handler_that_fails_is_asked_again_and_answered_for_once(
    served: Any, connect: Any, at_once: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        one.landscape.network.journal.clear()

        def fails(*_: Any) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(UploadState, "asset", fails)
        client = await connect(one)
        client.ask(f"/assets/{asset}", f"Authorization: AssetToken {token}")
        assert (await client.answer())[0] == "HTTP/1.1 500 Internal Server Error"
        kinds = [type(event).__name__ for event in one.landscape.network.journal.events]
        assert kinds == ["Received", "Sent", "Noted"]
        assert at_once == []
        client.writer.close()

    served(main, PLAN)


def test_who_listens_or_follows_hears_of_it(served: Any, connect: Any, at_once: list[str]) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        journal, heard = one.landscape.network.journal, []
        client = await connect(one)

        async def ask() -> None:
            client.ask(f"/assets/{asset}", f"Authorization: AssetToken {token}")
            await client.answer()

        following = aiter(journal.follow(journal.next))
        next_ones = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        await ask()
        first = await next_ones
        if len(first) == 1:
            first += await anext(following)
        stop = journal.listen(heard.append)
        await ask()
        stop()
        await ask()
        events = journal.events[-6:]
        assert first == events[:2]
        assert heard == events[2:4]
        first_number = int(events[0].message.id.removeprefix("upload-"))
        assert [event.message.id for event in events] == [f"upload-{first_number + n}" for n in range(6)]
        assert len(at_once) == 3
        client.writer.close()

    served(main, PLAN)


def test_a_connection_that_is_idle_behind_such_an_answer_is_closed_in_time(
    served: Any, connect: Any, at_once: list[str]
) -> None:
    """The time of uvicorn's timers is set aside here: only the look that is taken each second closes anything."""

    async def main(one: Any) -> None:
        asset, token = await committed(one)
        client, half = await connect(one), await connect(one)
        for caller in (client, half):
            caller.ask(f"/assets/{asset}", f"Authorization: AssetToken {token}")
            await caller.answer()
        half.writer.write(b"GET /assets/")
        await asyncio.sleep(0.05)
        config = one.landscape._servers["upload"]._config
        for connection in one.landscape._servers["upload"]._state.connections:
            assert connection.timeout_keep_alive == config.timeout_keep_alive
            connection.timeout_keep_alive = 0
        assert await client.rest() == b""
        half.writer.write(f"{asset} HTTP/1.1\r\nHost: a\r\nAuthorization: AssetToken {token}\r\n\r\n".encode())
        assert (await half.answer())[0] == "HTTP/1.1 200 OK"
        assert await half.rest() == b""
        assert len(at_once) == 3

    served(main, PLAN)


def test_nobody_is_answered_at_once_while_a_landscape_begins_anew(
    served: Any, connect: Any, at_once: list[str]
) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        client = await connect(one)
        await one.landscape._entrance.close()
        client.ask(f"/assets/{asset}", f"Authorization: AssetToken {token}")
        waiting = asyncio.ensure_future(client.answer())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        one.landscape._entrance.open(one.landscape.testbed.apps.items())
        assert (await waiting)[0] == "HTTP/1.1 200 OK"
        assert at_once == []
        client.writer.close()

    served(main, PLAN)


def test_a_service_without_an_edge_never_answers_at_once() -> None:
    auth = specification("auth.yaml")

    async def handler(_: Any) -> Any:
        raise AssertionError("nobody asks")

    app = service(auth, dict.fromkeys(auth.operations, handler), {"getTokenInfo": lambda call: json_answer(call.path)})
    scope = {"method": "GET", "path": "/token-info", "headers": []}
    assert at_once_of(app)(scope) is None
    operation = auth.operations["getTokenInfo"]
    answer = at_once_of(app)({**scope, MATCHED: (operation, {"a": "b"})})
    assert answer is not None
    assert answer.body == b'{"a":"b"}'
    assert at_once_of(handler)(scope) is None


FORM = "Content-Type: multipart/form-data; boundary=b"
JSON = "Content-Type: application/json"
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
USER, TOKEN = "Authorization: Bearer {user}", "Authorization: AssetToken {token}"

POSTS = [
    ("/assets", [USER, FORM], HEAD + b"content\r\n--b--", 201, True),
    ("/assets", [USER, FORM], HEAD + b"x" * 150_000 + b"\r\n--b--\r\nmore", 201, True),
    ("/assets", [USER, FORM], HEAD + b"\r\n--b--", 400, True),
    ("/assets", [USER, FORM], HEAD + b"no end", 400, True),
    ("/assets", [USER, FORM], b"", 400, True),
    ("/assets", [USER, FORM], HEAD.replace(b'"file"', b'"other"') + b"x\r\n--b--", 400, True),
    ("/assets", [USER, JSON], HEAD + b"content\r\n--b--", 415, True),
    ("/assets", [TOKEN, FORM], HEAD + b"content\r\n--b--", 403, True),
    ("/assets", [FORM], HEAD + b"content\r\n--b--", 401, True),
    ("/assets", ["Authorization: Bearer unknown", FORM], HEAD + b"content\r\n--b--", 401, False),
    ("/assets", [USER, FORM, "traceparent: 00-{trace}-01"], HEAD + b"content\r\n--b--", 201, False),
    ("/assets/", [USER, FORM], HEAD + b"content\r\n--b--", 404, False),
    ("/commit", [USER, JSON], b'{"files": ["{fresh}"], "formData": {"a": "\xc3\xa9"}}', 200, True),
    ("/commit?a=b", [USER, "Content-Type: Application/JSON; charset=x"], b'{"files": ["{fresh}"]}', 200, True),
    ("/commit", [USER, JSON], b'{"files": ["{asset}"]}', 400, True),
    ("/commit", [USER, JSON], b'{"files": "{fresh}"}', 400, True),
    ("/commit", [USER, JSON], b"{", 400, True),
    ("/commit", [USER, JSON], b"", 400, True),
    ("/commit", [USER], b"{}", 415, True),
    ("/commit", [TOKEN, JSON], b'{"files": ["{fresh}"]}', 403, True),
    ("/commit", [JSON], b'{"files": ["{fresh}"]}', 401, True),
]

_DRAWN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9T:-]{19}\+00:00")


@pytest.mark.parametrize(("target", "headers", "body", "status", "taken"), POSTS, ids=range(len(POSTS)))
def test_a_post_whose_body_came_with_it_is_answered_and_recorded_as_one_that_came_in_parts(
    served: Any, at_once: list[str], target: str, headers: list[str], body: bytes, status: int, taken: bool
) -> None:
    """But for ids and dates; a digest of what holds an id is as long."""

    async def main(one: Any) -> None:
        asset, token = await committed(one)
        known = {"asset": asset, "token": token, "trace": f"{1:032x}-{1:016x}", "user": one.suite.publisher["token"]}
        seen = []
        for cut in (None, 0, 1, len(body) // 2):
            known["fresh"] = await one.suite.upload(b"fresh")
            content = body
            for name, value in known.items():
                content = content.replace(b"{%b}" % name.encode(), value.encode())
            asked = [line.format(**known) for line in (target, *headers)]
            whole = request(*asked, f"Content-Length: {len(content)}", method="POST", body=content)
            client, connection = await connected(one)
            at_once.clear()
            place = len(whole) if cut is None else len(whole) - len(content) + min(cut, len(content))
            pieces = [piece for piece in (whole[:place], whole[place:]) if piece]
            for piece in pieces:
                connection.data_received(piece)
            answer = await client.answer()
            assert answer[0].split()[1] == str(status)
            assert at_once == [asked[0]] * (taken and len(pieces) == 1)
            seen.append(_DRAWN.sub("drawn", repr((answer, exchange(one)))))
            client.writer.close()
        assert seen == [seen[0]] * 4

    served(main, PLAN)


@pytest.mark.parametrize("headers", [["Transfer-Encoding: chunked"], ["Expect: 100-continue", "Content-Length: 5"]])
def test_a_post_of_another_kind_is_left_to_the_application(served: Any, at_once: list[str], headers: list[str]) -> None:
    async def main(one: Any) -> None:
        client = await Client.at(one)
        body = b"0\r\n\r\n" if "chunked" in headers[0] else b"small"
        client.ask("/commit", *headers, method="POST", body=body)
        assert (await client.answer())[0].split()[1] == "401"
        assert at_once == []
        client.writer.close()

    served(main, PLAN)


def test_what_a_commit_brings_about_is_caused_by_it(served: Any, at_once: list[str]) -> None:
    async def main(one: Any) -> None:
        user = f"Authorization: Bearer {one.suite.publisher['token']}"
        asset = await one.suite.upload(b"content")
        client = await Client.at(one)
        body = b'{"files": ["%b"]}' % asset.encode()
        client.ask("/commit", user, JSON, f"Content-Length: {len(body)}", method="POST", body=body)
        assert (await client.answer())[2] == b"true"
        assert at_once == ["/commit"]
        await one.suite.acknowledged()
        events = await one.suite.events()
        sent = {event["message"]["id"]: event["message"] for event in events if isinstance(event.get("message"), dict)}
        (commit,) = [one for one in sent.values() if one.get("operationId") == "commitAssets" and "method" in one]
        (notified,) = [one for one in sent.values() if one.get("operationId") == "enqueueAssets" and "method" in one]
        assert notified["cause"] == commit["id"]
        (answered,) = [one for one in sent.values() if one.get("replyTo") == commit["id"]]
        ids = list(sent)
        assert ids.index(commit["id"]) < ids.index(answered["id"]) < ids.index(notified["id"])
        client.writer.close()

    served(main, Plan())


def told(one: Any) -> list[tuple[Any, ...]]:
    """Of each message what it is, what it is the answer to or caused by, and what befell it; in no order."""
    events = one.landscape.network.journal.events
    messages = {event.message.id: event.message for event in events if not isinstance(event.message, str)}
    fates: dict[str, list[str]] = {}
    for event in events:
        fates.setdefault(getattr(event.message, "id", event.message), []).append(type(event).__name__)

    def named(message_id: str | None) -> tuple[str, str | None] | None:
        message = messages.get(message_id or "")
        return None if message is None else (type(message).__name__, message.operation_id)

    return sorted(
        (
            *named(one.id),
            one.sender,
            one.receiver,
            named(one.cause),
            named(getattr(one, "reply_to", None)),
            fates[one.id],
        )
        for one in messages.values()
    )


def test_a_hand_off_is_told_alike_whether_anything_of_it_is_answered_at_once(
    served: Any, at_once: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(one: Any) -> list[tuple[Any, ...]]:
        await one.suite.commit(b"one", b"two")
        await one.suite.acknowledged()
        return told(one)

    taken: set[str] = set()
    is_answered = HttpConnection._is_answered

    def answered(self: HttpConnection, asked: Any) -> bool:
        if is_answered(self, asked):
            taken.add(asked[MATCHED][0].operation_id)
            return True
        return False

    monkeypatch.setattr(HttpConnection, "_is_answered", answered)
    seen = served(main, Plan())
    assert {"getPublisherInfo", "getAsset", "downloadAsset", "acknowledgeCommit"} <= taken
    monkeypatch.setattr(HttpConnection, "_is_simple", lambda _: False)
    taken.clear()
    assert served(main, Plan()) == seen
    assert taken == set()


def test_posts_that_come_at_once_are_answered_in_their_order(served: Any, at_once: list[str]) -> None:
    async def main(one: Any) -> None:
        asset, token = await committed(one)
        lines = [f"Authorization: AssetToken {token}", JSON, "Content-Length: 2"]
        asked = ["/commit", "/nothing", "/commit", "/commit?a", f"/assets/{asset}"]
        client, connection = await connected(one)
        connection.data_received(
            b"".join(
                request(target, *lines, method="POST", body=b"{}") if "commit" in target else request(target, lines[0])
                for target in asked
            )
        )
        answers = [await client.answer() for _ in asked]
        assert [status.split()[1] for status, _, _ in answers] == ["403", "404", "403", "403", "200"]
        assert at_once == ["/commit"], "behind one that waits, all wait"
        client.writer.close()

    served(main, PLAN)


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_a_caller_that_leaves_within_a_body_has_lost_the_request(served: Any, at_once: list[str], kept: int) -> None:
    async def main(one: Any) -> None:
        await one.suite.upload(b"so that Auth is not asked")
        journal = one.landscape.network.journal
        journal.clear()
        following = aiter(journal.follow(journal.next))
        user = f"Authorization: Bearer {one.suite.publisher['token']}"
        client, connection = await connected(one)
        connection.data_received(
            request("/assets", user, FORM, "Content-Length: 1000", method="POST", body=HEAD[:kept])
        )
        client.writer.transport.abort()
        (event,) = await anext(following)
        assert isinstance(event, Lost)
        assert (event.message.operation_id, event.message.body.length) == ("uploadAsset", kept)
        assert event.reason == "the caller left before the end of the body"
        assert at_once == []

    served(main, PLAN)


@pytest.mark.parametrize("headers", [None, {"Cache-Control": "no-store", "X-Other": "é"}])
def test_a_json_answer_is_what_starlette_would_make_of_its_bytes(headers: dict[str, str] | None) -> None:
    answer = json_answer({"a": ["é", 1, None]}, 201, headers)
    expected = Response(bytes(answer.body), 201, headers, "application/json")
    assert (answer.status_code, answer.raw_headers) == (expected.status_code, expected.raw_headers)
