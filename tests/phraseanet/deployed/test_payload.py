"""What PHP makes of JSON values that are not of the type that is expected."""

import math
from typing import Any

import pytest

from phrasim.phraseanet.deployed.form_data import form_data, is_truthy, status_bits
from phrasim.phraseanet.deployed.payload import as_number, as_text, next_count


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (None, ""), (False, ""), (True, "1"), (7, "7"), (1.5, "1.5"), ([], "Array"), ({"a": 1}, "Array")],
)
def test_any_value_is_a_text(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (3.9, 3),
        ("3", 3),
        ("x", 0),
        ("\u0663", 0),
        (None, 0),
        ([1], 0),
        (True, 1),
        (math.nan, 0),
        (-math.inf, 0),
        ("9" * 5000, 0),
    ],
)
def test_any_value_is_a_number(value: Any, number: int) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(("payload", "count"), [({}, 2), ({"count": 2}, 3), ({"count": 3}, 4), ({"count": "x"}, 1)])
def test_the_next_count_is_two_after_the_first_failure_and_then_one_more(payload: Any, count: int) -> None:
    """§4.3."""
    assert next_count(payload) == count


@pytest.mark.parametrize(
    ("value", "truth"),
    [("0", False), ("", False), (0, False), (0.0, False), (None, False), ([], False), ("00", True), ("false", True)],
)
def test_truth_is_that_of_php(value: Any, truth: bool) -> None:
    assert is_truthy(value) is truth


@pytest.mark.parametrize(("metadata", "form"), [({}, {}), ({"formData": []}, {}), ({"formData": {"a": 1}}, {"a": 1})])
def test_form_data_that_are_no_map_are_empty(metadata: Any, form: Any) -> None:
    assert form_data(metadata) == form


@pytest.mark.parametrize("number", ["32", "9" * 5000, "x", ""])
def test_a_status_bit_that_is_none_of_32_sets_nothing(number: str) -> None:
    assert status_bits({f"statusbit-{number}": True, "statusbit-31": True}) == 1 << 31
