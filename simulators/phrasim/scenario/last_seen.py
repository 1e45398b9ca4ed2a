"""What a run saw last of external participants, for whoever asks why nothing more came."""

from collections.abc import Sequence

from phrasim.journal.account import seconds
from phrasim.journal.events import Event, Message, Noted, Participant, Received, Request, Response, Sent
from phrasim.journal.sightings import path_of

_TROUBLE = (
    "work failed",
    "work given up",
    "giving up failed",
    "acknowledgement unreachable",
    "poll failed",
    "notification given up",
    "no answer",
    "nobody there",
)
"""The notes in which a simulated participant says that it could not go on."""


def last_seen(events: Sequence[Event], external: Sequence[Participant]) -> list[str]:
    """A line for each external participant, and one for each sort of trouble that a simulated one had; none else.

    The broker has no line: it is Phraseanet's, and speaks with nobody else.
    """
    if not external:
        return []
    lines = []
    requests: dict[str, Request] = {}
    last: dict[Participant, tuple[int, Message]] = {}
    trouble: dict[tuple[Participant, str], Noted] = {}
    for event in events:
        if isinstance(event, Noted):
            if event.note in _TROUBLE:
                trouble[event.by, event.note] = event
        elif isinstance(event, Sent | Received) and not isinstance(event.message, str):
            last[event.message.sender] = event.at, event.message
            if isinstance(event.message, Request):
                requests[event.message.id] = event.message
    for name in (name for name in external if name != "broker"):
        if name in last:
            at, message = last[name]
            lines.append(f"last seen of {name}, at {seconds(at)}: {_told(message, requests)}")
        else:
            lines.append(f"nothing was seen of {name}")
    for (by, note), event in trouble.items():
        details = ", ".join(f"{name} {value}" for name, value in event.details.items() if name != "request")
        lines.append(f"{by}: {note} at {seconds(event.at)}" + (f" ({details})" if details else ""))
    return lines


def _told(message: Message, requests: dict[str, Request]) -> str:
    if isinstance(message, Request):
        return f"{message.method} {path_of(message)} to {message.receiver}"
    assert isinstance(message, Response), "nobody but the broker sends anything else"
    request = requests.get(message.reply_to)
    about = "" if request is None else f" to {request.method} {path_of(request)}"
    return f"{message.status}{about}"
