"""`phrasim replay`: the same again, or where it parts; and what cannot be played again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from phrasim.documents import scenarios_folder

pytestmark = pytest.mark.unmeasured

Call = Callable[..., Result]
Write = Callable[..., Path]
Golden = Callable[[str, str], None]
SCENARIOS = sorted(path.stem for path in scenarios_folder().glob("*.yaml"))


@pytest.fixture
def trace(phrasim: Call) -> Path:
    """The trace of `push` in the working directory."""
    assert phrasim("run", "push", "--trace", "push.jsonl").exit_code == 0
    return Path("push.jsonl")


@pytest.mark.parametrize("tokens", [[], ["--show-tokens"]])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_replayed_from_another_folder(
    name: str, tokens: list[str], phrasim: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert phrasim("run", name, "--trace", "trace.jsonl", "--seed", "3", *tokens).exit_code == 0
    lines = len(Path("trace.jsonl").read_bytes().splitlines())
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    result = phrasim("replay", "../trace.jsonl")
    assert (result.exit_code, result.stdout) == (0, f"../trace.jsonl: the same, {lines} lines\n")


def test_a_run_with_files_of_the_user_is_replayed_with_them(phrasim: Call, golden: Golden) -> None:
    for name, content in (("a ☃.txt", "one"), ("b.txt", "two"), ("c.txt", "three")):
        Path(name).write_text(content)
    Path("moved").mkdir()
    shutil.copy("a ☃.txt", "moved")
    files = ["--asset", "a ☃.txt", "--asset", "b.txt"]
    assert phrasim("run", "push", *files, "--trace", "trace.jsonl").exit_code == 0
    assert phrasim("replay", "trace.jsonl", *files).exit_code == 0
    assert phrasim("replay", "trace.jsonl", "--asset", "moved/a ☃.txt", "--asset", "b.txt").exit_code == 0
    told = []
    Path("b.txt").write_text("owt")
    for wrong in ([], files[:2], [*files[2:], *files[:2]], [*files[:2], "--asset", "c.txt"], files, ["--asset", "d"]):
        result = phrasim("replay", "trace.jsonl", *wrong)
        assert (result.exit_code, result.stdout) == (2, "")
        told.append(result.stderr)
    golden("replay_files.txt", "".join(told))


def test_a_scenarios_own_files_are_found_beside_the_trace_or_in_the_working_directory(
    phrasim: Call, scenario: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own/media").mkdir(parents=True)
    Path("traces").mkdir()
    for name in ("test.png", "notes.pdf"):
        Path("own/media", name).write_text(f"another {name}")
    scenario("push", ("mode: push", "mode: push"), file="own/mine.yaml")
    assert phrasim("run", "own/mine.yaml", "--trace", "own/trace.jsonl").exit_code == 0
    assert phrasim("run", "own/mine.yaml", "--trace", "traces/trace.jsonl").exit_code == 0
    assert phrasim("replay", "own/trace.jsonl").exit_code == 0
    result = phrasim("replay", "traces/trace.jsonl")
    assert result.exit_code == 2
    assert "the file 'test.png' differs: recorded 16 bytes" in result.stderr
    monkeypatch.chdir("own")
    assert phrasim("replay", "../traces/trace.jsonl").exit_code == 0


def test_another_file_of_that_name_is_passed_over_for_the_recorded_one(
    phrasim: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert phrasim("run", "push", "--trace", "trace.jsonl").exit_code == 0
    Path("media").mkdir()
    Path("media/test.png").write_text("another")
    Path("media/notes.pdf").touch()
    assert phrasim("replay", "trace.jsonl").exit_code == 0


def test_files_that_are_all_others_are_named_with_their_places(phrasim: Call, scenario: Write) -> None:
    Path("media").mkdir()
    Path("media/notes.pdf").write_text("the recorded")
    path = scenario("push", ("mode: push", "mode: push"))
    assert phrasim("run", path, "--trace", "trace.jsonl").exit_code == 0
    Path("media/notes.pdf").write_text("another")
    result = phrasim("replay", "trace.jsonl")
    assert result.exit_code == 2
    assert result.stderr.startswith("phrasim: trace.jsonl: the file 'notes.pdf' differs: recorded 12 bytes, SHA-256 ")
    assert "found 'media/notes.pdf' of 7 bytes, SHA-256 " in result.stderr
    assert f"; {str(scenarios_folder() / 'media/notes.pdf')!r} of 612 bytes, SHA-256 " in result.stderr


def test_a_document_that_is_gone_does_not_hinder_a_replay(phrasim: Call, scenario: Write) -> None:
    Path("docs").mkdir()
    shutil.copy(scenarios_folder().parent / "docs" / "request-flow.md", "docs/mine.md")
    scenario("push", ("request-flow.md", "mine.md"), file="mine.yaml")
    assert phrasim("run", "mine.yaml", "--trace", "trace.jsonl").exit_code == 0
    shutil.rmtree("docs")
    assert phrasim("replay", "trace.jsonl").exit_code == 0


def test_a_changed_byte_in_any_line_is_found_at_that_line(trace: Path, phrasim: Call) -> None:
    lines = trace.read_bytes().splitlines(keepends=True)
    changed = Path("changed.jsonl")
    for number, line in enumerate(lines[1:], start=2):
        at = line.index(b'"at":') + 5
        spoilt = line[:at] + (b"1" if line[at : at + 1] == b"0" else b"0") + line[at + 1 :]
        changed.write_bytes(b"".join((*lines[: number - 1], spoilt, *lines[number:])))
        result = phrasim("replay", changed)
        if result.exit_code == 2:
            assert f"changed.jsonl:{number}: " in result.stderr
        else:
            assert result.exit_code == 1
            assert f"line {number} differs:" in result.stdout


@pytest.mark.parametrize("number", [2, 10, 57])
def test_a_line_that_is_missing_or_said_twice_is_found(number: int, trace: Path, phrasim: Call) -> None:
    lines = trace.read_bytes().splitlines(keepends=True)
    assert len(lines) == 57
    Path("short.jsonl").write_bytes(b"".join((*lines[: number - 1], *lines[number:])))
    assert f"line {number} differs:" in phrasim("replay", "short.jsonl").stdout
    Path("long.jsonl").write_bytes(b"".join((*lines[:number], *lines[number - 1 :])))
    result = phrasim("replay", "long.jsonl")
    assert result.exit_code == 1
    assert f"line {number + 1} differs:" in result.stdout


def test_a_divergence_is_shown_side_by_side(trace: Path, phrasim: Call, golden: Golden) -> None:
    told = []
    text = trace.read_text()
    changes = {
        "status.jsonl": ('"status":201', '"status":200'),
        "seed.jsonl": ('"seed":1', '"seed":2'),
        "version.jsonl": ('"version":"0.1.0"', '"version":"0.0.9"'),
        "title.jsonl": ("title: Test document", "title: Test"),
    }
    for name, (old, new) in changes.items():
        assert old in text
        Path(name).write_text(text.replace(old, new, 1))
        result = phrasim("replay", name)
        assert result.exit_code == 1
        told.append(result.stdout)
    lines = trace.read_bytes().splitlines(keepends=True)
    Path("short.jsonl").write_bytes(b"".join(lines[:-1]))
    told.append(phrasim("replay", "short.jsonl").stdout)
    Path("unended.jsonl").write_bytes(trace.read_bytes()[:-1])
    told.append(phrasim("replay", "unended.jsonl").stdout)
    Path("windows.jsonl").write_bytes(trace.read_bytes().replace(b"\n", b"\r\n"))
    told.append(phrasim("replay", "windows.jsonl").stdout)
    golden("replay_diverges.txt", "\n".join(told))


def test_what_cannot_be_replayed_is_told(trace: Path, phrasim: Call, golden: Golden) -> None:
    good = trace.read_bytes()
    files = {
        "empty.jsonl": b"",
        "text.jsonl": b"no trace\n",
        "list.jsonl": b"[]\n",
        "number.jsonl": b"1\n",
        "other.jsonl": b'{"name": "x"}\n',
        "half.jsonl": good[:100],
        "newer.jsonl": good.replace(b'"trace":1', b'"trace":2', 1),
        "incomplete.jsonl": b'{"trace":1}\n',
        "deep.jsonl": b"[" * 100_000,
        "latin.jsonl": good.replace(b"Test", b"T\xffst"),
        "cut.jsonl": good[:-20],
        "blank.jsonl": good + b"\n",
        "deep-event.jsonl": good + b'{"event":"noted","at":0,"by":"user","note":"x","details":{"a":' + b"[" * 100_000,
        "loopback.jsonl": good.replace(b"in-process", b"loopback", 1),
        "seed.jsonl": good.replace(b'"seed":1', b'"seed":"1"', 1),
        "mode.jsonl": good.replace(b"mode: push", b"mode: pish", 1),
        "digest.jsonl": good.replace(b'"size":612', b'"size":613', 1),
    }
    told = []
    for name, content in files.items():
        Path(name).write_bytes(content)
        result = phrasim("replay", name)
        assert (result.exit_code, result.stdout) == (2, ""), name
        told.append(result.stderr)
    Path("folder").mkdir()
    Path("a.txt").write_text("a")
    for words in (["nothing.jsonl"], ["folder"], ["push.jsonl", "--asset", "a.txt"]):
        result = phrasim("replay", *words)
        assert (result.exit_code, result.stdout) == (2, ""), words
        told.append(result.stderr)
    golden("replay_errors.txt", "".join(told).replace(str(scenarios_folder()), "SCENARIOS"))


def test_the_scenario_in_the_trace_is_what_is_played(phrasim: Call, scenario: Write) -> None:
    """The file that the scenario came from may change or go; the trace holds its text."""
    path = scenario("unknown-commit", ("summary: ", "summary: Changed. "), file="mine.yaml")
    assert phrasim("run", path, "--trace", "trace.jsonl").exit_code == 0
    assert "Changed." in json.loads(Path("trace.jsonl").read_text().splitlines()[0])["scenario"]
    path.unlink()
    assert phrasim("replay", "trace.jsonl").exit_code == 0
