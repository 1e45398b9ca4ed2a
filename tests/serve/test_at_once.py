"""What is answered at once is answered and recorded as if the application had been called."""

import asyncio
from typing import Any

import msgspec
import pytest
from starlette.responses import Response

from phrasim.documents import specification
from phrasim.edge.at_once import MATCHED
from phrasim.edge.at_once import at_once as at_once_of
from phrasim.journal.events import Received, Sent
from phrasim.serve.landscape import Plan
from phrasim.service.operations import json_answer, service
from phrasim.testbed import Setting
from phrasim.upload.documented.state import UploadState

PLAN = Plan(setting=Setting(mode="off"))
NO_ID = "00000000-0000-4000-8000-000000000000"


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


@pytest.mark.parametrize("headers", [None, {"Cache-Control": "no-store", "X-Other": "é"}])
def test_a_json_answer_is_what_starlette_would_make_of_its_bytes(headers: dict[str, str] | None) -> None:
    answer = json_answer({"a": ["é", 1, None]}, 201, headers)
    expected = Response(bytes(answer.body), 201, headers, "application/json")
    assert (answer.status_code, answer.raw_headers) == (expected.status_code, expected.raw_headers)
