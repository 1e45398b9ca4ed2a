"""Outcomes as reports take them, without a run."""

from collections.abc import Callable

import pytest

from phrasim.journal.events import Event, File, Header
from phrasim.scenario.events import Outcome, Verdict
from phrasim.scenario.loader import parse_scenario
from phrasim.scenario.model import Scenario

TEXT = "scenario: test\nsummary: A test.\nmode: off\nsteps: [{stepId: a, wait: 1 s}]\nexpect: {records: none}\n"


@pytest.fixture
def scenario() -> Scenario:
    return parse_scenario(TEXT, "test.yaml")


@pytest.fixture
def header() -> Header:
    return Header(
        version="1.2.3",
        wire="in-process",
        profile="documented",
        seed=7,
        tokens="redacted",
        scenario=TEXT,
        files=(File(name="a.txt", size=3, sha256="00"), File(name="b\n\x1b[31m.txt", size=1, sha256="00")),
    )


@pytest.fixture
def outcome(scenario: Scenario, header: Header) -> Callable[..., Outcome]:
    """The outcome of a run with those verdicts and events, which took 1.5 s."""

    def make(*verdicts: Verdict, events: tuple[Event, ...] = ()) -> Outcome:
        return Outcome(scenario, header, events, verdicts, 1_500_000_000)

    return make
