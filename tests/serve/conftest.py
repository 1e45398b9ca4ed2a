"""Landscapes for tests, as fixtures.

`served(main, plan)` runs `main(Served)` with a landscape as `phrasim serve` has it; `server(...)` starts the command.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from serve.callers import run_served, server_process, suite, until


@pytest.fixture(scope="session")
def served() -> Callable[..., Any]:
    return run_served


@pytest.fixture(scope="session")
def server() -> Callable[..., AbstractContextManager[tuple[dict[str, Any], int]]]:
    return server_process


@pytest.fixture(scope="session")
def caller() -> Callable[..., Any]:
    """`async with caller(described) as suite`: a caller at a landscape of which no more than that is known."""
    return suite


@pytest.fixture(scope="session")
def when() -> Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]:
    """`await when(found)`: what `found` finds, as soon as it finds something."""
    return until
