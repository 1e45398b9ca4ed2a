"""A service's routes, read from its specification: each operation has one handler, and every handler an operation."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.documents import Operation, Specification
from phrasim.service.refusal import Refusal, failure, http_exception

REQUEST_BYTES_MAX = 1024 * 1024
"""Bytes of a JSON or form body that are read; a longer one is refused with 413. Files are not bound by it."""

FORM = "application/x-www-form-urlencoded"


class Call:
    """One request to an operation."""

    __slots__ = ("operation", "request")

    def __init__(self, operation: Operation, request: Request) -> None:
        self.operation = operation
        self.request = request

    @property
    def path(self) -> Mapping[str, str]:
        """The path parameters by name."""
        return self.request.path_params

    @property
    def authorization(self) -> str | None:
        """The `Authorization` header."""
        return self.request.headers.get("authorization")

    @property
    def media_type(self) -> str | None:
        """The media type of the request without its parameters, in lower case."""
        written = self.request.headers.get("content-type")
        return written.partition(";")[0].strip().lower() if written else None

    def check_media_type(self) -> None:
        """Refuse with 415 what the operation does not take (A29)."""
        if self.media_type not in self.operation.request_media_types:
            taken = " or ".join(self.operation.request_media_types)
            found = "has no Content-Type" if self.media_type is None else f"is {self.media_type!r}"
            raise Refusal(415, f"the request {found}; {self.operation.operation_id} takes {taken}")

    async def body(self) -> Any:
        """The body, a JSON value or the fields of a form, as the specification has it.

        Refused with 415 (another media type), 413 (more than `REQUEST_BYTES_MAX`) or 400 (malformed, or a field that
        breaks the specification, which is named).
        """
        self.check_media_type()
        content = await self.content()
        if self.media_type == FORM:
            value: Any = dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
        else:
            try:
                value = msgspec.json.decode(content)
            except (ValueError, RecursionError) as error:
                raise Refusal(400, f"the body is not JSON: {error}") from error
        violations = self.operation.request_violations(self.media_type, value)
        if violations:
            raise Refusal(400, "; ".join(map(str, violations)))
        return value

    async def content(self) -> bytes:
        """The body as it came, of whatever media type. Refused with 413 where it has more than `REQUEST_BYTES_MAX`."""
        parts, length = [], 0
        async for part in self.request.stream():
            length += len(part)
            if length > REQUEST_BYTES_MAX:
                raise Refusal(413, f"the body is longer than {REQUEST_BYTES_MAX} bytes")
            parts.append(part)
        return b"".join(parts)


Handler = Callable[[Call], Awaitable[ASGIApp]]


def service(specification: Specification, handlers: Mapping[str, Handler]) -> Starlette:
    """An application that answers each operation of `specification` by the handler of its operationId."""
    assert handlers.keys() == specification.operations.keys(), "each operation has a handler, each handler an operation"
    routes = [
        Route(operation.path, _Endpoint(operation, handlers[operation_id]), methods=[operation.method])
        for operation_id, operation in specification.operations.items()
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: http_exception, Exception: failure})
    app.router.redirect_slashes = False  # a path with a slash too many or too few is another path (A3, A13)
    return app


class _Endpoint:
    """The ASGI application of one operation; Starlette mounts it without its request and response layer."""

    def __init__(self, operation: Operation, handler: Handler) -> None:
        self._operation = operation
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._handler(Call(self._operation, Request(scope, receive)))
        except Refusal as refusal:
            response = refusal.response()
        await response(scope, receive, send)


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")
