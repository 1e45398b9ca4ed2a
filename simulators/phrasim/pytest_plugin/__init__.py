"""The pytest plugin: fixtures that give a test a landscape of simulators. `docs/pytest.md` shows them at work.

pytest imports this module at every start, in projects that never use it too; so it imports nothing but pytest, and each
fixture imports what it needs.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from phrasim.pytest_plugin.landscape import Landscape
    from phrasim.pytest_plugin.marker import Asked
    from phrasim.pytest_plugin.router import LandscapeRouter
    from phrasim.pytest_plugin.server import Server
    from phrasim.serve.thread import ServerThread

_MARKER = (
    "phrasim(mode, seed, plays, poll_interval, token_lifetime, upload_size_max, retention, notification_fields, "
    "publisher_email, publisher_name): the settings of the landscape that phrasim_landscape or phrasim_server gives."
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def phrasim_landscape(request: pytest.FixtureRequest) -> "Iterator[Landscape]":
    """Simulated upload service, Phraseanet and Auth in this process, on simulated time, for an ordinary test function.

    Its settings are those of `@pytest.mark.phrasim(...)`. A simulator that fails (not: refuses) fails the test.
    """
    from phrasim.pytest_plugin.landscape import open_landscape

    with open_landscape(_asked(request)) as landscape:
        yield landscape


@pytest.fixture
def phrasim_router(phrasim_landscape: "Landscape") -> "Iterator[LandscapeRouter]":
    """A respx router by which httpx clients of the test reach the simulators of `phrasim_landscape`, without a socket.

    Its routes are named `upload`, `phraseanet` and `auth`. Other URLs are refused, as respx does, until the test adds
    routes for them.
    """
    try:
        import respx  # noqa: F401 - only to say what to do where it is not there
    except ImportError:
        pytest.fail("the fixture phrasim_router needs respx: pip install 'phrasim[pytest]'", pytrace=False)
    from phrasim.pytest_plugin.router import LandscapeRouter

    router = LandscapeRouter(phrasim_landscape.transport)
    with router:
        yield router


@pytest.fixture(scope="session")
def _phrasim_server_thread() -> "Iterator[ServerThread]":
    """The thread that serves the landscapes of this session."""
    from phrasim.serve.thread import open_server_thread

    with open_server_thread() as thread:
        yield thread


@pytest.fixture
def phrasim_server(request: pytest.FixtureRequest, _phrasim_server_thread: "ServerThread") -> "Iterator[Server]":
    """The simulators on free ports of 127.0.0.1, in real time, for this test alone: for clients of any sort.

    Its settings are those of `@pytest.mark.phrasim(...)`. A simulator that fails (not: refuses) fails the test.
    """
    from phrasim.pytest_plugin.server import open_server

    if "phrasim_router" in request.fixturenames:
        pytest.fail(
            "a test takes phrasim_router or phrasim_server: the router stands before every httpx client of the "
            "process, and the served simulators are such clients",
            pytrace=False,
        )
    with open_server(_phrasim_server_thread, _asked(request)) as server:
        yield server


def _asked(request: pytest.FixtureRequest) -> "Asked":
    """What the markers of the test ask for; the nearest one counts, keyword by keyword."""
    from phrasim.pytest_plugin.marker import MarkerError, read_markers

    try:
        return read_markers([(marker.args, marker.kwargs) for marker in request.node.iter_markers("phrasim")])
    except MarkerError as error:
        pytest.fail(str(error), pytrace=False)
