"""A run in lines of text: the arrows as they happen, then a verdict for each expectation.

Lines carry a style by name; whoever prints them decides whether that is colour or nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from phrasim.documents import Contract, contract
from phrasim.journal.account import seconds
from phrasim.journal.events import Delivery, Event, Lost, Message, Noted, Publish, Received, Request, Response, Sent
from phrasim.journal.sightings import REFUSED_FROM, is_repeated
from phrasim.scenario.events import Ended, Happened, Judged, Outcome, RunEvent, Started, StepEnded, Verdict

Style = Literal["plain", "heading", "arrow", "aside", "bad", "good"]
Line = tuple[Style, str]
Print = Callable[[Style, str], None]

UNPROVED: Mapping[str, str] = {
    "arrow": "what external participants say to each other, Phraseanet's broker included",
    "records": "that Phraseanet has a record of each file, with the same bytes",
    "commits": "that the upload service has taken the acknowledgement",
    "executions": "that Phraseanet works once on each delivery",
    "queues": "that Phraseanet leaves no message in a queue",
    "counts": "what else Phraseanet and the upload service hold",
    "notes": "what external participants would have noted",
    "refusals": "that external participants refuse each other what they should",
}
"""What is left unproved where an expectation is unobserved, by the first word of the expectation."""

_JUDGED: dict[str, Style] = {"held": "good", "broken": "bad", "unobserved": "aside"}


class RunReport:
    """Listens to a run and prints it as it goes."""

    def __init__(self, print_line: Print) -> None:
        self._print = print_line
        self._contract = contract("documented")
        self._judging = False

    def __call__(self, event: RunEvent) -> None:
        """Print what there is to say of `event`."""
        for style, text in self._lines(event):
            self._print(style, text)

    def _lines(self, event: RunEvent) -> Iterator[Line]:
        match event:
            case Started(scenario, header):
                yield "heading", f"{scenario.name}: {scenario.summary}"
                files = ", ".join(f"{printable(file.name)} ({file.size} bytes)" for file in header.files) or "no files"
                yield "aside", f"{scenario.mode} mode, {header.profile}, {header.wire}, seed {header.seed}; {files}"
                self._contract = contract(header.profile)
            case Happened(happened):
                yield from event_lines(happened, self._contract)
            case StepEnded(step_id, str(failure)):
                yield "bad", f"step {step_id} failed: {failure}"
            case StepEnded():
                pass
            case Judged(verdict):
                if not self._judging:
                    self._judging = True
                    yield "plain", ""
                yield from verdict_lines(verdict)
            case Ended(outcome):
                for line in unproved_lines(outcome):
                    yield "aside", line
                yield outcome_line(outcome)


def printable(name: str) -> str:
    """A file's name as a terminal may show it: one with control characters in it stands in quotes, escaped."""
    return name if name.isprintable() else repr(name)


def visible(text: str) -> str:
    """A text that others chose, such as the name of a queue, as it may stand in a line: control characters escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def event_lines(event: Event, contract: Contract) -> Iterator[Line]:
    """One event of a run by that contract as an arrow; the receipt of what was seen to be sent says nothing new."""
    match event:
        case Sent(message=message) | Received(message=message) if not isinstance(message, str) and shown(
            message, contract
        ):
            label = label_of(message, contract)
            ends = f"{message.sender} -> {message.receiver}"
            text = f"{seconds(event.at):>10}  {ends:24}  {label or '':30}  {visible(wire_of(message))}"
            yield ("bad" if is_refusal(message) else "arrow" if label else "aside"), text.rstrip()
        case Lost(message=message):
            named = message if isinstance(message, str) else message.id
            yield "bad", f"{seconds(event.at):>10}  lost {named}: {visible(event.reason)}"
        case Noted():
            told = {name: value for name, value in event.details.items() if value is not None}
            details = ", ".join(f"{name} {visible(str(value))}" for name, value in told.items())
            yield "aside", f"{seconds(event.at):>10}  {event.by}: {event.note}" + (f" ({details})" if details else "")


def verdict_lines(verdict: Verdict) -> Iterator[Line]:
    """A verdict, and why."""
    style = _JUDGED[verdict.judgement]
    yield style, f"{verdict.judgement:10}  {verdict.expectation}"
    for line in verdict.because:
        yield style, f"            {line}"


def outcome_line(outcome: Outcome) -> Line:
    """How the run ended, in a line."""
    broken = sum(verdict.judgement == "broken" for verdict in outcome.verdicts)
    said = "held" if outcome.held else f"broken ({broken} of {len(outcome.verdicts)} expectations)"
    return ("good" if outcome.held else "bad"), f"{outcome.scenario.name}: {said}"


def unproved_lines(outcome: Outcome) -> list[str]:
    """What a run leaves unproved, and why, in two lines; none where nothing was unobserved."""
    unobserved = [one.expectation for one in outcome.verdicts if one.judgement == "unobserved"]
    if not unobserved:
        return []
    who = [name for name in outcome.header.external if name != "broker"]
    why = f"since {' and '.join(who)} {'is' if len(who) == 1 else 'are'} external"
    return [f"{len(unobserved)} of {len(outcome.verdicts)} expectations unobserved, {why}", unproved(outcome)]


def unproved(outcome: Outcome) -> str:
    """What the unobserved expectations leave unproved; empty where there are none."""
    unobserved = [one.expectation for one in outcome.verdicts if one.judgement == "unobserved"]
    left = [said for kind, said in UNPROVED.items() if any(re.match(rf"{kind}\b", one) for one in unobserved)]
    return f"not proved: {'; '.join(left)}" if left else ""


def shown(message: Message, contract: Contract) -> bool:
    """Whether a message has a line of its own: all but the answers that are neither an arrow nor a refusal."""
    return not isinstance(message, Response) or is_refusal(message) or label_of(message, contract) is not None


def label_of(message: Message, contract: Contract) -> str | None:
    """The label of the documented arrow that a message of its kind may be, by `x-sequence` in openapi/."""
    operation_id = message.operation_id
    if operation_id is None:
        return None
    if isinstance(message, Publish | Delivery):
        sequence = contract.messages.operations[operation_id].sequence
    elif isinstance(message, Response):
        sequence = contract.operations[operation_id].response_sequences.get(message.status)
    else:
        sequence = contract.operations[operation_id].sequence
    return sequence.label if sequence else None


def wire_of(message: Message) -> str:
    """What a message is on the wire, in a few words and without secrets."""
    match message:
        case Request():
            return f"{message.method} {message.target.partition('?')[0]}"
        case Response():
            return f"{message.status} ({message.body.length} bytes)"
        case Publish():
            return f"publish to {message.exchange or 'the default exchange'}, {message.routing_key}"
        case Delivery():
            again = " again" if is_repeated(message) else ""
            return f"deliver{again} from {message.queue}"


def is_refusal(message: Message) -> bool:
    """Whether it is an answer that says that a request was refused."""
    return isinstance(message, Response) and message.status >= REFUSED_FROM
