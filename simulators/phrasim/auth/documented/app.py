"""The Auth service as an application."""

from starlette.applications import Starlette

from phrasim.auth.documented.routes import AuthRoutes
from phrasim.auth.documented.state import AuthState
from phrasim.documents import Specification
from phrasim.service.operations import service


def auth_app(specification: Specification, state: AuthState) -> Starlette:
    """The operations of `auth.yaml` over `state`."""
    routes = AuthRoutes(state)
    return service(
        specification,
        {
            "issueToken": routes.issue_token,
            "getTokenInfo": routes.get_token_info,
            "getPublisherInfo": routes.get_publisher_info,
        },
        {
            "getTokenInfo": routes.get_token_info_at_once,
            "getPublisherInfo": routes.get_publisher_info_at_once,
        },
    )
