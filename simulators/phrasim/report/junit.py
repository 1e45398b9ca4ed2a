"""Outcomes as JUnit XML: a suite for each scenario, a case for each expectation."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from phrasim.clock import NANOSECONDS
from phrasim.report.terminal import unproved
from phrasim.scenario.events import Judgement, Outcome

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can hold, not even escaped (XML 1.0 §2.2)."""


def junit_xml(outcomes: Sequence[Outcome]) -> bytes:
    """The file that CI systems read; times are protocol time in seconds."""
    everything = [verdict.judgement for outcome in outcomes for verdict in outcome.verdicts]
    root = ET.Element("testsuites", {"name": "phrasim", **_counts(everything)})
    for outcome in outcomes:
        judged = [verdict.judgement for verdict in outcome.verdicts]
        seconds = f"{outcome.duration_ns / NANOSECONDS:.3f}"
        suite = ET.SubElement(
            root, "testsuite", {"name": _legal(outcome.scenario.name), "time": seconds, **_counts(judged)}
        )
        for verdict in outcome.verdicts:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=_legal(outcome.scenario.name),
                name=_legal(verdict.expectation),
                time="0.000",
            )
            if verdict.judgement != "held":
                tag = "failure" if verdict.judgement == "broken" else "skipped"
                why = ET.SubElement(case, tag, message=_legal(verdict.because[0]) if verdict.because else "")
                why.text = _legal("\n".join(verdict.because))
        left = unproved(outcome)
        if left:
            ET.SubElement(suite, "system-out").text = left
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _counts(judged: Sequence[Judgement]) -> dict[str, str]:
    """How many cases there are, and of which kind."""
    return {
        "tests": str(len(judged)),
        "failures": str(judged.count("broken")),
        "skipped": str(judged.count("unobserved")),
        "errors": "0",
    }


def _legal(text: str) -> str:
    """`text` with what XML cannot hold written as an escape, as Python writes it."""
    return _NO_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
