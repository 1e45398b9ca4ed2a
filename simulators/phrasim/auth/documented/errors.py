"""Auth's own refusals: the token endpoint answers as OAuth 2.0 does, not with a problem document (A29)."""

from starlette.responses import Response

from phrasim.auth.documented.state import GrantRefused
from phrasim.service.operations import json_answer

NO_STORE = {"Cache-Control": "no-store"}
"""RFC 6749, §5.1: nobody keeps a token response."""


def grant_refused(refused: GrantRefused) -> Response:
    """400 with `error` and `error_description` (§5; RFC 6749, §5.2)."""
    return json_answer({"error": refused.error, "error_description": refused.description}, 400, NO_STORE)
