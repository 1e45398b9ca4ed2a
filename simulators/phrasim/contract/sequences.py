"""Plays scenarios around the participant: each message, the order of the arrows, and what must hold in the end."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from phrasim.contract.finding import HttpExchange
from phrasim.contract.inquiry import Inquiry, place_of
from phrasim.documents import Contract, scenarios_folder
from phrasim.documents.specification import Operation
from phrasim.documents.violations import pointer_of
from phrasim.journal.events import Body, Delivery, Participant, Publish, Request, Response
from phrasim.journal.sequence import label_key
from phrasim.scenario.checks import seen_messages, spoiled_requests, violations
from phrasim.scenario.events import Outcome, Verdict
from phrasim.scenario.exchanges import Exchange, Exchanges
from phrasim.scenario.model import Scenario

_MESSAGES = "messages as specified"
_ARROW = re.compile(r"^\s*\d+\s+(?:missing|out of order|repeated|unreachable)\s")


@dataclass(frozen=True, slots=True)
class Judge:
    """What holds the outcomes of scenarios against a participant."""

    participant: Participant
    inquiry: Inquiry

    def judge(self, outcome: Outcome) -> None:
        """Note what is broken in a scenario's outcome."""
        found = self._messages(outcome)
        wrong = [one for one in outcome.verdicts if one.judgement == "broken"]
        # Where a step failed, most of what is expected in the end does not hold either.
        steps = [one for one in wrong if one.expectation.startswith("step ")]
        for verdict in steps or wrong:
            if not (found and verdict.expectation.startswith(_MESSAGES)):
                self._verdict(outcome, verdict)

    def _messages(self, outcome: Outcome) -> int:
        """How many messages are not as specified; each is a finding."""
        contract, events = self.inquiry.contract, outcome.events
        spoiled = spoiled_requests(events)
        exchanges = {one.request.id: one for one in Exchanges(events).all}
        count = 0
        for message in seen_messages(events):
            if isinstance(message, Response) and message.reply_to in spoiled:
                continue
            for violation in violations(message, contract) or ():
                count += 1
                operation = _operation(message, contract)
                self.inquiry.find(
                    "message",
                    None if operation is None else operation.operation_id,
                    asked=f"the scenario {outcome.scenario.name} was played",
                    came=f"{_told(message)} with {violation}",
                    expected="what is declared there",
                    place=_place(message, operation, contract),
                    exchange=_exchange(message, exchanges),
                )
        return count

    def _verdict(self, outcome: Outcome, verdict: Verdict) -> None:
        operation = self._named(outcome, verdict)
        expected = verdict.expectation.partition(" (")[0]
        self.inquiry.find(
            expected.partition(":")[0],
            None if operation is None else operation.operation_id,
            asked=f"the scenario {outcome.scenario.name} was played",
            came="\n".join(verdict.because) or "it does not hold",
            expected=verdict.expectation,
            place=_file_of(outcome.scenario) if operation is None else place_of(operation),
        )

    def _named(self, outcome: Outcome, verdict: Verdict) -> Operation | None:
        """The operation that a verdict speaks of.

        Of a missing or superfluous arrow it is that of its label; of records, that which gives the files; where
        something was awaited in vain, the one that was last refused, else the one that was awaited.
        """
        operations = self.inquiry.contract.operations
        for line in (line for line in verdict.because if _ARROW.match(line)):
            for operation in operations.values():
                labels = [arrow.label for arrow in (*operation.sequences, *operation.response_sequences.values())]
                if any(label_key(label) in label_key(line) for label in labels):
                    return operation
        if verdict.expectation.startswith("records"):
            return operations.get("downloadAsset") or operations.get("downloadFile")
        named = [
            operation
            for line in (verdict.expectation, *verdict.because)
            for name, operation in operations.items()
            if re.search(rf"\b{name}\b", line)
        ]
        if verdict.expectation.startswith("step") and any("waited" in line for line in verdict.because):
            named = [*self._refused(outcome), *named]
        return named[0] if named else None

    def _refused(self, outcome: Outcome) -> list[Operation]:
        """The operation of the last exchange with the participant that came to nothing."""
        for one in reversed(Exchanges(outcome.events).all):
            operation = self.inquiry.contract.operations.get(one.request.operation_id or "")
            ours = self.participant in (one.request.sender, one.request.receiver)
            if ours and operation is not None and not one.succeeded:
                return [operation]
        return []


def _file_of(scenario: Scenario) -> str:
    """The file of a scenario, by its path from the root of the documents where it came with phrasim."""
    path, root = Path(scenario.file), scenarios_folder().parent
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _operation(message: Any, contract: Contract) -> Operation | None:
    return contract.operations.get(getattr(message, "operation_id", None) or "")


def _told(message: Any) -> str:
    """A message in a few words."""
    match message:
        case Request():
            return f"{message.sender}'s request {message.method} {message.target.partition('?')[0]}"
        case Response():
            return f"{message.sender}'s answer {message.status} to {message.operation_id}"
        case Publish():
            return f"a message that {message.sender} published to {message.exchange!r}, {message.routing_key!r}"
        case Delivery():
            return f"a delivery from {message.queue}"
    return "a message"


def _place(message: Any, operation: Operation | None, contract: Contract) -> str:
    if operation is not None:
        return place_of(operation, message.status if isinstance(message, Response) else None)
    return f"openapi/{contract.messages.file}#{pointer_of(('channels',))}"


def _exchange(message: Any, exchanges: Mapping[str, Exchange]) -> HttpExchange | None:
    """The exchange that a message belongs to."""
    named = message.reply_to if isinstance(message, Response) else getattr(message, "id", "")
    found = exchanges.get(named)
    return None if found is None else exchange_of(found)


def exchange_of(found: Exchange) -> HttpExchange | None:
    """An exchange of a journal, without the time when it was; None where its request's body was not kept."""
    request, response = found.request, found.response
    if request.body.length and not _content(request.body):
        return None
    host = dict(request.headers).get("host", f"{request.receiver}.test")
    return HttpExchange(
        sender=request.sender,
        receiver=request.receiver,
        operation_id=request.operation_id,
        method=request.method,
        url=f"http://{host}{request.target}",
        request_headers=request.headers,
        request_body=_content(request.body),
        status=None if response is None else response.status,
        response_headers=() if response is None else response.headers,
        response_body=b"" if response is None else _content(response.body),
        began_at=0.0,
        seconds=0.0,
    )


def _content(body: Body) -> bytes:
    """The bytes of a body, where the journal has them."""
    if body.json is not msgspec.UNSET:
        return msgspec.json.encode(body.json)
    if isinstance(body.text, str):
        return body.text.encode()
    return base64.b64decode(body.base64) if isinstance(body.base64, str) else b""
