"""docs/load.md says what is so: options, commands, objectives, and the landscape that is written by hand."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from phrasim.cli import app
from phrasim.documents import contract, documents_root
from phrasim.documents.yaml_text import load
from phrasim.load.account import STAGES
from phrasim.load.landscape import Landscape
from phrasim.load.objectives import RATES, read_objectives
from phrasim.load.shapes import SHAPES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/load.md"

pytestmark = pytest.mark.skipif(documents_root() != ROOT, reason="the page is that of the checkout")


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(), re.MULTILINE | re.DOTALL)


def test_every_command_is_one_that_the_command_line_takes() -> None:
    group = typer.main.get_command(app)
    written = [line for block in fences("sh") for line in block.splitlines() if line.startswith("phrasim ")]
    written += re.findall(r"^\| `(phrasim load[^`]*)`", text(), re.MULTILINE)
    assert len(written) >= 6
    for line in written:
        _, verb, *words = shlex.split(line.partition(">")[0].replace("URL", "http://a.example"))
        group.commands[verb].make_context(f"phrasim {verb}", words)  # type: ignore[attr-defined]


def test_every_option_of_its_own_is_on_the_page() -> None:
    own = [
        *("--users", "--rate", "--shape", "--duration", "--patience", "--assets", "--sizes", "--scenario", "--shards"),
        *("--processes", "--retain", "--slo", "--junit", "--json", "--html", "--csv", "--consume", "--consumer-host"),
        *("--consumer-port", "--mode", "--profile", "--upload", "--phraseanet", "--auth", "--seed-data"),
    ]
    known = {name for one in typer.main.get_command(app).commands["load"].params for name in one.opts}  # type: ignore[attr-defined]
    assert [name for name in own if name not in known] == []
    assert [name for name in own if not re.search(rf"[` ]{name}[` ]", text())] == []


def test_the_objectives_are_ones(tmp_path: Path) -> None:
    (shown,) = fences("yaml")
    file = tmp_path / "slo.yaml"
    file.write_text(shown, encoding="utf-8")
    read = read_objectives(file, list(contract("documented").operations))
    assert len(read) == len(load(shown, "docs/load.md")["objectives"])


@pytest.mark.parametrize("name", [*STAGES, *SHAPES, *RATES])
def test_all_names_are_there(name: str) -> None:
    assert name in text()


def test_what_is_written_by_hand_is_what_is_read() -> None:
    (told,) = re.findall(r"a landscape is written by\nhand,|a landscape is written by hand,", text())
    named = set(re.findall(r"`(\w+)[`.]", text().partition(told)[2]))
    assert {name for name in Landscape.__struct_fields__ if name not in named} == set()
