"""The envelope of Phraseanet's answers (§3): `meta` and `response`, as JSON, YAML or a call of a function (JSONP)."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import yaml
from starlette.requests import Request
from starlette.responses import Response

API_VERSION = "2.0.0"

_YAML = ("application/yaml", "text/yaml")
_CALLBACK = re.compile(r"[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*", re.ASCII)

_ERRORS = {
    404: ("Not Found", "Requested resource is not found"),
    405: ("Method Not Allowed", "Attempting to use POST with a GET-only endpoint, or vice-versa"),
    422: ("Unprocessable Entity", "Request content is unprocessable"),
    500: ("Internal Server Error", "Internal Server Error"),
}
"""Type and message of a refusal by its status; what is not here becomes 500."""


def accepted(request: Request, response: Mapping[str, Any], now: datetime) -> Response:
    """200 with what was accepted."""
    return _answer(request, 200, (None, None), None, response, now, {})


def refused(
    request: Request, status: int, details: str, now: datetime, headers: Mapping[str, str] | None = None
) -> Response:
    """A refusal, its `response` empty. `details` say what is wrong with this request."""
    status = status if status in _ERRORS else 500
    return _answer(request, status, _ERRORS[status], details, {}, now, headers or {})


def _answer(
    request: Request,
    status: int,
    error: tuple[str | None, str | None],
    details: str | None,
    response: Mapping[str, Any],
    now: datetime,
    headers: Mapping[str, str],
) -> Response:
    meta = {
        "api_version": API_VERSION,
        "request": f"{request.method} {request.url.path}",
        "response_time": now.isoformat(timespec="seconds"),
        "http_code": status,
        "error_type": error[0],
        "error_message": error[1],
        "error_details": details,
        "charset": "UTF-8",
    }
    # A name that is none of a function is passed over (assumed).
    callback = request.query_params.get("callback", "").strip()
    if _CALLBACK.fullmatch(callback):
        called = b"/**/%b(%b);" % (callback.encode(), msgspec.json.encode({"meta": meta, "response": response}))
        return Response(called, 500 if status == 500 else 200, dict(headers), "text/javascript")
    if _wants_yaml(request.headers.get("accept", "")):
        content = yaml.safe_dump({"meta": meta, "response": dict(response)}, sort_keys=False, allow_unicode=True)
        return Response(content.encode(), status, dict(headers), "application/yaml")
    return Response(
        msgspec.json.encode({"meta": meta, "response": response}), status, dict(headers), "application/json"
    )


def _wants_yaml(accept: str) -> bool:
    """Whether a header `Accept` names YAML, and not JSON beside it."""
    types = [item.partition(";")[0].strip().lower() for item in accept.split(",")]
    return "application/json" not in types and any(name in types for name in _YAML)
