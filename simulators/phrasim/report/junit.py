"""Outcomes as JUnit XML: a suite for each scenario, a case for each expectation."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from phrasim.scenario.events import Outcome

NANOSECONDS = 1_000_000_000


def junit_xml(outcomes: Sequence[Outcome]) -> bytes:
    """The file that CI systems read; times are protocol time in seconds."""
    root = ET.Element("testsuites", name="phrasim")
    for outcome in outcomes:
        judged = [verdict.judgement for verdict in outcome.verdicts]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=outcome.scenario.name,
            tests=str(len(judged)),
            failures=str(judged.count("broken")),
            skipped=str(judged.count("unobserved")),
            errors="0",
            time=f"{outcome.duration_ns / NANOSECONDS:.3f}",
        )
        for verdict in outcome.verdicts:
            case = ET.SubElement(
                suite, "testcase", classname=outcome.scenario.name, name=verdict.expectation, time="0.000"
            )
            if verdict.judgement != "held":
                tag = "failure" if verdict.judgement == "broken" else "skipped"
                why = ET.SubElement(case, tag, message=verdict.because[0] if verdict.because else "")
                why.text = "\n".join(verdict.because)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"
