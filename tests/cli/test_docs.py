"""`phrasim docs`: what is wrong with a call is told before anything is played."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from phrasim.documents import DocumentError
from phrasim.scenario.events import Verdict
from phrasim.site import build, runs
from phrasim.site import contents as site_contents
from phrasim.site.build import MARK, SiteError
from phrasim.site.contents import Contents
from phrasim.site.runs import Run

Call = Callable[..., Result]


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the scenarios those alone that pages name."""
    names = ("push", "pull", "push-wrong-token", "deployed/push", "deployed/pull")
    files = [f"scenarios/{name}.yaml" for name in names]
    monkeypatch.setattr(runs, "shipped_scenarios", lambda: iter(files))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_the_site_is_built_where_it_is_asked_for_with_the_same_bytes_each_time(phrasim: Call, folder: Path) -> None:
    result = phrasim("docs", "--out", "public")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"5 of 5 scenarios held\n{Path('public/index.html')}\n"
    assert phrasim("docs").exit_code == 0
    built = bytes_of(folder / "public")
    assert {"index.html", "commands.html", "scenarios/push.html", "openapi/deployed/upload.js", MARK} <= set(built)
    assert built == bytes_of(folder / "site")


FULL = (
    "writing the site 'full': this folder holds what phrasim docs has not made; name one that is new or empty, "
    "or a site that it has made"
)


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("a-file", "writing the site 'a-file': this is a file; name a folder"),
        ("nowhere/site", "writing the site 'nowhere/site': there is no folder 'nowhere'"),
        ("full", FULL),
    ],
)
def test_a_place_where_no_site_can_be_is_refused(out: str, problem: str, phrasim: Call, folder: Path) -> None:
    (folder / "a-file").write_text("a")
    (folder / "full").mkdir()
    (folder / "full/mine").write_text("a")
    result = phrasim("docs", "--out", out)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"phrasim: {problem}\n")


def test_without_the_extra_it_tells_how_to_install_it(phrasim: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    result = phrasim("docs")
    told = "phrasim: docs needs MkDocs, which comes with the extra: pip install 'phrasim[docs]'\n"
    assert (result.exit_code, result.stderr) == (2, told)


def test_what_mkdocs_finds_is_told_and_the_site_is_as_it_was(
    phrasim: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "site").mkdir()
    (folder / "site" / MARK).write_text("as before")

    problem = "building the site, MkDocs found:\na link that leads nowhere"

    def fail(contents: Contents, out: Path) -> Any:
        raise SiteError(problem)

    monkeypatch.setattr(build, "build", fail)
    result = phrasim("docs")
    assert (result.exit_code, result.stderr) == (2, f"phrasim: {problem}\n")
    assert (folder / "site" / MARK).read_text() == "as before"


def test_a_document_that_cannot_be_read_is_told_with_its_place(phrasim: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise DocumentError("docs/ci.md", 7, "drawing a sequence: 'nonsense' is no arrow")

    monkeypatch.setattr(site_contents, "contents", fail)
    result = phrasim("docs")
    told = "phrasim: docs/ci.md:7: drawing a sequence: 'nonsense' is no arrow\n"
    assert (result.exit_code, result.stderr) == (2, told)


def test_a_scenario_that_did_not_hold_is_told_and_the_site_is_there(
    phrasim: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = runs.play_shipped

    def broken(file: str) -> Run:
        run = play(file)
        verdicts = (Verdict("records: none", "broken", ("there are 2",)), *run.outcome.verdicts)
        return Run(file, replace(run.outcome, verdicts=verdicts)) if file == "scenarios/push.yaml" else run

    monkeypatch.setattr(runs, "play_shipped", broken)
    result = phrasim("docs")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines()[:2] == ["scenarios/push.yaml: broken", "4 of 5 scenarios held"]
    page = (folder / "site/scenarios/push.html").read_text(encoding="utf-8")
    assert "<strong>Broken</strong> when this page was made" in page
    assert "there are 2" in page
