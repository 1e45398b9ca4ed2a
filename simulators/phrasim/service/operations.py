"""A service's routes, read from its specification: each operation has one handler, and every handler an operation."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.documents import Operation, Specification
from phrasim.edge.at_once import BODY, MATCHED, Answer, at_once
from phrasim.service.refusal import Refusal, failure, http_exception

REQUEST_BYTES_MAX = 1024 * 1024
"""Bytes of a JSON or form body that are read; a longer one is refused with 413. Files are not bound by it."""

FORM = "application/x-www-form-urlencoded"


class Call:
    """One request to an operation; `path` has the path parameters by name."""

    def __init__(self, operation: Operation, path: Mapping[str, str], scope: Scope, receive: Receive) -> None:
        self.operation = operation
        self.path = path
        self._scope = scope
        self._receive = receive

    @cached_property
    def request(self) -> Request:
        """The request as Starlette has it."""
        return Request(self._scope, self._receive)

    @property
    def authorization(self) -> str | None:
        """The `Authorization` header."""
        return self._header(b"authorization")

    @property
    def content_type(self) -> str | None:
        """The `Content-Type` header."""
        return self._header(b"content-type")

    @property
    def media_type(self) -> str | None:
        """The media type of the request without its parameters, in lower case."""
        written = self.content_type
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
        return self._value(await self.content())

    def body_at_once(self) -> Any:
        """As `body`, of a request that is answered at once."""
        self.check_media_type()
        return self._value(self.content_at_once())

    def _value(self, content: bytes) -> Any:
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

    def content_at_once(self) -> bytes:
        """The body of a request that is answered at once, however long."""
        content: bytes = self._scope.pop(BODY)
        return content

    def _header(self, wanted: bytes) -> str | None:
        for name, value in self._scope["headers"]:
            if name == wanted:
                written: str = value.decode("latin-1")
                return written
        return None


Handler = Callable[[Call], Awaitable[ASGIApp]]

HandlerAtOnce = Callable[[Call], ASGIApp | None]
"""Gives the answer of the handler beside it where that need not wait, else None, and changes nothing by it.

Of an answer that is no Response its own `at_once` is asked.
"""


def service(
    specification: Specification,
    handlers: Mapping[str, Handler],
    handlers_at_once: Mapping[str, HandlerAtOnce] | None = None,
) -> "Service":
    """An application that answers each operation of `specification` by the handler of its operationId."""
    assert handlers.keys() == specification.operations.keys(), "each operation has a handler, each handler an operation"
    endpoints = {
        operation_id: _Endpoint(operation, handlers[operation_id])
        for operation_id, operation in specification.operations.items()
    }
    app = Service(exception_handlers={HTTPException: http_exception, Exception: failure})
    # A path with a slash too many or too few is another path (A3, A13).
    app.router = _Router(endpoints, redirect_slashes=False)
    app.handlers_at_once = handlers_at_once or {}
    return app


class Service(Starlette):
    """The application of a service, which answers some operations at once (`phrasim.edge.at_once`)."""

    handlers_at_once: Mapping[str, HandlerAtOnce]

    def at_once(self, scope: Scope) -> Answer | None:
        """The answer to a request whose operation an edge has matched, where it can be given at once."""
        operation, path = scope.get(MATCHED, (None, {}))
        handler = self.handlers_at_once.get(operation.operation_id) if operation else None
        if handler is None:
            return None
        try:
            answer = handler(Call(operation, path, scope, _never))
        except Refusal as refusal:
            return refusal.response()
        return answer if answer is None or isinstance(answer, Response) else at_once(answer)(scope)


async def _never() -> Message:
    raise AssertionError("who answers at once reads nothing")


class _Router(Router):
    """Starlette's, which looks for no route where an edge has found the operation already."""

    def __init__(self, endpoints: Mapping[str, "_Endpoint"], *, redirect_slashes: bool) -> None:
        operations = ((one.operation, one) for one in endpoints.values())
        routes = [Route(operation.path, one, methods=[operation.method]) for operation, one in operations]
        super().__init__(routes, redirect_slashes=redirect_slashes)
        self._endpoints = endpoints

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        operation, path = scope.get(MATCHED, (None, {}))
        endpoint = self._endpoints.get(operation.operation_id) if operation else None
        if endpoint is None:
            await super().app(scope, receive, send)
            return
        scope["path_params"] = path
        await endpoint(scope, receive, send)


class _Endpoint:
    """The ASGI application of one operation; Starlette mounts it without its request and response layer."""

    def __init__(self, operation: Operation, handler: Handler) -> None:
        self.operation = operation
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._handler(Call(self.operation, scope["path_params"], scope, receive))
        except Refusal as refusal:
            response = refusal.response()
        await response(scope, receive, send)


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return _JsonAnswer(value, status, headers or {})


class _JsonAnswer(Response):
    """What Starlette makes of the same bytes, made without what it does for other media types."""

    def __init__(self, value: Any, status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.background = None
        self.body = msgspec.json.encode(value)
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), _JSON]
        if headers:
            latin = ((name.lower().encode("latin-1"), written.encode("latin-1")) for name, written in headers.items())
            self.raw_headers[:0] = latin


_JSON = (b"content-type", b"application/json")
