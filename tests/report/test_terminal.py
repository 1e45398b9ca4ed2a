"""A run in lines: what is shown, in which style, and what is not."""

from collections.abc import Callable

import msgspec
import pytest

from phrasim.documents import contract
from phrasim.journal.events import (
    Body,
    Delivery,
    Event,
    Header,
    Lost,
    Noted,
    Publish,
    Received,
    Request,
    Response,
    Sent,
)
from phrasim.report.terminal import RunReport, event_lines, label_of, outcome_line, printable, verdict_lines
from phrasim.scenario.events import Ended, Happened, Judged, Outcome, Started, StepEnded, Verdict
from phrasim.scenario.model import Scenario

Outcomes = Callable[..., Outcome]
REQUEST = Request(
    id="user-1",
    sender="user",
    receiver="upload",
    operation_id="uploadAsset",
    method="POST",
    target="/assets?token=secret",
    headers=(),
    body=Body(length=0),
)
ANSWER = Response(
    id="upload-1",
    sender="upload",
    receiver="user",
    operation_id="downloadAsset",
    reply_to="user-1",
    status=200,
    headers=(),
    body=Body(length=12),
)
DELIVERY = Delivery(
    id="broker-1",
    sender="broker",
    receiver="phraseanet",
    operation_id="consumeMessage",
    queue="assetsIngest",
    exchange="e",
    routing_key="k",
    redelivered=False,
    properties={},
    body=Body(length=0),
)
PUBLISH = Publish(
    id="phraseanet-1",
    sender="phraseanet",
    receiver="broker",
    operation_id="produceMessage",
    exchange="e",
    routing_key="k",
    properties={},
    body=Body(length=0),
)


def lines(event: Event) -> list[tuple[str, str]]:
    return [(style, " ".join(text.split())) for style, text in event_lines(event, contract("documented"))]


def test_an_arrow_bears_its_label_and_no_query() -> None:
    assert lines(Sent(at=1_234_567_890, message=REQUEST)) == [
        ("arrow", "1.234 s user -> upload Upload asset POST /assets")
    ]


def test_what_the_document_does_not_draw_is_an_aside() -> None:
    foreign = msgspec.structs.replace(REQUEST, operation_id=None, target="/health")
    assert lines(Sent(at=0, message=foreign)) == [("aside", "0.000 s user -> upload POST /health")]


def test_an_answer_is_shown_if_it_is_an_arrow_or_a_refusal() -> None:
    assert lines(Sent(at=0, message=ANSWER)) == [("arrow", "0.000 s upload -> user Get contents 200 (12 bytes)")]
    unlabelled = msgspec.structs.replace(ANSWER, operation_id="uploadAsset", status=201)
    assert lines(Sent(at=0, message=unlabelled)) == []
    refused = msgspec.structs.replace(ANSWER, operation_id="uploadAsset", status=403)
    assert lines(Sent(at=0, message=refused)) == [("bad", "0.000 s upload -> user 403 (12 bytes)")]


def test_messages_of_the_broker_are_told_by_exchange_and_queue() -> None:
    assert lines(Sent(at=0, message=PUBLISH)) == [
        ("arrow", "0.000 s phraseanet -> broker Produce message publish to e, k")
    ]
    assert lines(Sent(at=0, message=DELIVERY)) == [
        ("arrow", "0.000 s broker -> phraseanet Consume message deliver from assetsIngest")
    ]


@pytest.mark.parametrize("again", [{"redelivered": True}, {"properties": {"headers": {"x-death": []}}}])
def test_a_delivery_that_is_not_the_first_says_so(again: dict[str, object]) -> None:
    ((_, text),) = lines(Sent(at=0, message=msgspec.structs.replace(DELIVERY, **again)))
    assert "deliver again from assetsIngest" in text


def test_a_receipt_says_nothing_new() -> None:
    assert lines(Received(at=0, message="user-1")) == []


def test_a_loss_and_a_note_are_told() -> None:
    assert lines(Lost(at=0, message="user-1", reason="refused")) == [("bad", "0.000 s lost user-1: refused")]
    assert lines(Lost(at=0, message=REQUEST, reason="refused")) == [("bad", "0.000 s lost user-1: refused")]
    note = Noted(at=0, by="upload", note="retried", details={"in": "1 s", "of": 3})
    assert lines(note) == [("aside", "0.000 s upload: retried (in 1 s, of 3)")]
    assert lines(Noted(at=0, by="upload", note="retried")) == [("aside", "0.000 s upload: retried")]


def test_a_message_without_an_operation_has_no_label() -> None:
    assert label_of(msgspec.structs.replace(REQUEST, operation_id=None), contract("documented")) is None


def test_verdicts_bear_their_reasons(outcome: Outcomes) -> None:
    assert list(verdict_lines(Verdict("e", "held"))) == [("good", "held        e")]
    assert list(verdict_lines(Verdict("e", "unobserved"))) == [("aside", "unobserved  e")]
    assert list(verdict_lines(Verdict("e", "broken", ("why", "else")))) == [
        ("bad", "broken      e"),
        ("bad", "            why"),
        ("bad", "            else"),
    ]
    assert outcome_line(outcome(Verdict("e", "held"), Verdict("f", "unobserved"))) == ("good", "test: held")
    assert outcome_line(outcome(Verdict("e", "held"), Verdict("f", "broken"))) == (
        "bad",
        "test: broken (1 of 2 expectations)",
    )


def test_a_name_with_control_characters_is_escaped() -> None:
    assert printable("naïve ☃.txt") == "naïve ☃.txt"
    assert printable("a\x1b[31m\n.txt") == r"'a\x1b[31m\n.txt'"


def test_a_run_is_printed_from_its_heading_to_its_outcome(
    scenario: Scenario, header: Header, outcome: Outcomes
) -> None:
    printed: list[tuple[str, str]] = []
    report = RunReport(lambda style, text: printed.append((style, text)))
    held = Verdict("e", "held")
    for event in (
        Started(scenario, header),
        Happened(Received(at=0, message="x")),
        StepEnded("a", None),
        StepEnded("b", "expected this, found that"),
        Judged(held),
        Judged(held),
        Ended(outcome(held, held)),
    ):
        report(event)
    assert printed == [
        ("heading", "test: A test."),
        ("aside", "off mode, documented, in-process, seed 7; a.txt (3 bytes), 'b\\n\\x1b[31m.txt' (1 bytes)"),
        ("bad", "step b failed: expected this, found that"),
        ("plain", ""),
        ("good", "held        e"),
        ("good", "held        e"),
        ("good", "test: held"),
    ]


def test_a_run_without_files_says_so(scenario: Scenario, header: Header) -> None:
    printed: list[str] = []
    RunReport(lambda _, text: printed.append(text))(Started(scenario, msgspec.structs.replace(header, files=())))
    assert printed[1].endswith("; no files")


def test_what_others_have_named_shows_no_control_character() -> None:
    named = msgspec.structs.replace(PUBLISH, exchange="", routing_key="u\x1b[31m\nX")
    ((_, text),) = lines(Sent(at=0, message=named))
    assert text.endswith("publish to the default exchange, u\\x1b[31m\\nX")
    ((_, text),) = lines(Noted(at=0, by="broker", note="dropped", details={"queue": None, "reason": "a\rb"}))
    assert text == "0.000 s broker: dropped (reason a\\rb)"
