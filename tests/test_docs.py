"""The documents say what is true: tables name what the code has, examples run, links lead somewhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from phrasim.documents import documents_root, scenarios_folder
from phrasim.edge.fault_reading import EFFECTS
from phrasim.journal.events import PARTICIPANTS, Body, Event, File, Header, Message
from phrasim.journal.verdict import Mark
from phrasim.report.html.entries import MARKS
from phrasim.report.html.rendering import SHOWN_CHARACTERS_MAX
from phrasim.scenario.loader import parse_scenario

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])

pytestmark = [
    pytest.mark.unmeasured,
    pytest.mark.skipif(documents_root() != ROOT, reason="the pages are those of the checkout"),
]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def keys_of(schema: Any) -> set[str]:
    """Every key that a scenario may have, at any depth; but for names that the writer chooses."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own.union(*(keys_of(value) for value in schema.values()))


def test_every_key_of_a_scenario_is_told_in_its_page() -> None:
    schema = json.loads((scenarios_folder() / "scenario.schema.json").read_text(encoding="utf-8"))
    keys = keys_of(schema)
    assert len(keys) > 50
    told = text("docs/scenarios.md")
    assert sorted(key for key in keys if not re.search(rf"[`{{ ]{key}[`:,}}\n]", told)) == []
    assert set(EFFECTS) <= keys


def test_the_scenario_in_the_page_is_one() -> None:
    (example,) = fences("docs/scenarios.md", "yaml")
    assert parse_scenario(example, "docs/scenarios.md").name == "push"


@pytest.mark.parametrize("value", [Header, File, Body, *get_args(Event), *get_args(Message)])
def test_every_field_of_a_trace_is_told_in_its_page(value: type[msgspec.Struct]) -> None:
    told = text("docs/traces.md")
    config = value.__struct_config__
    names = [*value.__struct_encode_fields__, *filter(None, (config.tag_field, config.tag))]
    assert [name for name in names if f"`{name}`" not in told] == []


def test_every_mark_of_an_arrow_is_told_in_the_page_of_conformance() -> None:
    assert [mark for mark in get_args(Mark) if f"| `{mark}` |" not in text("docs/conformance.md")] == []


def test_every_mark_of_a_message_is_told_in_the_page_of_reports() -> None:
    told = text("docs/report.md")
    assert [mark for mark in MARKS if f"| `{mark}` |" not in told] == []
    assert f"{SHOWN_CHARACTERS_MAX:,} characters" in told


def test_every_participant_is_told_in_the_page_of_traces() -> None:
    assert [name for name in PARTICIPANTS if f"`{name}`" not in text("docs/traces.md")] == []


@pytest.mark.turn
def test_the_tour_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    for name in ("scenarios", "docs", "README.md", "LICENSE"):
        (tmp_path / name).symlink_to(ROOT / name)
    commands = [
        line
        for block in (*fences("README.md", "sh"), *fences("docs/traces.md", "sh"))
        for line in block.splitlines()
        if line.startswith("phrasim ")
    ]
    # A server never ends; a load run tells its progress on standard error, and tests/load has its tests.
    commands = [command for command in commands if not command.startswith(("phrasim serve", "phrasim load"))]
    assert {command.split()[1] for command in commands} == {
        *("run", "verify", "report", "diagram", "conform", "replay", "diff", "docs")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", "\n".join(commands)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    scenarios = len(list(scenarios_folder().rglob("*.yaml")))
    assert f"{scenarios} of {scenarios} scenarios held" in done.stdout
    assert done.stdout.count("12 of 12 arrows walked") == 1


def test_every_verb_of_the_command_is_in_the_readme_and_shows_an_example() -> None:
    from typer.testing import CliRunner

    from phrasim.cli import app

    runner = CliRunner()
    verbs = [command.name for command in app.registered_commands]
    assert len(verbs) == 10
    for verb in verbs:
        assert f"phrasim {verb}" in text("README.md")
        said = runner.invoke(app, [verb, "--help"]).output
        assert re.search(r"Examples:\n\s+phrasim ", said), said
