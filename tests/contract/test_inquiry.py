"""What the suites of a verification share."""

from dataclasses import replace

import pytest

from phrasim.contract.finding import HttpExchange, SuiteResult, Verification
from phrasim.contract.inquiry import FINDINGS_PER_KIND_MAX, NO_JSON, Asked, Inquiry, Over, json_body, place_of, said
from phrasim.documents import contract

CONTRACT = contract("documented")

PUBLISHER = HttpExchange(
    sender="phraseanet",
    receiver="auth",
    operation_id="getPublisherInfo",
    method="GET",
    url="https://auth.test/users/info/8b11e356-e9a1-46ba-b2d0-ead1a9e5f57c?token=secret",
    request_headers=(),
    request_body=b"",
    status=200,
    response_headers=(("content-type", "application/json"),),
    response_body=b'{"id": "8b11e356-e9a1-46ba-b2d0-ead1a9e5f57c", "email": "a@example.org", "name": "A"}',
    began_at=0.0,
    seconds=0.1,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def inquiry(asked: Asked | None = None) -> Inquiry:
    return Inquiry("access", CONTRACT, asked or Asked(), 60.0, Clock())


def find(one: Inquiry, *, warning: bool = False) -> None:
    one.find("status", "getAsset", asked="a", came="b", expected="c", place="d", warning=warning)


def test_an_answer_as_it_is_declared_is_no_finding() -> None:
    one = inquiry()
    assert one.examine(PUBLISHER)
    assert one.findings == []
    assert one.answers == {"getPublisherInfo": 1}
    assert list(one.exchanges) == [PUBLISHER]


@pytest.mark.parametrize(
    ("change", "rule", "came"),
    [
        ({"status": 418}, "status", "418 with the status 418 is not declared"),
        ({"response_body": b"{}"}, "answer", "200 with email: this field is missing"),
        ({"response_body": b"{"}, "answer", "200 with the body is not the JSON that its Content-Type says"),
        ({"response_headers": (), "response_body": b""}, "answer", "200 with the 200 answer has no body"),
        ({"response_headers": (("content-type", "text/plain"),)}, "answer", "200 with the media type 'text/plain'"),
        ({"status": None, "failure": "ReadTimeout"}, "answer", "no answer: ReadTimeout"),
    ],
)
def test_an_answer_that_is_not_as_declared_is_found_with_its_place(
    change: dict[str, object], rule: str, came: str
) -> None:
    one = inquiry()
    assert not one.examine(replace(PUBLISHER, **change))
    finding = one.findings[0]
    assert (finding.rule, finding.operation_id) == (rule, "getPublisherInfo")
    assert finding.came.startswith(came)
    assert finding.place.startswith("openapi/auth.yaml#/paths/~1users~1info~1{id}/get")
    assert finding.asked == "phraseanet sent GET /users/info/8b11e356-e9a1-46ba-b2d0-ead1a9e5f57c"


def test_a_request_that_is_no_operation_is_kept_and_not_judged() -> None:
    one = inquiry()
    assert one.examine(replace(PUBLISHER, operation_id=None, status=500))
    assert one.findings == []
    assert len(one.exchanges) == 1
    assert one.answers == {}


def test_no_word_of_a_query_is_told() -> None:
    assert "secret" not in said(PUBLISHER)


def test_the_place_of_an_answer_that_is_not_declared_is_that_of_all_answers() -> None:
    operation = CONTRACT.operations["getPublisherInfo"]
    assert place_of(operation, 418).endswith("/get/responses")
    assert place_of(operation, 404).endswith("/get/responses/404")
    assert place_of(operation).endswith("/get")


def test_what_is_no_json_is_told_from_null() -> None:
    assert json_body(replace(PUBLISHER, response_body=b"null")) is None
    assert json_body(replace(PUBLISHER, response_body=b"\xff")) is NO_JSON


def test_nothing_is_tried_once_the_time_is_over() -> None:
    one = inquiry()
    one.case()
    one.clock.now = 60.0  # type: ignore[attr-defined]
    with pytest.raises(Over):
        one.case()
    assert one.cases == 1
    assert one.ended


def test_findings_of_one_kind_are_kept_up_to_a_number() -> None:
    """A service that is wrong everywhere drowns nobody."""
    one = inquiry()
    for _ in range(FINDINGS_PER_KIND_MAX + 3):
        find(one)
    assert len(one.findings) == FINDINGS_PER_KIND_MAX
    assert not one.ended


def test_the_first_finding_ends_it_where_one_is_enough_and_a_warning_does_not() -> None:
    one = inquiry(Asked(stop_at_first=True))
    find(one, warning=True)
    assert not one.ended
    with pytest.raises(Over):
        find(one)
    assert one.ended


def test_a_remark_is_kept_once() -> None:
    one = inquiry()
    one.remark("left out")
    one.remark("left out")
    assert one.remarks == ["left out"]


def test_the_exit_code_is_2_where_something_could_not_be_judged_and_1_where_something_is_broken() -> None:
    one = inquiry()
    find(one)
    broken = SuiteResult("access", 1, 0.0, tuple(one.findings))
    kept, unjudged = SuiteResult("http", 1, 0.0), SuiteResult("http", 0, 0.0, unjudged="not reachable")
    for suites, expected in (((kept,), 0), ((kept, unjudged), 2), ((broken, unjudged), 1), ((), 2)):
        found = Verification("upload", "documented", None, 1, "", suites)
        assert found.exit_code == expected
        assert len(found.findings) == (1 if expected == 1 else 0)
