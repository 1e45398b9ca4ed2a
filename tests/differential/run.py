"""Run many programs on RabbitMQ and on the embedded broker, and count what they met.

    python tests/differential/run.py [--programs 2000] [--seed 1] [--seconds 300] [--save found.json]

Prints every kind of difference once, then a histogram of methods and reply codes. Ends with 1 when there was a
difference. With --seconds it ends early when they are over. With --save the first program of each kind is kept, of
which a file in contracts/broker/ can be made: with a sentence about it, and record.py.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hypothesis import HealthCheck, Phase, given, seed, settings

from differential.compare import compared
from differential.embedded import running_broker
from differential.programs import programs
from differential.rabbitmq import absence, running_node
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.contract.broker.driver import Driver
from phrasim.contract.broker.programs import Program


def say(line: str) -> None:
    """Write a line for who started this."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Compare as many programs as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    reason = absence()
    if reason is not None:
        say(reason)
        return 2
    met: Counter[str] = Counter()
    found: dict[str, tuple[str, Program]] = {}
    figures: Counter[str] = Counter()
    began = time.monotonic()
    with running_node() as judge_address, running_broker() as judged_address:
        say(f"RabbitMQ answers after {time.monotonic() - began:.1f} s")
        judge, judged = Driver(BrokerUrl(*judge_address)), Driver(BrokerUrl(*judged_address))
        began = time.monotonic()

        @seed(asked.seed)
        @settings(
            max_examples=asked.programs,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(program=programs)
        def compare(program: Program) -> None:
            if time.monotonic() - began > asked.seconds:
                return
            told, runs = compared(program, judge, judged)
            figures.update(programs=1, steps=len(program), runs=len(runs), slow=any(run.slow for run in runs))
            met.update(runs[0].met)
            if told is not None:
                figures["differences"] += 1
                kind = re.sub(r"\d+", "N", told.partition("\n")[2])
                found.setdefault(kind, (told, program))

        compare()
        judge.close()
        judged.close()
    for told, _ in found.values():
        say(told)
    for what, times in sorted(met.items()):
        say(f"{times:8} {what}")
    counted = ", ".join(f"{count} {name}" for name, count in figures.items())
    say(f"{counted} in {time.monotonic() - began:.0f} s")
    if asked.save is not None:
        asked.save.write_text(json.dumps([program for _, program in found.values()], indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
