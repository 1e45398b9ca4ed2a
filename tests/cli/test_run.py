"""`phrasim run`: what is played, what is printed and written, and with which exit code it ends."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.dom import minidom

import pytest
from click.testing import Result

from phrasim.documents import scenarios_folder
from phrasim.journal import lines
from phrasim.journal.lines import read_trace
from phrasim.scenario import runner
from phrasim.scenario.events import Verdict

Call = Callable[..., Result]
Write = Callable[..., Path]
Golden = Callable[[str, str], None]
SCENARIOS = sorted(path.stem for path in scenarios_folder().glob("*.yaml"))


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_run_prints_its_arrows_and_verdicts(mode: str, phrasim: Call, golden: Golden) -> None:
    result = phrasim("run", mode)
    assert result.exit_code == 0
    assert result.stderr == ""
    golden(f"run_{mode}.txt", result.stdout)


def test_a_broken_run_says_what_was_expected_and_what_was_found(phrasim: Call, scenario: Write, golden: Golden) -> None:
    path = scenario(
        "push-download-fails-twice",
        ("assetsIngest_failed: 0", "assetsIngest_failed: 1"),
        ("executions: 3", "executions: 1"),
        ("[500, 500]", "[500]"),
        ("sequence: walked", "sequence: {missing: [Get contents]}"),
        ("{count: 1, acknowledged: 1}", "{count: 2, acknowledged: 2}"),
        ("one for each file, same bytes", "none"),
        ("within: 1 min", "within: 5 s"),
    )
    result = phrasim("run", path)
    assert result.exit_code == 1
    golden("run_broken.txt", result.stdout)


ERRORS = {
    "unknown_key": ("forEach", "forEch"),
    "wrong_caller": ("    forEach", "    as: [administrator]\n    forEach"),
    "wrong_caller_object": ("    forEach", "    as: {token: abc}\n    forEach"),
    "wrong_operation": ("uploadAsset", "uploadAssets"),
    "wrong_time": ("within: 30 s", "within: 30"),
    "wrong_sequence": ("sequence: walked", "sequence: walkd"),
    "wrong_arrow": ("sequence: walked", "sequence: {missing: [Get content]}"),
    "wrong_section": ("#push-mode", "#push-mod"),
    "wrong_document": ("request-flow.md", "request-fow.md"),
    "wrong_expression": ("$steps.upload.outputs.asset,", "$steps.upload.outputs.assets,"),
    "wrong_parameter": ("operationId: commitAssets", "operationId: acknowledgeCommit"),
    "several": ("mode: push", "mode: pish\nwires: []\nexpects: {}"),
    "no_yaml": ("mode: push", "mode: [push"),
}


def test_what_is_wrong_with_a_scenario_is_told_before_anything_runs(
    phrasim: Call, scenario: Write, golden: Golden
) -> None:
    told = []
    for name, change in ERRORS.items():
        result = phrasim("run", scenario("push", change, file=f"{name}.yaml"), "--trace", "trace.jsonl")
        assert (result.exit_code, result.stdout) == (2, "")
        told.append(
            result.stderr.replace(str(scenarios_folder().parent), "PHRASIM")
            .replace(str(Path.cwd()), "HERE")
            .replace(str(Path.cwd().parent), "ABOVE")
        )
    golden("run_errors.txt", "".join(told))
    assert not Path("trace.jsonl").exists()


CALLS: list[tuple[str, list[str]]] = [
    ("a scenario that is nowhere", ["nothing"]),
    ("a folder without scenarios", ["empty"]),
    ("a file that is no YAML", ["latin.yaml"]),
    ("one file for two traces", ["push", "pull", "--trace", "trace.jsonl"]),
    ("a file that is there for two traces", ["push", "pull", "--trace", "a.txt"]),
    ("a folder that cannot be made", ["push", "pull", "--trace", "a.txt/traces"]),
    ("a trace in no folder", ["push", "--trace", "nowhere/trace.jsonl"]),
    ("a JUnit file in no folder", ["push", "--junit", "nowhere/report.xml"]),
    ("a folder as JUnit file", ["push", "--junit", "empty"]),
    ("two scenarios of one name", ["push", "push.yaml", "--trace", "traces"]),
    ("a file of the user that is nowhere", ["push", "--asset", "nothing"]),
    ("an empty file of the user", ["push", "--asset", "empty.bin"]),
    ("a folder as a file of the user", ["push", "--asset", "empty"]),
    ("a file of the user as the trace", ["push", "--asset", "a.txt", "--trace", "a.txt"]),
    ("a link to a file of the user as the trace", ["push", "--asset", "a.txt", "--trace", "link"]),
    ("a file of the scenario as the JUnit file", ["push.yaml", "--junit", "media/notes.pdf"]),
    ("a scenario as the trace", ["push.yaml", "--trace", "./push.yaml"]),
    ("a scenario as the JUnit file", ["push.yaml", "pull", "--junit", "push.yaml"]),
    ("one file for the trace and the JUnit file", ["push", "--trace", "one", "--junit", "one"]),
    (
        "one file for one of two traces and the JUnit file",
        ["push", "pull", "--trace", "empty", "--junit", "empty/pull.jsonl"],
    ),
    ("a link into no folder as the trace", ["push", "--trace", "lost"]),
    ("a file of another kind for two traces", ["push", "pull", "--trace", "foo.json"]),
    ("a scenario that never ends", ["/dev/zero"]),
    ("two files of one name", ["push", "--asset", "a.txt", "--asset", "other/a.txt"]),
    ("a scenario file that is missing", ["push.yaml", "missing.yaml"]),
    ("a scenario for another wire", ["loopback.yaml"]),
    ("a broken scenario among good ones", ["push", "bad.yaml", "worse.yaml"]),
]


def test_a_wrong_call_is_told_before_anything_runs(phrasim: Call, scenario: Write, golden: Golden) -> None:
    Path("empty").mkdir()
    Path("other").mkdir()
    Path("empty.bin").touch()
    for path in ("a.txt", "other/a.txt"):
        Path(path).write_text("some text")
    Path("link").symlink_to("a.txt")
    Path("lost").symlink_to("nowhere/trace.jsonl")
    shutil.copytree(scenarios_folder() / "media", "media")
    Path("latin.yaml").write_bytes(b"scenario: \xff\n")
    scenario("push", ("mode: push", "mode: push"), file="push.yaml")
    scenario("push", ("media/notes.pdf", "media/nothing.pdf"), file="missing.yaml")
    scenario("push", ("mode: push", "mode: push\nwires: [loopback]\nwhy: A test."), file="loopback.yaml")
    scenario("push", ("mode: push", "mode: pish"), file="bad.yaml")
    scenario("push", ("expect:", "expects:"), file="worse.yaml")
    before = sorted(Path().rglob("*"))
    told = []
    for about, words in CALLS:
        result = phrasim("run", *words)
        assert (result.exit_code, result.stdout) == (2, ""), about
        told.append(f"{about}\n    {result.stderr}")
    assert Path("a.txt").read_text() == "some text"
    text = "".join(told).replace(str(scenarios_folder()), "SCENARIOS").replace(str(Path.cwd()), "HERE")
    golden("run_calls.txt", text.replace(", ".join(SCENARIOS), "EVERY SCENARIO"))
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("words", [["push", "--seed", "x"], ["push", "--nothing"], []])
def test_a_call_that_cannot_be_understood_is_told_with_the_usage(words: list[str], phrasim: Call) -> None:
    result = phrasim("run", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")


def test_a_trace_is_written_to_its_file_or_under_its_name(phrasim: Call) -> None:
    assert phrasim("run", "push", "--trace", "trace.jsonl").exit_code == 0
    Path("folder").mkdir()
    assert phrasim("run", "push", "--trace", "folder").exit_code == 0
    assert Path("trace.jsonl").read_bytes() == Path("folder/push.jsonl").read_bytes()
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


def test_the_first_line_of_a_trace_says_all_that_was_played(phrasim: Call) -> None:
    Path("a ☃.txt").write_text("some text")
    assert phrasim("run", "push", "--asset", "a ☃.txt", "--seed", "7", "--trace", "trace.jsonl").exit_code == 0
    first = json.loads(Path("trace.jsonl").read_text().splitlines()[0])
    assert first == {
        "trace": 1,
        "version": "0.1.0",
        "wire": "in-process",
        "profile": "documented",
        "seed": 7,
        "tokens": "redacted",
        "scenario": (scenarios_folder() / "push.yaml").read_text(),
        "given": True,
        "files": [
            {
                "name": "a ☃.txt",
                "size": 9,
                "sha256": "b94f6f125c79e3a5ffaa826f584c10d52ada669e6762051b826b55776d05aed2",
            }
        ],
    }


def test_several_scenarios_are_a_line_each_and_a_trace_each(phrasim: Call, scenario: Write) -> None:
    scenario("unknown-commit", ("count: 0", "count: 3"), file="broken.yaml")
    result = phrasim("run", "push", "broken.yaml", "pull", "--trace", "made/traces", "--junit", "report.xml")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "push: held",
        "unknown-commit: broken (1 of 4 expectations)",
        "broken      commits: count 3, acknowledged 0",
        "            count: expected 3, found 0",
        "pull: held",
        "2 of 3 scenarios held",
    ]
    assert sorted(path.name for path in Path("made/traces").iterdir()) == [
        "pull.jsonl",
        "push.jsonl",
        "unknown-commit.jsonl",
    ]
    document = minidom.parse("report.xml")
    assert [suite.getAttribute("name") for suite in document.getElementsByTagName("testsuite")] == [
        "push",
        "unknown-commit",
        "pull",
    ]
    assert len(document.getElementsByTagName("failure")) == 1


def test_a_folder_is_every_scenario_in_it_and_below(phrasim: Call, scenario: Write) -> None:
    Path("all/below.yaml").mkdir(parents=True)
    scenario("push", ("scenario: push", "scenario: b"), file="all/b.yaml")
    scenario("pull", ("scenario: pull", "scenario: a"), file="all/below.yaml/a.yml")
    Path("all/notes.txt").write_text("no scenario")
    result = phrasim("run", "all")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["b: held", "a: held", "2 of 2 scenarios held"]


def test_a_folder_with_one_scenario_is_still_several(phrasim: Call, scenario: Write) -> None:
    Path("one").mkdir()
    scenario("push", ("scenario: push", "scenario: b"), file="one/b.yaml")
    assert phrasim("run", "one", "--trace", "traces").stdout.splitlines() == ["b: held", "1 of 1 scenarios held"]
    assert Path("traces/b.jsonl").is_file()


def test_a_scenario_that_is_named_twice_is_played_once(phrasim: Call) -> None:
    result = phrasim(
        "run", "push", scenarios_folder() / "push.yaml", scenarios_folder() / ".." / "scenarios" / "push.yaml"
    )
    assert result.stdout.splitlines()[-1] == "push: held"
    assert result.stdout.count(": held") == 1


def test_every_scenario_of_phrasim_is_known_by_its_name(phrasim: Call) -> None:
    result = phrasim("run", *SCENARIOS, "--asset", __file__)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{len(SCENARIOS)} of {len(SCENARIOS)} scenarios held"


def test_a_trace_that_cannot_be_written_is_told_and_leaves_nothing(
    phrasim: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("old.jsonl").write_text("the old trace")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines.os, "replace", full)
    for words in (["--trace", "old.jsonl"], ["--trace", "new.jsonl"]):
        result = phrasim("run", "push", *words)
        assert result.exit_code == 2
        assert result.stderr == f"phrasim: writing '{words[1]}': No space left on device\n"
    assert [path.name for path in Path().iterdir()] == ["old.jsonl"]
    assert Path("old.jsonl").read_text() == "the old trace"


def test_a_trace_and_a_junit_file_go_into_fifos_that_stay(phrasim: Call) -> None:
    assert phrasim("run", "unknown-commit", "--trace", "t.jsonl", "--junit", "j.xml").exit_code == 0
    reading = {}
    for name in ("trace", "junit"):
        os.mkfifo(name)
        reading[name] = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    assert phrasim("run", "unknown-commit", "--trace", "trace", "--junit", "junit").exit_code == 0
    for name, file in (("trace", "t.jsonl"), ("junit", "j.xml")):
        assert os.read(reading[name], 65_536) == Path(file).read_bytes()
        os.close(reading[name])
        assert Path(name).is_fifo()


def test_traces_go_into_a_folder_that_is_there_whatever_its_name(phrasim: Call) -> None:
    Path("traces.d").mkdir()
    assert phrasim("run", "unknown-commit", "push", "--trace", "traces.d").exit_code == 0
    assert sorted(path.name for path in Path("traces.d").iterdir()) == ["push.jsonl", "unknown-commit.jsonl"]


def test_nothing_is_printed_in_colour_where_nobody_looks(phrasim: Call) -> None:
    assert "\x1b" not in phrasim("run", "push", "pull").stdout


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_secret_of_a_run_is_written_unless_it_is_asked_for(
    name: str, phrasim: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The testbed itself is asked for its secrets, so that one that no document marks as secret is found, too."""
    secrets: list[str] = []

    def spying(scenario: object, testbed: object, *others: object) -> list[Verdict]:
        accounts = testbed.accounts  # type: ignore[attr-defined]
        secrets.extend((accounts.publisher.password, accounts.administrator.password))
        secrets.extend((accounts.phraseanet.secret, accounts.front_end.secret))
        secrets.extend(commit.token for commit in testbed.upload.commits)  # type: ignore[attr-defined]
        secrets.extend(testbed.auth._tokens)  # type: ignore[attr-defined]
        return [Verdict("a verdict", "broken", ("why",)), *judge(scenario, testbed, *others)]  # type: ignore[arg-type]

    judge = runner.judge
    monkeypatch.setattr(runner, "judge", spying)
    result = phrasim("run", name, "--trace", "trace.jsonl", "--junit", "report.xml")
    assert len(set(secrets)) >= 5
    written = Path("trace.jsonl").read_bytes() + Path("report.xml").read_bytes() + result.output.encode()
    written += phrasim("diagram", "trace.jsonl").output.encode()
    assert [secret for secret in secrets if secret.encode() in written] == []
    shown = phrasim("run", name, "--trace", "shown.jsonl", "--junit", "report.xml", "--show-tokens")
    assert any(secret.encode() in Path("shown.jsonl").read_bytes() for secret in secrets)
    written = (
        Path("report.xml").read_bytes() + shown.output.encode() + phrasim("diagram", "shown.jsonl").output.encode()
    )
    assert [secret for secret in secrets if secret.encode() in written] == []
    header, _ = read_trace(Path("shown.jsonl"))
    assert header.tokens == "shown"
