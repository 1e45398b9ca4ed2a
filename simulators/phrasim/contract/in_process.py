"""A landscape on simulated time that is driven from an ordinary function, a request or a wait at a time."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from phrasim.clock import SimulatedLoop
from phrasim.contract.subject import Subject
from phrasim.edge.outbound import http_client
from phrasim.edge.transport import InProcessTransport
from phrasim.journal.events import Participant
from phrasim.testbed import URLS, Setting, Testbed, open_testbed
from phrasim.testbed.held import Held
from phrasim.testbed.network import InProcess

_Result = TypeVar("_Result")
_Subject = TypeVar("_Subject", bound="InProcessSubject")

SETTLE_SECONDS = 1e-6
"""So much later all is done that was begun: simulated time passes only where nobody has work."""


class InProcessSubject(Subject):
    """A simulated participant in this process; between two calls time stands still, and what was begun waits half done.

    `exchange` stands beside the wire: no journal has what it sends, and no fault strikes it. Any thread may call, one
    at a time.
    """

    wire = "in-process"
    is_real = False

    def __init__(self, participant: Participant, bed: Held[Testbed], runner: asyncio.Runner) -> None:
        super().__init__(participant)
        self._bed = bed.thing
        self._held = bed
        self._runner = runner
        inner = {httpx.URL(URLS[name]).host: app for name, app in self.bed.services.apps.items()}
        self._beside = http_client(InProcessTransport(inner), "")

    @property
    def bed(self) -> Testbed:
        """The participants; they may be touched between two calls."""
        return self._bed

    def look(self, look: Callable[[], _Result]) -> _Result:
        """What `look` returns."""
        return look()

    def run(self, work: Coroutine[Any, Any, _Result], within: float = 0) -> _Result:  # noqa: ARG002 - time jumps
        """The result of a coroutine on the testbed's loop. A simulator that fails meanwhile raises here."""
        return self._runner.run(self._held.beside(work))

    def wait(self, seconds: float) -> None:
        """Let that much simulated time pass, and all be done that is to be done by then."""
        self.run(self.bed.clock.sleep(seconds + SETTLE_SECONDS))

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request, in which its sender had `http_client`'s usual patience."""
        request.extensions.setdefault("timeout", self._beside.timeout.as_dict())
        return self.run(self._beside.send(request))

    def close(self) -> None:
        """Take the testbed down. Raises what made a simulator fail."""
        self._runner.run(self._held.close())


def in_process(participant: Participant, setting: Setting) -> AbstractContextManager[InProcessSubject]:
    """That participant in a testbed of that setting, until the block ends."""
    return opened(InProcessSubject, participant, setting)


@contextmanager
def opened(
    made: type[_Subject], participant: Participant, setting: Setting, wire: InProcess | None = None
) -> Iterator[_Subject]:
    """The same as a subject of that class, on that wire."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        held = runner.run(Held.opened(open_testbed(setting, Path(folder), wire), "the testbed"))
        subject = made(participant, held, runner)
        yield subject
        subject.close()
