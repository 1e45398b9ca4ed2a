"""A verification in lines for people: the whole text of one lies in golden/, and no report shows a secret."""

import html
import json
import os
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrasim.contract.finding import Verification
from phrasim.report.github import annotations, summary
from phrasim.report.har import har
from phrasim.report.verification import verification_lines
from phrasim.report.verification_junit import verification_junit
from report.verifications import bearing, exchange, finding, mixed, suite, verification, warning

GOLDEN = Path(__file__).parent / "golden"
MARKER = "Ma4rk2er9Of1The6Secret"


def text_of(judged: Verification) -> str:
    return "".join(f"{text}\n" for _, text in verification_lines(judged))


@pytest.mark.parametrize(
    ("name", "judged"),
    [
        ("verification_broken", mixed()),
        ("verification_kept", verification(suite(notes=("nobody was asked twice",)), url=None, asked="", preflight=())),
        (
            "verification_unjudged",
            verification(suite(cases=1, unjudged="no user"), url="http://h/a b", asked="--seed=7"),
        ),
    ],
)
def test_the_text_of_a_verification_is_the_golden_one(name: str, judged: Verification) -> None:
    path = GOLDEN / f"{name}.txt"
    text = text_of(judged)
    if os.environ.get("PHRASIM_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; PHRASIM_GOLDEN=write writes it anew"


def test_the_styles_say_what_came_of_a_suite() -> None:
    styles = {text.split("  ")[0]: style for style, text in verification_lines(mixed())}
    assert (styles["kept"], styles["broken"], styles["not judged"]) == ("good", "bad", "aside")


def test_three_hundred_findings_that_are_the_same_are_told_once() -> None:
    findings = [finding(asked=f"POST /commit, the {number}th time") for number in range(300)]
    lines = text_of(verification(suite("operations", *findings))).splitlines()
    assert "operations: commitAssets: status, 300 times" in lines
    assert [line for line in lines if "th time" in line] == ["  asked     POST /commit, the 0th time"]
    assert lines[-2] == "upload, documented: broken (300 findings in 1 of 1 suite)"


@pytest.mark.parametrize("other", ["suite", "rule", "operation_id", "place"])
def test_findings_that_differ_are_told_apart(other: str) -> None:
    lines = text_of(verification(suite("operations", finding(), finding(**{other: "another"})))).splitlines()
    assert len([line for line in lines if line.startswith("  asked ")]) == 2


def test_what_a_server_says_does_not_steer_the_terminal() -> None:
    hostile = "\x1b[2J\x07 and\r\nmore\u202e"
    judged = verification(suite(hostile, finding(came=hostile, asked=hostile, exchange=exchange(method="A\x1b"))))
    assert all(text.isprintable() for _, text in verification_lines(judged))


def test_a_finding_of_no_operation_and_no_request_says_what_it_has() -> None:
    alone = finding(operation_id=None, exchange=None, asked="", came="nothing", expected="", place="")
    lines = text_of(verification(suite("order", replace(alone, suite="order")))).splitlines()
    assert "order: status" in lines
    assert lines[lines.index("order: status") + 1 : -3] == ["  came      nothing"]


def test_a_request_without_an_answer_says_what_happened() -> None:
    cut = exchange(status=None, response_headers=(), response_body=b"", failure="no answer within 5 s")
    assert "  failure   no answer within 5 s" in text_of(verification(suite("a", finding(exchange=cut)))).splitlines()


def test_warnings_alone_break_nothing() -> None:
    lines = text_of(verification(suite("operations", warning()))).splitlines()
    assert lines[-2] == "upload, documented: kept (412 cases in 1 suite)"
    assert lines[3].startswith("kept ")


def strings(value: Any) -> list[str]:
    """Every text in a JSON value, and what stands in base64 there."""
    if isinstance(value, dict):
        inner = [one for key, item in value.items() for one in (key, *strings(item))]
        if "base64" in (value.get("encoding"), value.get("_encoding")):
            inner.append(b64decode(value["text"]).decode("latin-1"))
        return inner
    if isinstance(value, list):
        return [one for item in value for one in strings(item)]
    return [value] if isinstance(value, str) else []


SPECIAL = st.text("aZ9 \"'\\%&=+/?#<>é€-_", max_size=4)


@given(SPECIAL, SPECIAL)
@settings(max_examples=30)
def test_no_report_shows_a_secret(before: str, after: str) -> None:
    judged = bearing(f"{before}{MARKER}{after}")
    reports = [
        text_of(judged),
        verification_junit(judged).decode(),
        *strings(json.loads(har(judged))),
        *annotations(judged),
        summary(judged),
    ]
    for report in reports:
        for text in (report, unquote(report), html.unescape(report)):
            assert MARKER not in text, text[max(0, text.index(MARKER) - 300) :][:600]


def test_what_stands_in_the_place_of_secrets_is_told_apart() -> None:
    text = text_of(bearing(MARKER))
    assert text.count("$PHRASIM_TOKEN") > 1
    assert "not written here, since it may hold a secret" in text
    assert "‹redacted›" in text
