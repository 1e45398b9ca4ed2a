"""The page of a run: it is well formed, holds no secrets and nothing of others as markup, and says what happened."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.documents import scenarios_folder, secret_fields
from phrasim.journal.events import (
    PARTICIPANTS,
    Body,
    Delivery,
    Event,
    File,
    Header,
    Lost,
    Message,
    Noted,
    Publish,
    Received,
    Request,
    Response,
    Sent,
)
from phrasim.journal.lines import read_trace, trace_bytes
from phrasim.report.html.rendering import SHOWN_CHARACTERS_MAX, legible
from phrasim.report.html.run_page import COMMITS_SHOWN_MAX, Run, run_page
from phrasim.report.html.runs import conformances, run_of_outcome, run_of_trace
from phrasim.scenario.events import Outcome, Verdict
from report.html.markup import Markup, read, text_of
from report.html.played import MUCH_GOES_WRONG, SHIPPED, name_of, push, shipped, watched

MIB = 1024 * 1024
PUSH, PULL = scenarios_folder() / "push.yaml", scenarios_folder() / "pull.yaml"
EVERY_SCENARIO = pytest.mark.parametrize("path", SHIPPED, ids=name_of)


def page_of(outcome: Outcome) -> bytes:
    return run_page(run_of_outcome(outcome))


def from_its_trace(outcome: Outcome, folder: Path) -> Run:
    """The run as its trace tells of it."""
    trace = folder / "trace.jsonl"
    trace.write_bytes(trace_bytes(outcome.header, outcome.events, secret_fields()))
    header, events = read_trace(trace)
    return run_of_trace(header, events, outcome.verdicts, "as told", folder)


def rows(markup: Markup) -> list[str]:
    return [text_of(one) for one in markup.all("li", class_="row") if one.get("id") is not None]


@pytest.mark.unmeasured
@EVERY_SCENARIO
def test_the_page_of_every_scenario_is_well_formed_and_stands_alone(path: Path) -> None:
    markup = read(page_of(shipped(path)))
    assert markup.errors == ()
    assert markup.dangling() == []
    assert [one for one in markup.references() if not one.startswith(("#", "data:,"))] == []
    assert markup.tags()["script"] == markup.tags()["style"] == markup.tags()["h1"] == 1


@pytest.mark.unmeasured
@EVERY_SCENARIO
def test_no_page_holds_a_secret_whatever_its_trace_shows(path: Path, tmp_path: Path) -> None:
    run = watched(path, show_tokens=True)
    if path.parent == scenarios_folder():
        assert len(run.secrets) >= 4
    shown = trace_bytes(run.outcome.header, run.outcome.events, secret_fields()).decode()
    assert any(secret in shown for secret in run.secrets)
    for page in (page_of(run.outcome), run_page(from_its_trace(run.outcome, tmp_path))):
        assert [secret for secret in run.secrets if secret in page.decode()] == []


@pytest.mark.unmeasured
@EVERY_SCENARIO
def test_the_page_of_a_run_and_that_of_its_trace_are_the_same(path: Path, tmp_path: Path) -> None:
    outcome = shipped(path)
    played = msgspec.json.encode("As the run judged them.").strip(b'"')
    assert page_of(outcome).replace(played, b"as told") == run_page(from_its_trace(outcome, tmp_path))


@pytest.mark.parametrize("path", [PUSH, PULL, scenarios_folder() / "deployed/push.yaml"], ids=name_of)
def test_another_run_by_the_same_seed_gives_the_same_bytes(path: Path) -> None:
    page = page_of(shipped(path))
    watched.cache_clear()
    assert page_of(shipped(path)) == page


def test_the_page_of_a_push_is_small() -> None:
    assert 20_000 < len(page_of(shipped(PUSH))) < MIB
    assert len(page_of(shipped(scenarios_folder() / "push-large-asset.yaml"))) < MIB


def test_a_page_says_what_was_played_and_that_it_held() -> None:
    markup = read(page_of(shipped(PUSH)))
    assert text_of(markup.one("title")) == "push: held"
    assert text_of(markup.one("h1")).split() == ["push", "held"]
    facts = text_of(markup.one("header"))
    for fact in ("documented", "in-process", "test.png (17635 bytes), notes.pdf (612 bytes)", "simulated"):
        assert fact in facts
    assert [text_of(one) for one in markup.one("ul", class_="verdicts").iter("li")] == [
        "held messages as specified (17)",
        "held sequence: walked (12 of 12 arrows)",
        "held records: one for each file, same bytes (2)",
        "held commits: count 1, acknowledged 1",
        "held queues: assetsIngest 0, assetsIngest_retry 0, assetsIngest_failed 0",
    ]
    assert not markup.all("p", class_="marks")


def test_a_broken_run_says_so_and_why() -> None:
    markup = read(page_of(push(*MUCH_GOES_WRONG, expect="  commits: {count: 2}\n  queues: {assetsIngest_failed: 1}\n")))
    assert text_of(markup.one("title")) == "push: broken"
    told = [text_of(one) for one in markup.one("ul", class_="verdicts").iter("li")]
    assert "broken commits: count 2count: expected 2, found 1" in told
    assert "held queues: assetsIngest_failed 1" in told
    marks = [(text_of(one), one.get("href")) for one in markup.one("p", class_="marks").iter("a")]
    assert [mark for mark, _ in marks] == ["2 lost", "3 again", "1 late", "1 refused"]
    shown = {one.get("id"): text_of(one) for one in markup.all("li", class_="row")}
    for mark, leads_to in marks:
        assert mark.split()[1] in shown[str(leads_to)[1:]]


def test_rows_stand_in_the_order_of_the_run_with_their_ends_in_words() -> None:
    markup = read(page_of(shipped(PUSH)))
    told = [" ".join(text_of(one).split()) for one in markup.one("section", id="sequence").iter("summary")]
    assert len(told) == len(rows(markup)) == 28
    assert told[2] == "0.000 s User → Upload Upload asset POST /assets"
    assert told[11] == "0.000 s Phraseanet → RabbitMQ Produce message publish to alchemy-exchange, assetsIngest"
    assert told[-1] == "0.000 s Upload → Phraseanet 200 (4 bytes)"


def test_a_pause_is_told_between_the_rows() -> None:
    markup = read(page_of(push("{operationId: downloadAsset, occurrences: [1], answer: {status: 500}}")))
    assert [text_of(one) for one in markup.all("li", class_="pause")] == ["10.000 s later"]


def test_conformance_stands_beside_the_documents_drawing_and_leads_to_the_messages() -> None:
    markup = read(page_of(shipped(PUSH)))
    section = markup.one("section", id="conformance")
    arrows = Markup(section, ()).one("table", class_="arrows")
    marks = [text_of(row).split("walked")[0].strip() for row in arrows.iter("tr")][1:]
    drawn = [text_of(one) for one in Markup(section, ()).all("li", class_="row")]
    assert len(marks) == len(drawn) == 12
    shown = {one.get("id"): text_of(one) for one in markup.all("li", class_="row")}
    for mark, row, link in zip(marks, drawn, arrows.iter("a"), strict=True):
        label = mark.partition(" ")[2]
        assert label in row
        assert label.partition(" #")[0] in shown[str(link.get("href"))[1:]]
    assert "conforms" in text_of(section)


def test_what_was_not_walked_is_told_arrow_by_arrow() -> None:
    section = Markup(read(page_of(push(*MUCH_GOES_WRONG))).one("section", id="conformance"), ())
    marks = [one.get("class") for one in section.one("table", class_="arrows").iter("tr")][1:]
    assert [mark for mark in marks if mark != "walked"] == ["repeated", "missing", "missing", "missing", "missing"]
    assert "does not conform" in text_of(section.root)


def test_of_many_commits_those_stand_first_that_do_not_conform_and_the_rest_is_counted() -> None:
    good, bad = (run_of_outcome(outcome) for outcome in (shipped(PUSH), push(*MUCH_GOES_WRONG)))
    held = [*good.conformances * (COMMITS_SHOWN_MAX + 4), *bad.conformances]
    markup = read(run_page(replace(bad, conformances=held)))
    section = Markup(markup.one("section", id="conformance"), ())
    assert len(section.all("table", class_="arrows")) == COMMITS_SHOWN_MAX
    first, *others = section.all("h3")
    assert "does not conform" in text_of(first)
    assert not any("does not conform" in text_of(one) for one in others)
    assert "5 more commits are not shown here; 5 of them conform." in text_of(section.root)


@pytest.mark.parametrize(
    ("path", "title"),
    [(PUSH, "Push mode"), (PULL, "Pull mode")],
    ids=["push", "pull"],
)
def test_without_a_scenario_a_commit_is_held_to_the_section_of_which_it_walked_the_most(path: Path, title: str) -> None:
    outcome = shipped(path)
    header = msgspec.structs.replace(outcome.header, scenario="")
    (found,) = conformances(header, outcome.events, None, Path())
    assert (found.section.title, found.verdict.conforms) == (title, True)


def test_a_run_in_which_nobody_committed_is_held_to_nothing() -> None:
    outcome = shipped(PUSH)
    header = msgspec.structs.replace(outcome.header, scenario="")
    assert conformances(header, (), None, Path()) == []
    markup = read(run_page(run_of_trace(header, (), (), "Nobody judged.", Path())))
    assert markup.errors == ()
    assert markup.dangling() == []
    assert not markup.all("section", id="conformance")
    assert "Nothing was sent." in text_of(markup.one("section", id="sequence"))
    assert text_of(markup.one("title")) == "served"


HEADER = Header(
    version="1",
    wire="loopback",
    profile="documented",
    seed=1,
    tokens="redacted",
    scenario="",
    files=(),
    external=("upload",),
)


def run_with(*events: Event, **changes: Any) -> Run:
    values = {"name": "a run", "summary": "of a test", "verdicts": (), "judged": "not at all", "header": HEADER}
    return Run(events=events, **{**values, **changes})


def asked(text: str = "", **changes: Any) -> Request:
    values: dict[str, Any] = {
        "id": "user-1",
        "sender": "user",
        "receiver": "upload",
        "method": "POST",
        "target": "/assets",
        "headers": (("content-type", "text/plain"),),
        "body": Body(length=len(text.encode("utf-8", "replace")), text=text) if text else Body(length=0),
    }
    return Request(**{**values, **changes})


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'",
    "</pre></details></title></style><!--",
    "&lt;b&gt;&amp;",
    "]]>{{ 7 * 7 }}{% if %}",
    "\0\x01\x1b[31m\x7f\x85\ufffe\u202e\r\r\n\t",
    "\n\nbegins with ends of lines",
]


def told(text: str) -> str:
    """What a reader sees of a text: HTML has one way to end a line."""
    return str(legible(text)).replace("\r\n", "\n")


EVIL = st.sampled_from(HOSTILE) | st.text(max_size=20)


@given(EVIL, EVIL, EVIL, EVIL)
@example(*HOSTILE[:4])
@example(*HOSTILE[3:])
def test_nothing_that_others_say_is_markup(name: str, header: str, body: str, detail: str) -> None:
    events: list[Event] = [
        Sent(at=0, message=asked(body, target=f"/{header}", headers=(("x-a", header), ("host", header)))),
        Lost(at=0, message="user-1", reason=detail),
        Sent(at=1, message=Publish(**amqp(header, body), id="phraseanet-1", sender="phraseanet", receiver="broker")),
        Sent(
            at=2,
            message=Delivery(
                **amqp(header, body),
                id="broker-1",
                sender="broker",
                receiver="phraseanet",
                queue=name,
                redelivered=True,
            ),
        ),
        Noted(at=3, by="auth", note=name, details={detail: detail, "nested": {header: [body]}}),
        Received(at=4, message=detail),
    ]
    files = (File(name=name, size=1, sha256="00"),)
    run = run_with(
        *events,
        name=name,
        summary=header,
        verdicts=[Verdict(name, "broken", (detail, body))],
        judged=detail,
        unheld=body,
        header=msgspec.structs.replace(HEADER, files=files, version=name),
    )
    markup, plain = read(run_page(run)), read(run_page(run_with(*plainly(events))))
    assert markup.errors == ()
    assert markup.dangling() == []
    assert set(markup.tags()) - set(plain.tags()) <= {"p", "ul", "li", "section", "nav", "pre", "h2", "br", "mark"}
    assert markup.tags()["script"] == 1
    assert markup.tags()["img"] == 0
    assert [one for one in markup.root.iter() for key in one.keys() if key.startswith("on")] == []  # noqa: SIM118
    first = Markup(markup.one("li", id="m1"), ())
    assert told(header) in [text_of(one) for one in first.one("table").iter("code")]
    if body:
        assert text_of(first.one("pre", class_="body")) == told(body)
    assert told(name) in text_of(markup.one("h1"))


def amqp(text: str, body: str) -> dict[str, Any]:
    return {
        "exchange": text,
        "routing_key": text,
        "properties": {"content-type": text, "headers": {text: [text]}},
        "body": asked(body).body,
    }


def plainly(events: list[Event]) -> list[Event]:
    """The same with nothing hostile in them."""
    clean: list[Event] = [Sent(at=0, message=asked("text")), Lost(at=0, message="user-1", reason="why")]
    return [*clean, Noted(at=3, by="auth", note="note", details={"a": "b"})] if events else []


def test_what_a_page_may_not_hold_or_nobody_sees_is_written_out() -> None:
    assert legible("a\0b\x1b\ud800\u202e\ufdd0\r") == r"a\x00b\x1b\ud800\u202e\ufdd0\r"
    assert legible("tab\tend\nend\r\né ☃ 👩‍🚀\xa0") == "tab\tend\nend\r\né ☃ 👩‍🚀\xa0"
    assert legible(7) == 7


def test_a_long_body_is_shown_in_its_beginning_and_one_that_was_not_kept_by_its_digest() -> None:
    long = "é" * (SHOWN_CHARACTERS_MAX + 1)
    for message, said in (
        (asked(long), f"body: {len(long.encode())} bytes, of which {SHOWN_CHARACTERS_MAX} characters are shown"),
        (asked(body=Body(length=9, sha256="ab", digest="computed")), "body: 9 bytes, SHA-256 ab"),
        (asked(body=Body(length=9, sha256="ab", digest="stored")), "body: 9 bytes, SHA-256 of the file in it ab"),
        (asked(), "body: empty"),
        (asked(body=Body(length=2, base64="//8=")), "body: 2 bytes"),
    ):
        row = Markup(read(run_page(run_with(Sent(at=0, message=message)))).one("li", id="m1"), ())
        assert said in text_of(row.root)
        shown = [len(text_of(one)) for one in row.all("pre", class_="body")]
        assert shown == ([SHOWN_CHARACTERS_MAX] if message.body.length > 9 else [8] if message.body.length == 2 else [])


def test_of_an_external_sender_nobody_saw_when_it_was_sent() -> None:
    answer = Response(
        id="upload-1", sender="upload", receiver="user", reply_to="user-1", status=200, headers=(), body=Body(length=0)
    )
    markup = read(run_page(run_with(Sent(at=5, message=asked()), Received(at=6_000_000, message=answer))))
    first, second = (text_of(one) for one in markup.all("dl", class_="facts")[1:])
    assert "sent0.000 s" in "".join(first.split("\n")).replace("  ", "")
    assert "arrivednobody saw" in "".join(first.split("\n")).replace("  ", "")
    assert "sentnobody saw" in "".join(second.split("\n")).replace("  ", "")
    assert "arrived0.006 s" in "".join(second.split("\n")).replace("  ", "")
    assert "external" in text_of(markup.one("header"))


MESSAGES = st.builds(
    asked, st.text(max_size=9), sender=st.sampled_from(PARTICIPANTS), receiver=st.sampled_from(PARTICIPANTS)
)


@given(MESSAGES)
def test_a_message_goes_from_and_to_anybody(message: Message) -> None:
    """To itself, too: a participant may call its own address."""
    markup = read(run_page(run_with(Sent(at=0, message=message), Received(at=0, message=message.id))))
    assert markup.errors == ()
    assert len(rows(markup)) == 1
