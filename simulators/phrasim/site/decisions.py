"""The names of findings (A1, H2), as links to where they are told."""

import re
from collections.abc import Iterable

from phrasim.site.page import link

PAGE = "docs/findings.md"
_HEADING = re.compile(r"^#+ (?P<name>A\d+): .*$", re.MULTILINE)
_ROW = re.compile(r"^\| (?P<name>H\d+) \|", re.MULTILINE)


def with_anchors(text: str) -> str:
    """The findings, each of them with its name, in lower case, as its anchor."""
    text = _HEADING.sub(lambda found: f"{found[0]} {{: #{found['name'].lower()} }}", text)
    return _ROW.sub(lambda found: f'| <a id="{found["name"].lower()}"></a>{found["name"]} |', text)


def anchors(text: str) -> frozenset[str]:
    """The names of the findings that have a heading or a row of their own."""
    return frozenset(found["name"] for place in (_HEADING, _ROW) for found in place.finditer(text))


def told(names: Iterable[str], page: str, known: frozenset[str]) -> str:
    """The names, those that are `known` as links from the page at `page`."""
    return ", ".join(link(name, f"{PAGE}#{name.lower()}", page) if name in known else name for name in names)
