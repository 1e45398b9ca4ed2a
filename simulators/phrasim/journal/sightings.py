"""A trace by its messages: each one once, with where it stands, whether it arrived, and what it was answered.

A message's place is the event by which it was sent, or, where its sender is not observed, received.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from phrasim.documents import Contract
from phrasim.journal.events import Delivery, Event, Lost, Message, Noted, Participant, Publish, Request, Response, Sent
from phrasim.journal.sequence import Part, bears
from phrasim.journal.target import target_of

REFUSED_FROM = 400
"""The statuses from this on say that a request was refused (RFC 9110 §15.5, §15.6)."""

_PARTS: dict[type, Part] = {Request: "request", Response: "response", Publish: "publish", Delivery: "delivery"}
_FILE = "downloadFile"
"""The operation to which the addresses lead that an asset's metadata give out."""
_FIRST_EVENT_LINE = 2
"""The header is the first line of a trace."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One message of a trace.

    `line` is the 1-based line of its event in the trace on disk, `at` that event's time in nanoseconds. `lost` is why
    it did not arrive. A request has its `answer`, a response its `request`, where the trace has them; `answer_line`
    is the answer's. `operation_id` is what the address bears out, with the `parameters` that stand in the path.
    """

    message: Message
    line: int
    at: int
    lost: str | None
    answer: Response | None
    answer_line: int | None
    answer_lost: bool
    request: Request | None
    operation_id: str | None
    parameters: Mapping[str, str]

    @property
    def part(self) -> Part:
        """Which sort of message it is."""
        return _PARTS[type(self.message)]

    @property
    def status(self) -> int | None:
        """The status of a response, or of the answer to a request."""
        if isinstance(self.message, Response):
            return self.message.status
        return self.answer.status if self.answer else None

    @property
    def refused(self) -> bool:
        """Whether this is a request that was answered with a refusal, or such an answer."""
        return self.status is not None and self.status >= REFUSED_FROM

    @property
    def content(self) -> Any:
        """The JSON of the body, None where it has none."""
        return json_of(self.message)

    @property
    def answer_content(self) -> Any:
        """The JSON that a request was answered with, if the answer arrived."""
        return json_of(self.answer) if self.answer and not self.answer_lost else None

    @property
    def delivered_again(self) -> bool:
        """Whether this is a delivery of what was delivered before, or dead-lettered: the header `x-death` says so."""
        return isinstance(self.message, Delivery) and is_repeated(self.message)

    def ends(self) -> tuple[Participant, Participant]:
        """Sender and receiver."""
        return self.message.sender, self.message.receiver


class Trace:
    """The messages of a run, in the order of their places; `contract` says what an operation or a message is."""

    def __init__(self, events: Iterable[Event], contract: Contract) -> None:
        self.contract = contract
        found: dict[str, Message] = {}
        places: dict[str, tuple[int, int]] = {}
        lost: dict[str, str] = {}
        for line, event in enumerate(events, start=_FIRST_EVENT_LINE):
            if isinstance(event, Noted):
                continue
            message_id = event.message if isinstance(event.message, str) else event.message.id
            if not isinstance(event.message, str):
                found.setdefault(message_id, event.message)
            if isinstance(event, Lost):
                lost[message_id] = event.reason
            if isinstance(event, Sent) or message_id not in places:
                places[message_id] = (line, event.at)
        answers = {message.reply_to: message for message in found.values() if isinstance(message, Response)}
        ordered = sorted(found.values(), key=lambda message: places[message.id])
        self.sightings = [_sighting(message, places, lost, found, answers, contract) for message in ordered]
        if _FILE in contract.operations:
            self._know_files()
        self.by_id = {sighting.message.id: sighting for sighting in self.sightings}

    def _know_files(self) -> None:
        """Tell the requests for files by the addresses that metadata gave out: a file store may be anywhere."""
        given_out: dict[str, str] = {}
        for index, one in enumerate(self.sightings):
            metadata = one.answer_content if one.operation_id == "getAsset" and one.part == "request" else None
            if isinstance(metadata, dict) and isinstance(metadata.get("url"), str):
                given_out[target_of(metadata["url"])] = one.parameters["id"]
            asked = one.message if isinstance(one.message, Request) else one.request
            asset = given_out.get(asked.target) if asked is not None and asked.method == "GET" else None
            if asset is not None:
                self.sightings[index] = replace(one, operation_id=_FILE, parameters={"path": asset})

    def delivery_behind(self, sighting: Sighting) -> Sighting | None:
        """The delivery that the sender was working on, as far as the messages' causes tell."""
        visited: set[str] = set()
        current: Sighting | None = sighting
        while current is not None and current.message.id not in visited:
            if isinstance(current.message, Delivery):
                return current
            visited.add(current.message.id)
            message = current.message
            before = message.reply_to if isinstance(message, Response) else message.cause
            current = self.by_id.get(before) if before else None
        return None


