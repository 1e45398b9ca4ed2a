"""Hold mutants of the simulated services to the contract, and print how many of each family are caught.

    python contracts/mutation/run.py [--profile documented] [--family "field dropped"] [--sample 40] [--of 3] [--jobs 2]

A mutant is caught where a finding is made; the finding should name the operation at fault. Ends with 1 where fewer than
95 in a hundred are caught of those that are not listed as equivalent.
"""

import argparse
import multiprocessing
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutation.access import access_mutants
from mutation.answers import answer_mutants
from mutation.equivalent import why_equivalent
from mutation.mutant import Applied, Mutant
from mutation.rules import request_header_mutants, rule_mutants

from phrasim.contract.inquiry import Asked
from phrasim.contract.suites import Extent
from phrasim.contract.verify import verify_simulated
from phrasim.testbed import ProfileName

CAUGHT_MIN = 0.95
"""The part of the mutants that has to be caught."""

DEPLOYED_SAMPLE = 60
"""How many mutants of the deployed profile are tried: always the same ones."""

BUDGET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Score:
    """What became of a mutant: the first finding in words, and whether it names the operation at fault."""

    mutant: str
    family: str
    caught: bool
    named: bool
    applied: bool
    seconds: float
    found: str = ""


def mutants(profile: ProfileName) -> list[Mutant]:
    """All mutants of a profile, in their order."""
    made = [*answer_mutants(profile), *access_mutants(profile)]
    made += [*rule_mutants()] if profile == "documented" else [*request_header_mutants(profile)]
    return made


def chosen(every: Sequence[Mutant], sample: int, which: int) -> list[Mutant]:
    """A sample of them, the same for the same number."""
    if not sample or sample >= len(every):
        return list(every)
    return sorted(random.Random(which).sample(list(every), sample), key=lambda one: one.id)


def held(mutant: Mutant) -> Score:
    """What becomes of a mutant."""
    applied, began = Applied(), time.monotonic()
    asked = Asked(seed=1, budget=BUDGET_SECONDS, stop_at_first=True)
    failure = ""
    findings = []
    try:
        with mutant.apply(applied):
            verdicts = verify_simulated(mutant.participant, mutant.profile, asked, Extent(fills_time=False))
        findings = [one for suite in verdicts.suites for one in suite.broken]
    except Exception as error:  # noqa: BLE001 - a mutant that ends the verification is told, and counts as not caught
        failure = f"{type(error).__name__}: {error}"
    first = findings[0] if findings else None
    return Score(
        mutant=mutant.id,
        family=mutant.family,
        caught=first is not None,
        named=first is not None and mutant.operation_id in (None, first.operation_id),
        applied=bool(applied.times),
        seconds=time.monotonic() - began,
        found=failure if first is None else f"{first.suite}: {first.rule}: {first.operation_id}: {first.came}",
    )


def scores(some: Sequence[Mutant], jobs: int) -> Iterator[Score]:
    """What becomes of mutants, so many at a time; in their order."""
    if jobs == 1:
        yield from map(held, some)
        return
    # Each mutant has a process that was loaded before, and nothing that another one has left behind.
    with multiprocessing.get_context("fork").Pool(jobs, _remember, (some,), maxtasksperchild=20) as pool:
        yield from pool.imap(_held, range(len(some)))


_SOME: list[Mutant] = []


def _remember(some: Sequence[Mutant]) -> None:
    _SOME[:] = some


def _held(number: int) -> Score:
    return held(_SOME[number])


def told(found: Iterable[Score]) -> Iterator[str]:
    """The score of each family, and each mutant that was not caught."""
    families: dict[str, list[Score]] = {}
    for score in found:
        families.setdefault(score.family, []).append(score)
    everything = [score for family in families.values() for score in family]
    for name, family in [*families.items(), ("all", everything)]:
        counted = [one for one in family if why_equivalent(one.mutant) is None]
        caught = sum(one.caught for one in counted)
        named = sum(one.named for one in counted)
        left_out = len(family) - len(counted)
        more = f", {left_out} equivalent" if left_out else ""
        percent = 100 * caught / len(counted) if counted else 100
        yield f"{name:24} {caught:4} of {len(counted):4} caught ({percent:5.1f} %), {named} with their operation{more}"
    for score in everything:
        if not score.caught and why_equivalent(score.mutant) is None:
            why = score.found or ("" if score.applied else "it never did anything")
            yield f"not caught: {score.mutant}{f' ({why})' if why else ''}"
    for score in everything:
        if score.caught and why_equivalent(score.mutant) is not None:
            yield f"caught, and listed as equivalent: {score.mutant}: {score.found}"


def main() -> int:
    """Try mutants, and print the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=("documented", "deployed"), action="append")
    parser.add_argument("--family", help="only that family")
    parser.add_argument("--mutant", help="only mutants with this in their name")
    parser.add_argument("--sample", type=int, default=0, help="so many of them")
    parser.add_argument("--of", type=int, default=1, help="which sample")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="name them, and try none")
    parser.add_argument("--verbose", action="store_true", help="what was found of each")
    asked = parser.parse_args()
    some: list[Mutant] = []
    for profile in asked.profile or ["documented", "deployed"]:
        every = [
            one for one in mutants(profile) if asked.family in (None, one.family) and (asked.mutant or "") in one.id
        ]
        if profile == "deployed" and not asked.sample and not asked.mutant:
            every = chosen(every, DEPLOYED_SAMPLE, 1)
        some += every
    some = chosen(some, asked.sample, asked.of)
    if asked.list:
        sys.stdout.writelines(f"{one.id}\n" for one in some)
        return 0
    began = time.monotonic()
    found = []
    for score in scores(some, asked.jobs):
        found.append(score)
        if asked.verbose:
            sys.stdout.write(f"{score.seconds:5.1f} s {score.mutant}: {score.found}\n")
    sys.stdout.writelines(f"{line}\n" for line in told(found))
    sys.stdout.write(f"{len(found)} mutants in {time.monotonic() - began:.0f} s\n")
    counted = [one for one in found if why_equivalent(one.mutant) is None]
    return 0 if sum(one.caught for one in counted) >= CAUGHT_MIN * len(counted) else 1


if __name__ == "__main__":
    sys.exit(main())
