"""Phraseanet's operation: the notification of push mode, and how all else is refused."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from phrasim.documents import Violation
from phrasim.phraseanet.deployed.envelope import accepted, refused
from phrasim.phraseanet.deployed.ingest import PUSH
from phrasim.phraseanet.deployed.oauth import MalformedOAuth, OAuthRefusal, check, token_of
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.queues import ASSETS_INGEST
from phrasim.phraseanet.deployed.state import PhraseanetState
from phrasim.service.operations import FORM, Call, json_answer


class PhraseanetRoutes:
    """The handler of deployed/phraseanet.yaml, and those of its errors. `now` gives the time in UTC."""

    def __init__(self, state: PhraseanetState, publisher: Publisher, now: Callable[[], datetime]) -> None:
        self._state = state
        self._publisher = publisher
        self._now = now

    async def enqueue_assets(self, call: Call) -> ASGIApp:
        """`POST /api/v1/upload/enqueue/`: each notification becomes a message, also one that came before (H7).

        The answer is 200 also when the broker took nothing (H1).
        """
        content = await call.content()
        form = dict(parse_qsl(content.decode("utf-8", "replace"))) if call.media_type == FORM else {}
        try:
            check(token_of(call.authorization, call.request.query_params, form), self._state.token_error)
        except OAuthRefusal as refusal:
            return Response(status_code=refusal.status, headers={"WWW-Authenticate": refusal.challenge})
        except MalformedOAuth:
            return json_answer({"error": "invalid_request"}, 400)
        try:
            notification = msgspec.json.decode(content)
        except (ValueError, RecursionError):
            return self._unprocessable(call, "Syntax error")
        violations = call.operation.request_violations("application/json", notification)
        if violations:
            return self._unprocessable(call, _details(violations[0], notification))
        await self._publisher.publish(ASSETS_INGEST, {**notification, "type": PUSH})
        return accepted(call.request, {"data": notification}, self._now())

    def _unprocessable(self, call: Call, details: str) -> Response:
        return refused(call.request, 422, details, self._now(), {"X-Status-Code": "422"})

    async def http_exception(self, request: Request, error: Exception) -> Response:
        """No such path (without its slash the operation's is none, A3), or another method."""
        assert isinstance(error, HTTPException)
        details = f'No route found for "{request.method} {request.url.path}"'
        allowed = dict(error.headers or {}).get("Allow")
        if allowed is not None:
            details += f": Method Not Allowed (Allow: {allowed})"
        headers = {"X-Status-Code": str(error.status_code)} | ({"Allow": allowed} if allowed else {})
        return refused(request, error.status_code, details, self._now(), headers)

    async def failure(self, request: Request, _error: Exception) -> Response:
        """500 for what no rule foresees; Starlette raises the error on, to whoever runs the service."""
        return refused(request, 500, "An exception occurred", self._now(), {"X-Status-Code": "500"})


def _details(violation: Violation, notification: Any) -> str:
    """A violation in a sentence; of a missing field in the words of Phraseanet's JSON Schema library (assumed)."""
    name = violation.pointer.removeprefix("/")
    missing = isinstance(notification, dict) and name and name not in notification
    return f"The property {name} is required" if missing else str(violation)
