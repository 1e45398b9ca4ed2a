"""Answers that nobody has to be waited for: given between two reads of a socket, without a task of their own.

An ASGI application may have a method `at_once` beside its `__call__`. It is asked for the answer to a GET without a
body, or to a POST whose body has come with its head, and gives the very one that `__call__` would send. It gives None,
and has changed nothing, where that has to wait, or does not fit into the socket: then `__call__` is called as ever.
What wraps an application hands the question on or leaves the method out.

The scope of such a question is of what the request itself says (its method, target and headers), `ROOM`, and `BODY`.
"""

from collections.abc import Callable
from io import RawIOBase
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Scope


class OpenFile(NamedTuple):
    """An answer whose body are `size` bytes of an open file from `offset` on, of the digest `sha256`.

    Its sender closes it.
    """

    status_code: int
    raw_headers: list[tuple[bytes, bytes]]
    file: RawIOBase
    offset: int
    size: int
    sha256: str


Answer = Response | OpenFile

AtOnce = Callable[[Scope], Answer | None]

MATCHED = "phrasim.matched"
"""The key of a scope under which an edge says which operation is asked for, and with which path parameters."""

ROOM = "phrasim.room"
"""The key of a scope under which a connection says, when it is called, how many bytes of a file it takes at once."""

BODY = "phrasim.body"
"""The key of a scope under which a connection gives the body of a POST (bytes) to who may answer it at once.

Whoever reads it takes it out: a request that is refused unread has no body in the journal.
"""


def at_once(app: ASGIApp) -> AtOnce:
    """The application's own `at_once`, or one that never has an answer."""
    own: AtOnce = getattr(app, "at_once", _never)
    return own


def _never(_scope: Scope) -> Answer | None:
    return None
