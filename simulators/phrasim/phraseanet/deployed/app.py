"""Phraseanet as an application; its workers run beside it."""

from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from phrasim.documents import Specification
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.routes import PhraseanetRoutes
from phrasim.phraseanet.deployed.state import PhraseanetState
from phrasim.service.operations import service


def phraseanet_app(
    specification: Specification, state: PhraseanetState, publisher: Publisher, now: Callable[[], datetime]
) -> Starlette:
    """The operation of deployed/phraseanet.yaml over `state` and `publisher`; its errors are in the same envelope."""
    routes = PhraseanetRoutes(state, publisher, now)
    app = service(specification, {"enqueueAssets": routes.enqueue_assets})
    app.add_exception_handler(HTTPException, routes.http_exception)
    app.add_exception_handler(Exception, routes.failure)
    return app
