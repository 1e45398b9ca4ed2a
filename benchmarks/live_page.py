"""With 10,000 messages in the live page, 95 of 100 frames at most 50 ms apart while somebody scrolls, in Chromium.

A server and a page of its own; the messages are requests that are refused, and their answers. Each frame goes to a
place far from the last one, so that every row is drawn anew. It takes Debian's `chromium`, and playwright.
"""

import http.client
import statistics
from pathlib import Path
from urllib.parse import urlsplit

from figure import Figure, spread
from served import served

BAR_MS = 50
EVENTS = 10_000
FRAMES = 300
CHROMIUM = Path("/usr/bin/chromium")

_SCROLL = """async (frames) => {
  const list = document.getElementById("rows"), took = [];
  document.getElementById("follow").checked = false;
  const frame = () => new Promise(requestAnimationFrame);
  let before = await frame();
  for (let number = 0; number < frames; number++) {
    list.scrollTop = (number * 7919) % list.scrollHeight;
    const now = await frame();
    took.push(now - before);
    before = now;
  }
  return [took, document.querySelectorAll("#list > *").length];
}"""


def figures() -> list[Figure]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return _absent("playwright is not installed")
    if not CHROMIUM.exists():
        return _absent(f"there is no {CHROMIUM}")
    with served() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(server.landscape["control"]["url"])
        connection = http.client.HTTPConnection(urlsplit(server.landscape["upload"]["url"]).netloc)
        for number in range(EVENTS // 2):
            connection.request("GET", f"/assets/none-{number}")
            connection.getresponse().read()
        connection.close()
        page.locator(f"#count:text-is('{EVENTS}')").wait_for()
        took, rows = page.evaluate(_SCROLL, FRAMES)
        page.close()
        browser.close()
    slow = statistics.quantiles(took, n=20)[-1]
    aside = f"{spread(took, 'ms')}; {rows} rows in the document"
    return [Figure(f"frames while scrolling {EVENTS:,} messages, 95th percentile", slow, BAR_MS, "ms", aside)]


def _absent(why: str) -> list[Figure]:
    return [Figure("frames while scrolling", 0, BAR_MS, "ms", f"not measured: {why}")]
