"""Runtime expressions: what each form gives, and what is said of one that leads nowhere."""

from typing import Any

import pytest

from phrasim.scenario.expression import (
    ExchangeValues,
    ExpressionError,
    Values,
    check_condition,
    check_expression,
    expressions_in,
    literal,
)

EXCHANGE = ExchangeValues(
    status=201,
    request_path={"id": "c-1"},
    request_body={"files": ["a", "b"]},
    response_headers={"content-type": "application/json"},
    response_body=[{"id": "x", "a/b": 1, "c~d": 2}],
)
VALUES = Values({"publisher.email": "p@example.org"}, {"upload": {"asset": ["u", "v"]}})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$statusCode", 201),
        ("$request.body", {"files": ["a", "b"]}),
        ("$request.body#", {"files": ["a", "b"]}),
        ("$request.body#/files/1", "b"),
        ("$request.path.id", "c-1"),
        ("$response.body#/0/id", "x"),
        ("$response.body#/0/a~1b", 1),
        ("$response.body#/0/c~0d", 2),
        ("$response.header.content-type", "application/json"),
        ("$response.header.Content-Type", "application/json"),
        ("$steps.upload.outputs.asset", ["u", "v"]),
        ("$steps.upload.outputs.asset#/1", "v"),
        ("$given.publisher.email", "p@example.org"),
    ],
)
def test_an_expression_gives_its_value(expression: str, value: Any) -> None:
    check_expression(expression, {"upload": ["asset"]})
    assert VALUES.lookup(expression, EXCHANGE) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("$request.path.ID", "there is no 'ID'; there is id"),
        ("$response.header.etag", "there is no 'etag'; there is content-type"),
        ("$response.body#/0/nothing", "nothing lies at 'nothing' there"),
        ("$response.body#/1", "nothing lies at '1' there"),
        ("$response.body#/-1", "nothing lies at '-1' there"),
        ("$response.body#/0/id/deeper", "nothing lies at 'deeper' there"),
        ("$steps.upload.outputs.other", "the step 'upload' has kept no output 'other'"),
        ("$steps.other.outputs.asset", "the step 'other' has kept no output 'asset'"),
        ("$steps.upload.outputs.asset#/2", "nothing lies at '2' there"),
        ("$nonsense", "this is no expression that is known here"),
    ],
)
def test_an_expression_that_leads_nowhere_says_where_it_stopped(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        VALUES.lookup(expression, EXCHANGE)
    assert str(raised.value) == f"{expression}: {said}"


def test_a_path_without_parameters_has_nothing() -> None:
    exchange = ExchangeValues(status=200, request_path={}, request_body=None, response_headers={}, response_body=None)
    with pytest.raises(ExpressionError) as raised:
        exchange.lookup("$request.path.id")
    assert str(raised.value).endswith("there is no 'id'; there is nothing")


def test_before_a_call_there_is_no_exchange_to_refer_to() -> None:
    with pytest.raises(ExpressionError, match="no exchange here"):
        VALUES.lookup("$statusCode")


def test_expressions_are_replaced_at_any_depth() -> None:
    written = {"a": ["$steps.upload.outputs.asset", {"b": "$given.publisher.email"}], "c": 3, "d": "plain"}
    assert VALUES.resolved(written) == {"a": [["u", "v"], {"b": "p@example.org"}], "c": 3, "d": "plain"}
    assert list(expressions_in(written)) == ["$steps.upload.outputs.asset", "$given.publisher.email"]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("$statusCode == 201", True),
        ("$statusCode == 200", False),
        ("$statusCode != 200", True),
        ("$statusCode != 201", False),
        ("$response.header.content-type == application/json", True),
        ('$response.body#/0/id == "x"', True),
        ("$response.body#/0/id == x", True),
        ("$request.body#/files == $steps.upload.outputs.asset", False),
        ("$request.body#/files/0 != $steps.upload.outputs.asset#/0", True),
        ('$request.body#/files == ["a", "b"]', True),
    ],
)
def test_a_condition_compares_an_expression_with_a_value(condition: str, holds: bool) -> None:
    check_condition(condition, {"upload": ["asset"]})
    assert VALUES.holds(condition, EXCHANGE)[0] is holds


def test_a_condition_tells_what_was_found() -> None:
    assert VALUES.holds("$statusCode == 200", EXCHANGE) == (False, 201)


@pytest.mark.parametrize(("written", "value"), [("true", True), ("null", None), ("1.5", 1.5), ("a b", "a b")])
def test_the_right_side_of_a_condition_is_json_or_plain_text(written: str, value: Any) -> None:
    assert literal(written) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("$steps.commit.outputs.id", "no earlier step 'commit' (earlier steps: upload)"),
        ("$steps.upload.outputs.asst", "the step 'upload' keeps no 'asst' (it keeps asset)"),
        ("$given.publisher.age", "given has publisher.email, publisher.id"),
        ("$each", "this is no expression"),
        ("$response.header.a b", "this is no expression"),
        ("$5 please", "this is no expression"),
    ],
)
def test_an_expression_that_no_run_can_resolve_is_refused(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        check_expression(expression, {"upload": ["asset"]})
    assert said in str(raised.value)
    assert expression in str(raised.value)


def test_a_step_that_keeps_nothing_and_the_lack_of_any_step_are_told() -> None:
    with pytest.raises(ExpressionError, match=r"earlier steps: none"):
        check_expression("$steps.a.outputs.b", {})
    with pytest.raises(ExpressionError, match=r"it keeps nothing"):
        check_expression("$steps.a.outputs.b", {"a": []})


def test_an_answer_cannot_be_referred_to_before_the_call() -> None:
    with pytest.raises(ExpressionError, match="the call is not made yet here"):
        check_expression("$response.body#/id", {}, answered=False)


@pytest.mark.parametrize("written", ["$statusCode", "$statusCode = 200", "statusCode == 200", "$statusCode ==", ""])
def test_what_is_no_condition_is_refused(written: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        check_condition(written, {})
    assert str(raised.value) == f"{written!r} is no condition; write an expression, == or !=, and a value"


@pytest.mark.parametrize("written", ["$nonsense == 1", "$statusCode == $nonsense"])
def test_both_sides_of_a_condition_are_checked(written: str) -> None:
    with pytest.raises(ExpressionError, match="this is no expression"):
        check_condition(written, {})
