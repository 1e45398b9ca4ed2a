"""The page of a run in a browser: by eye and by key, wide and narrow, light and dark, on paper, without scripts."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from browser.axe import serious_violations
from browser.screenshots import screenshot
from browser.watch import Watch
from phrasim.documents import scenarios_folder
from phrasim.journal.events import Request, Sent
from phrasim.report.html.run_page import Run, run_page
from phrasim.report.html.runs import run_of_outcome
from report.html.played import MUCH_GOES_WRONG, push, shipped

pytestmark = pytest.mark.unmeasured

WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 780}
A4: ViewportSize = {"width": 703, "height": 1032}
"""What is left of a sheet with margins of 12 mm, at 96 pixels to the inch."""

RUNS: dict[str, Callable[[], Any]] = {
    "push": lambda: shipped(scenarios_folder() / "push.yaml"),
    "pull": lambda: shipped(scenarios_folder() / "pull.yaml"),
    "deployed": lambda: shipped(scenarios_folder() / "deployed/download-fails-for-good.yaml"),
    "failing": lambda: push(*MUCH_GOES_WRONG, expect="  commits: {count: 2}\n  queues: {assetsIngest_failed: 1}\n"),
}
EVERY_RUN = pytest.mark.parametrize("name", RUNS)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of the pages, by the name of the run."""
    folder: Path = tmp_path_factory.mktemp("pages")
    for name, played in RUNS.items():
        (folder / f"{name}.html").write_bytes(run_page(run_of_outcome(played())))
    (folder / "large.html").write_bytes(run_page(large()))
    return {name: (folder / f"{name}.html").as_uri() for name in (*RUNS, "large")}


def large() -> Run:
    """The requests of a push, over and over again."""
    outcome = RUNS["push"]()
    requests = [one.message for one in outcome.events if isinstance(one, Sent) and isinstance(one.message, Request)]
    events = [
        Sent(at=number, message=msgspec.structs.replace(requests[number % len(requests)], id=f"user-{number}"))
        for number in range(3000)
    ]
    return Run("large", "of a test", outcome.header, events, (), "not at all")


def draw_all(page: Page) -> None:
    """Let the browser draw rows that are out of sight, too, which it leaves out else, and clips."""
    page.add_style_tag(content="#sequence .row { content-visibility: visible !important; }")


