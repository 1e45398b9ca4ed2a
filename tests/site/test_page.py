"""Pages as Markdown: links, tables, code and what stands at the foot."""

import posixpath

from hypothesis import given
from hypothesis import strategies as st

from phrasim.site.page import Page, cell, fence, link, table

NAMES = st.text("abc", min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: "/".join(parts) + ".md")


def test_a_page_says_at_its_foot_from_which_files_it_was_made() -> None:
    page = Page("openapi/upload.md", "Upload service", "Text.", ("openapi/upload.yaml", "docs/a.md"))
    assert page.markdown() == (
        "# Upload service\n\nText.\n\nMade from `openapi/upload.yaml` and `docs/a.md`\n{: .made-from }\n"
    )


def test_a_wide_page_has_no_table_of_contents_beside_it() -> None:
    assert Page("a.md", "A", "", ("a",), wide=True).markdown().startswith("---\nhide: [toc]\n---\n\n# A\n")


@given(PATHS, PATHS)
def test_a_link_leads_from_its_page_to_its_target(page: str, target: str) -> None:
    written = link("words", f"{target}#anchor", page).removeprefix("[words](").removesuffix(")")
    file, _, anchor = written.partition("#")
    assert (posixpath.normpath(posixpath.join(posixpath.dirname(page), file)), anchor) == (target, "anchor")


def test_a_cell_is_one_line_and_parts_no_others() -> None:
    assert cell("a\n  b | c `d|e` ``f|`g`` | h ") == "a b \\| c `d|e` ``f|`g`` \\| h"


def test_a_table_without_rows_is_nothing() -> None:
    assert table(("A",), []) == ""
    assert table(("A", "B"), [("1", "2")]) == "| A | B |\n| --- | --- |\n| 1 | 2 |\n"


@given(st.text("`a\n", max_size=12))
def test_no_text_ends_its_fence(text: str) -> None:
    lines = fence("text", text).splitlines()
    mark = lines[0].removesuffix("text")
    assert lines[-1] == mark
    assert [line for line in lines[1:-1] if line.startswith(mark)] == []
