"""Phraseanet's operation: the notification of push mode."""

from starlette.types import ASGIApp

from phrasim.broker.client import BrokerError
from phrasim.phraseanet.documented.queue import IngestQueue
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.phraseanet.documented.wire import from_notification
from phrasim.service.operations import Call, json_answer
from phrasim.service.refusal import Refusal


class PhraseanetRoutes:
    """The handler of `phraseanet.yaml`."""

    def __init__(self, state: PhraseanetState, queue: IngestQueue) -> None:
        self._state = state
        self._queue = queue

    async def enqueue_assets(self, call: Call) -> ASGIApp:
        """`POST /api/v1/upload/enqueue` (P4): nobody is asked for credentials (A4).

        A commit that is known already is answered in the same way, and its message dropped (A30). 503 where the
        broker does not take the message, so that the upload service tells again: nothing is lost (compare H1).
        """
        handover = from_notification(await call.body())
        if self._state.accept(handover):
            try:
                await self._queue.put(handover)
            except BrokerError as error:
                self._state.forget(handover)
                raise Refusal(503, f"the commit cannot be queued: {error}") from error
        return json_answer(True)
