"""A respx router that mounts the simulators of a landscape at their URLs."""

from collections.abc import Coroutine
from typing import Any

import httpx
import respx

from phrasim.pytest_plugin.transport import LandscapeTransport
from phrasim.testbed import URLS

_SYNC = "phrasim.sync"
"""The key of a request's `extensions` under which it is said that a sync client waits for the answer."""


class LandscapeRouter(respx.MockRouter):
    """What the fixture `phrasim_router` gives: `respx.MockRouter` with a route for each service, named after it.

    respx reads the whole body of a request before it asks a route, so that an upload does not stream through it.
    """

    def __init__(self, transport: LandscapeTransport) -> None:
        super().__init__(assert_all_called=False)
        self._transport = transport

    def start(self) -> None:
        """Stand before every httpx client of the process, from now on."""
        super().start()
        for name, url in URLS.items():
            self.route(url__startswith=f"{url}/", name=name).side_effect = self._send

    def handler(self, request: httpx.Request) -> httpx.Response:
        """Answer a sync client."""
        request.extensions = {**request.extensions, _SYNC: True}
        return super().handler(request)

    def _send(self, request: httpx.Request) -> httpx.Response | Coroutine[Any, Any, httpx.Response]:
        if request.extensions.get(_SYNC):
            return self._transport.handle_request(request)
        return self._transport.handle_async_request(request)
