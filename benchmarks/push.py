"""The push scenario, second and later runs in a process: the median takes at most 10 ms.

The scenario is parsed once, outside. Each run builds a testbed, uploads two files, hands them over, takes the testbed
down and judges every expectation.
"""

import statistics

from figure import Figure, spread
from play import SCENARIOS, timed

from phrasim.scenario.loader import load_scenario

RUNS = 60
BAR_MS = 10


def figures() -> list[Figure]:
    scenario = load_scenario(SCENARIOS / "push.yaml")
    timed(scenario)  # the first run imports, reads the specifications and compiles their schemas
    timings = [timed(scenario)[0] for _ in range(RUNS)]
    processor = spread([timing.processor_ms for timing in timings], "ms")
    wall = [timing.wall_ms for timing in timings]
    aside = f"{spread(wall, 'ms')}; processor time {processor}"
    return [Figure("push scenario, a later run", statistics.median(wall), BAR_MS, "ms", aside)]
