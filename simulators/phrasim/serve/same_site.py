"""Keeps the control port from the web pages that a user happens to visit.

A browser lets any page send simple requests to 127.0.0.1, and a page whose own name leads there (DNS rebinding) read
the answers. It always says a Host, and an Origin with whatever may change something; programs that are no browsers
are not asked for more than a Host that is no stranger's name.
"""

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.service.refusal import problem

_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?", re.IGNORECASE)
"""A Host header (RFC 9110, §7.2), as far as it is of use here."""

_ORIGIN = re.compile(r"https?://(?P<authority>[^/]+)", re.IGNORECASE)
_SHOWN_CHARACTERS_MAX = 60


class SameSite:
    """Refuses what a page of another site sends to `app`, which this machine alone reaches if `is_local`.

    Where others reach it, it goes by names that nobody here knows, and only pages that say another one are refused.
    """

    def __init__(self, app: ASGIApp, *, is_local: bool) -> None:
        self._app = app
        self._is_local = is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        refused = None
        if self._is_local and host and not _names_no_stranger(host):
            refused = (
                f"the control port answers at addresses and at localhost, not at {_cut(host)!r}; "
                "begin the server with --host 0.0.0.0 where it has to answer at names"
            )
        elif origin is not None and not _same(origin, host):
            refused = f"the control port answers no page of another site, such as {_cut(origin)!r}"
        app = self._app if refused is None else problem(403, refused)
        await app(scope, receive, send)


def _names_no_stranger(host: str) -> bool:
    """Whether a Host header is an address, or a name that nobody can own (RFC 6761, §6.3)."""
    found = _AUTHORITY.fullmatch(host)
    if found is None:
        return False
    name = (found["name"] or found["ipv6"]).casefold()
    if found["name"] and (name == "localhost" or name.endswith(".localhost")):
        return True
    try:
        return ipaddress.ip_address(name).version == (6 if found["ipv6"] else 4)
    except ValueError:
        return False


def _same(origin: str, host: str) -> bool:
    """Whether an Origin header (RFC 6454, §7) is the site that the Host header names; `null` is none."""
    found = _ORIGIN.fullmatch(origin)
    return found is not None and found["authority"].casefold() == host.casefold()


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}…"
