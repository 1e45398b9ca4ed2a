"""Pull with a minute between two polls is no dearer than push by more than half: simulated waits are free.

`scenarios/push.yaml` and a copy of `scenarios/pull.yaml` with `given.pollInterval: 60 s` are played in turn; the figure
is the ratio of their medians.
"""

import statistics

from figure import Figure, spread
from play import SCENARIOS, timed

from phrasim.scenario.loader import load_scenario, parse_scenario
from phrasim.scenario.model import Scenario

ROUNDS = 40
BAR = 1.5
POLL_SECONDS = 60


def figures() -> list[Figure]:
    push, pull = load_scenario(SCENARIOS / "push.yaml"), _slow_pull()
    timed(push)
    _, outcome = timed(pull)
    if outcome.duration_ns < POLL_SECONDS * 1e9:
        raise RuntimeError(f"the copy of pull.yaml ended after {outcome.duration_ns} ns: it did not wait for its poll")
    push_ms, pull_ms = [], []
    for _ in range(ROUNDS):
        push_ms.append(timed(push)[0].wall_ms)
        pull_ms.append(timed(pull)[0].wall_ms)
    ratio = statistics.median(pull_ms) / statistics.median(push_ms)
    aside = f"pull {spread(pull_ms, 'ms')}; push {spread(push_ms, 'ms')}"
    return [Figure(f"pull with a poll every {POLL_SECONDS} s, against push", ratio, BAR, "×", aside)]


def _slow_pull() -> Scenario:
    """The pull scenario with a long poll interval, and a step that waits long enough for it."""
    text = (SCENARIOS / "pull.yaml").read_text()
    for found, instead in (
        ("\ngiven:\n", f"\ngiven:\n  pollInterval: {POLL_SECONDS} s\n"),
        ("within: 30 s", f"within: {2 * POLL_SECONDS} s"),
    ):
        if text.count(found) != 1:
            raise RuntimeError(f"making a slow copy of pull.yaml: {found!r} stands in it {text.count(found)} times")
        text = text.replace(found, instead)
    return parse_scenario(text, str(SCENARIOS / "pull.yaml"))
