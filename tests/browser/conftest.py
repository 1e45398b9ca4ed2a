"""Chromium for the tests: started once in a session, a window for each test, which is watched."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from browser.axe import AXE
from browser.watch import Watch

expect.set_options(timeout=30_000)  # milliseconds; a busy machine is slow, and what comes at once waits for nothing

CHROMIUM = Path("/usr/bin/chromium")

_ARGUMENTS = (
    "--no-sandbox",  # which refuses root, as whom tests run in containers
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # What is not on this machine is not found, so that a page that asks for it is told at once.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. Without it, or without axe-core, its tests are skipped, but in CI they fail."""
    if not CHROMIUM.exists():
        reason = f"no Chromium here ({CHROMIUM} is not there): apt-get install -y chromium"
    elif not AXE.is_file():
        reason = f"no axe-core ({AXE} is not there): make build/.node"
    else:
        reason = None
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=_ARGUMENTS)
        asyncio._set_running_loop(None)
        yield browser
        asyncio._set_running_loop(browser._loop)
        browser.close()
    asyncio._set_running_loop(None)


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser, for the time of a test.

    Playwright marks its loop as the one that runs in this thread, and needs it so. After the test other loops can run
    again; one that is needed meanwhile runs in a thread or a process of its own, or in a fixture before this one.
    """
    asyncio._set_running_loop(chromium._loop)
    yield chromium
    asyncio._set_running_loop(None)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with cookies and a cache of its own, 1280 by 800 pixels.

    After the test nothing may have gone wrong that `Watch` sees. To have another size or a dark page, tell the page:
    `page.set_viewport_size(…)`, `page.emulate_media(color_scheme="dark")`.
    """
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        watch = Watch(context)
        yield context.new_page()
    assert watch.problems == []
