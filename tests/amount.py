"""How much is tried: all of it in CI; elsewhere a part, another one each day, so that `make test` stays short."""

import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

_Item = TypeVar("_Item")

IN_CI = os.environ.get("CI") == "true"

TODAY = int(os.environ.get("PHRASIM_DAY", datetime.now(UTC).toordinal()))
"""Which part it is: that of the day, or the one that is asked for."""

PARTS = 4
"""How many days it takes until all cases of a long test were tried."""


def some(items: Sequence[_Item], every: int = PARTS) -> list[_Item]:
    """All of them in CI, elsewhere one in `every`; of fewer than that one."""
    every = min(every, len(items))
    return list(items) if IN_CI else [one for number, one in enumerate(items) if number % every == TODAY % every]


def so_many(in_ci: int, elsewhere: int) -> int:
    """How many examples a property has."""
    return in_ci if IN_CI else elsewhere


def leave_out(config: pytest.Config, items: list[pytest.Item], folder: Path) -> None:
    """Keep `some` of the cases of each test below that folder that is marked `long` or `unmeasured`, but not `whole`.

    Of those that are marked `turn` `some` are kept in all. What is asked for by its name is tried.
    """
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if not item.path.is_relative_to(folder) or item.get_closest_marker("whole"):
            continue
        if item.get_closest_marker("turn"):
            groups["turn"].append(item)
        elif hasattr(item, "callspec") and (item.get_closest_marker("long") or item.get_closest_marker("unmeasured")):
            groups[f"{item.path}::{item.originalname}"].append(item)  # type: ignore[attr-defined]
    left = {item for group in groups.values() for item in set(group) - set(some(group))}
    named = [word for word in config.args if "::" in word]
    gone = {item for item in left if not any(word.endswith(item.nodeid.rpartition("/")[2]) for word in named)}
    if gone:
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]
