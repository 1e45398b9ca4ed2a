"""Keeps the control port from the web pages that a user happens to visit.

A browser lets any page send simple requests to 127.0.0.1, and a page whose own name leads there (DNS rebinding) read
the answers. Programs that are no browsers send no Origin, and are not asked for more than a Host that is no name.
"""

import ipaddress

import httpx
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.serve.sockets import is_loopback
from phrasim.service.refusal import problem


class SameSite:
    """Refuses what a page of another site sends to `app`, whose own address is `url`."""

    def __init__(self, app: ASGIApp, url: str) -> None:
        self._app = app
        self._url = httpx.URL(url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if is_loopback(self._url.host) and not _is_local(host):
            await problem(403, f"the control port answers to addresses and to localhost, not to {host!r}")(
                scope, receive, send
            )
        elif origin is not None and httpx.URL(origin).netloc != host.encode():
            await problem(403, f"the control port answers no page of another site, such as {origin!r}")(
                scope, receive, send
            )
        else:
            await self._app(scope, receive, send)


def _is_local(host: str) -> bool:
    """Whether a Host header names no name that a stranger could own."""
    name = httpx.URL(f"http://{host}").host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
