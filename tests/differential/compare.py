"""What two runs of one program must agree in, and how a difference is told."""

import json
import time
from typing import Any

from differential.driver import Driver, Program, Run

ATTEMPTS = 3
"""How often a difference has to be seen before it counts: a busy machine makes some that nobody can repeat."""

TIME_WITHIN_S = 60


def masked(value: Any, now: float) -> Any:
    """A record with the `time` of an x-death entry replaced, if it is a time of this run."""
    match value:
        case ["T", int(seconds)] if abs(seconds - now) <= TIME_WITHIN_S:
            return ["T", "about now"]
        case list():
            return [masked(item, now) for item in value]
        case dict():
            return {name: masked(item, now) for name, item in value.items()}
        case _:
            return value


def difference(program: Program, expected: Run, found: Run) -> str | None:
    """The first step in which two runs differ, told with both sides; None when they agree."""
    now = time.time()
    for number, step in enumerate(program):
        left, right = masked(expected.records[number], now), masked(found.records[number], now)
        if left == right:
            continue
        lines = [f"step {number} of {len(program)}: {json.dumps(step)}"]
        for key in dict.fromkeys([*left, *right]):
            if left.get(key) != right.get(key):
                lines.append(f"  {key}")
                lines.append(f"    RabbitMQ: {json.dumps(left.get(key), sort_keys=True)}")
                lines.append(f"    here:     {json.dumps(right.get(key), sort_keys=True)}")
        return "\n".join(lines)
    return None


def one_by_one(program: Program) -> Program:
    """The program with every message published by itself, and the broker at rest before the next."""
    return [
        ({**step, "times": 1} if "times" in step else step) for step in program for _ in range(step.get("times", 1))
    ]


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
        told = difference(program, expected, found)
        if told is None:
            return None, runs
    return told, runs
