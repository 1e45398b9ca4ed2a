"""docs/live.md names what stands on the page, and the keys that it knows."""

import re
from pathlib import Path

import pytest

from phrasim.documents import documents_root
from phrasim.journal.recorder import JOURNAL_EVENTS_MAX
from phrasim.page.fragments import page_asset
from serve.callers import Served, run_served

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(documents_root() != ROOT, reason="the page is that of the checkout")


def text() -> str:
    return (ROOT / "docs/live.md").read_text(encoding="utf-8")


def test_everything_that_can_be_done_stands_on_the_page() -> None:
    named = [*re.findall(r"^\| `([^`]+)` \|", text(), re.MULTILINE), "Commit", "Calls"]
    assert len(named) >= 9

    async def main(one: Served) -> None:
        page = (await one.suite.http.get(one.suite.url("control", "/"))).text
        for words in named:
            assert re.search(rf">\s*{words}\b", page), words
        buttons = set(re.findall(r'<button type="button" id="[^"]+"[^>]*>([^<]+)<', page))
        assert buttons - {"Close"} <= set(named)

    run_served(main)


def test_the_keys_are_those_that_the_page_knows() -> None:
    script = page_asset("live.js")
    for words, key in {
        "Page Up": "PageUp",
        "Page Down": "PageDown",
        "Home": "Home",
        "End": "End",
        "Escape": "Escape",
    }.items():
        assert words in text()
        assert re.search(rf'\b{key}\b|"{key}"', script), key


def test_so_many_events_are_kept() -> None:
    assert f"the last {JOURNAL_EVENTS_MAX:,}" in text()
