"""Scenarios of the checkout, played and timed in this process."""

import time
from dataclasses import dataclass
from pathlib import Path

from phrasim.scenario.events import Outcome
from phrasim.scenario.model import Scenario
from phrasim.scenario.runner import Play, play_in_process

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"


@dataclass(frozen=True, slots=True)
class Timing:
    """What one run took, in milliseconds: on the wall, and of the processor."""

    wall_ms: float
    processor_ms: float


def timed(scenario: Scenario) -> tuple[Timing, Outcome]:
    """Play a scenario, testbed and verdicts included. A scenario that is not held measures nothing: `RuntimeError`."""
    processor, wall = time.process_time_ns(), time.perf_counter_ns()
    outcome = play_in_process(scenario, Play())
    wall_ms = (time.perf_counter_ns() - wall) / 1e6
    processor_ms = (time.process_time_ns() - processor) / 1e6
    if not outcome.held:
        broken = [line for verdict in outcome.verdicts if verdict.judgement != "held" for line in verdict.because]
        raise RuntimeError(f"playing {scenario.file!r} to measure it: the scenario is not held: {'; '.join(broken)}")
    return Timing(wall_ms, processor_ms), outcome
