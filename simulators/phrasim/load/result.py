"""What a load run came to, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phrasim.load.objectives import Judged

VIOLATIONS_SHOWN = 20
"""How many violations people are told; files have all."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The durations of a stage of the hand-offs in seconds, and how many there are."""

    count: int
    median: float
    p95: float
    maximum: float


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The account, the objectives and the figures of a run.

    `rates` are per second, of requests, hand-offs and downloaded bytes; `queues` are depths by name with the second
    of the run. `unjudged` says why a run could not be judged, where it could not; `seconds` is from its begin until
    the last thing that was seen.
    """

    seconds: float
    counts: Mapping[str, int]
    violations: Sequence[str]
    objectives: Sequence[Judged]
    stages: Mapping[str, Stage]
    requests: Mapping[str, tuple[int, int]]
    rates: Mapping[str, float]
    queues: Sequence[tuple[float, Mapping[str, int]]]
    unjudged: Sequence[str]

    @property
    def exit_code(self) -> int:
        """0 kept, 1 broken, 2 where it could not be judged (and nothing was broken)."""
        if self.violations or any(one.kept is False for one in self.objectives):
            return 1
        if self.unjudged or not self.counts["commits"] or any(one.kept is None for one in self.objectives):
            return 2
        return 0
