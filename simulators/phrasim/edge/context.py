"""One message, one id: how the receiver's edge learns which message it has, and what caused the next one.

Simulated parties send a W3C `traceparent` (Trace Context, §3.2); its parent id is looked up here. A foreign one is
unknown here and stays what it is: a header.
"""

import random
import re
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

PENDING_MAX = 4_096
"""Messages on their way that are remembered; the oldest is forgotten first (its receiver then is a stranger to it)."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Handled:
    """The message that the running task is working on: its id and the trace that it belongs to (32 hex digits)."""

    message_id: str
    trace_id: str


handled: ContextVar[Handled | None] = ContextVar("handled", default=None)
"""What the running task is working on; asyncio hands it down to the tasks that it starts."""


class Correlation:
    """Which message a `traceparent` names, and which response answers a request; shared by the edges of a run."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, str] = OrderedDict()
        self._replies: OrderedDict[str, str] = OrderedDict()

    def announce(self, traceparent: str, message_id: str) -> None:
        """A message with this `traceparent` is on its way."""
        remember(self._sent, traceparent, message_id)

    def arrived(self, traceparent: str | None) -> str | None:
        """The id of the message that bears `traceparent`; None for a stranger's."""
        return self._sent.pop(traceparent, None) if traceparent else None

    def bears(self, traceparent: str | None) -> str | None:
        """As `arrived`, for a message that may arrive again."""
        return self._sent.get(traceparent) if traceparent else None

    def answered(self, request_id: str, response_id: str) -> None:
        """The request is answered by that response."""
        remember(self._replies, request_id, response_id)

    def reply(self, request_id: str) -> str | None:
        """The id of the response that answers the request, if it was observed."""
        return self._replies.pop(request_id, None)


class Tracer:
    """Gives the messages of one participant their ids and trace contexts.

    Ids are `<participant>-<n>`, in the order in which the messages were sent.
    """

    def __init__(self, participant: str, chance: random.Random, correlation: Correlation) -> None:
        self._participant = participant
        self._chance = chance
        self._count = 0
        self.correlation = correlation

    def next_id(self) -> str:
        """The id of the next message that the participant sends."""
        return self.id_of(self.next_numbers(1))

    def next_numbers(self, count: int) -> int:
        """The first of so many numbers for the next messages, of which ids are made once somebody reads them."""
        first = self._count + 1
        self._count += count
        return first

    def id_of(self, number: int) -> str:
        """The id of the message that has that number."""
        return f"{self._participant}-{number}"

    def upcoming_id(self) -> str:
        """What `next_id` will give."""
        return f"{self._participant}-{self._count + 1}"

    def traceparent(self, message_id: str) -> str:
        """A new `traceparent` for the message, in the trace of what is being worked on, announced to the receiver."""
        working_on = handled.get()
        trace_id = working_on.trace_id if working_on else self._new_trace_id()
        traceparent = f"00-{trace_id}-{self._chance.getrandbits(64) or 1:016x}-01"
        self.correlation.announce(traceparent, message_id)
        return traceparent

    def passed_on(self, message_id: str, traceparent: str | None) -> str:
        """A new `traceparent` for a message that goes on in the trace of another, announced to the receiver."""
        trace_id = self.handling(message_id, traceparent).trace_id
        passed = f"00-{trace_id}-{self._chance.getrandbits(64) or 1:016x}-01"
        self.correlation.announce(passed, message_id)
        return passed

    def working_on(self) -> str | None:
        """The id of the message that the running task is working on."""
        working_on = handled.get()
        return working_on.message_id if working_on else None

    def handling(self, message_id: str, traceparent: str | None) -> Handled:
        """What a task works on that was given that message.

        Without a valid `traceparent` a new trace begins (Trace Context, §3.2.4).
        """
        valid = _TRACEPARENT.fullmatch(traceparent or "")
        return Handled(message_id, valid[1] if valid else self._new_trace_id())

    def _new_trace_id(self) -> str:
        return f"{self._chance.getrandbits(128) or 1:032x}"


def remember(memory: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Keep a value in a memory that forgets the oldest beyond `PENDING_MAX`."""
    memory[key] = value
    if len(memory) > PENDING_MAX:
        memory.popitem(last=False)
