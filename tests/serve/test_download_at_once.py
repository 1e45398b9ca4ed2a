"""A download that the socket has room for is answered and recorded as if the application had been called."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phrasim.edge import http_connection
from phrasim.journal.events import Body, Lost, Noted, Received, Sent
from phrasim.serve.landscape import Plan
from phrasim.testbed import Setting

PLAN = Plan(setting=Setting(mode="off"))
MIB = 1024 * 1024


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def with_room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`with_room(size)`: from now on no socket has more room than that."""
    real = http_connection.room

    def at_most(size: int) -> None:
        monkeypatch.setattr(http_connection, "room", lambda transport: min(size, real(transport)))

    return at_most


async def committed(one: Any, content: bytes) -> tuple[str, str]:
    """The path of a download, and what opens it."""
    await one.suite.commit(content, title="A title")
    (commit,) = (await one.suite.state())["commits"]
    return f"/assets/{commit['assets'][0]}/download", f"Authorization: AssetToken {commit['token']}"


def on_disk(one: Any) -> Path:
    """The only file that the upload service has."""
    (path,) = one.landscape.testbed.storage.folder.iterdir()
    assert isinstance(path, Path)
    return path


def told(one: Any) -> list[tuple[str, Any]]:
    """The events of the last download: their kinds, and what the journal has of an answer's body."""
    events = one.landscape.network.journal.events
    last = max(number for number, event in enumerate(events) if isinstance(event, Received))
    return [
        (type(event).__name__, event.message.body if isinstance(event, Sent) else None)
        for event in events[last:]
        if isinstance(event, Received | Sent | Lost | Noted)
    ]


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 64 * 1024, MIB // 2, MIB // 2 + 1, MIB])
def test_a_file_of_any_size_is_answered_and_recorded_as_by_the_application(
    served: Any, connect: Any, at_once: list[str], with_room: Any, size: int
) -> None:
    content = content_of(size)

    async def main(one: Any) -> None:
        target, token = await committed(one, content)
        client = await connect(one)
        client.ask(target, token)
        answer, recorded = await client.answer(), told(one)
        assert answer[2] == content
        assert at_once == [target]
        with_room(size - 1)
        client.ask(target, token)
        assert await client.answer() == answer
        assert told(one) == recorded
        body = Body(length=size, sha256=hashlib.sha256(content).hexdigest(), digest="stored")
        assert recorded == [("Received", None), ("Sent", body)]
        assert at_once == [target]
        client.writer.close()

    served(main, PLAN)


def test_a_file_for_which_there_is_just_room_is_sent_at_once(
    served: Any, connect: Any, at_once: list[str], with_room: Any
) -> None:
    async def main(one: Any) -> None:
        target, token = await committed(one, b"content")
        client = await connect(one)
        with_room(len(b"content"))
        client.ask(target, token)
        assert (await client.answer())[2] == b"content"
        assert at_once == [target]
        client.writer.close()

    served(main, PLAN)


def test_a_caller_who_asks_on_without_reading_has_all_answers_whole_and_in_their_order(
    served: Any, connect: Any, at_once: list[str]
) -> None:
    """Far more than a socket has room for, so that both ways take turns."""
    content = content_of(MIB)

    async def main(one: Any) -> None:
        target, token = await committed(one, content)
        client = await connect(one)
        targets = [f"{target}?{number}" if number % 3 else target.removesuffix("/download") for number in range(24)]
        for one_target in targets:
            client.ask(one_target, token)
            await client.writer.drain()
        for one_target in targets:
            status, _, body = await client.answer()
            assert status == "HTTP/1.1 200 OK"
            assert (body == content) == ("download" in one_target)
        events = one.landscape.network.journal.events
        asked = [getattr(event.message, "target", "") for event in events if isinstance(event, Received)]
        assert [one_target for one_target in asked if one_target in targets] == targets
        assert at_once
        assert at_once != targets
        client.writer.close()

    served(main, PLAN)


def test_a_head_of_a_download_is_the_applications(served: Any, connect: Any, at_once: list[str]) -> None:
    async def main(one: Any) -> None:
        target, token = await committed(one, b"content")
        client = await connect(one)
        client.ask(target, token, "Connection: close", method="HEAD")
        head = await client.rest()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b"\r\n\r\n")
        assert told(one) == [("Received", None), ("Sent", Body(length=0))]
        assert at_once == []

    served(main, PLAN)


def test_a_deleted_file_is_404_on_both_ways(served: Any, connect: Any, at_once: list[str], with_room: Any) -> None:
    async def main(one: Any) -> None:
        target, token = await committed(one, b"content")
        on_disk(one).unlink()
        client = await connect(one)
        client.ask(target, token)
        answer, recorded = await client.answer(), told(one)
        assert answer[0] == "HTTP/1.1 404 Not Found"
        assert at_once == [target]
        with_room(0)
        client.ask(target, token)
        assert await client.answer() == answer
        assert told(one) == recorded
        assert at_once == [target]
        client.writer.close()

    served(main, PLAN)


def test_a_file_that_shrank_on_the_disk_is_left_to_the_application_which_breaks_off(
    served: Any, connect: Any, at_once: list[str]
) -> None:
    async def main(one: Any) -> None:
        target, token = await committed(one, b"content")
        on_disk(one).write_bytes(b"con")
        client = await connect(one)
        client.ask(target, token)
        assert (await client.rest()).endswith(b"\r\n\r\ncon")
        assert [kind for kind, _ in told(one)] == ["Received", "Sent", "Noted"]
        assert at_once == []

    served(main, PLAN)


def test_a_file_that_grew_on_the_disk_is_answered_as_it_was_stored(
    served: Any, connect: Any, at_once: list[str]
) -> None:
    async def main(one: Any) -> None:
        target, token = await committed(one, b"content")
        on_disk(one).write_bytes(b"contents")
        client = await connect(one)
        client.ask(target, token)
        assert (await client.answer())[2] == b"content"
        assert at_once == [target]
        client.writer.close()

    served(main, PLAN)


CHANGES = [
    (("", ""), 200),
    (("signature=", "signature=0"), 403),
    (("expires=", "until="), 403),
    (("files/", "files/0"), 403),
]


@pytest.mark.parametrize(("change", "status"), CHANGES)
@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "there"])
def test_the_url_of_a_file_is_answered_so_in_the_deployed_profile_too(
    served: Any, connect: Any, at_once: list[str], change: tuple[str, str], status: int, deleted: bool
) -> None:
    content = content_of(5000)

    async def main(one: Any) -> None:
        suite = one.suite
        uploaded = await suite.http.post(
            suite.url("upload", "/assets"),
            headers=suite.bearer,
            data={"targetId": suite.described["upload"]["targets"][0]["id"]},
            files={"file": ("test.bin", content)},
        )
        if deleted:
            on_disk(one).unlink()
        target = uploaded.json()["url"].removeprefix(suite.url("upload", "")).replace(*change)
        client = await connect(one)
        client.ask(target)
        answer, recorded = await client.answer(), told(one)
        assert answer[0].split()[1] == str(404 if deleted and status == 200 else status)
        assert (answer[2] == content) == (status == 200 and not deleted)
        assert at_once == [target]
        client.ask(target, "Connection: close")
        assert await client.answer() == answer
        assert told(one) == recorded
        assert at_once == [target]
        client.writer.close()

    served(main, Plan(setting=Setting(profile="deployed", mode="off")))
