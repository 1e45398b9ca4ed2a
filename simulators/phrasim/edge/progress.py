"""How far a request and its response have come at the receiver's edge: two small state machines, as tables.

What a table does not list is refused with `OutOfOrderError`. What is recorded on the way is `inbound.py`'s business.
"""

from collections.abc import Mapping
from typing import Literal, TypeVar

RequestState = Literal["arriving", "whole", "unread", "lost"]
"""`unread`: answered before the end of its body; the receiver has as much of it as it wanted."""

RequestEvent = Literal["end", "answer", "leave"]
"""The application has read the last part; it has the first part of a response; the caller leaves."""

ResponseState = Literal["none", "held", "going", "complete", "dropped", "cut", "lost"]
"""`held`: its head waits for the first part of the body; until then the service may still fail, and answer 500.

`dropped` and `cut` are what faults do to it; of a `lost` one the caller did not wait for the end.
"""

ResponseEvent = Literal["head", "part", "end", "drop", "cut", "leave"]
"""The application gives the head, or a part; the last part is sent, or kept back; a part is cut; the caller leaves."""

# A server tells of the caller's leaving also after a whole exchange, and an application may read on while it answers:
# only what befalls an arriving request says whether it was received.
REQUEST: Mapping[RequestState, Mapping[RequestEvent, RequestState]] = {
    "arriving": {"end": "whole", "answer": "unread", "leave": "lost"},
    "whole": {"end": "whole", "answer": "whole", "leave": "whole"},
    "unread": {"end": "whole", "answer": "unread", "leave": "unread"},
    "lost": {"leave": "lost"},
}

RESPONSE: Mapping[ResponseState, Mapping[ResponseEvent, ResponseState]] = {
    "none": {"head": "held", "leave": "lost"},
    "held": {"head": "held", "part": "going", "leave": "lost"},
    "going": {"part": "going", "end": "complete", "drop": "dropped", "cut": "cut", "leave": "lost"},
    "complete": {},
    "dropped": {},
    "cut": {},
    "lost": {},
}


class OutOfOrderError(RuntimeError):
    """An application, or the server that it runs on, does what ASGI does not allow at this point."""


_State = TypeVar("_State", RequestState, ResponseState)
_Event = TypeVar("_Event", RequestEvent, ResponseEvent)


def after(table: Mapping[_State, Mapping[_Event, _State]], state: _State, event: _Event) -> _State:
    """The state that follows; `OutOfOrderError` where the table has none."""
    following = table[state].get(event)
    if following is None:
        possible = " or ".join(map(repr, table[state])) or "nothing"
        raise OutOfOrderError(
            f"an exchange goes on by {event!r} where its state is {state!r}; there it can go on by {possible}"
        )
    return following
