"""The deployed Auth's own refusals, in Keycloak's form (PROTOCOL §5, *now*)."""

from starlette.responses import Response

from phrasim.auth.deployed.state import GrantRefused
from phrasim.service.operations import json_answer

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""RFC 6749, §5.1: nobody keeps a token response."""


def grant_refused(refused: GrantRefused) -> Response:
    """The status, and `error` and `error_description` (§5; RFC 6749, §5.2)."""
    return json_answer({"error": refused.error, "error_description": refused.description}, refused.status, NO_STORE)


def no_such_realm() -> Response:
    """404 at any path of a realm that there is not; it is not verified."""
    return json_answer({"error": "Realm does not exist"}, 404)
