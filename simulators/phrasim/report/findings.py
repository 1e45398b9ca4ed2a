"""What all reports of a verification say alike: findings that are the same, verdicts, and how to have them again."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from phrasim.contract.finding import Finding, SuiteResult, Verification

SuiteVerdict = Literal["kept", "broken", "not judged", "left out"]


@dataclass(frozen=True, slots=True)
class Alike:
    """Findings of one suite, rule, operation and place: the first of them, and how many there are."""

    first: Finding
    count: int

    @property
    def name(self) -> str:
        """The operation and the rule, or the rule alone: `uploadAsset: status`."""
        rule = self.first.rule
        return f"{self.first.operation_id}: {rule}" if self.first.operation_id else rule

    @property
    def times(self) -> str:
        """How often that was found, as it stands behind the name; nothing for once."""
        return f", {self.count} times" if self.count > 1 else ""


def alike(findings: Iterable[Finding]) -> list[Alike]:
    """Findings together with those that are the same, in the order of the first ones."""
    same: dict[tuple[str | None, ...], list[Finding]] = {}
    for one in findings:
        same.setdefault((one.suite, one.rule, one.operation_id, one.place, one.weight), []).append(one)
    return [Alike(group[0], len(group)) for group in same.values()]


def broken(verification: Verification) -> list[Finding]:
    """The findings that break the contract."""
    return [one for one in verification.findings if one.weight == "broken"]


def warnings(verification: Verification) -> list[Finding]:
    """The findings that keep it by the letter only."""
    return [one for one in verification.findings if one.weight == "warning"]


def suite_verdict(suite: SuiteResult) -> SuiteVerdict:
    """What came of a suite."""
    if suite.broken:
        return "broken"
    if suite.unjudged:
        return "not judged"
    return "left out" if suite.left_out else "kept"


def verdict_text(verification: Verification) -> str:
    """What came of it all, in a line."""
    suites = verification.suites
    cases = sum(suite.cases for suite in suites)
    named = f"{verification.participant}, {verification.profile}"
    if verification.exit_code == 1:
        found = broken(verification)
        by = sum(bool(suite.broken) for suite in suites)
        said = f"broken ({counted(len(found), 'finding')} in {by} of {counted(len(suites), 'suite')})"
    elif verification.exit_code == 2:
        left = sum(bool(suite.unjudged) or suite.left_out for suite in suites)
        said = f"not judged ({left} of {counted(len(suites), 'suite')} could not be)"
    else:
        tried = [suite for suite in suites if not suite.left_out]
        said = f"kept ({counted(cases, 'case')} in {counted(len(tried), 'suite')})"
    return f"{named}: {said}"


def again_command(verification: Verification) -> str:
    """The command that verifies the same again."""
    words = ["phrasim verify", verification.participant]
    if verification.url is not None:
        words += ["--url", shlex.quote(verification.url)]
    said = verification.asked.split()
    for option, value in (("--profile", verification.profile), ("--seed", str(verification.seed))):
        if not any(word.partition("=")[0] == option for word in said):
            words += [option, value]
    return " ".join([*words, *([verification.asked] if said else [])])


def whom(verification: Verification) -> str:
    """Who was held to which contract."""
    where = "simulated" if verification.url is None else verification.url
    return f"{verification.participant} ({where}) held to the contract {verification.profile}"


def counted(number: int, noun: str) -> str:
    """A number of things: `1 case`, `2 cases`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def rows(finding: Finding) -> list[tuple[str, str]]:
    """What a finding says, each with the word before it; what it does not say is left out."""
    every = [
        ("asked", finding.asked),
        ("came", finding.came),
        ("contract", finding.expected),
        ("place", finding.place),
    ]
    if finding.exchange is not None and finding.exchange.failure:
        every.insert(2, ("failure", finding.exchange.failure))
    return [(word, said) for word, said in every if said]
