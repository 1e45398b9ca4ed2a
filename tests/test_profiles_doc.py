"""The page about profiles says what is so: which documents they are, and what `phrasim diff` prints."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phrasim.cli import app
from phrasim.documents import documents_root, openapi_folder
from phrasim.documents.contract import CONTRACTS
from phrasim.documents.difference import Added, Changed, Removed, compared
from phrasim.documents.stated import entries
from phrasim.documents.store import installed_store
from phrasim.report.difference import where

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(documents_root() != ROOT, reason="the pages are those of the checkout")


@pytest.fixture
def page() -> str:
    return (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")


def test_the_page_lists_each_profile_with_its_documents(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (`[^|]*\.yaml`) \|$", page, re.MULTILINE)
    listed = {name: re.findall(r"`([^`]*)`", files) for name, files in rows}
    assert listed == {name: list(files.values()) for name, files in CONTRACTS.items()}


@pytest.mark.parametrize("profile", CONTRACTS)
def test_each_document_of_a_profile_is_there_and_no_profile_has_other_services(profile: str) -> None:
    assert list(CONTRACTS[profile]) == list(CONTRACTS["documented"])
    assert [file for file in CONTRACTS[profile].values() if not (openapi_folder() / file).is_file()] == []


def test_the_example_is_what_the_command_prints(page: str) -> None:
    example = re.search(r"^```sh\nphrasim (diff .*)\n```\n\n```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert example, "the page shows a command and what it prints"
    assert CliRunner().invoke(app, example[1].split()).stdout == example[2]
    assert {line[0] for line in example[2].splitlines()[3:]} == {"-", "+", "~"}


def test_every_kind_of_place_that_the_shipped_documents_differ_in_is_told(page: str) -> None:
    told = set(re.findall(r"[\w-]+", " ".join(re.findall(r"^\| (`.*`) \| ", page, re.MULTILINE))))
    store = installed_store()
    before, after = CONTRACTS.values()
    for service, file in before.items():
        for entry in compared(entries(store, file), entries(store, after[service])):
            for difference in entry.differences:
                assert isinstance(difference, Added | Removed | Changed)
                if difference.place:
                    assert where(difference.place).split()[0] in told, difference.place


def test_every_option_of_the_command_is_told(page: str) -> None:
    said = CliRunner().invoke(app, ["diff", "--help"]).output
    options = set(re.findall(r"--[a-z]+", said)) - {"--help"}
    assert len(options) == 3
    assert [option for option in sorted(options) if f"`{option}`" not in page] == []
