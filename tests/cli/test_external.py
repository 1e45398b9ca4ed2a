"""The verbs that read traces, given that of a landscape with an external Phraseanet and no scenario."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from phrasim.documents import flow_document

Call = Callable[..., Result]
DOCUMENT = flow_document("documented")


@pytest.fixture
def served(phrasim: Call) -> Path:
    """The trace of a push as a server would have it whose Phraseanet, and with it the broker, is external."""
    assert phrasim("run", "push", "--trace", "push.jsonl").exit_code == 0
    header, *events = map(json.loads, Path("push.jsonl").read_text().splitlines())
    header |= {"wire": "loopback", "scenario": "", "files": [], "external": ["phraseanet", "broker"]}
    left_out = [event["message"]["id"] for event in events if of_the_broker(event)]
    kept = [event for event in events if not of_the_broker(event) and event.get("message") not in left_out]
    Path("served.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in (header, *kept)))
    return Path("served.jsonl")


def of_the_broker(event: dict[str, Any]) -> bool:
    message = event.get("message")
    return isinstance(message, dict) and message["kind"] in ("publish", "delivery")


def test_what_two_external_participants_say_to_each_other_fails_nothing(served: Path, phrasim: Call) -> None:
    result = phrasim("conform", DOCUMENT, served, "--section", "Push mode")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines.count("      both ends are external: nobody looked") == 2
    assert "10 of 12 arrows walked, 2 unobserved (5, 6)" in lines


def test_a_missing_arrow_is_one_whoever_is_external(served: Path, phrasim: Call) -> None:
    kept = [line for line in served.read_text().splitlines(keepends=True) if "getPublisherInfo" not in line]
    served.write_text("".join(kept))
    result = phrasim("conform", DOCUMENT, served, "--section", "Push mode")
    assert result.exit_code == 1
    assert "9 of 12 arrows walked, 2 unobserved (5, 6); not as drawn: 7 missing" in result.stdout.splitlines()


def test_a_trace_of_no_scenario_wants_its_section_named(served: Path, phrasim: Call) -> None:
    result = phrasim("conform", DOCUMENT, served)
    assert (result.exit_code, result.stdout) == (2, "")
    said = (
        "phrasim: the trace is that of no scenario; say --section with one of those that draw: 'Push mode', 'Pull mode'"
    )
    assert result.stderr == f"{said}\n"


def test_a_trace_of_no_scenario_is_drawn_and_cannot_be_repeated(served: Path, phrasim: Call) -> None:
    drawing = phrasim("diagram", served).stdout
    assert drawing.startswith("title Upload request flow\n")
    assert "RabbitMQ" not in drawing
    result = phrasim("replay", served)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "phrasim: served.jsonl: the trace was made on the wire 'loopback'; only in-process runs can be repeated\n"
    )
