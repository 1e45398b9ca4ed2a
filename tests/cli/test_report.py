"""`phrasim report` and `phrasim run --html`: what is written, for which traces, and with which exit code they end."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from click.testing import Result

from phrasim.documents import scenarios_folder
from phrasim.documents.locations import flow_document
from phrasim.journal import lines

Call = Callable[..., Result]
Write = Callable[..., Path]
Golden = Callable[[str, str], None]


@pytest.fixture
def trace(phrasim: Call) -> Path:
    """The trace of `push` in the working directory."""
    assert phrasim("run", "push", "--trace", "push.jsonl").exit_code == 0
    return Path("push.jsonl")


def title(page: str | Path) -> str:
    found = re.search("<title>(.*?)</title>", Path(page).read_text(encoding="utf-8"))
    assert found is not None
    return unescape(found[1])


def judged(page: str | Path) -> str:
    """What the page says of where its verdicts come from."""
    found = re.search('<section id="verdicts".*?<p class="aside">(.*?)</p>', Path(page).read_text("utf-8"), re.DOTALL)
    assert found is not None
    return unescape(found[1])


def messages(page: str | Path) -> int:
    return Path(page).read_text(encoding="utf-8").count("<details><summary>")


def test_a_run_is_written_as_a_page_to_its_file_or_under_its_name(phrasim: Call) -> None:
    assert phrasim("run", "push", "--html", "page.html").exit_code == 0
    Path("folder").mkdir()
    assert phrasim("run", "push", "--html", "folder").exit_code == 0
    assert Path("page.html").read_bytes() == Path("folder/push.html").read_bytes()
    assert title("page.html") == "push: held"
    assert judged("page.html") == "As the run judged them."
    assert [path.name for path in Path().rglob("*") if path.name.startswith(".")] == []


def test_several_scenarios_are_a_page_each_beside_their_traces(phrasim: Call, scenario: Write) -> None:
    scenario("unknown-commit", ("count: 0", "count: 3"), file="broken.yaml")
    words = ["push", "broken.yaml", "--html", "made/pages", "--trace", "made/pages", "--junit", "report.xml"]
    assert phrasim("run", *words).exit_code == 1
    assert sorted(path.name for path in Path("made/pages").iterdir()) == [
        "push.html",
        "push.jsonl",
        "unknown-commit.html",
        "unknown-commit.jsonl",
    ]
    assert title("made/pages/unknown-commit.html") == "unknown-commit: broken"
    assert "count: expected 3, found 0" in Path("made/pages/unknown-commit.html").read_text()


def test_what_is_printed_does_not_depend_on_the_page(phrasim: Call) -> None:
    assert phrasim("run", "push", "--html", "page.html").output == phrasim("run", "push").output


CALLS: list[tuple[str, list[str]]] = [
    ("one file for two pages", ["run", "push", "pull", "--html", "page.html"]),
    ("a file that is there for two pages", ["run", "push", "pull", "--html", "a.txt"]),
    ("a folder that cannot be made", ["run", "push", "pull", "--html", "a.txt/pages"]),
    ("a page in no folder", ["run", "push", "--html", "nowhere/page.html"]),
    ("two scenarios of one name", ["run", "push", "push.yaml", "--html", "pages"]),
    ("one file for the page and the trace", ["run", "push", "--html", "one", "--trace", "one"]),
    ("one file for the page and the JUnit file", ["run", "push", "--html", "one", "--junit", "./one"]),
    ("a scenario as the page", ["run", "push.yaml", "--html", "push.yaml"]),
    ("a link to a scenario as the page", ["run", "push.yaml", "--html", "link"]),
    ("a file of the user as the page", ["run", "push", "--asset", "a.txt", "--html", "a.txt"]),
    (
        "good folders for the traces, and a file for the pages",
        ["run", "push", "pull", "--trace", "new", "--html", "a.txt"],
    ),
    ("no trace", ["report", "nothing.jsonl", "--out", "page.html"]),
    ("a folder as the trace", ["report", "empty", "--out", "page.html"]),
    ("a page of a trace in no folder", ["report", "push.jsonl", "--out", "nowhere/page.html"]),
    ("a folder as the page of a trace", ["report", "push.jsonl", "--out", "empty"]),
    ("the trace as its own page", ["report", "push.jsonl", "--out", "./push.jsonl"]),
    ("a file of the run as the page", ["report", "push.jsonl", "--asset", "a.txt", "--out", "a.txt"]),
    ("a trace without a header", ["report", "blank.jsonl", "--out", "page.html"]),
    ("a trace that is cut in the midst of its first line", ["report", "half.jsonl", "--out", "page.html"]),
    ("a trace whose time goes back", ["report", "back.jsonl", "--out", "page.html"]),
    ("a trace of a profile that nobody knows", ["report", "profile.jsonl", "--out", "page.html"]),
]


def test_a_wrong_call_is_told_and_leaves_nothing(trace: Path, phrasim: Call, scenario: Write, golden: Golden) -> None:
    Path("empty").mkdir()
    Path("a.txt").write_text("some text")
    scenario("push", ("mode: push", "mode: push"), file="push.yaml")
    Path("link").symlink_to("push.yaml")
    good = trace.read_bytes()
    Path("blank.jsonl").touch()
    Path("half.jsonl").write_bytes(good[:20])
    Path("back.jsonl").write_bytes(good.replace(b'"at":0', b'"at":7', 1))
    Path("profile.jsonl").write_bytes(good.replace(b'"profile":"documented"', b'"profile":"other"', 1))
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    told = []
    for about, words in CALLS:
        result = phrasim(*words)
        assert (result.exit_code, result.stdout) == (2, ""), about
        told.append(f"{about}\n    {result.stderr}")
    golden("report_calls.txt", "".join(told))
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in Path().iterdir() if path.is_dir()) == ["empty"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["report", "cut.jsonl", "--out", "page.html"], "page.html: 55 events"),
        (["diagram", "cut.jsonl"], "Acknowledge of upload commit"),
        (["conform", str(flow_document("documented")), "cut.jsonl"], "not drawn"),
    ],
)
def test_a_trace_whose_writing_was_broken_off_is_read_as_far_as_it_goes(
    words: list[str], shown: str, trace: Path, phrasim: Call
) -> None:
    whole = trace.read_bytes()
    Path("cut.jsonl").write_bytes(whole[:-30])
    result = phrasim(*words)
    assert shown in result.stdout, result.stderr
    assert result.stderr == (
        "phrasim: cut.jsonl:57: this line has no end, as where the writing of a trace was broken off; it is left out\n"
    )


def test_a_trace_whose_writing_was_broken_off_is_not_played_again(trace: Path, phrasim: Call) -> None:
    Path("cut.jsonl").write_bytes(trace.read_bytes()[:-30])
    result = phrasim("replay", "cut.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cut.jsonl:57: this line has no end" in result.stderr


@pytest.mark.parametrize("verb", ["run", "report"])
def test_the_help_shows_how_a_page_is_made(verb: str, phrasim: Call) -> None:
    said = phrasim(verb, "--help").stdout
    assert "Exit code" in said
    assert {"run": "phrasim run push --html push.html", "report": "phrasim report served.jsonl --out"}[verb] in said


@pytest.mark.parametrize("words", [["report"], ["report", "push.jsonl"], ["report", "a", "b", "--out", "c"]])
def test_a_call_that_cannot_be_understood_is_told_with_the_usage(words: list[str], phrasim: Call) -> None:
    result = phrasim(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")


def test_a_page_that_cannot_be_written_is_told_and_leaves_the_old_one(
    trace: Path, phrasim: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("old.html").write_text("the old page")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines.os, "replace", full)
    for words in (["run", "push", "--html"], ["report", trace, "--out"]):
        for page in ("old.html", "new.html"):
            result = phrasim(*words, page)
            assert (result.exit_code, result.stderr) == (2, f"phrasim: writing '{page}': No space left on device\n")
    assert sorted(path.name for path in Path().iterdir()) == ["old.html", "push.jsonl"]
    assert Path("old.html").read_text() == "the old page"


def test_a_page_goes_into_a_fifo_that_stays(trace: Path, phrasim: Call) -> None:
    assert phrasim("report", trace, "--out", "page.html").exit_code == 0
    os.mkfifo("fifo")
    reading = os.open("fifo", os.O_RDWR)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 1024 * 1024)  # more than the page, for which nobody waits
    assert phrasim("report", trace, "--out", "fifo").exit_code == 0
    assert os.read(reading, 1024 * 1024) == Path("page.html").read_bytes()
    os.close(reading)
    assert Path("fifo").is_fifo()


def test_a_trace_is_judged_again_where_it_comes_out_the_same(trace: Path, phrasim: Call) -> None:
    result = phrasim("report", trace, "--out", "page.html")
    size = Path("page.html").stat().st_size
    assert (result.exit_code, result.output) == (0, f"page.html: 56 events, {size} bytes\n")
    assert title("page.html") == "push: held"
    assert judged("page.html") == "Judged by playing the run again, which gave the same trace byte for byte."
    assert phrasim("run", "push", "--html", "played.html").exit_code == 0
    played = Path("played.html").read_text().replace("As the run judged them.", judged("page.html"))
    assert played == Path("page.html").read_text()


def test_a_broken_run_is_a_page_like_any_other(phrasim: Call, scenario: Write) -> None:
    path = scenario("push", ("count: 1", "count: 2"))
    assert phrasim("run", path, "--trace", "trace.jsonl", "--html", "played.html").exit_code == 1
    assert phrasim("report", "trace.jsonl", "--out", "page.html").exit_code == 0
    assert title("page.html") == title("played.html") == "push: broken"


def test_a_run_with_files_of_the_user_is_judged_if_they_are_given_again(phrasim: Call) -> None:
    Path("a ☃.txt").write_text("one")
    files = ["--asset", "a ☃.txt"]
    assert phrasim("run", "push", *files, "--trace", "trace.jsonl").exit_code == 0
    assert phrasim("report", "trace.jsonl", "--out", "with.html", *files).exit_code == 0
    assert title("with.html") == "push: held"
    assert phrasim("report", "trace.jsonl", "--out", "without.html").exit_code == 0
    assert title("without.html") == "push"
    assert judged("without.html") == (
        "Not judged here: trace.jsonl: the run was made with the files 'a ☃.txt' (3 bytes), in this order; found none."
    )
    assert messages("without.html") == messages("with.html") > 20
    assert "a ☃.txt (3 bytes)" in Path("without.html").read_text(encoding="utf-8")


def test_a_trace_that_diverges_has_its_page_and_no_verdicts(trace: Path, phrasim: Call) -> None:
    Path("other.jsonl").write_bytes(trace.read_bytes().replace(b'"status":201', b'"status":200'))
    Path("short.jsonl").write_bytes(b"".join(trace.read_bytes().splitlines(keepends=True)[:30]))
    for name, count in (("other", 28), ("short", 15)):
        assert phrasim("report", f"{name}.jsonl", "--out", f"{name}.html").exit_code == 0
        assert title(f"{name}.html") == "push"
        assert judged(f"{name}.html").startswith("Not judged here: played again, the run is another one")
        assert messages(f"{name}.html") == count


def test_a_trace_of_nothing_but_its_header_has_a_page(trace: Path, phrasim: Call) -> None:
    Path("nothing.jsonl").write_bytes(trace.read_bytes().splitlines(keepends=True)[0])
    assert phrasim("report", "nothing.jsonl", "--out", "page.html").exit_code == 0
    assert messages("page.html") == 0
    assert "Nothing was sent." in Path("page.html").read_text()


def test_a_document_that_is_gone_does_not_hinder_a_page(phrasim: Call, scenario: Write) -> None:
    Path("docs").mkdir()
    shutil.copy(scenarios_folder().parent / "docs" / "request-flow.md", "docs/mine.md")
    scenario("push", ("request-flow.md", "mine.md"), file="mine.yaml")
    assert phrasim("run", "mine.yaml", "--trace", "trace.jsonl").exit_code == 0
    assert phrasim("report", "trace.jsonl", "--out", "with.html").exit_code == 0
    assert "as docs/mine.md draws it" in Path("with.html").read_text()
    shutil.rmtree("docs")
    assert phrasim("report", "trace.jsonl", "--out", "without.html").exit_code == 0
    assert judged("without.html").startswith("Not judged here: docs/mine.md:1: there is no such document")
    assert "Not held to a document here: docs/mine.md:1: there is no such document" in Path("without.html").read_text()
    assert messages("without.html") == messages("with.html")


def test_a_scenario_that_cannot_be_read_any_more_does_not_hinder_a_page(trace: Path, phrasim: Call) -> None:
    for name, (old, new) in {"yaml": ("mode: push", "mode: [push"), "key": ("mode: push", "mood: push")}.items():
        Path(f"{name}.jsonl").write_text(trace.read_text().replace(old, new, 1))
        assert phrasim("report", f"{name}.jsonl", "--out", f"{name}.html").exit_code == 0
        assert judged(f"{name}.html").startswith(f"Not judged here: the scenario in {name}.jsonl:")
        assert messages(f"{name}.html") == 28
    assert (title("yaml.html"), title("key.html")) == ("a run", "push")


def of_a_server(trace: Path, *external: str) -> Path:
    """The trace as a server would have written it whose `external` participants are real ones."""
    header, *events = map(json.loads, trace.read_text().splitlines())
    header |= {"wire": "loopback", "scenario": "", "files": [], "external": list(external)}
    if not external:
        del header["external"]
    kept, dropped = [], set()
    for event in events:
        message = event.get("message")
        whole = message if isinstance(message, dict) else {}
        named = whole.get("id", message)
        if {whole.get("sender"), whole.get("receiver")} <= set(external) or event.get("by") in external:
            dropped.add(named)
        elif event["event"] == "sent" and whole["sender"] in external:
            kept.append(event | {"event": "received"})
            dropped.add(named)
        elif named not in dropped and not (event["event"] == "received" and str(named) in aimed(events, external)):
            kept.append(event)
    path = Path("served.jsonl")
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (header, *kept)))
    return path


def aimed(events: list[dict[str, object]], external: tuple[str, ...]) -> set[str]:
    """The ids of the messages to external participants, of which nobody sees that they arrive."""
    whole = [event["message"] for event in events if isinstance(event.get("message"), dict)]
    return {message["id"] for message in whole if message["receiver"] in external}  # type: ignore[index]


def test_what_was_served_is_a_page_without_verdicts_held_to_what_its_commits_walked(trace: Path, phrasim: Call) -> None:
    assert phrasim("report", of_a_server(trace), "--out", "page.html").exit_code == 0
    page = Path("page.html").read_text()
    assert title("page.html") == "served"
    assert judged("page.html") == "No scenario was played, so that nothing was expected."
    assert "Push mode, as request-flow.md draws it" in page
    assert ">conforms<" in page
    assert messages("page.html") == 28


@pytest.mark.parametrize("external", [("upload",), ("auth",), ("phraseanet", "broker")], ids="+".join)
def test_of_external_participants_the_page_has_what_the_others_saw(
    external: tuple[str, ...], trace: Path, phrasim: Call
) -> None:
    assert phrasim("report", of_a_server(trace, *external), "--out", "page.html").exit_code == 0
    page = Path("page.html").read_text()
    assert f"<dt>external</dt><dd>{', '.join(external)}</dd>" in page
    assert "<dt>sent</dt><dd>nobody saw</dd>" in page
    assert "<dt>arrived</dt><dd>nobody saw</dd>" in page
    assert 10 < messages("page.html") <= 28
    assert ">RabbitMQ</span>" in page or "broker" in external


def test_a_trace_that_shows_tokens_has_a_page_that_does_not(phrasim: Call) -> None:
    assert phrasim("run", "push", "--show-tokens", "--trace", "shown.jsonl").exit_code == 0
    assert phrasim("run", "push", "--trace", "hidden.jsonl").exit_code == 0
    for name in ("shown", "hidden"):
        assert phrasim("report", f"{name}.jsonl", "--out", f"{name}.html").exit_code == 0
    assert Path("shown.html").read_bytes() == Path("hidden.html").read_bytes()
    assert title("shown.html") == "push: held"
