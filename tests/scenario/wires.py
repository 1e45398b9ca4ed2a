"""A scenario played on sockets, and what must be the same of it on every wire."""

import re

from phrasim.scenario.events import Outcome
from phrasim.scenario.loopback import play_on_loopback
from phrasim.scenario.model import Scenario
from phrasim.scenario.runner import Play
from phrasim.serve.landscape import Plan
from phrasim.serve.sockets import bind_all


def play(scenario: Scenario, plan: Plan) -> Outcome:
    ports = {name: (0, f"--{name}-port") for name in plan.played}
    return play_on_loopback(scenario, Play(), plan, lambda: bind_all("127.0.0.1", ports))


def verdicts(outcome: Outcome) -> list[tuple[str, str, tuple[str, ...]]]:
    """Its verdicts; how often somebody polled, and so the number of messages, is a matter of time."""
    return [
        (re.sub(r"^messages as specified \(\d+\)", "messages", one.expectation), one.judgement, one.because)
        for one in outcome.verdicts
    ]
