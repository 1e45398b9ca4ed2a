"""`phrasim diagram`: a trace as a drawing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from phrasim.journal.document import sections

Call = Callable[..., Result]


@pytest.fixture
def trace(phrasim: Call) -> Path:
    phrasim("run", "push", "--trace", "push.jsonl")
    return Path("push.jsonl")


def test_the_text_is_the_default_and_bears_the_summary_of_the_scenario(trace: Path, phrasim: Call) -> None:
    result = phrasim("diagram", trace)
    assert result.exit_code == 0
    assert result.stdout.startswith("title Push mode as the document draws it, with two assets.\n")
    assert result.stdout == phrasim("diagram", trace, "--format", "text").stdout
    assert result.stdout.endswith("\n")
    assert not result.stdout.endswith("\n\n")


def test_mermaid_can_be_drawn(trace: Path, phrasim: Call) -> None:
    assert phrasim("diagram", trace, "--format", "mermaid").stdout.startswith("sequenceDiagram\n")


@pytest.mark.parametrize(("notation", "fence"), [("text", "sequence"), ("mermaid", "mermaid")])
def test_a_trace_conforms_to_its_own_drawing(notation: str, fence: str, trace: Path, phrasim: Call) -> None:
    drawing = phrasim("diagram", trace, "--format", notation).stdout
    Path("drawn.md").write_text(f"# Drawn\n\n```{fence}\n{drawing}```\n")
    assert sections(Path("drawn.md").read_text())[0].arrows
    result = phrasim("conform", "drawn.md", trace, "--section", "Drawn")
    assert result.exit_code == 0, result.output


def test_one_commit_can_be_drawn_and_an_unknown_one_is_told(trace: Path, phrasim: Call) -> None:
    result = phrasim("diagram", trace, "--commit", "nothing")
    assert result.exit_code == 2
    assert result.stderr.startswith("phrasim: push.jsonl holds no commit 'nothing'; it holds ")
    known = result.stderr.split()[-1]
    assert phrasim("diagram", trace, "--commit", known).exit_code == 0
    phrasim("run", "unknown-commit", "--trace", "none.jsonl")
    assert phrasim("diagram", "none.jsonl", "--commit", "x").exit_code == 2


def test_a_trace_whose_scenario_cannot_be_read_has_another_title(trace: Path, phrasim: Call) -> None:
    text = trace.read_text()
    for scenario in ('"scenario":"mode: ["', '"scenario":"3"'):
        start, end = text.index('"scenario":'), text.index(',"given"')
        Path("other.jsonl").write_text(text[:start] + scenario + text[end:])
        assert phrasim("diagram", "other.jsonl").stdout.startswith("title Upload request flow\n")


@pytest.mark.parametrize("name", ["nothing.jsonl", "."])
def test_what_is_no_trace_is_told(name: str, phrasim: Call) -> None:
    result = phrasim("diagram", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"phrasim: reading the trace {name!r}: ")


def test_an_unknown_notation_is_told_with_those_that_are_known(trace: Path, phrasim: Call) -> None:
    result = phrasim("diagram", trace, "--format", "svg")
    assert result.exit_code == 2
    assert "'text', 'mermaid'" in result.stderr
