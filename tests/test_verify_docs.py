"""docs/verify.md and docs/ci.md say what is so: suites, options, commands, the workflow, and the report shown."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.verified import real
from phrasim.cli import app
from phrasim.contract.broker.verify import NAME as BROKER_SUITE
from phrasim.contract.suites import SCENARIOS, SUITES
from phrasim.documents import documents_root
from phrasim.documents.yaml_text import load
from phrasim.upload.documented import routes

ROOT = Path(__file__).parents[1]
PAGES = ("docs/verify.md", "docs/ci.md")
SHELLS = ("sh", "yaml", "groovy")

pytestmark = [
    pytest.mark.unmeasured,
    pytest.mark.skipif(documents_root() != ROOT, reason="the pages are those of the checkout"),
]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


def code(page: str) -> str:
    """All that is in the fences of a page by which a shell is told something."""
    return "\n".join(block for language in SHELLS for block in fences(page, language))


def workflow() -> dict[str, Any]:
    return load(fences("docs/ci.md", "yaml")[0], "docs/ci.md")


def steps() -> list[dict[str, Any]]:
    (job,) = workflow()["jobs"].values()
    return job["steps"]


def verify_step() -> str:
    (found,) = [step["run"] for step in steps() if "phrasim verify" in step.get("run", "")]
    return found


def commands(page: str) -> Iterator[list[str]]:
    """Each `phrasim …` of a page, in words; one with `"$@"` once for each choice that sets them."""
    for language in SHELLS:
        for block in fences(page, language):
            joined = re.sub(r"\\\n\s*", " ", block)
            choices = re.findall(r"\bset -- (.+?) ;;", joined)
            for found in re.findall(r"^.*?\bphrasim ((?:verify|run|serve|diff) .*?)(?:'|$)", joined, re.MULTILINE):
                for chosen in choices if '"$@"' in found else [""]:
                    written = re.sub(r"\$\w+", "7", found.replace('"$@"', chosen))
                    yield shlex.split(written)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_that_the_command_line_takes(page: str) -> None:
    group = typer.main.get_command(app)
    found = list(commands(page))
    written = re.findall(r"^(?: +(?:- )?|.*sh ')?phrasim (?!serves)", code(page), re.MULTILINE)
    assert len(found) == len(written) + (page == "docs/ci.md")  # the step of the workflow has two choices
    for verb, *words in found:
        group.commands[verb].make_context(f"phrasim {verb}", words)


def test_every_option_of_the_verb_is_told() -> None:
    verb = typer.main.get_command(app).commands["verify"]
    options = [name for one in verb.params for name in one.opts if name.startswith("--") and name != "--help"]
    assert len(options) > 20
    assert [name for name in options if not re.search(rf"`{name}[` ]", text("docs/verify.md"))] == []


def test_the_table_has_the_suites_in_their_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \| .+ \| .+ \| (.+) \|$", text("docs/verify.md"), re.MULTILINE)
    suites = [(name, suite.name, suite.writes) for name, suites in SUITES.items() for suite in suites]
    assert [row[:2] for row in rows] == [*(suite[:2] for suite in suites), ("broker", BROKER_SUITE)]
    told = {"left out": True, "asked": False, "asked, but for what writes": False}
    assert [told[row[2]] for row in rows[:-1]] == [writes for _, _, writes in suites]
    assert {name for _, name, _ in suites} >= {SCENARIOS}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_heading_leads_to_one(page: str) -> None:
    for file, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", text(page)):
        target = text(f"docs/{file}" if file else page)
        headings = re.findall(r"^#+ (.+)$", target, re.MULTILINE)
        assert anchor in [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings], anchor


def test_the_workflow_can_do_no_more_than_it_must_and_keeps_its_reports() -> None:
    found = workflow()
    assert found.keys() == {"name", "on", "permissions", "concurrency", "jobs"}
    assert found["permissions"] == {"contents": "read"}
    assert found["concurrency"].keys() == {"group", "cancel-in-progress"}
    assert all(job.get("timeout-minutes") for job in found["jobs"].values())
    (kept,) = [step for step in steps() if "upload-artifact" in step.get("uses", "")]
    assert kept["if"] == "always()"
    written = re.findall(r"--(?:junit|har) (\S+)", verify_step())
    assert kept["with"]["path"].split() == written
    # What GitHub puts into a script is run as a part of it.
    assert [step for step in steps() if "${{" in step.get("run", "")] == []
    assert "--credential" not in verify_step()


def test_every_example_in_yaml_can_be_read_and_its_actions_are_pinned_to_a_major_version() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert len(used) == 3
    for block in fences("docs/ci.md", "yaml"):
        load(block, "docs/ci.md")
        assert set(re.findall(r"uses: (.+)", block)) <= set(used)
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@v[1-9]\d*", one)] == []


def environment(**more: str) -> dict[str, str]:
    """Where `phrasim` is found, and nothing says that this is a workflow or who logs in; but for `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PHRASIM_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **more}


@pytest.mark.turn
def test_the_step_of_the_workflow_verifies_a_real_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (job,) = workflow()["jobs"].values()
    given = job["env"]
    assert given.keys() == {"UPLOAD_URL", "PHRASIM_TARGET_SLUG", "PHRASIM_PHRASEANET_TOKEN"}
    summary = tmp_path / "summary.md"
    with real("upload", "deployed", token="secret-of-the-target") as ports:
        script = verify_step().replace("8082", str(ports["phraseanet"])).replace("8083", str(ports["auth"]))
        done = subprocess.run(
            ["sh", "-ec", script],
            env=environment(
                UPLOAD_URL=f"http://127.0.0.1:{ports['upload']}",
                PHRASIM_TARGET_SLUG=given["PHRASIM_TARGET_SLUG"],
                PHRASIM_PHRASEANET_TOKEN="secret-of-the-target",
                GITHUB_ACTIONS="true",
                GITHUB_EVENT_NAME="pull_request",
                GITHUB_RUN_NUMBER="7",
                GITHUB_STEP_SUMMARY=str(summary),
            ),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert re.search(r"^upload, deployed: kept \(\d+ cases in 5 suites\)$", done.stdout, re.MULTILINE)
    assert "--fixed" in done.stdout.splitlines()[-1]
    assert "::error" not in done.stdout
    assert summary.read_text().startswith("## upload")
    for file in ("report.xml", "exchanges.har"):
        assert (tmp_path / file).stat().st_size > 0
        assert "secret-of-the-target" not in (tmp_path / file).read_text()
    assert "secret-of-the-target" not in done.stdout + summary.read_text()


def alike(report: str) -> list[str]:
    """A report without what differs from run to run: ports, ids, times, and how much was tried and found."""
    report = re.sub(r"\d+ findings?", "N finding", re.sub(r", \d+ times$", "", report, flags=re.MULTILINE))
    report = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}.*", "ID", report)
    report = re.sub(r"(127\.0\.0\.1:|-port )\d+", r"\1N", report)
    report = re.sub(r"[ ]+\d+ cases? +[\d.]+ s", " N cases", report)
    report = re.sub(r"\d+ (assets were|commits were|are acknowledged)", r"N \1", report)
    return report.strip().splitlines()


@pytest.mark.turn
def test_the_report_in_the_page_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With PHRASIM_GOLDEN=write it is written into the page anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(routes, "may_list_commits", lambda principal: True)
    (shown,) = fences("docs/verify.md", "text")
    joined = re.sub(r" \\\n +", " ", text("docs/verify.md"))
    (asked,) = re.findall(r"^phrasim verify upload --url http://127.0.0.1:9101 .+$", joined, re.MULTILINE)
    with real("upload") as ports:
        words = {"9101": ports["upload"], "9102": ports["phraseanet"], "9103": ports["auth"]}
        command = re.sub(r"\b910\d\b", lambda found: str(words[found[0]]), asked)
        done = subprocess.run(["sh", "-ec", command], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    if os.environ.get("PHRASIM_GOLDEN") == "write":
        told = re.sub(r"(: [0-9a-f-]{36}), .*", r"\1, …", done.stdout)
        for printed, port in words.items():
            told = told.replace(str(port), printed)
        (ROOT / "docs/verify.md").write_text(text("docs/verify.md").replace(shown, told))
        shown = told
    assert alike(done.stdout) == alike(shown)
