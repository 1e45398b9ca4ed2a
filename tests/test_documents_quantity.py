"""Times and sizes with their units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents.quantity import is_larger_than, seconds, size_bytes, written_bytes, written_seconds


@pytest.mark.parametrize(
    ("written", "expected"),
    [("500 ms", 0.5), ("30 s", 30), ("1.5 min", 90), ("2 h", 7200), ("1 d", 86_400), ("0 s", 0)],
)
def test_a_time_is_so_many_seconds(written: str, expected: float) -> None:
    assert seconds(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("10 B", 10), ("148 KiB", 151_552), ("64 MiB", 67_108_864), ("1 GiB", 1_073_741_824)]
)
def test_a_size_is_so_many_bytes(written: str, expected: int) -> None:
    assert size_bytes(written) == expected


@given(st.floats(min_value=0, allow_infinity=False))
def test_a_time_that_was_written_is_read_back(amount: float) -> None:
    assert seconds(written_seconds(amount)) == amount


@given(st.integers(min_value=0, max_value=2**60))
def test_a_size_that_was_written_is_read_back(amount: int) -> None:
    assert size_bytes(written_bytes(amount)) == amount


@pytest.mark.parametrize(("amount", "written"), [(0, "0 B"), (1023, "1023 B"), (4096, "4 KiB"), (2**30, "1 GiB")])
def test_a_size_is_written_in_the_largest_unit_that_takes_it_whole(amount: int, written: str) -> None:
    assert written_bytes(amount) == written


@pytest.mark.parametrize(
    ("written", "larger"), [("4 KiB", False), ("4097 B", True), (f"{'9' * 5000} B", True), ("0 GiB", False)]
)
def test_a_size_is_compared_however_many_digits_it_has(written: str, *, larger: bool) -> None:
    assert is_larger_than(written, 4096) == larger
