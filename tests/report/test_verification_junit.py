"""A verification as JUnit XML, read again: all that was found, counted, in elements that CI systems know."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from phrasim.contract.finding import Verification
from phrasim.report.verification_junit import verification_junit
from report.verifications import exchange, finding, mixed, suite, verification, warning


def read(judged: Verification) -> ET.Element:
    return ET.fromstring(verification_junit(judged))


def names(element: ET.Element) -> list[str]:
    return [case.attrib["name"] for case in element.iter("testcase")]


def test_every_suite_is_one_and_has_a_case() -> None:
    suites = {one.attrib["name"]: names(one) for one in read(mixed())}
    assert suites == {
        "upload.operations": [
            "commitAssets: status (/paths/~1commit/post/responses)",
            "uploadAsset: body (/paths/~1assets/post/responses/201)",
        ],
        "upload.access": ["all that it tries"],
        "upload.hand-off": ["all that it tries"],
        "upload.answers": ["downloadAsset (1 answer)"],
    }


def test_cases_are_counted_by_suite_and_in_all() -> None:
    root = read(mixed())
    for element in (root, *root):
        cases = list(element.iter("testcase"))
        assert element.attrib["tests"] == str(len(cases))
        assert element.attrib["failures"] == str(len(list(element.iter("failure"))))
        assert element.attrib["skipped"] == str(len(list(element.iter("skipped"))))
        assert element.attrib["errors"] == "0"
    assert root.attrib["time"] == "13.545"
    assert [one.attrib["time"] for one in root] == ["12.345", "1.200", "0.000", "0.000"]


def test_a_failure_says_all_that_was_found() -> None:
    first, second = read(mixed()).iter("failure")
    assert first.attrib == {"message": "500 with a body of text/html, 3 times", "type": "status"}
    assert second.attrib == {"message": "201 without an id:", "type": "body"}
    assert second.text is not None
    lines = second.text.splitlines()
    assert lines[:4] == [
        "asked     POST /assets with a file",
        "came      201 without an id:",
        "          {'size': 3}",
        "contract  id: this field is missing",
    ]
    assert lines[-1].startswith("again     curl -sS -i -X POST http://127.0.0.1:8081/assets ")


def test_warnings_and_notes_stand_beside_the_cases() -> None:
    root = read(verification(suite("access", warning(), warning(), notes=("two are left out",))))
    assert [one.tag for one in root[0]] == ["properties", "testcase", "system-out"]
    assert names(root) == ["all that it tries"]
    (said,) = root.iter("system-out")
    assert said.text is not None
    assert said.text.splitlines()[0] == "two are left out"
    assert "listCommits: reader, 2 times" in said.text
    assert "(H25)" in said.text


def test_a_suite_that_was_judged_in_part_says_so() -> None:
    root = read(verification(suite("access", finding(), unjudged="no administrator"), answers={"commitAssets": 3}))
    assert names(root) == ["commitAssets: status (/paths/~1commit/post/responses)", "what is left of it"]
    (skipped,) = root.iter("skipped")
    assert (skipped.attrib["message"], skipped.text) == ("no administrator", "no administrator")


def test_a_suite_says_how_to_have_it_again() -> None:
    told = {one.attrib["name"]: one.attrib["value"] for one in read(verification(url=None)).iter("property")}
    assert told == {
        "url": "simulated",
        "profile": "documented",
        "seed": "7",
        "again": "phrasim verify upload --profile documented --seed 7 --budget 60s",
    }


def test_the_elements_and_attributes_are_those_that_jenkins_knows() -> None:
    known = {
        "testsuites": {"name", "time", "tests", "failures", "skipped", "errors"},
        "testsuite": {"name", "time", "tests", "failures", "skipped", "errors"},
        "properties": set(),
        "property": {"name", "value"},
        "testcase": {"classname", "name", "time"},
        "failure": {"message", "type"},
        "skipped": {"message"},
        "system-out": set(),
    }
    for element in read(mixed()).iter():
        assert set(element.attrib) <= known[element.tag]


ANYTHING = st.text(st.characters(), max_size=20)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_any_text_survives(came: str, name: str, rule: str) -> None:
    """As it stands, or as an escape where XML cannot hold it; XML has but one end of a line."""
    judged = verification(
        suite(name, finding(came=f"{came}|", rule=rule, place="", exchange=exchange(method="A"))),
        suite("b", unjudged=f"{came}|"),
        suite("c", notes=(name,)),
    )
    root = read(judged)
    failure, skipped = next(root.iter("failure")), next(root.iter("skipped"))
    legal = "".join(one if one in "\t\n\r" or one.isprintable() else " " for one in f"{came}|")
    if legal == f"{came}|":
        assert skipped.attrib["message"] == f"{came}|"
        assert skipped.text == f"{came}|".replace("\r\n", "\n").replace("\r", "\n")
    if rule.isprintable():
        assert failure.attrib["type"] == rule
    if name.isprintable():
        assert root[0].attrib["name"] == f"upload.{name}"


def test_no_answer_and_no_suite_is_a_file_all_the_same() -> None:
    root = read(Verification("upload", "documented", None, 7, "", ()))
    assert (root.tag, root.attrib["tests"], len(root)) == ("testsuites", "0", 0)


def test_a_finding_without_words_has_an_empty_message() -> None:
    (failure,) = read(verification(suite("a", finding(came="")))).iter("failure")
    assert failure.attrib["message"] == ""
