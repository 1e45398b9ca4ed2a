"""Pictures of pages, for people to look at."""

from pathlib import Path

from playwright.sync_api import Error, Page

SCREENSHOTS = Path(__file__).parents[2] / "build/screenshots"
NONE_YET = "Unable to capture screenshot"
"""What Chromium says, soon after its start on a busy machine, of a picture that it can make a moment later."""
ATTEMPTS = 5


def screenshot(page: Page, name: str, *, whole: bool = False) -> Path:
    """A picture of what the window shows, or of the `whole` page, as `build/screenshots/NAME.png`."""
    path = SCREENSHOTS / f"{name}.png"
    for left in reversed(range(ATTEMPTS)):
        try:
            page.screenshot(path=path, full_page=whole, animations="disabled")
            break
        except Error as error:
            if not left or NONE_YET not in error.message:
                raise
    return path
