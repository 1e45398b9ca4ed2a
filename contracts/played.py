"""A testbed on simulated time that a property drives from an ordinary function, a request or a wait at a time."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from hypothesis import HealthCheck, settings

from phrasim.clock import SimulatedLoop
from phrasim.edge.outbound import http_client
from phrasim.edge.transport import InProcessTransport
from phrasim.pytest_plugin.held import Held
from phrasim.testbed import URLS, Setting, Testbed, open_testbed

_Result = TypeVar("_Result")

SETTLE_SECONDS = 1e-6
"""So much later all is done that was begun: simulated time passes only where nobody has work."""

TURNS_MAX = 10_000
"""Turns of the loop after which something that should have happened at once counts as not happening."""

_ASKED = int(os.environ.get("PHRASIM_EXAMPLES", "0"))


def budget(examples: int, **more: Any) -> settings:
    """So many examples, the same on every machine; others each time, and at least so many, with PHRASIM_EXAMPLES."""
    return settings(
        max_examples=max(_ASKED, examples),
        derandomize=_ASKED == 0,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        **more,
    )


class Played:
    """The testbed `bed`; between two calls its time stands still, and what it was doing waits half done."""

    def __init__(self, bed: Held[Testbed], runner: asyncio.Runner) -> None:
        self.bed = bed.thing
        self._held = bed
        self._runner = runner
        inner = {httpx.URL(URLS[name]).host: app for name, app in self.bed.services.apps.items()}
        self._beside = http_client(InProcessTransport(inner), "")

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the testbed lives."""
        return self._runner.get_loop()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The result of a coroutine on the testbed's loop. A simulator that fails meanwhile raises here."""
        return self._runner.run(self._held.beside(work))

    def wait(self, seconds: float) -> None:
        """Let that much simulated time pass, and all be done that is to be done by then."""
        self.run(self.bed.clock.sleep(seconds + SETTLE_SECONDS))

    def turn(self, until: Callable[[], bool], turns: int = TURNS_MAX) -> None:
        """Let everybody take a step, and again, until something is so; time stands still meanwhile."""

        async def turned() -> None:
            for _ in range(turns):
                if until():
                    return
                await asyncio.sleep(0)

        self.run(turned())

    def ask(self, method: str, address: str, authorization: str | None = None, **parts: Any) -> httpx.Response:
        """The answer to a request by somebody who stands beside the wire: no journal has it and no fault strikes it."""
        return self._exchange(self._beside, method, address, authorization, parts)

    def ask_as_user(self, method: str, address: str, authorization: str | None = None, **parts: Any) -> httpx.Response:
        """The answer to a request of the user's on the wire. Raises `httpx.HTTPError` where none arrives."""
        return self._exchange(self.bed.edges["user"].client(), method, address, authorization, parts)

    def _exchange(
        self, client: httpx.AsyncClient, method: str, address: str, authorization: str | None, parts: dict[str, Any]
    ) -> httpx.Response:
        headers = {"accept": "application/json"} | parts.pop("headers", {})
        if authorization is not None:
            headers["authorization"] = authorization
        url = address if "://" in address else URLS["upload"] + address
        return self.run(client.request(method, url, headers=headers, **parts))

    def close(self) -> None:
        """Take the testbed down. Raises what made a simulator fail."""
        self._runner.run(self._held.close())


@contextmanager
def playing(setting: Setting) -> Iterator[Played]:
    """A testbed of that setting, until the block ends."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        held = runner.run(Held.opened(open_testbed(setting, Path(folder)), "the testbed"))
        played = Played(held, runner)
        yield played
        played.close()


def file_form(content: bytes, target_slug: str | None = None) -> dict[str, Any]:
    """The parts of a request that uploads a file (§2.2); the deployed service wants a target."""
    return {
        "headers": {"content-type": "multipart/form-data; boundary=a-boundary-of-the-contracts"},
        "files": {"file": ("asset.bin", content)},
        "data": {} if target_slug is None else {"targetSlug": target_slug},
    }
