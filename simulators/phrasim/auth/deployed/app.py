"""The deployed Auth as an application."""

from starlette.applications import Starlette

from phrasim.auth.deployed.keys import SigningKey
from phrasim.auth.deployed.routes import AuthRoutes
from phrasim.auth.deployed.state import AuthState
from phrasim.documents import Specification
from phrasim.service.operations import service


def auth_app(specification: Specification, state: AuthState, key: SigningKey, realm: str) -> Starlette:
    """The operations of `deployed/auth.yaml` over `state`, for the realm of that name; `key` signs its tokens."""
    routes = AuthRoutes(state, key, realm)
    return service(specification, {"issueToken": routes.issue_token, "getKeys": routes.get_keys})
