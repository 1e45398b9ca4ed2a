"""Pictures of pages, for people to look at."""

from pathlib import Path

from playwright.sync_api import Page

SCREENSHOTS = Path(__file__).parents[2] / "build/screenshots"


def screenshot(page: Page, name: str, *, whole: bool = False) -> Path:
    """A picture of what the window shows, or of the `whole` page, as `build/screenshots/NAME.png`."""
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=whole, animations="disabled")
    return path
