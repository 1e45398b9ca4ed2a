"""Runs programs on two brokers of one version, and tells a difference."""

import json
import time

from phrasim.contract.broker.compare import Apart, apart
from phrasim.contract.broker.driver import Driver
from phrasim.contract.broker.execution import Run
from phrasim.contract.broker.programs import Program, Record, one_by_one

ATTEMPTS = 3
"""How often a difference has to be seen before it counts: a busy machine makes some that nobody can repeat."""


def difference(program: Program, expected: list[Record], found: Run) -> str | None:
    """The first step in which a run is not as it is expected, told with both sides; None when it is."""
    first = apart(expected, found.records, time.time(), strict=True)
    return None if first is None else told(program, first)


def told(program: Program, first: Apart) -> str:
    lines = [f"step {first.step} of {len(program)}: {json.dumps(program[first.step])}"]
    for place in first.places:
        lines += [
            f"  {', '.join(place.where)}",
            f"    RabbitMQ: {json.dumps(place.expected, sort_keys=True)}",
            f"    here:     {json.dumps(place.came, sort_keys=True)}",
        ]
    return "\n".join(lines)


def compared(program: Program, judge: Driver, judged: Driver) -> tuple[str | None, list[Run]]:
    """Run the program on both brokers; gives what they differ in each time, and the runs, RabbitMQ's first.

    With several messages published at once, a letter made of the first may come before or after the second: which,
    RabbitMQ's processes race for. So a difference counts if it stays when they are published one by one.
    """
    told, runs = compared_as_it_is(program, judge, judged)
    if told is not None and any(step.get("times", 1) > 1 for step in program):
        told, runs = compared_as_it_is(one_by_one(program), judge, judged)
    return told, runs


def compared_as_it_is(program: Program, judge: Driver, judged: Driver) -> tuple[str | None, list[Run]]:
    """The same, with the program as it is."""
    runs: list[Run] = []
    told: str | None = None
    for _ in range(ATTEMPTS):
        expected, found = judge.run(program), judged.run(program)
        runs += [expected, found]
        if expected.slow or found.slow:
            told = None
            continue
        told = difference(program, expected.records, found)
        if told is None:
            return None, runs
    return told, runs


def as_expected(program: Program, expected: list[Record], judged: Driver) -> tuple[str | None, list[Run]]:
    """Run the program on one broker; gives what is not as expected each time, and the runs."""
    runs: list[Run] = []
    told: str | None = None
    for _ in range(ATTEMPTS):
        runs.append(judged.run(program))
        if runs[-1].slow:
            told = None
            continue
        told = difference(program, expected, runs[-1])
        if told is None:
            break
    return told, runs
