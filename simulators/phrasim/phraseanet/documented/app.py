"""Phraseanet as an application; its worker and its poller run beside it."""

from starlette.applications import Starlette

from phrasim.documents import Specification
from phrasim.phraseanet.documented.queue import IngestQueue
from phrasim.phraseanet.documented.routes import PhraseanetRoutes
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.service.operations import service


def phraseanet_app(specification: Specification, state: PhraseanetState, queue: IngestQueue) -> Starlette:
    """The operation of `phraseanet.yaml` over `state` and `queue`."""
    return service(specification, {"enqueueAssets": PhraseanetRoutes(state, queue).enqueue_assets})
