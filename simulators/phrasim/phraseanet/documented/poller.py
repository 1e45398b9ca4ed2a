"""Pull mode: every interval Phraseanet asks the upload service for commits that nobody acknowledged (L4)."""

from collections.abc import Callable

import httpx
import msgspec

from phrasim.broker.client import BrokerError
from phrasim.clock import Clock
from phrasim.phraseanet.documented.credentials import ClientToken, TokenRefused
from phrasim.phraseanet.documented.queue import IngestQueue
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.phraseanet.documented.wire import Handover, Listed, from_listing
from phrasim.phraseanet.poll_failed import PollFailed


class Poller:
    """Asks `GET /commits` every `interval` seconds, the first time after one interval (A14)."""

    def __init__(
        self,
        state: PhraseanetState,
        queue: IngestQueue,
        *,
        upload: httpx.AsyncClient,
        token: ClientToken,
        clock: Clock,
        interval: float,
        note: Callable[..., None],
    ) -> None:
        self._state = state
        self._queue = queue
        self._upload = upload
        self._token = token
        self._clock = clock
        self._interval = interval
        self._note = note

    async def run(self) -> None:
        """Poll for ever; a poll that fails is noted, and the next one comes in its time."""
        while True:
            await self._clock.sleep(self._interval)
            try:
                await self.poll()
            except PollFailed as failed:
                self._note("poll failed", reason=str(failed))

    async def poll(self) -> int:
        """Ask once and hand on each commit that is new here (A30); how many those were. Raises `PollFailed`."""
        try:
            answer = await self._token.get(self._upload, "/commits")
        except (httpx.HTTPError, TokenRefused) as error:
            raise PollFailed(f"{type(error).__name__}: {error}") from error
        if answer.status_code != 200:
            raise PollFailed(f"the upload service answered {answer.status_code}")
        accepted = 0
        for handover in self._listed(answer):
            if not self._state.accept(handover):
                continue
            try:
                await self._queue.put(handover)
            except BrokerError as error:
                self._state.forget(handover)
                raise PollFailed(f"{type(error).__name__}: {error}") from error
            accepted += 1
        return accepted

    def _listed(self, answer: httpx.Response) -> list[Handover]:
        """The commits of a listing; `PollFailed` where it is not the listing that upload.yaml describes."""
        base_url = str(self._upload.base_url).rstrip("/")
        try:
            items = msgspec.json.decode(answer.content, type=list[Listed])
        except (ValueError, RecursionError) as error:
            raise PollFailed(f"the listing cannot be read: {type(error).__name__}: {error}") from error
        return [from_listing(item, base_url) for item in items]