def overflow(page: Page) -> list[str]:
    """How far the page can be scrolled sideways, and what reaches beyond the window."""
    return page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            return [...document.querySelectorAll("body *")]
                .filter(one => one.getBoundingClientRect().right > width + 1 && !one.closest(".scroll, pre, .skip"))
                .map(one => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`);
        }"""
    )


def expect_opened(page: Page, *rows: str) -> None:
    """These, and no others; a page follows a click or a key when it comes to it."""
    expect(page.locator(".rows details[open]")).to_have_count(len(rows))
    for row in rows:
        expect(page.locator(f"#{row} > details")).to_have_attribute("open", "")


def expect_focus(page: Page, row: str) -> None:
    expect(page.locator(f"#{row} summary").first).to_be_focused()


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.closest('li.row')?.id ?? document.activeElement.tagName")


@EVERY_RUN
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_everybody_can_use_it(name: str, scheme: Any, size: ViewportSize, page: Page, pages: dict[str, str]) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.goto(pages[name])
    draw_all(page)
    screenshot(page, f"report-{name}-{scheme}-{size['width']}", whole=True)
    assert overflow(page) == []
    assert serious_violations(page) == []
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert overflow(page) == []
    assert serious_violations(page) == []
    screenshot(page, f"report-{name}-{scheme}-{size['width']}-opened", whole=True)


def test_it_asks_for_nothing(page: Page, pages: dict[str, str]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages["failing"])
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith("data:")] == [pages["failing"]]


def test_rows_are_reached_and_opened_by_keys(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["push"])
    for _ in range(20):
        page.keyboard.press("Tab")
        if focused(page) == "m1":
            break
    expect_focus(page, "m1")
    page.keyboard.press("Enter")
    expect_opened(page, "m1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect_focus(page, "m3")
    page.keyboard.press("ArrowUp")
    expect_focus(page, "m2")
    page.keyboard.press("Space")
    expect_opened(page, "m1", "m2")
    page.keyboard.press("Enter")
    expect_opened(page, "m1")


def test_the_arrow_keys_stop_at_both_ends(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["push"])
    page.locator("#m1 summary").focus()
    page.keyboard.press("ArrowUp")
    expect_focus(page, "m1")
    page.locator("#m28 summary").focus()
    page.keyboard.press("ArrowDown")
    expect_focus(page, "m28")


def test_the_first_tab_leads_past_the_head_and_opens_nothing(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["push"])
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "to the sequence"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#sequence$"))
    expect_opened(page)
    page.keyboard.press("Tab")
    expect_focus(page, "m1")


@pytest.mark.parametrize("part", ["verdicts", "sequence", "conformance", "queues"])
def test_a_link_to_a_part_of_the_page_opens_no_message(part: str, page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["push"])
    page.get_by_role("navigation").locator(f"a[href='#{part}']").click()
    expect(page).to_have_url(re.compile(f"#{part}$"))
    expect_opened(page)
    assert page.locator("details[open]").count() == 0


def test_a_link_to_a_message_opens_it(page: Page, pages: dict[str, str]) -> None:
    page.goto(f"{pages['push']}#m5")
    expect_opened(page, "m5")
    expect_focus(page, "m5")
    page.locator("#m5 .opened").get_by_role("link").first.click()
    expect_opened(page, "m4", "m5")
    expect_focus(page, "m4")
    box = page.locator("#m4 summary").bounding_box()
    names = page.locator(".names").first.bounding_box()
    assert box is not None
    assert names is not None
    assert names["y"] + names["height"] <= box["y"] < WIDE["height"]


def test_what_is_out_of_the_ordinary_is_a_click_away(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["failing"])
    for mark in ("lost", "again", "late", "refused"):
        link = page.locator(".marks a", has_text=mark)
        link.click()
        row = page.locator(str(link.get_attribute("href")))
        expect(row.locator("details")).to_have_attribute("open", "")
        assert row.locator(f"mark.{mark}").count() == 1
    assert page.locator("li.lost svg .cross").count() == 2
    assert page.locator("li.late svg .arrow").first.get_attribute("y1") != page.locator(
        "li.late svg .arrow"
    ).first.get_attribute("y2")


def test_an_arrow_of_the_conformance_leads_to_its_message(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["push"])
    page.locator("table.arrows tbody tr").nth(4).get_by_role("link").click()
    expect(page.locator(".rows details[open] summary")).to_contain_text("Produce message")


@EVERY_RUN
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_name_of_an_arrow_is_broken_within_a_word(
    name: str, size: ViewportSize, page: Page, pages: dict[str, str]
) -> None:
    page.set_viewport_size(size)
    page.goto(pages[name])
    lines = page.evaluate(
        """() => [...document.querySelectorAll("table.arrows tbody th")].map(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            return [one.textContent, new Set([...range.getClientRects()].map(box => box.top)).size];
        })"""
    )
    assert len(lines) > 10
    assert [text for text, count in lines if count > len(text.split())] == []


@EVERY_RUN
def test_it_works_without_scripts(name: str, browser: Browser, pages: dict[str, str]) -> None:
    with browser.new_context(viewport=WIDE, java_script_enabled=False) as context:
        watch = Watch(context)
        page = context.new_page()
        page.goto(pages[name])
        row = page.locator("#m1")
        assert not row.locator(".opened").is_visible()
        row.locator("summary").focus()
        page.keyboard.press("Enter")
        assert row.locator(".opened").is_visible()
        assert page.locator("#m1 .opened pre").first.is_visible()
        assert watch.problems == []


@EVERY_RUN
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_no_lane_is_clipped(name: str, scheme: Any, page: Page, pages: dict[str, str]) -> None:
    page.set_viewport_size(A4)
    page.emulate_media(media="print", color_scheme=scheme)
    page.goto(pages[name])
    screenshot(page, f"report-{name}-{scheme}-paper", whole=True)
    assert overflow(page) == []
    lanes = page.evaluate(
        """() => [...document.querySelectorAll("svg.lanes, .names .lanes, .names .lanes span")].map(one => {
            const box = one.getBoundingClientRect();
            return [box.left, box.right, one.scrollWidth - one.clientWidth];
        })"""
    )
    assert len(lanes) > 20
    assert [one for one in lanes if one[0] < 0 or one[1] > A4["width"] or one[2] > 1] == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.locator("#m1 .ends").is_visible()
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF-")


@EVERY_RUN
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_names_of_the_lifelines_are_whole_words_apart_from_each_other(
    name: str, size: ViewportSize, page: Page, pages: dict[str, str]
) -> None:
    page.set_viewport_size(size)
    page.goto(pages[name])
    words = page.evaluate(
        """() => [...document.querySelectorAll(".names .lanes span")].map(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            const boxes = [...range.getClientRects()];
            return {
                left: Math.min(...boxes.map(box => box.left)),
                right: Math.max(...boxes.map(box => box.right)),
                whole: boxes.length <= one.textContent.split(" ").length,
                text: one.textContent,
            };
        })"""
    )
    assert [one["text"] for one in words if not one["whole"]] == []
    touching = [
        (one["text"], other["text"])
        for one, other in pairwise(words)
        if other["left"] > one["left"] and other["left"] < one["right"] + 1
    ]
    assert touching == []


def test_a_link_leads_to_a_row_among_thousands(page: Page, pages: dict[str, str]) -> None:
    """Those that are out of sight have no more than the height that they will have about."""
    page.goto(pages["large"])
    assert (
        page.evaluate("document.querySelector('#m2000 summary').checkVisibility({contentVisibilityAuto: true})")
        is False
    )
    page.evaluate("location.hash = 'm2000'")
    page.wait_for_function("document.activeElement.closest('li')?.id === 'm2000'")
    row = page.locator("#m2000 summary").bounding_box()
    assert row is not None
    assert 0 < row["y"] < WIDE["height"]
    page.keyboard.press("ArrowDown")
    expect_focus(page, "m2001")
