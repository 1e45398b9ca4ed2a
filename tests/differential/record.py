"""Record what RabbitMQ does with the programs of contracts/broker/, beside their steps.

    python tests/differential/record.py [NAME...]

Starts a RabbitMQ of its own, runs the programs of those names on it, or all, and writes what it did into their files. A
program that does not come to the same twice is left as it is, and told; the command ends with 1 then.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from differential.compare import ATTEMPTS
from differential.rabbitmq import absence, running_node
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.contract.broker.compare import OWN_TIME_WITHIN_S, apart, masked
from phrasim.contract.broker.driver import Driver
from phrasim.contract.broker.programs import Recorded, recorded_programs, written
from phrasim.contract.broker.verify import product
from phrasim.documents import broker_programs_folder


def say(line: str) -> None:
    """Write a line for who started this."""
    sys.stdout.write(f"{line}\n")


def recorded_anew(recorded: Recorded, driver: Driver) -> Recorded | None:
    """The program with what the broker did now; None where it did not come to the same twice."""
    for _ in range(ATTEMPTS):
        first, second = driver.run(recorded.program), driver.run(recorded.program)
        now = time.time()
        if not (first.slow or second.slow) and apart(first.records, second.records, now, strict=True) is None:
            expected = [masked(record, now, OWN_TIME_WITHIN_S) for record in first.records]
            return dataclasses.replace(recorded, expected=expected, recorded_from=" ".join(product(driver.access)))
    return None


def main() -> int:
    """Record the programs that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    reason = absence()
    if reason is not None:
        say(reason)
        return 2
    failed = 0
    with running_node() as address:
        driver = Driver(BrokerUrl(*address))
        for recorded in recorded_programs():
            if names and recorded.name not in names:
                continue
            anew = recorded_anew(recorded, driver)
            if anew is None:
                failed += 1
                say(f"{recorded.name}: came to something else each time")
                continue
            (broker_programs_folder() / f"{recorded.name}.json").write_bytes(written(anew).encode())
            say(f"{recorded.name}: {'as before' if anew.expected == recorded.expected else 'changed'}")
        driver.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
