"""Every file of the whole site: where its links lead, what it loads, and what stands on it."""

import posixpath
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.unmeasured

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("use", "href")}


class Html(HTMLParser):
    """The anchors of a page, its links, what it loads, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.headings = 0
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.headings += tag == "h1"
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif (tag, name) in LOADED and value:
                self.loaded.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Html]:
    return {one.relative_to(site).as_posix(): Html(one.read_text(encoding="utf-8")) for one in site.rglob("*.html")}


def led_to(page: str, target: str) -> tuple[str, str]:
    parts = urlsplit(target)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path))) if parts.path else page
    return path, unquote(parts.fragment)


def test_every_link_leads_to_a_file_and_an_anchor_in_it(site: Path, pages: dict[str, Html]) -> None:
    assert len(pages) > 150
    lost = []
    for page, html in pages.items():
        for target in html.links:
            if urlsplit(target).scheme:
                continue
            path, anchor = led_to(page, target)
            if not (site / path).is_file() or (anchor and path in pages and anchor not in pages[path].anchors):
                lost.append(f"{page}: {target}")
    assert lost == []


def test_everything_that_a_page_loads_is_in_the_site(site: Path, pages: dict[str, Html]) -> None:
    missing = [
        f"{page}: {target}"
        for page, html in pages.items()
        for target in html.loaded
        if urlsplit(target).scheme or urlsplit(target).netloc or not (site / led_to(page, target)[0]).is_file()
    ]
    assert missing == []


def test_every_page_has_one_heading_above_all_and_says_from_which_file_it_was_made(pages: dict[str, Html]) -> None:
    assert [page for page, html in pages.items() if html.headings != 1 or "Made from " not in html.text] == []


def test_every_page_is_reached_from_the_start_page(pages: dict[str, Html]) -> None:
    reached, waiting = {"index.html"}, ["index.html"]
    while waiting:
        page = waiting.pop()
        for target in pages[page].links:
            path, _ = led_to(page, target)
            if not urlsplit(target).scheme and path in pages and path not in reached:
                reached.add(path)
                waiting.append(path)
    assert sorted(set(pages) - reached) == []


def test_no_style_sheet_asks_for_anything_from_elsewhere(site: Path) -> None:
    sheets = {one.name: one.read_text(encoding="utf-8") for one in site.rglob("*.css")}
    assert [name for name, text in sheets.items() if "url(http" in text or "@import" in text] == []