def is_repeated(delivery: Delivery) -> bool:
    """Whether the broker has delivered the message before, or dead-lettered it, as the header `x-death` says."""
    return delivery.redelivered or "x-death" in (delivery.properties.get("headers") or {})


def wire_text(sighting: Sighting) -> str:
    """What a message is on the wire, in a line: a request line without its query, a status, a queue. No secrets."""
    message = sighting.message
    if isinstance(message, Request):
        return f"{message.method} {path_of(message)}"
    if isinstance(message, Response):
        request = sighting.request
        return f"{message.status} to {request.method} {path_of(request)}" if request else f"{message.status}"
    if isinstance(message, Publish):
        return f"publish to {message.exchange or 'the default exchange'} with {message.routing_key}"
    return f"delivery from {message.queue}"


def path_of(request: Request) -> str:
    """The path of a request's target."""
    return request.target.partition("?")[0]


def json_of(message: Message) -> Any:
    """The JSON of a message's body, None where it has none."""
    return None if message.body.json is msgspec.UNSET else message.body.json


def _sighting(
    message: Message,
    places: Mapping[str, tuple[int, int]],
    lost: Mapping[str, str],
    found: Mapping[str, Message],
    answers: Mapping[str, Response],
    contract: Contract,
) -> Sighting:
    line, at = places[message.id]
    answer = answers.get(message.id)
    replied = found.get(message.reply_to) if isinstance(message, Response) else None
    request = replied if isinstance(replied, Request) else None
    operation_id, parameters = _operation(request or message, contract)
    return Sighting(
        message=message,
        line=line,
        at=at,
        lost=lost.get(message.id),
        answer=answer,
        answer_line=places[answer.id][0] if answer else None,
        answer_lost=answer is not None and answer.id in lost,
        request=request,
        operation_id=operation_id,
        parameters=parameters,
    )


def _operation(message: Message, contract: Contract) -> tuple[str | None, Mapping[str, str]]:
    """The operation of a message, and the parameters in its path.

    What the message says of itself holds only if its address agrees, so that a trace in which somebody called another
    path does not pass.
    """
    claimed = message.operation_id
    if isinstance(message, Request):
        operation = contract.operations.get(claimed) if claimed else None
        if operation is not None:
            parameters = bears(operation.path, path_of(message)) if operation.method == message.method else None
            return (None, {}) if parameters is None else (claimed, parameters)
        return _called(message, contract) if claimed is None else (claimed, {})
    if isinstance(message, Response):
        return claimed, {}
    document = contract.messages
    sends = isinstance(message, Publish)
    if isinstance(message, Publish):
        channel = document.for_routing_key(message.exchange, message.routing_key)
    else:
        channel = document.for_queue(message.queue)
    if channel is None:
        return (None if claimed in document.operations else claimed), {}
    for operation_id, one in document.operations.items():
        if one.channel == channel.name and (one.action == "send") == sends:
            return (operation_id if claimed in (None, operation_id) else claimed), {}
    return claimed, {}


def _called(request: Request, contract: Contract) -> tuple[str | None, Mapping[str, str]]:
    matched = contract.match(request.receiver, request.method, path_of(request))
    return (matched[0].operation_id, matched[1]) if matched else (None, {})
