"""Outcomes as JUnit XML: a suite for each scenario, a case for each expectation."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from phrasim.clock import NANOSECONDS
from phrasim.report.terminal import unproved
from phrasim.report.xml_text import counts, document, legal
from phrasim.scenario.events import Judgement, Outcome


def junit_xml(outcomes: Sequence[Outcome]) -> bytes:
    """The file that CI systems read; times are protocol time in seconds."""
    everything = [verdict.judgement for outcome in outcomes for verdict in outcome.verdicts]
    root = ET.Element("testsuites", {"name": "phrasim", **_counts(everything)})
    for outcome in outcomes:
        judged = [verdict.judgement for verdict in outcome.verdicts]
        seconds = f"{outcome.duration_ns / NANOSECONDS:.3f}"
        suite = ET.SubElement(
            root, "testsuite", {"name": legal(outcome.scenario.name), "time": seconds, **_counts(judged)}
        )
        for verdict in outcome.verdicts:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=legal(outcome.scenario.name),
                name=legal(verdict.expectation),
                time="0.000",
            )
            if verdict.judgement != "held":
                tag = "failure" if verdict.judgement == "broken" else "skipped"
                why = ET.SubElement(case, tag, message=legal(verdict.because[0]) if verdict.because else "")
                why.text = legal("\n".join(verdict.because))
        left = unproved(outcome)
        if left:
            ET.SubElement(suite, "system-out").text = left
    return document(root)


def _counts(judged: Sequence[Judgement]) -> dict[str, str]:
    return counts(len(judged), judged.count("broken"), judged.count("unobserved"))
