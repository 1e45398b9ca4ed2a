"""A landscape on real ports, around a real participant or a simulated one, that is driven from an ordinary function."""

import socket
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from phrasim.contract.inquiry import CutShort, Over
from phrasim.contract.subject import PATIENCE_SECONDS, Subject
from phrasim.journal.events import Participant
from phrasim.serve.landscape import Landscape, Plan, open_landscape
from phrasim.serve.thread import ServerThread, open_server_thread
from phrasim.serve.tls import external_client_context
from phrasim.testbed import Testbed
from phrasim.testbed.held import Held

_Result = TypeVar("_Result")

ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of an answer after which it is left: it might have no end."""


_SOON_SECONDS = 0.5
"""After so long an answer that has not come is worth to be told of."""


class _NoEnd(httpx.ReadError):
    """An answer that was still coming when the time for it was over."""


class ServedSubject(Subject):
    """A participant that is reached over sockets; the landscape around it has a thread of its own."""

    wire = "loopback"

    def __init__(
        self, participant: Participant, thread: ServerThread, held: Held[Landscape], client: httpx.Client
    ) -> None:
        super().__init__(participant)
        self._thread = thread
        self._held = held
        self._client = client
        self.is_real = participant in held.thing.network.external

    @property
    def bed(self) -> Testbed:
        """The participants."""
        return self._held.thing.testbed

    def look(self, look: Callable[[], _Result]) -> _Result:
        """What `look` returns, called on the thread of the landscape."""
        return self._thread.look(look)

    def run(self, work: Coroutine[Any, Any, _Result], within: float = 0) -> _Result:
        """The result of a coroutine on the thread. What makes a simulator fail meanwhile is raised in its place."""
        return self._thread.run(self._held.beside(work), within)

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run(self.bed.clock.sleep(seconds), seconds)

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request. What does not come in the time that is left raises `Over`, and is nobody's fault."""
        began = time.monotonic()
        patience = min(PATIENCE_SECONDS, self.until - began)
        if patience <= 0:
            raise Over
        request.extensions.setdefault("timeout", httpx.Timeout(patience).as_dict())
        try:
            return self._read(request, began + patience)
        except (httpx.TimeoutException, _NoEnd) as error:
            if patience == PATIENCE_SECONDS:
                raise
            raise (CutShort if patience >= _SOON_SECONDS else Over) from error

    def _read(self, request: httpx.Request, until: float) -> httpx.Response:
        began, parts, length = time.monotonic(), [], 0
        response = self._client.send(request, stream=True)
        try:
            for part in response.iter_raw():
                parts.append(part)
                length += len(part)
                if length > ANSWER_BYTES_MAX or time.monotonic() > until:
                    self.answers_without_end = True
                    told = f"{length} bytes came in {time.monotonic() - began:.0f} s, and no end"
                    kind = httpx.ReadError if length > ANSWER_BYTES_MAX else _NoEnd
                    raise kind(f"the answer {response.status_code} was left: {told}", request=request)
        finally:
            response.close()
        headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"transfer-encoding"]
        return httpx.Response(response.status_code, headers=headers, content=b"".join(parts), request=request)


@contextmanager
def served(
    participant: Participant, plan: Plan, listeners: Callable[[], Mapping[str, socket.socket]]
) -> Iterator[ServedSubject]:
    """That participant in a landscape that is served by `plan` on the sockets that `listeners` binds."""
    context = external_client_context(plan.external.ca, plan.external.insecure)
    with (
        tempfile.TemporaryDirectory(prefix="phrasim-") as storage,
        open_server_thread() as thread,
        httpx.Client(verify=context, trust_env=False, timeout=PATIENCE_SECONDS) as client,
    ):
        held = thread.run(Held.opened(open_landscape(plan, listeners(), Path(storage)), "the landscape"))
        try:
            yield ServedSubject(participant, thread, held, client)
        finally:
            thread.run(held.close())
