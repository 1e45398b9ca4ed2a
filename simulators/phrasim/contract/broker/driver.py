"""A broker on which programs are run, one after the other, so that nothing is left of any."""

import ssl
import time
from collections.abc import Sequence

from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerError
from phrasim.contract.broker.access import WATCH, Access, open_watch, told
from phrasim.contract.broker.execution import DEFAULT, Execution, Pace, Run
from phrasim.contract.broker.programs import Program, Record
from phrasim.contract.broker.wire import Strange

DELETIONS_MAX = 100
"""How often a queue is asked to go that was exclusive to a connection which has just left."""


class Driver:
    """The broker at `url`. What programs make there has `prefix` before its name.

    `left` is what could not be taken away: kinds and names. It is tried again behind every program, and at the end.
    """

    def __init__(self, url: BrokerUrl, tls: ssl.SSLContext | None = None, prefix: str = "") -> None:
        self.access = Access(url, tls, prefix)
        self.left: dict[tuple[str, str], None] = {}

    def run(self, program: Program, pace: Pace = DEFAULT, expected: Sequence[Record] = ()) -> Run:
        """Run a program on the broker, which has nothing of its names before and afterwards.

        With `expected` only to the first step that comes to something else. Raises `Blocked` where the broker takes no
        messages now.
        """
        execution = Execution(self.access, program, pace, expected)
        ended = False
        try:
            run = execution.run()
            ended = True
        finally:
            if not ended:
                # Interrupted, the connection may be waiting for an answer that would be taken for another.
                self.access.leave()
            for client in execution.clients.values():
                client.leave()
            self._delete(execution.made)
        return run

    def close(self) -> None:
        """Leave the broker."""
        if self.left:
            self._delete({})
        self.access.leave()

    def _delete(self, made: dict[tuple[str, str], None]) -> None:
        """Take away what a program may have made. What cannot be is noted, so that somebody can."""
        self.left |= made
        for kind, name in list(self.left):
            try:
                self._delete_one(kind, name)
            except (BrokerError, Strange, OSError):
                # That connection is of no use any more; a second one may be.
                self.access.leave()
                try:
                    self._delete_one(kind, name)
                except (BrokerError, Strange, OSError):
                    self.access.leave()
                    return
            del self.left[kind, name]

    def _delete_one(self, kind: str, name: str) -> None:
        """Delete a queue or an exchange. Raises what talking to the broker raises."""
        watcher = self.access.watcher()
        for attempt in range(DELETIONS_MAX):
            watcher.send(WATCH, f"{kind}.delete", {kind: name})
            received = watcher.receive()
            if received is not None and received.name == f"{kind}.delete-ok":
                return
            if received is None or received.name != "channel.close":
                raise Strange(f"the broker does not delete the {kind} {name}: {told(received)}")
            open_watch(watcher, again=True)
            if received.fields["reply_code"] in {403, 404}:
                # A reserved name was not made, and what is not there is gone.
                return
            time.sleep(attempt / 1000)
        raise Strange(f"the broker does not delete the {kind} {name}")
