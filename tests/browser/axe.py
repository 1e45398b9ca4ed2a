"""axe-core, which finds what keeps people from using a page: in what it shows, how it is marked, and its contrasts."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "build/node_modules/axe-core/axe.min.js"

# Each frame is looked at by itself: those of a page opened by file:// have origins of their own, over which axe-core
# does not reach. Nor may they read their style sheets, for which it would ask (`preload`).
_RUN = """
rules => axe.run(document, {
    iframes: false,
    preload: false,
    resultTypes: ["violations"],
    rules: Object.fromEntries(rules.map(rule => [rule, {enabled: false}])),
})
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of axe-core that a page breaks: what it says, and at which elements, by selector and what is wrong."""

    rule: str
    impact: str
    help: str
    frame: str
    elements: tuple[str, ...]


def serious_violations(page: Page, but: Iterable[str] = ()) -> list[Violation]:
    """What is broken on the page, with its frames, that axe-core calls serious or critical.

    `but` names rules that are not asked; say why where it is called.
    """
    found = []
    for frame in page.frames:
        frame.evaluate(_source())
        violations: list[dict[str, Any]] = frame.evaluate(_RUN, list(but))["violations"]
        found += [
            Violation(one["id"], one["impact"], one["help"], frame.url, tuple(map(_told, one["nodes"])))
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
    return found


def _told(node: dict[str, Any]) -> str:
    return f"{node['target']}: {node['failureSummary']}"


@cache
def _source() -> str:
    return AXE.read_text(encoding="utf-8")
