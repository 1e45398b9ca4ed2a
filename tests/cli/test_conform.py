"""`phrasim conform`: a trace held to a document."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from phrasim.documents import flow_document

Call = Callable[..., Result]
Golden = Callable[[str, str], None]
DOCUMENT = flow_document("documented")
SEED = Path(__file__).parents[1] / "data" / "request_flow.md"


@pytest.fixture
def traces(phrasim: Call) -> None:
    """The traces of push, pull, the three-field run and one without a commit."""
    for name in ("push", "pull", "push-documented-fields-only", "unknown-commit"):
        assert phrasim("run", name, "--trace", f"{name}.jsonl").exit_code == 0


@pytest.mark.usefixtures("traces")
def test_the_section_of_the_scenario_counts_when_none_is_named(phrasim: Call) -> None:
    for mode in ("push", "pull"):
        result = phrasim("conform", DOCUMENT, f"{mode}.jsonl")
        assert result.exit_code == 0, result.output
        assert "12 of 12 arrows walked" in result.stdout
        assert result.stdout.startswith(f"{mode.title()} mode: commit ")


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("title", ["Pull mode", "pull MODE", "pull-mode"])
def test_a_section_is_named_by_its_title_or_its_anchor(title: str, phrasim: Call) -> None:
    assert phrasim("conform", DOCUMENT, "pull.jsonl", "--section", title).exit_code == 0
    assert phrasim("conform", DOCUMENT, "push.jsonl", "--section", title).exit_code == 1


@pytest.mark.usefixtures("traces")
def test_the_drawings_of_the_original_document_are_walked(phrasim: Call) -> None:
    for mode in ("push", "pull"):
        assert phrasim("conform", SEED, f"{mode}.jsonl", "--section", f"flow {mode} mode").exit_code == 0


@pytest.mark.usefixtures("traces")
def test_a_trace_that_does_not_walk_every_arrow_says_which(phrasim: Call, golden: Golden) -> None:
    result = phrasim("conform", DOCUMENT, "push-documented-fields-only.jsonl")
    assert result.exit_code == 1
    golden("conform_unreachable.txt", result.stdout)


@pytest.mark.usefixtures("traces")
def test_one_commit_can_be_judged(phrasim: Call) -> None:
    said = phrasim("conform", DOCUMENT, "push.jsonl", "--commit", "nothing").stderr
    assert phrasim("conform", DOCUMENT, "push.jsonl", "--commit", said.split()[-1]).exit_code == 0


@pytest.mark.usefixtures("traces")
def test_a_wrong_call_is_told(phrasim: Call, golden: Golden) -> None:
    Path("folder").mkdir()
    Path("latin.md").write_bytes(b"# One\n\xff\n")
    Path("wrong.md").write_text("# One\n```sequence\nNobody->Upload: Upload asset\n```\n")
    Path("foreign.md").write_text("# One\n```sequence\nUser->Upload: Dance\n```\n")
    Path("plain.md").write_text("# Push mode\nNothing is drawn here.\n")
    Path("no.jsonl").write_text("no trace")
    told = []
    for words in (
        [DOCUMENT, "unknown-commit.jsonl"],
        [DOCUMENT, "push.jsonl", "--section", "Nothing"],
        [DOCUMENT, "push.jsonl", "--section", ""],
        [DOCUMENT, "push.jsonl", "--section", "The message"],
        [DOCUMENT, "push.jsonl", "--commit", "x"],
        [DOCUMENT, "unknown-commit.jsonl", "--section", "Push mode", "--commit", "x"],
        [SEED, "push.jsonl"],
        ["plain.md", "push.jsonl"],
        ["plain.md", "push.jsonl", "--section", "Push mode"],
        ["nothing.md", "push.jsonl"],
        ["folder", "push.jsonl"],
        ["latin.md", "push.jsonl"],
        ["wrong.md", "push.jsonl", "--section", "One"],
        ["foreign.md", "push.jsonl", "--section", "One"],
        [DOCUMENT, "nothing.jsonl"],
        [DOCUMENT, "no.jsonl"],
    ):
        result = phrasim("conform", *words)
        assert (result.exit_code, result.stdout) == (2, ""), words
        told.append(result.stderr)
    golden("conform_errors.txt", "".join(told).replace(str(DOCUMENT), "DOCUMENT").replace(str(SEED), "SEED"))


@pytest.mark.usefixtures("traces")
def test_a_trace_without_a_commit_walks_nothing(phrasim: Call) -> None:
    result = phrasim("conform", DOCUMENT, "unknown-commit.jsonl", "--section", "Push mode")
    assert result.exit_code == 1
    assert result.stdout.startswith("Push mode: there is no commit in this trace\n")
