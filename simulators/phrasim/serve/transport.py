"""The wire between the participants of a landscape and to external ones: HTTP on sockets."""

import ssl
from collections.abc import Callable, Mapping

import httpx

CONNECTIONS_MAX = 100
"""Connections that a landscape keeps to all others together; a request more waits for one."""


class SocketTransport(httpx.AsyncBaseTransport):
    """Carries requests to the sockets of the own landscape, and to external participants.

    `own` gives, for each URL under which a participant of the landscape is known, where it really listens: a public
    URL may lead nowhere from here. `own_tls` and `external_tls` make the TLS contexts when the first request asks.
    """

    def __init__(
        self,
        own: Mapping[str, str],
        *,
        own_tls: Callable[[], ssl.SSLContext],
        external_tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._own = sorted(
            ((httpx.URL(known), httpx.URL(real)) for known, real in own.items()),
            key=lambda pair: len(pair[0].raw_path),
            reverse=True,
        )
        self._make_tls = {True: own_tls, False: external_tls}
        self._inner: dict[bool, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx's own transport."""
        for known, real in self._own:
            below = _below(known, request.url)
            if below is not None:
                if known != real:
                    request.url = real.copy_with(raw_path=below)
                return await self._transport(own=True).handle_async_request(request)
        return await self._transport(own=False).handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        for inner in self._inner.values():
            await inner.aclose()

    def _transport(self, *, own: bool) -> httpx.AsyncHTTPTransport:
        if own not in self._inner:
            limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
            self._inner[own] = httpx.AsyncHTTPTransport(verify=self._make_tls[own](), trust_env=False, limits=limits)
        return self._inner[own]


def _below(base: httpx.URL, url: httpx.URL) -> bytes | None:
    """The path and query of `url` as seen from `base`; None if it does not lie there."""
    prefix = base.raw_path.rstrip(b"/")
    below = url.raw_path.removeprefix(prefix)
    lies_there = url.raw_path.startswith(prefix) and below[:1] in (b"/", b"?", b"")
    if (base.scheme, base.netloc) != (url.scheme, url.netloc) or not lies_there:
        return None
    return below if below.startswith(b"/") else b"/" + below
