"""A verification as JUnit XML: a suite for each of its suites, a case for each thing that was judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from phrasim.contract.finding import SuiteResult, Verification
from phrasim.report.concealment import Concealment, concealment_of
from phrasim.report.findings import Alike, again_command, alike, counted
from phrasim.report.verification import WARNINGS_HEADING, finding_lines
from phrasim.report.xml_text import counts, document, legal

ANSWERS_SUITE = "answers"
"""The suite of the operations that were answered as the contract says, whichever of the others asked them."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A case of a suite; where it is not kept `message` says why in short, `text` in full and `kind` of which rule."""

    name: str
    outcome: Literal["kept", "broken", "not judged"] = "kept"
    message: str = ""
    text: str = ""
    kind: str = ""
    taken: float = 0.0


def verification_junit(verification: Verification) -> bytes:
    """The file that CI systems read; times are in seconds."""
    hide = concealment_of(verification)

    def shown(text: str) -> str:
        return legal(hide.text(text))

    suites = [(suite.name, suite.seconds, _cases(suite, hide), _notes(suite, hide)) for suite in verification.suites]
    answered = _answered(verification)
    if answered:
        suites.append((ANSWERS_SUITE, 0, answered, []))
    everything = [case for _, _, cases, _ in suites for case in cases]
    seconds = sum(suite.seconds for suite in verification.suites)
    root = ET.Element("testsuites", {"name": "phrasim verify", "time": f"{seconds:.3f}", **_counts(everything)})
    for name, taken, cases, notes in suites:
        classname = f"{verification.participant}.{name}"
        element = ET.SubElement(root, "testsuite", {"name": shown(classname), "time": f"{taken:.3f}", **_counts(cases)})
        properties = ET.SubElement(element, "properties")
        for key, value in _properties(verification):
            ET.SubElement(properties, "property", name=key, value=shown(value))
        for case in cases:
            _add(element, case, classname, shown)
        if notes:
            ET.SubElement(element, "system-out").text = shown("\n".join(notes))
    return document(root)


def _cases(suite: SuiteResult, hide: Concealment) -> list[_Case]:
    """What a suite judged: what is broken is a case each; where nothing is, all that it tried is one."""
    if suite.unjudged and not suite.broken:
        return [_Case("all that it tries", "not judged", suite.unjudged, suite.unjudged)]
    cases = [_failed(group, hide) for group in alike(suite.broken)]
    if suite.unjudged:
        cases.append(_Case("what is left of it", "not judged", suite.unjudged, suite.unjudged))
    if suite.left_out:
        return [_Case("all that it tries", "not judged", "left out", "\n".join(suite.notes))]
    return cases or [_Case("all that it tries", taken=suite.seconds)]


def _failed(group: Alike, hide: Concealment) -> _Case:
    came = (hide.text(group.first.came).splitlines() or [""])[0]
    text = "\n".join(finding_lines(group, hide))
    place = group.first.place.partition("#")[2] or group.first.place
    return _Case(f"{group.name} ({place})", "broken", f"{came}{group.times}", text, group.first.rule)


def _answered(verification: Verification) -> list[_Case]:
    """The operations that were answered, and of which nothing broke the contract."""
    at_fault = {one.operation_id for suite in verification.suites for one in suite.broken}
    return [
        _Case(f"{operation_id} ({counted(times, 'answer')})")
        for operation_id, times in verification.answers.items()
        if times and operation_id not in at_fault
    ]


def _notes(suite: SuiteResult, hide: Concealment) -> list[str]:
    """What a suite says beside its cases: its notes, and its warnings in full."""
    lines = list(suite.notes)
    groups = alike(one for one in suite.findings if one.weight == "warning")
    if groups:
        lines.append(WARNINGS_HEADING)
    for group in groups:
        lines += [f"{group.name}{group.times}", *(f"  {line}" for line in finding_lines(group, hide))]
    return lines


def _properties(verification: Verification) -> Iterator[tuple[str, str]]:
    """What was verified, as it stands with each suite."""
    yield "url", verification.url or "simulated"
    yield "profile", verification.profile
    yield "seed", str(verification.seed)
    yield "again", again_command(verification)


def _add(suite: ET.Element, case: _Case, classname: str, shown: Callable[[str], str]) -> None:
    element = ET.SubElement(
        suite, "testcase", classname=shown(classname), name=shown(case.name), time=f"{case.taken:.3f}"
    )
    match case.outcome:
        case "broken":
            why = ET.SubElement(element, "failure", message=shown(case.message), type=shown(case.kind))
            why.text = shown(case.text)
        case "not judged":
            ET.SubElement(element, "skipped", message=shown(case.message)).text = shown(case.text)


def _counts(cases: list[_Case]) -> dict[str, str]:
    outcomes = [case.outcome for case in cases]
    return counts(len(cases), outcomes.count("broken"), outcomes.count("not judged"))
