"""What a runner says while it plays: typed events, for whoever listens (a terminal, a JUnit file, a test)."""

from dataclasses import dataclass
from typing import Literal

from phrasim.journal.events import Event, Header
from phrasim.scenario.model import Scenario

Judgement = Literal["held", "broken", "unobserved"]
"""`unobserved`: with an external participant nobody saw it; that is neither held nor broken."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one expectation: what was expected, the judgement, and lines that say why."""

    expectation: str
    judgement: Judgement
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The run begins."""

    scenario: Scenario
    header: Header


@dataclass(frozen=True, slots=True)
class Happened:
    """The journal has a new event."""

    event: Event


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step is done, or failed for the reason given; after a failure no further step is taken."""

    step_id: str
    failure: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """An expectation was judged."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over."""

    outcome: "Outcome"


RunEvent = Started | Happened | StepEnded | Judged | Ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and its verdicts; `duration_ns` is protocol time."""

    scenario: Scenario
    header: Header
    events: tuple[Event, ...]
    verdicts: tuple[Verdict, ...]
    duration_ns: int

    @property
    def held(self) -> bool:
        """Whether nothing was broken."""
        return all(verdict.judgement != "broken" for verdict in self.verdicts)
