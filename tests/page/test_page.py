"""The live page of a landscape, as a browser asks for it."""

import asyncio
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from page.feed import Feed, feed_of
from phrasim.page import feed as feed_module
from phrasim.serve.landscape import Plan
from phrasim.testbed import Setting
from serve.callers import Served, run_served, until

CONTENT = bytes(range(256)) * 40


class Inline(HTMLParser):
    """Finds what a strict content-security policy forbids, and what a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.forbidden += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.forbidden.append(tag)
        wanted = given.get("src") or (given.get("href") if tag == "link" else None)
        if wanted is not None and not wanted.startswith("data:"):
            self.asked.append(wanted)


def inline(html: str) -> Inline:
    parser = Inline()
    parser.feed(html)
    return parser


async def asked(one: Served, method: str, path: str, **parts: Any) -> httpx.Response:
    """The answer at the control port."""
    return await one.suite.http.request(method, one.suite.url("control", path), **parts)


async def uploaded(one: Served, content: bytes = CONTENT, name: str = "a name.bin") -> str:
    answer = await asked(one, "POST", "/page/assets", params={"name": name}, content=content)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == 201
    return str(answer.json()["answer"]["id"])


async def committed(one: Served, *assets: str, title: str = "A title") -> httpx.Response:
    return await asked(one, "POST", "/page/commits", params={"asset": list(assets), "title": title})


async def rows_up_to(feed: Feed, words: str) -> dict[int, dict[str, Any]]:
    """The rows, once one has those words in it."""
    async with asyncio.timeout(20):
        while not any(words in row["html"] for row in feed.rows.values()):
            await feed.until("rows")
    return feed.rows


def test_the_page_and_all_it_asks_for_come_from_the_control_port_with_nothing_inline() -> None:
    async def main(one: Served) -> None:
        page = await asked(one, "GET", "/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert inline(page.text).forbidden == []
        wanted = inline(page.text).asked
        assert wanted
        for path in wanted:
            answer = await asked(one, "GET", path)
            assert (answer.status_code, bool(answer.content)) == (200, True), path
            assert not re.search(r"https?://(?!www\.w3\.org)", answer.text), path

    run_served(main)


def test_what_is_no_part_of_the_page_is_the_control_apis() -> None:
    async def main(one: Served) -> None:
        assert (await asked(one, "GET", "/_phrasim/state")).status_code == 200
        assert (await asked(one, "GET", "/nothing")).status_code == 404
        refused = await asked(one, "POST", "/page/feed")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
        assert (await asked(one, "HEAD", "/")).status_code == 200

    run_served(main)


@pytest.mark.parametrize("path", ["/", "/page/feed", "/page/assets?name=a"])
def test_a_page_of_another_site_is_refused(path: str) -> None:
    async def main(one: Served) -> None:
        method = "POST" if "assets" in path else "GET"
        answer = await asked(one, method, path, headers={"origin": "https://elsewhere.example"})
        assert answer.status_code == 403
        assert (await one.suite.state())["assets"] == []

    run_served(main)


@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_a_file_that_is_uploaded_and_committed_is_handed_over(profile: Any) -> None:
    async def main(one: Served) -> None:
        assets = [await uploaded(one), await uploaded(one, b"two", "zwei ä.txt")]
        answer = await committed(one, *assets)
        assert (answer.status_code, answer.json()["status"]) == (200, 200)

        async def recorded() -> list[dict[str, Any]] | None:
            records = (await one.suite.state())["records"]
            return records if len(records) == len(assets) else None

        records = await until(recorded)
        assert {record["originalName"] for record in records} == {"a name.bin", "zwei ä.txt"}
        assert hashlib.sha256(CONTENT).hexdigest() in {record["sha256"] for record in records}
        (commit,) = (await one.suite.state())["commits"]
        assert commit["formData"]["title"] == "A title"

    run_served(main, Plan(Setting(profile=profile)))


def test_what_the_upload_service_refuses_is_told_as_it_said_it() -> None:
    async def main(one: Served) -> None:
        answer = await asked(one, "POST", "/page/assets", params={"name": "a"}, content=CONTENT)
        assert answer.status_code == 200
        assert answer.json()["status"] == 413
        answer = await committed(one, "no-asset")
        assert (answer.status_code, answer.json()["status"]) == (200, 400)

    run_served(main, Plan(Setting(upload_size_max=100)))


@pytest.mark.parametrize(
    ("path", "content", "detail"),
    [
        ("/page/assets", b"a", "query/name: it is required"),
        ("/page/assets?name=", b"a", "query/name: it is required"),
        ("/page/assets?name=a", b"", "'a' is empty"),
        ("/page/commits", b"", "query/asset: a commit is of one asset at the least"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_what_would_be_right(path: str, content: bytes, detail: str) -> None:
    async def main(one: Served) -> None:
        answer = await asked(one, "POST", path, content=content)
        assert (answer.status_code, detail in answer.json()["detail"]) == (400, True)
        assert (await one.suite.state())["assets"] == []

    run_served(main)


def test_where_nobody_lets_the_user_in_the_page_is_told() -> None:
    async def main(one: Served) -> None:
        answer = await asked(one, "POST", "/page/assets", params={"name": "a"}, content=b"a")
        assert answer.status_code == 502
        assert "uploadAsset: " in answer.json()["detail"]

    run_served(main, Plan(played=("upload",)))


def test_a_user_whose_token_is_good_no_more_logs_in_again() -> None:
    async def main(one: Served) -> None:
        one.landscape.testbed.auth.token_lifetime = 0
        answer = await asked(one, "POST", "/page/assets", params={"name": "a"}, content=b"a")
        assert answer.json()["status"] == 401
        one.landscape.testbed.auth.token_lifetime = 3600
        await uploaded(one)
        before = len(await one.suite.events())
        await uploaded(one)
        operations = [
            event["message"]["operationId"]
            for event in (await one.suite.events())[before:]
            if event["event"] == "sent" and event["message"]["kind"] == "request"
        ]
        assert "uploadAsset" in operations
        assert "issueToken" not in operations

    run_served(main)


def test_the_feed_tells_each_message_once_and_how_it_arrived() -> None:
    async def main(one: Served) -> None:
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            await committed(one, await uploaded(one))
            await one.suite.acknowledged()
            rows = await rows_up_to(feed, "Acknowledge of upload commit")
            ids = [row["id"] for row in rows.values() if row["id"]]
            messages = {
                event["message"]["id"] for event in await one.suite.events() if isinstance(event.get("message"), dict)
            }
            assert list(rows) == list(range(1, len(rows) + 1))
            assert len(ids) == len(set(ids))
            assert set(ids) <= messages
            assert all(inline(row["html"]).forbidden == [] for row in rows.values())

    run_served(main)


def test_what_happened_before_somebody_looks_is_told_as_well() -> None:
    async def main(one: Served) -> None:
        await committed(one, await uploaded(one))
        await one.suite.acknowledged()
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            assert (await feed.until("begin")).data == {"title": "push mode, documented"}
            rows = await rows_up_to(feed, "Acknowledge of upload commit")
            assert "POST /oauth/v2/token" in rows[1]["html"]

    run_served(main)


def test_the_participants_are_told_when_they_change() -> None:
    async def main(one: Served) -> None:
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            first = (await feed.until("state")).data["html"]
            assert "0 assets, 0 in no commit" in first
            asset = await uploaded(one, name="<b>bold</b>.txt")
            await one.suite.control.post("/faults", json={"operationId": "getAsset", "answer": {"status": 500}})
            async with asyncio.timeout(20):
                while "calls struck" not in (html := (await feed.until("state")).data["html"]):
                    pass
            assert "1 assets, 1 in no commit" in html
            assert asset[:8] in html
            assert "&lt;b&gt;bold" in html
            assert "<b>bold" not in html
            assert inline(html).forbidden == []
            assert "answer 500 at every call" in html
            assert feed.told[-1].data["loose"] == [{"id": asset, "name": "<b>bold</b>.txt"}]

    run_served(main)


def test_the_feed_begins_anew_with_the_landscape() -> None:
    async def main(one: Served) -> None:
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            await uploaded(one)
            await rows_up_to(feed, "Upload asset")
            await one.suite.control.post("/reset")
            await feed.until("begin")
            assert feed.rows == {}
            await uploaded(one)
            rows = await rows_up_to(feed, "Upload asset")
            assert min(rows) == 1

    run_served(main)


def test_the_feed_begins_anew_before_it_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "ROWS_MAX", 12)

    async def main(one: Served) -> None:
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            await feed.until("begin")
            for number in range(9):
                await uploaded(one)
                if number == 0:
                    await feed.until("rows")
            await feed.until("begin")
            await feed.until("rows")
            assert 0 < len(feed.rows) <= 10

    run_served(main, Plan(events_max=10))


def test_the_feed_begins_anew_where_it_could_not_keep_up() -> None:
    """What a reader has not read is forgotten: it begins with what is kept."""

    async def main(one: Served) -> None:
        journal = one.landscape.network.journal
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            await feed.until("state")
            for number in range(20):  # in one turn of the loop, so that nobody reads meanwhile
                journal.noted("user", f"note {number}")
            await feed.until("begin")
            rows = await rows_up_to(feed, "note 19")
            assert [re.findall(r"note \d+", row["html"])[0] for row in rows.values()] == [
                f"note {number}" for number in range(15, 20)
            ]

    run_served(main, Plan(events_max=5))


def test_the_feed_ends_with_the_landscape() -> None:
    async def main(one: Served) -> None:
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            await feed.until("begin")
            stopping = asyncio.create_task(one.landscape.stop())
            async with asyncio.timeout(20):
                while await feed.next() is not None:
                    pass
            await stopping

    run_served(main)


def test_no_secret_stands_in_anything_that_the_page_is_told() -> None:
    async def main(one: Served) -> None:
        url = one.suite.described["control"]["url"]
        async with feed_of(url) as feed:
            await committed(one, await uploaded(one))
            await one.suite.acknowledged()
            rows = await rows_up_to(feed, "Acknowledge of upload commit")
            async with asyncio.timeout(20):
                while "acknowledged" not in (html := (await feed.until("state")).data["html"]):
                    pass
        told = [html, *(row["html"] for row in rows.values())]
        told += [
            (await asked(one, "GET", "/page/message", params={"id": row["id"]})).text
            for row in rows.values()
            if row["id"]
        ]
        secrets = [user[key] for user in one.suite.described["users"] for key in ("token", "password")]
        secrets += [client["client_secret"] for client in one.suite.described["clients"]]
        secrets += [commit.token for commit in one.landscape.testbed.upload.commits]
        assert len(secrets) >= 6
        for text in told:
            assert [secret for secret in secrets if secret in text] == []

    run_served(main)


def test_a_message_is_opened_with_its_headers_its_body_and_a_command_that_sends_it_again() -> None:
    async def main(one: Served) -> None:
        asset = await uploaded(one)
        await committed(one, asset, title="<script>alert(1)</script>")
        await one.suite.acknowledged()
        messages = [event["message"] for event in await one.suite.events() if event["event"] == "sent"]
        opened = {
            message["operationId"]: (await asked(one, "GET", "/page/message", params={"id": message["id"]})).text
            for message in messages
            if message["kind"] == "request"
        }
        commit = opened["commitAssets"]
        assert f"curl -sS -i -X POST {one.suite.url('upload', '/commit')}" in commit
        assert "authorization: Bearer $PHRASIM_TOKEN" in commit
        assert asset in commit
        assert "<script>" not in commit
        assert "&lt;script&gt;" in commit
        assert f"SHA-256 of the file in it {hashlib.sha256(CONTENT).hexdigest()}" in opened["uploadAsset"]
        assert inline(commit).forbidden == []

    run_served(main)


def test_a_message_that_the_journal_does_not_keep_is_not_found() -> None:
    async def main(one: Served) -> None:
        answer = await asked(one, "GET", "/page/message", params={"id": "upload-999"})
        assert (answer.status_code, "'upload-999'" in answer.json()["detail"]) == (404, True)
        assert (await asked(one, "GET", "/page/message")).status_code == 400

    run_served(main)


def test_participants_that_are_real_or_absent_are_shown_as_such() -> None:
    async def main(one: Served) -> None:
        async with feed_of(one.suite.described["control"]["url"]) as feed:
            html = (await feed.until("state")).data["html"]
        assert html.count('<span class="role">absent</span>') == 3
        assert "0 users" in html
        page = await asked(one, "GET", "/")
        assert re.search(r'id="poll" disabled', page.text)
        assert "Nobody plays auth here" in page.text

    run_served(main, Plan(played=("upload",)))
