"""Landscapes for tests, as fixtures.

`served(main, plan)` runs `main(Served)` with a landscape as `phrasim serve` has it; `server(...)` starts the command.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from phrasim.edge.http_connection import HttpConnection
from serve.by_hand import Client
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


@pytest.fixture(scope="session")
def connect() -> Callable[[Any], Awaitable[Client]]:
    """`await connect(one)`: a client of the upload service of a landscape."""

    return Client.at


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets of strangers' requests that are answered at once, as they come."""
    seen: list[str] = []
    write = HttpConnection._write_whole

    def written(self: HttpConnection, answer: Any) -> None:
        if b"traceparent" not in dict(self.headers):
            seen.append(self.url.decode())
        write(self, answer)

    monkeypatch.setattr(HttpConnection, "_write_whole", written)
    return seen
