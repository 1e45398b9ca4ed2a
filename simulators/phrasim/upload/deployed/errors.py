"""How the deployed upload service says no: in the form that the caller asked for, mostly (§2.10)."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from phrasim.service.operations import Call, Handler, json_answer
from phrasim.service.refusal import Refusal
from phrasim.upload.deployed.formats import failure, format_asked

DENIED = "Access Denied."
NOBODY = "Full authentication is required to access this resource."
FAILED = "Internal Server Error"


class InvalidBearer(Refusal):
    """401 for a Bearer that can be read and does not hold; its body is of no format of the service (§2.10)."""

    def __init__(self) -> None:
        super().__init__(401, "Invalid token")

    def response(self) -> Response:
        """The answer on the wire."""
        return json_answer({"message": self.detail}, self.status)


def negotiated(handler: Handler) -> Handler:
    """`handler`, with its refusals in the form that the caller asked for."""

    async def answered(call: Call) -> ASGIApp:
        try:
            return await handler(call)
        except InvalidBearer:
            raise
        except Refusal as refusal:
            form = format_asked(call.request.headers.get("accept"))
            return failure(form, refusal.status, refusal.detail, refusal.headers)

    return answered


async def nothing_there(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such path, wrong method) in the form that the caller asked for."""
    assert isinstance(error, HTTPException)
    form, url = format_asked(request.headers.get("accept")), request.url.replace(query="")
    asked = f'No route found for "{request.method} {url}"'
    allowed = (error.headers or {}).get("Allow")
    if allowed is None:
        return failure(form, error.status_code, asked)
    # Starlette joins a set, whose order is another in every process.
    methods = ", ".join(sorted(allowed.split(", ")))
    said = f"{asked}: Method Not Allowed (Allow: {methods})"
    return failure(form, error.status_code, said, {"Allow": methods})


async def unforeseen(request: Request, _error: Exception) -> Response:
    """500 for what no rule of the service foresees; Starlette raises the error on, to whoever runs the service."""
    return failure(format_asked(request.headers.get("accept")), 500, FAILED)
