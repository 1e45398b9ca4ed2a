"""Times and sizes with their units."""

import pytest

from phrasim.scenario.quantity import seconds, size_bytes


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
