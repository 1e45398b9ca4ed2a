"""The pages of docs/, with their links led to the pages of the site, and their Mermaid drawings drawn."""

import posixpath
import re
from collections.abc import Collection
from pathlib import PurePosixPath

from phrasim.site.decisions import PAGE as FINDINGS
from phrasim.site.decisions import with_anchors
from phrasim.site.page import Page
from phrasim.site.sequence import read_drawing
from phrasim.site.svg import figure

_FENCE = re.compile(r"^(?P<mark>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=mark)\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:")
_TITLE = re.compile(r"\A# (?P<title>.+)\n")


def guide_page(file: str, text: str, pages: Collection[str]) -> Page:
    """The page of a document of docs/; `file` is its path in the repository, `pages` the paths of all pages.

    A link to a file of which a page is made leads to that page; one to a folder, to the page of its index. Of a link to
    what has no page the words are left. Raises `DocumentError` where a drawing cannot be read.
    """
    if file == FINDINGS:
        text = with_anchors(text)
    title = _TITLE.match(text)
    if title is not None:
        text = text[title.end() :]
    written, place = [], 0
    for fenced in _FENCE.finditer(text):
        written.append(_relinked(text[place : fenced.start()], file, pages))
        is_drawing = fenced["language"].strip() == "mermaid"
        written.append(figure(read_drawing(fenced["text"], file)) if is_drawing else fenced[0])
        place = fenced.end()
    written.append(_relinked(text[place:], file, pages))
    return Page(file, title["title"] if title else PurePosixPath(file).stem, "".join(written), (file,))


def _relinked(text: str, file: str, pages: Collection[str]) -> str:
    def relink(found: re.Match[str]) -> str:
        target, mark, anchor = found["target"].partition("#")
        if not target or _EXTERNAL.match(target):
            return found[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
        page = _page_of(wanted, pages)
        if page is None:
            return found["words"]
        return f"[{found['words']}]({posixpath.relpath(page, posixpath.dirname(file))}{mark}{anchor})"

    return _LINK.sub(relink, text)


def _page_of(wanted: str, pages: Collection[str]) -> str | None:
    """The page that stands for a file or folder of the repository."""
    if wanted in pages:
        return wanted
    for candidate in (str(PurePosixPath(wanted).with_suffix(".md")), f"{wanted}/index.md"):
        if candidate in pages:
            return candidate
    parent = posixpath.dirname(wanted)
    return _page_of(parent, pages) if parent and not PurePosixPath(wanted).suffix else None
