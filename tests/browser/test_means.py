"""The means of the other tests here see what they are for."""

import asyncio
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from browser.axe import serious_violations
from browser.screenshots import screenshot
from browser.watch import Watch

pytestmark = pytest.mark.unmeasured

SOUND = "<!doctype html><html lang=en><title>Sound</title><main><h1>Sound</h1></main>"


WRONG = {
    "console.error('as told')": "console error: as told",
    "setTimeout(() => { throw new Error('not caught') })": "page error: not caught",
    "fetch('https://phrasim.example/a')": "request off the machine: https://phrasim.example/a",
    "new WebSocket('ws://phrasim.example/b')": "request off the machine: ws://phrasim.example/b",
    "new Image().src = 'http://192.0.2.1/c'": "request off the machine: http://192.0.2.1/c",
}


def test_what_goes_wrong_on_a_page_is_noted(browser: Browser, tmp_path: Path) -> None:
    page_file = tmp_path / "page.html"
    page_file.write_text(SOUND + "".join(f"<script>{script}</script>" for script in WRONG))
    with browser.new_context() as context:
        watch = Watch(context)
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.wait_for_load_state("networkidle")
    told = {problem for problem in WRONG.values() if any(one.startswith(problem) for one in watch.problems)}
    assert told == set(WRONG.values())


def test_nothing_is_noted_of_a_page_that_is_sound(page: Page, tmp_path: Path) -> None:
    page_file = tmp_path / "page.html"
    page_file.write_text(f"{SOUND}<img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>")
    page.goto(page_file.as_uri())
    assert serious_violations(page) == []


def test_what_keeps_people_from_using_a_page_is_found_in_its_frames_too(page: Page, tmp_path: Path) -> None:
    (tmp_path / "inner.html").write_text(f"{SOUND}<button></button>")
    page_file = tmp_path / "page.html"
    page_file.write_text(f"{SOUND}<p style='color: #ccc'>pale</p><iframe title=inner src=inner.html></iframe>")
    page.goto(page_file.as_uri())
    found = serious_violations(page)
    assert {(one.rule, Path(one.frame).name) for one in found} == {
        ("color-contrast", "page.html"),
        ("button-name", "inner.html"),
    }
    assert [one.rule for one in serious_violations(page, but=["color-contrast"])] == ["button-name"]


def test_a_picture_of_a_page_is_kept(page: Page) -> None:
    page.set_content(SOUND)
    assert screenshot(page, "means").read_bytes().startswith(b"\x89PNG")


def test_other_loops_run_after_the_browser_did(chromium: Browser) -> None:
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"
