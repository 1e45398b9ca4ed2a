"""Answers that nobody has to be waited for: given between two reads of a socket, without a task of their own.

An ASGI application may have a method `at_once` beside its `__call__`. It is asked for the answer to a GET without a
body, or to a POST whose body has come with its head, and gives the very one that `__call__` would send. It gives None,
and has changed nothing, where that has to wait, or is no matter of a few bytes: then `__call__` is called as ever. What
wraps an application hands the question on or leaves the method out.
"""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Scope

AtOnce = Callable[[Scope], Response | None]

MATCHED = "phrasim.matched"
"""The key of a scope under which an edge says which operation is asked for, and with which path parameters."""

BODY = "phrasim.body"
"""The key of a scope under which a connection gives the body of a POST (bytes) to who may answer it at once.

Whoever reads it takes it out: a request that is refused unread has no body in the journal.
"""


def at_once(app: ASGIApp) -> AtOnce:
    """The application's own `at_once`, or one that never has an answer."""
    own: AtOnce = getattr(app, "at_once", _never)
    return own


def _never(_scope: Scope) -> Response | None:
    return None
