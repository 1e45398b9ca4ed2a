"""A testbed on simulated time that a property drives from an ordinary function, a request or a wait at a time."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
from hypothesis import HealthCheck, settings

from amount import so_many
from phrasim.contract.in_process import InProcessSubject, opened
from phrasim.contract.subject import file_form
from phrasim.testbed import URLS, Setting
from phrasim.testbed.network import InProcess

__all__ = ["Played", "budget", "file_form", "playing"]

TURNS_MAX = 10_000
"""Turns of the loop after which something that should have happened at once counts as not happening."""

_ASKED = int(os.environ.get("PHRASIM_EXAMPLES", "0"))


def budget(examples: int, **more: Any) -> settings:
    """So many examples in CI, fewer elsewhere; with PHRASIM_EXAMPLES others each time, and at least so many."""
    return settings(
        max_examples=max(_ASKED, so_many(examples, elsewhere=examples // 2)),
        derandomize=_ASKED == 0,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        **more,
    )


class Played(InProcessSubject):
    """The testbed `bed`; between two calls its time stands still, and what it was doing waits half done."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the testbed lives."""
        return self._runner.get_loop()

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
        return self._asked(self._beside, method, address, authorization, parts)

    def ask_as_user(self, method: str, address: str, authorization: str | None = None, **parts: Any) -> httpx.Response:
        """The answer to a request of the user's on the wire. Raises `httpx.HTTPError` where none arrives."""
        return self._asked(self.bed.edges["user"].client(), method, address, authorization, parts)

    def _asked(
        self, client: httpx.AsyncClient, method: str, address: str, authorization: str | None, parts: dict[str, Any]
    ) -> httpx.Response:
        headers = {"accept": "application/json"} | parts.pop("headers", {})
        if authorization is not None:
            headers["authorization"] = authorization
        url = address if "://" in address else URLS["upload"] + address
        return self.run(client.request(method, url, headers=headers, **parts))


def playing(setting: Setting, wire: InProcess | None = None) -> AbstractContextManager[Played]:
    """A testbed of that setting, until the block ends."""
    return opened(Played, "upload", setting, wire)
