"""A page of the site before it is built: Markdown, at a path that is the same in the staging folder and in the site."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

_PIPE = re.compile(r"(?P<mark>`+).*?(?P=mark)|\|")


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    `path` is that of the Markdown file, relative to the folder of all pages; `made_from` are the files of which it is
    made, by their path in the repository. A page that is `wide` gives up the table of its contents.
    """

    path: str
    title: str
    text: str
    made_from: tuple[str, ...]
    wide: bool = False

    def markdown(self) -> str:
        """The whole file: its title, its text, and at its foot from which files it was made."""
        hidden = "---\nhide: [toc]\n---\n\n" if self.wide else ""
        sources = " and ".join(f"`{source}`" for source in self.made_from)
        return f"{hidden}# {self.title}\n\n{self.text.strip()}\n\nMade from {sources}\n{{: .made-from }}\n"


def link(words: str, target: str, page: str) -> str:
    """A link on the page at `page` to `target`; both are paths among the pages, the latter may have an anchor."""
    file, mark, anchor = target.partition("#")
    return f"[{words}]({posixpath.relpath(file, posixpath.dirname(page) or '.')}{mark}{anchor})"


def cell(text: str) -> str:
    """A text of several lines as it may stand in a cell of a table, where code may hold what elsewhere parts cells."""
    return _PIPE.sub(lambda found: found[0] if found["mark"] else "\\|", re.sub(r"\s+", " ", text).strip())


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; empty where there are no rows."""
    written = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    heads = list(heads)
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *written]) + "\n" if written else ""


def fence(language: str, text: str) -> str:
    """A text as a block of code; its fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}\n"
