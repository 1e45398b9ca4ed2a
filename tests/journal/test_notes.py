"""The list of notes is that of the code, and of the page."""

import re
from pathlib import Path

import phrasim
from phrasim.documents import documents_root
from phrasim.journal.notes import NOTES

PACKAGE = Path(phrasim.__file__).parent
NOTED = re.compile(r"""(?:\bnote|_note|_journal\.noted)\(\s*(?:self\._participant,\s*|participant,\s*)?"([^"]+)\"""")
NAMED = ("dead-lettered", "no answer")
"""Notes whose text has a name in the code, or comes of what the broker's rules say."""


def test_each_note_of_the_code_is_in_the_list_and_no_other() -> None:
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    written = {note for text in texts for note in NOTED.findall(text)}
    assert written | set(NAMED) == set(NOTES)
    assert list(NOTES) == sorted(NOTES)


def test_the_page_about_traces_lists_them() -> None:
    page = (documents_root() / "docs" / "traces.md").read_text(encoding="utf-8")
    assert re.findall(r"^- `([^`]+)`$", page.partition("## Notes")[2], re.MULTILINE) == list(NOTES)
