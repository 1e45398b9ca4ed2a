"""The live page in a browser: what happens is seen, what a user does is done."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from browser.axe import serious_violations
from browser.screenshots import screenshot
from phrasim.documents import scenarios_folder
from phrasim.journal.lines import read_trace
from serve.callers import server_process

pytestmark = pytest.mark.unmeasured

PHOTO = scenarios_folder() / "media" / "test.png"
ROWS_MAX = 500
EVENTS = 10_000

Landscape = dict[str, Any]


@contextmanager
def serving(page: Page, *options: str) -> Iterator[Landscape]:
    """A server, as it describes itself, whose page is left before it ends: the browser would ask for it again."""
    with server_process(*options) as (described, _):
        yield described
        page.goto("about:blank")


@pytest.fixture
def served(page: Page) -> Iterator[Landscape]:
    """A server in push mode."""
    with serving(page) as described:
        yield described


@pytest.fixture
def live(page: Page, served: Landscape) -> Page:
    """Its page, which listens."""
    page.goto(served["control"]["url"])
    expect(page.locator("#connection")).to_have_text("live")
    return page


def hand_over(served: Landscape, *names: str) -> None:
    """Upload files and commit them, as any client does."""
    headers = {"authorization": f"Bearer {served['users'][0]['token']}"}
    with httpx.Client(base_url=served["upload"]["url"], headers=headers, trust_env=False) as client:
        assets = [client.post("/assets", files={"file": (name, name.encode())}).json()["id"] for name in names]
        assert client.post("/commit", json={"files": assets, "formData": {"title": "By a client"}}).status_code == 200


def upload(page: Page, *paths: Path) -> None:
    page.set_input_files("#files", list(paths))
    page.get_by_role("button", name="Upload as the publisher").click()
    expect(page.locator("#uploaded input")).to_have_count(len(paths))


def row(page: Page, words: str) -> Locator:
    return page.locator(".window .row", has_text=words)


def test_messages_are_seen_as_they_happen(live: Page, served: Landscape) -> None:
    hand_over(served, "a.txt", "b.txt")
    expect(row(live, "Acknowledge of upload commit")).to_be_visible()
    expect(live.locator("#participants")).to_contain_text("1 commits, 0 not acknowledged")
    expect(live.locator("#participants")).to_contain_text("b.txt")
    screenshot(live, "live-push")
    assert serious_violations(live) == []


def test_a_user_uploads_and_commits_in_the_browser(live: Page, served: Landscape, tmp_path: Path) -> None:
    named = tmp_path / "ä <b>bold name.txt"
    named.write_text("content")
    upload(live, PHOTO, named)
    expect(live.locator("#uploaded")).to_contain_text("ä <b>bold name.txt")
    live.get_by_role("button", name="Commit", exact=True).click()
    expect(live.locator("#outcome")).to_have_text("2 committed")
    expect(live.locator("#participants")).to_contain_text("2 records")
    expect(live.locator("#participants")).to_contain_text("ä <b>bold name.txt")
    expect(live.locator("#commit-button")).to_be_disabled()
    state = httpx.get(f"{served['control']['url']}/_phrasim/state", trust_env=False).json()
    assert {record["size"] for record in state["records"]} == {PHOTO.stat().st_size, len("content")}


def test_what_is_in_no_commit_is_offered_to_whoever_looks(live: Page, served: Landscape) -> None:
    upload(live, PHOTO)
    live.reload()
    expect(live.locator("#uploaded")).to_contain_text(PHOTO.name)
    expect(live.locator("#commit-button")).to_be_enabled()
    httpx.post(f"{served['control']['url']}/_phrasim/reset", trust_env=False)
    expect(live.locator("#uploaded input")).to_have_count(0)
    expect(live.locator("#commit-button")).to_be_disabled()


def test_a_mark_that_was_taken_off_stays_off(live: Page, served: Landscape) -> None:
    upload(live, PHOTO)
    live.locator("#uploaded input").uncheck()
    hand_over(served, "a.txt")
    expect(live.locator("#participants")).to_contain_text("1 commits, 0 not acknowledged")
    expect(live.locator("#uploaded input")).not_to_be_checked()
    expect(live.locator("#commit-button")).to_be_disabled()


@pytest.mark.parametrize(
    ("amount", "calls", "told"),
    [("abc", "1", "Status: abc is no number"), ("500", "1-3", "Calls: 1-3 is no number")],
)
def test_a_fault_that_is_written_wrongly_is_told_as_it_was_written(
    live: Page, amount: str, calls: str, told: str
) -> None:
    live.get_by_text("Strike a fault").click()
    live.locator("#amount").fill(amount)
    live.locator("#occurrences").fill(calls)
    live.get_by_role("button", name="Set the fault").click()
    expect(live.locator("#outcome")).to_contain_text(told)
    expect(live.locator("#participants")).to_contain_text("none is set")


def test_what_the_upload_service_refuses_is_told(live: Page, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    live.set_input_files("#files", [empty])
    live.get_by_role("button", name="Upload as the publisher").click()
    expect(live.locator("#outcome")).to_contain_text("'empty.txt' is empty")
    expect(live.locator("#outcome")).to_have_class("bad")


def test_a_message_is_opened_and_closed_by_the_keyboard(live: Page, served: Landscape) -> None:
    hand_over(served, "a.txt")
    expect(row(live, "Acknowledge of upload commit")).to_be_visible()
    live.locator("#rows").focus()
    live.keyboard.press("Home")
    live.keyboard.press("ArrowDown")
    expect(live.locator(".entry:focus")).to_have_attribute("data-number", "1")
    while "Commit" not in live.locator(".entry:focus strong").all_inner_texts():
        live.keyboard.press("ArrowDown")
    live.keyboard.press("Enter")
    opened = live.get_by_role("region", name="the opened message")
    expect(opened).to_contain_text("By a client")
    expect(opened.locator(".curl")).to_contain_text("authorization: Bearer $PHRASIM_TOKEN")
    assert served["users"][0]["token"] not in live.content()
    screenshot(live, "live-opened")
    assert serious_violations(live) == []
    live.keyboard.press("Escape")
    expect(opened).to_be_hidden()
    expect(live.locator(".entry:focus strong")).to_have_text("Commit")


def test_a_link_in_an_opened_message_leads_to_the_one_behind_it(live: Page, served: Landscape) -> None:
    hand_over(served, "a.txt")
    expect(row(live, "Acknowledge of upload commit")).to_be_visible()
    row(live, "Produce message").locator("button").click()
    opened = live.get_by_role("region", name="the opened message")
    cause = opened.locator("[data-open]")
    expect(cause).to_be_visible()
    wanted = cause.inner_text()
    cause.click()
    expect(opened.locator("dd code").first).to_have_text(wanted)


def test_a_command_is_copied(live: Page, served: Landscape) -> None:
    live.context.grant_permissions(["clipboard-read", "clipboard-write"])
    hand_over(served, "a.txt")
    row(live, "POST /commit").first.locator("button").click()
    live.get_by_role("button", name="copy").click()
    expect(live.locator("#outcome")).to_have_text("copied")
    copied = live.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("curl -sS -i -X POST http://127.0.0.1:")
    assert "$PHRASIM_TOKEN" in copied


def test_a_fault_is_struck_and_lifted(live: Page, served: Landscape) -> None:
    live.get_by_text("Strike a fault").click()
    live.locator("#operation").select_option("commitAssets")
    live.locator("#effect").select_option("answer")
    live.locator("#amount").fill("503")
    live.get_by_role("button", name="Set the fault").click()
    expect(live.locator("#participants")).to_contain_text("commitAssets")
    upload(live, PHOTO)
    live.get_by_role("button", name="Commit", exact=True).click()
    expect(live.locator("#outcome")).to_contain_text("the upload service answered 503")
    expect(row(live, "refused")).to_be_visible()
    expect(live.locator("#participants")).to_contain_text("1 of 1 calls struck")
    live.get_by_role("button", name="lift the fault of commitAssets").click()
    expect(live.locator("#participants")).to_contain_text("none is set")
    live.get_by_role("button", name="Commit", exact=True).click()
    expect(live.locator("#outcome")).to_have_text("1 committed")


@pytest.mark.parametrize(
    ("effect", "amount", "written"),
    [("delay", "2min", "120"), ("cutBody", "10 B", "10"), ("dropReply", None, "dropReply")],
)
def test_every_kind_of_fault_can_be_set(live: Page, effect: str, amount: str | None, written: str) -> None:
    live.get_by_text("Strike a fault").click()
    live.locator("#effect").select_option(effect)
    if amount is None:
        expect(live.locator("#amount")).to_be_hidden()
    else:
        live.locator("#amount").fill(amount)
    live.get_by_role("button", name="Set the fault").click()
    expect(live.locator("#participants")).to_contain_text(effect)


def test_a_poll_is_triggered(page: Page) -> None:
    with serving(page, "--mode", "pull", "--interval", "1 h") as served:
        page.goto(served["control"]["url"])
        hand_over(served, "a.txt")
        expect(page.locator("#participants")).to_contain_text("1 commits, 1 not acknowledged")
        page.get_by_role("button", name="Poll now").click()
        expect(page.locator("#outcome")).to_have_text("polled: 1 new")
        expect(page.locator("#participants")).to_contain_text("1 commits, 0 not acknowledged")


def test_the_landscape_begins_anew(live: Page, served: Landscape) -> None:
    upload(live, PHOTO)
    live.get_by_role("button", name="Reset").click()
    expect(live.locator("#outcome")).to_have_text("begun anew")
    expect(live.locator("#count")).to_have_text("0")
    expect(live.locator("#participants")).to_contain_text("0 assets, 0 in no commit")
    expect(live.locator("#uploaded input")).to_have_count(0)


def test_the_trace_is_downloaded(live: Page, served: Landscape, tmp_path: Path) -> None:
    hand_over(served, "a.txt")
    expect(row(live, "Acknowledge of upload commit")).to_be_visible()
    with live.expect_download() as downloading:
        live.get_by_role("link", name="Download the trace").click()
    downloading.value.save_as(tmp_path / "trace.jsonl")
    header, events = read_trace(tmp_path / "trace.jsonl")
    assert header.wire == "loopback"
    assert len(events) > 20


def test_the_filter_leaves_what_has_the_words(live: Page, served: Landscape) -> None:
    hand_over(served, "a.txt")
    expect(row(live, "Acknowledge of upload commit")).to_be_visible()
    live.locator("#filter").fill("acknowledge")
    expect(live.locator(".window .row")).to_have_count(1)
    expect(live.locator("#count")).to_have_text(re.compile(r"1 of \d+"))
    live.locator("#filter").fill("")
    expect(row(live, "POST /commit").first).to_be_attached()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_usable_on_a_narrow_screen(page: Page, served: Landscape, scheme: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    page.goto(served["control"]["url"])
    upload(page, PHOTO)
    page.get_by_text("Strike a fault").click()
    page.get_by_role("button", name="Commit", exact=True).click()
    expect(row(page, "Acknowledge of upload commit")).to_be_visible()
    row(page, "POST /commit").first.locator("button").click()
    expect(page.locator("#opened .curl")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    assert serious_violations(page) == []
    screenshot(page, f"live-narrow-{scheme}")


@pytest.mark.turn
def test_of_ten_thousand_messages_few_are_in_the_document(live: Page, served: Landscape) -> None:
    with httpx.Client(base_url=served["upload"]["url"], trust_env=False) as client:
        for number in range(EVENTS // 2):
            assert client.get(f"/assets/none-{number}").status_code == 401
    expect(live.locator("#count")).to_have_text(str(EVENTS), timeout=60_000)
    last = f"none-{EVENTS // 2 - 1}"
    expect(row(live, last)).to_be_visible()
    assert 0 < live.locator(".window .row").count() <= ROWS_MAX
    live.locator("#rows").focus()
    live.keyboard.press("Home")
    expect(row(live, "none-0")).to_be_visible()
    expect(row(live, last)).to_have_count(0)
    assert 0 < live.locator(".window .row").count() <= ROWS_MAX
