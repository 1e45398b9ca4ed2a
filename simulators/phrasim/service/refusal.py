"""How a simulated service says no: `application/problem+json` (RFC 9457), as ruled in A29."""

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from phrasim.edge.problem import MEDIA_TYPE, problem_json


class Refusal(Exception):
    """Raised anywhere in a service, it becomes the answer: a status, a sentence for people, further headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.headers = headers

    def response(self) -> Response:
        """The answer on the wire."""
        return problem(self.status, self.detail, self.headers)


def unauthorized(detail: str, schemes: Sequence[str] = ("Bearer",), *, invalid_token: bool = False) -> Refusal:
    """401; `schemes` are those that the operation takes (RFC 9110, §11.6.1; for a bad Bearer RFC 6750, §3.1)."""
    challenge = ", ".join(schemes)
    if invalid_token:
        challenge = challenge.replace("Bearer", 'Bearer error="invalid_token"')
    return Refusal(401, detail, {"WWW-Authenticate": challenge})


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A `problem+json` answer."""
    return Response(problem_json(status, detail), status, headers, MEDIA_TYPE)


async def http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such path, wrong method) in the same form."""
    assert isinstance(error, HTTPException)
    said = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not a method of {request.url.path}",
    }
    headers = dict(error.headers or {})
    if "Allow" in headers:
        # Starlette joins a set, whose order is another in every process.
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return problem(error.status_code, said.get(error.status_code, error.detail), headers)


async def failure(_request: Request, _error: Exception) -> Response:
    """500 for what no rule of the service foresees; Starlette raises the error on, to whoever runs the service."""
    return problem(500, "the service failed at this request; its log says why")
