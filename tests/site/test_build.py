"""The build: whole or not at all, the same bytes each time, and nothing that is not ours is touched."""

from pathlib import Path

import pytest

from phrasim.site import build as module
from phrasim.site.build import MARK, SiteError, build
from phrasim.site.contents import Contents
from phrasim.site.page import Page


def start(text: str) -> Contents:
    return Contents(Page("index.md", "Start", text, ("docs/a.md",)), {}, [], {})


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_a_site_takes_the_place_of_the_one_before_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    build(start("Before."), tmp_path / "site")
    build(start("After."), tmp_path / "site")
    start_page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert ("Before." in start_page, "After." in start_page) == (False, True)
    assert [one.name for one in tmp_path.iterdir()] == ["site"]


def test_links_that_lead_nowhere_are_all_told_and_leave_the_site_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / MARK).write_text("as before")
    lost = ("nowhere.md", "index.md#nowhere", "#neither", "/absolute.md")
    with pytest.raises(SiteError) as raised:
        build(start(" ".join(f"[lost]({target})" for target in lost)), out)
    assert [target for target in lost if f"'{target}'" not in str(raised.value)] == []
    assert bytes_of(tmp_path) == {f"site/{MARK}": b"as before"}


def test_a_page_that_is_not_in_the_navigation_is_an_error(tmp_path: Path) -> None:
    contents = Contents(start("Text.").start, {}, [], {"forgotten.md": "# Forgotten\n"})
    with pytest.raises(SiteError, match=r"forgotten\.md"):
        build(contents, tmp_path / "site")


def test_an_empty_folder_is_taken_and_one_with_something_else_in_it_is_not(tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    module.check_out(out)
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(SiteError, match="holds what phrasim docs has not made"):
        build(start("Text."), out)
    assert bytes_of(tmp_path) == {"site/thesis.txt": b"mine"}
