"""JUnit XML, read again by a parser of another make (expat)."""

from collections.abc import Callable
from dataclasses import replace
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.report.junit import junit_xml
from phrasim.scenario.events import Outcome, Verdict
from phrasim.scenario.loader import parse_scenario

pytestmark = pytest.mark.unmeasured

Outcomes = Callable[..., Outcome]
MIXED = (
    Verdict("one", "held"),
    Verdict("two", "broken", ('expected <1> & "2"', "found 'nothing'")),
    Verdict("three", "unobserved", ("nobody looked",)),
    Verdict("four", "broken"),
)


def elements(content: bytes, tag: str) -> list[minidom.Element]:
    return minidom.parseString(content).getElementsByTagName(tag)


def attributes(element: minidom.Element) -> dict[str, str]:
    return dict(element.attributes.items())


def text_of(element: minidom.Element) -> str:
    return "".join(node.data for node in element.childNodes if isinstance(node, minidom.Text))


def test_every_verdict_is_a_case_and_is_counted(outcome: Outcomes) -> None:
    content = junit_xml([outcome(*MIXED), outcome(Verdict("five", "held"))])
    counts = {"tests": "4", "failures": "2", "skipped": "1", "errors": "0"}
    first, second = map(attributes, elements(content, "testsuite"))
    assert first == {"name": "test", "time": "1.500", **counts}
    assert second == {"name": "test", "time": "1.500", "tests": "1", "failures": "0", "skipped": "0", "errors": "0"}
    (root,) = map(attributes, elements(content, "testsuites"))
    assert root == {"name": "phrasim", **counts, "tests": "5"}
    assert [case.getAttribute("name") for case in elements(content, "testcase")] == [
        "one",
        "two",
        "three",
        "four",
        "five",
    ]
    assert len(elements(content, "failure")) == 2
    assert len(elements(content, "skipped")) == 1


def test_a_broken_verdict_says_why(outcome: Outcomes) -> None:
    first, second = elements(junit_xml([outcome(*MIXED)]), "failure")
    assert first.getAttribute("message") == 'expected <1> & "2"'
    assert text_of(first).strip() == "expected <1> & \"2\"\nfound 'nothing'"
    assert (second.getAttribute("message"), text_of(second).strip()) == ("", "")


def test_no_run_is_a_file_without_cases() -> None:
    (root,) = elements(junit_xml([]), "testsuites")
    assert root.getAttribute("tests") == "0"


def test_what_xml_cannot_hold_is_escaped(outcome: Outcomes) -> None:
    content = junit_xml([outcome(Verdict("a\x00\x1b[31m", "broken", ("b\ud800\x07", "c\uffff")))])
    (case,) = elements(content, "testcase")
    (failure,) = elements(content, "failure")
    assert case.getAttribute("name") == "a\\x00\\x1b[31m"
    assert text_of(failure).strip() == "b\\ud800\\x07\nc\\uffff"


@given(st.text(st.characters()), st.lists(st.text(st.characters())), st.sampled_from(["held", "broken", "unobserved"]))
@pytest.mark.filterwarnings("error")
def test_no_text_makes_the_file_ill_formed(expectation: str, because: list[str], judgement: str) -> None:
    text = "scenario: test\nsummary: A test.\nmode: off\nsteps: [{stepId: a, wait: 1 s}]\nexpect: {records: none}\n"
    scenario = replace(parse_scenario(text, "t.yaml"), name=expectation)
    made = Outcome(scenario, None, (), (Verdict(expectation, judgement, tuple(because)),), 0)  # type: ignore[arg-type]
    assert len(elements(junit_xml([made]), "testcase")) == 1
