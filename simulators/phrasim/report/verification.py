"""What a verification found, in lines for people: the suites, then each finding with a command that shows it again."""

from collections.abc import Iterator

from phrasim.contract.finding import SuiteResult, Verification
from phrasim.report.concealment import Concealment, concealment_of
from phrasim.report.curl import curl_command
from phrasim.report.findings import (
    Alike,
    SuiteVerdict,
    again_command,
    alike,
    broken,
    counted,
    rows,
    suite_verdict,
    verdict_text,
    warnings,
    whom,
)
from phrasim.report.terminal import Line, Style, visible

WARNINGS_HEADING = "warnings: kept by the letter, and will trouble somebody all the same"
_WIDTH = len("contract")
"""Characters of the longest word before what a finding says."""

_STYLES: dict[SuiteVerdict, Style] = {"kept": "good", "broken": "bad", "not judged": "aside", "left out": "aside"}
_VERDICTS: dict[int, Style] = {0: "good", 1: "bad", 2: "bad"}


def verification_lines(verification: Verification) -> Iterator[Line]:
    """Everything that people want to know of it; no line shows a secret, or a character that steers a terminal."""
    hide = concealment_of(verification)
    for style, text in _lines(verification, hide):
        yield style, visible(hide.text(text))


def finding_lines(group: Alike, hide: Concealment) -> Iterator[str]:
    """What findings that are the same say, and the command that sends the request of the first again."""
    for word, said in rows(group.first):
        first, *others = hide.text(said).splitlines() or [""]
        yield f"{word:{_WIDTH}}  {first}"
        for other in others:
            yield f"{'':{_WIDTH}}  {other}"
    if group.first.exchange is not None:
        yield f"{'again':{_WIDTH}}  {curl_command(group.first.exchange, hide)}"


def _lines(verification: Verification, hide: Concealment) -> Iterator[Line]:
    yield "heading", whom(verification)
    for line in verification.preflight:
        yield "aside", line
    yield "plain", ""
    width = max((len(suite.name) for suite in verification.suites), default=0)
    for suite in verification.suites:
        yield from _suite(suite, width)
    for group in alike(broken(verification)):
        yield "plain", ""
        yield from _finding("bad", group, hide)
    for number, group in enumerate(alike(warnings(verification))):
        yield "plain", ""
        if number == 0:
            yield "heading", WARNINGS_HEADING
        yield from _finding("plain", group, hide)
    if verification.created:
        yield "plain", ""
        yield "heading", "created, and still there"
    for line in verification.created:
        yield "plain", f"  {line}"
    yield "plain", ""
    yield _VERDICTS[verification.exit_code], verdict_text(verification)
    yield "aside", f"again: {again_command(verification)}"


def _suite(suite: SuiteResult, width: int) -> Iterator[Line]:
    verdict = suite_verdict(suite)
    found = f"  {counted(len(suite.broken), 'finding')}" if suite.broken else ""
    warned = len(suite.findings) - len(suite.broken)
    said = f"{counted(suite.cases, 'case'):>12}  {suite.seconds:8.1f} s{found}"
    said += f"  {counted(warned, 'warning')}" if warned else ""
    yield _STYLES[verdict], f"{verdict:10}  {suite.name:{width}}  {said}"
    for line in ((f"could not be judged: {suite.unjudged}",) if suite.unjudged else ()) + suite.notes:
        yield "aside", f"            {line}"


def _finding(style: Style, group: Alike, hide: Concealment) -> Iterator[Line]:
    yield style, f"{group.first.suite}: {group.name}{group.times}"
    for line in finding_lines(group, hide):
        yield "plain", f"  {line}"
