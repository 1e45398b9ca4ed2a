"""Send spoilt streams to the embedded broker for as long as asked for, and count what they met.

    python tests/broker/amqp/fuzz.py [--seconds 120] [--seed 1] [--keep build/fuzz]

Prints the number of cases, the reply codes met, how the connections were found at the end, and whatever was raised.
Ends with 1 when something was: the stream lies in the folder of --keep then, and becomes a case of test_fuzz.py by
being moved to tests/broker/amqp/streams/.
"""

import argparse
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parents[2]))

from broker.amqp.arena import SMALL, SMALL_ON_SOCKETS, Arena, Fault, check_served, errors_of, played_on_a_socket
from broker.amqp.conftest import Served
from broker.amqp.fuzzing import Case, spoilt
from phrasim.broker.amqp.settings import Settings

CASES = 1_000
SOCKETS = 40
HANGS_S = 10
"""Seconds of real time after which a case hangs: most take less than a thousandth."""


def say(line: str) -> None:
    """Write a line for who started this."""
    sys.stdout.write(f"{line}\n")


class Found:
    """What the cases have met. `raised` counts each kind of failure by where it came from."""

    def __init__(self, keep: Path) -> None:
        self.cases = 0
        self.slowest_s = 0.0
        self.met: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        self._keep = keep

    def failed(self, error: BaseException, name: str, cases: list[Case]) -> None:
        """Note a failure, and keep the streams of the first one of its kind."""
        places = traceback.extract_tb(error.__traceback__)[-1:]
        kind = " at ".join(
            (
                f"{type(error).__name__}: {error}"[:300],
                *(f"{Path(place.filename).name}:{place.lineno}" for place in places),
            )
        )
        self.raised[kind] += 1
        if self.raised[kind] == 1:
            self._keep.mkdir(parents=True, exist_ok=True)
            for number, case in enumerate(cases):
                (self._keep / f"{name}-{number}.hex").write_text(case.hex(), encoding="ascii")
            done = ", ".join(cases[0].changes) if len(cases) == 1 else f"{len(cases)} cases"
            say(f"{kind}\n    in {name}, kept in {self._keep}: {done}")


def play(found: Found, name: str, chance: random.Random) -> None:
    """Play one round of cases without sockets."""
    arenas = [Arena(), Arena(SMALL)]
    for number in range(CASES):
        case = spoilt(chance)
        started = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, HANGS_S)
        try:
            found.met.update(arenas[number % 2].play(case))
        except Exception as error:  # noqa: BLE001
            found.failed(error, f"{name}-{number}", [case])
            arenas[number % 2] = Arena(SMALL if number % 2 else None)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        found.cases += 1
        found.slowest_s = max(found.slowest_s, time.perf_counter() - started)
    for arena in arenas:
        try:
            arena.check_end()
        except Fault as error:
            found.failed(error, f"{name}-end", [])


def play_on_sockets(found: Found, name: str, chance: random.Random, served: Served, errors: list[Exception]) -> None:
    """Play one round of cases on a running server, to whose loop the errors belong."""
    cases = [spoilt(chance) for _ in range(SOCKETS)]
    try:
        for case in cases:
            found.met.update(played_on_a_socket(("127.0.0.1", served.port), case, chance))
            found.cases += 1
        check_served(served)
    except Exception as error:  # noqa: BLE001
        errors.append(error)
    for error in errors:
        found.failed(error, f"{name}-socket", cases)
    errors.clear()


def main() -> int:
    """Play rounds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    asked = parser.parse_args()

    def hang(number: int, stack: FrameType | None) -> None:
        raise TimeoutError(f"a case took more than {HANGS_S} s")

    signal.signal(signal.SIGALRM, hang)
    found = Found(asked.keep)
    servers = [Served(Settings()), Served(SMALL_ON_SOCKETS)]
    errors = [errors_of(served) for served in servers]
    end = time.monotonic() + asked.seconds
    rounds = 0
    try:
        while time.monotonic() < end:
            name = f"{asked.seed}-{rounds}"
            chance = random.Random(name)
            play(found, name, chance)
            play_on_sockets(found, name, chance, servers[rounds % 2], errors[rounds % 2])
            rounds += 1
    finally:
        for served in servers:
            served.close()
    say(f"{found.cases} cases in {rounds} rounds; the slowest took {found.slowest_s * 1000:.0f} ms")
    for name, count in found.met.most_common():
        say(f"{count:9} {name}")
    for kind, count in found.raised.most_common():
        say(f"{count:9} RAISED {kind}")
    return 1 if found.raised else 0


if __name__ == "__main__":
    sys.exit(main())
