"""The site in Chromium, opened from its folder and from a server: what people look for, with mouse or keys alone."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.axe import serious_violations
from browser.screenshots import screenshot
from built_site import site

__all__ = ["site"]

pytestmark = pytest.mark.unmeasured

SHOWN = {
    "start": "index.html",
    "sequences": "sequences/documented.html",
    "api": "openapi/upload.html",
    "scenario": "scenarios/push-wrong-token.html",
}
SCHEMES = {"light": "default", "dark": "slate"}
NARROW = {"width": 360, "height": 800}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and tells nobody."""

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[str]:
    """The address of the site on a server of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["folder", "server"])
def base(request: pytest.FixtureRequest, site: Path) -> str:
    """Where the site is opened: in its folder, and from a server."""
    return site.as_uri() if request.param == "folder" else str(request.getfixturevalue("server"))


def is_in_sight(page: Page, selector: str) -> bool:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return 0 <= box["y"] < page.evaluate("innerHeight")


def test_what_is_looked_for_most_is_a_click_away(base: str, page: Page) -> None:
    def follow(words: str) -> None:
        page.goto(f"{base}/index.html")
        page.get_by_role("link", name=words, exact=True).click()

    follow("The push diagram")
    expect(page).to_have_url(f"{base}/sequences/documented.html#push-mode")
    drawing = page.get_by_role("region", name="Sequence diagram: Push mode as the document draws it, with two assets.")
    expect(drawing).to_contain_text("Notify there is a new asset")
    assert is_in_sight(page, "#push-mode")

    follow("The body of the notification")
    expect(page.get_by_role("heading", name="The notification")).to_be_in_viewport()
    body = page.locator("pre", has_text="POST /api/v1/upload/enqueue")
    expect(body).to_contain_text('"publisher": "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"')
    expect(body).to_be_in_viewport()

    follow("What a wrong AssetToken gets")
    expect(page.get_by_text("/download gets 403:")).to_be_in_viewport()
    expect(page.locator("pre").first).to_contain_text("opens an asset, once it is committed")

    follow("How to run in CI")
    expect(page.get_by_role("heading", level=1)).to_have_text("In CI¶")
    expect(page.locator("pre", has_text="phrasim verify").first).to_be_visible()


def test_an_api_page_shows_its_operations_in_swagger_ui(base: str, page: Page) -> None:
    page.goto(f"{base}/openapi/upload.html")
    operations = page.locator("#swagger-ui .opblock")
    expect(operations).to_have_count(7)
    operations.first.locator(".opblock-summary-control").click()
    expect(operations.first).to_contain_text("The part file is missing, is not a file")
    expect(page.get_by_role("button", name="Try it out")).to_have_count(0)
    assert serious_violations(page) == []


def test_a_scenario_shows_its_verdicts_and_its_diagram(base: str, page: Page) -> None:
    page.goto(f"{base}/scenarios/index.html")
    page.get_by_role("link", name="push-wrong-token").click()
    expect(page.get_by_role("row", name="sequence: walked (12 of 12 arrows)")).to_contain_text("held")
    drawing = page.locator(".sequence svg")
    assert drawing.locator(".refused").count() == 3
    expect(page.locator(".made-from")).to_have_text("Made from scenarios/push-wrong-token.yaml")


def test_the_search_finds_pages_by_keys_alone(base: str, page: Page) -> None:
    page.goto(f"{base}/index.html")
    page.keyboard.press("/")
    page.keyboard.type("acknowledgeCommit")
    results = page.locator(".md-search-result__link")
    expect(results.first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("mark").first).to_have_text("acknowledgeCommit", ignore_case=True)


def test_the_first_key_leads_past_the_navigation(base: str, page: Page) -> None:
    page.goto(f"{base}/docs/ci.html")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('.md-content').contains(document.activeElement)")


def test_a_drawing_is_scrolled_by_keys_where_it_is_wider_than_the_page(base: str, page: Page) -> None:
    page.set_viewport_size(NARROW)
    page.goto(f"{base}/sequences/documented.html")
    drawing = page.locator(".sequence").first
    drawing.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.sequence').scrollLeft > 0")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_can_be_used_in_any_light_and_width(scheme: Any, width: int, site: Path, page: Page) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    for name, path in SHOWN.items():
        page.goto(f"{site.as_uri()}/{path}")
        expect(page.locator("body")).to_have_attribute("data-md-color-scheme", SCHEMES[scheme])
        if name == "api":
            expect(page.locator("#swagger-ui .opblock").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert serious_violations(page) == [], path
        screenshot(page, f"site-{name}-{width}-{scheme}")
        if name == "sequences":
            page.locator(".sequence").first.screenshot(path=screenshot(page, f"site-drawing-{width}-{scheme}"))


def test_light_and_dark_are_chosen_on_the_page_and_kept(base: str, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{base}/openapi/upload.html")
    page.get_by_title("Dark").click()
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
    expect(page.locator("html")).to_contain_class("dark-mode")
    page.goto(f"{base}/index.html")
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")


@pytest.mark.turn
def test_every_page_of_the_navigation_keeps_to_a_narrow_window_and_asks_for_nothing_elsewhere(
    site: Path, page: Page
) -> None:
    page.set_viewport_size(NARROW)
    wide = []
    for path in sorted(one.relative_to(site).as_posix() for one in site.rglob("*.html")):
        if path.startswith("scenarios/") and path != "scenarios/index.html":
            continue
        page.goto(f"{site.as_uri()}/{path}")
        if page.evaluate("document.documentElement.scrollWidth") > NARROW["width"]:
            wide.append(path)
    assert wide == []
