"""Whatever the broker is and however it is reached, a scenario has the same verdicts and the same messages.

The wires are: the broker called in the process, the simulated one over AMQP, and a real RabbitMQ over AMQP.
"""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phrasim.broker.amqp.url import BrokerUrl
from phrasim.documents import scenarios_folder
from phrasim.journal.events import Delivery, Message, Noted, Publish, Request, Response
from phrasim.scenario import loopback
from phrasim.scenario.events import Outcome
from phrasim.scenario.loader import parse_scenario
from phrasim.scenario.model import Scenario
from phrasim.scenario.runner import Play, play_in_process
from phrasim.serve.external import External
from phrasim.serve.landscape import Plan
from phrasim.testbed import PLAYABLE, SERVICES, seeded
from scenario.wires import play, verdicts

pytestmark = pytest.mark.unmeasured

SHORTER = (("wait: 5 s", "wait: 400 ms"), ("retention: 1 s", "retention: 200 ms"), ("wait: 2 s", "wait: 400 ms"))
"""Times for which a scenario does nothing but wait: here they pass for real, and their length changes no message."""
AT_ONCE = 4


def shorter(path: Path) -> Scenario:
    text = path.read_text()
    for old, new in SHORTER:
        text = text.replace(old, new)
    if "\nmode: pull\n" in text and "pollInterval" not in text:
        text = text.replace("given:", "given:\n  pollInterval: 1 s")
    return parse_scenario(text, str(path), path.parent)


SCENARIOS = [shorter(path) for path in sorted(scenarios_folder().glob("*.yaml"))]
ON_BOTH = [one for one in SCENARIOS if {"in-process", "loopback"} <= set(one.wires)]
each_scenario = pytest.mark.parametrize("scenario", ON_BOTH, ids=lambda one: one.name)
Outcomes = dict[str, "Future[Outcome]"]


@pytest.fixture(scope="module")
def simulated() -> Iterator[Outcomes]:
    """Every scenario with the simulated broker over AMQP; several at once."""
    assert "broker" in PLAYABLE
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {one.name: pool.submit(play, one, Plan(chance=seeded(1))) for one in ON_BOTH}


@pytest.fixture(scope="module")
def real(simulated: Outcomes, node: tuple[str, int]) -> Iterator[Outcomes]:
    """Every scenario with a real RabbitMQ; one after the other, since all of them use the same queues.

    The node starts while the others are `simulated`.
    """
    plan = Plan(chance=seeded(1), played=SERVICES, external=External({}, broker=BrokerUrl(*node)))
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(loopback, "QUIET_SECONDS_EXTERNAL", 0.15)  # the node lives on this machine
        yield {one.name: pool.submit(play, one, plan) for one in ON_BOTH}


@each_scenario
def test_a_scenario_has_the_same_verdicts_with_the_simulated_broker_over_amqp(
    scenario: Scenario, simulated: Outcomes
) -> None:
    outcome = simulated[scenario.name].result()
    assert verdicts(outcome) == verdicts(play_in_process(scenario, Play()))
    assert outcome.held
    assert outcome.header.external == ()


@each_scenario
def test_a_scenario_has_the_same_verdicts_with_a_real_rabbitmq(scenario: Scenario, real: Outcomes) -> None:
    outcome = real[scenario.name].result()
    found = verdicts(outcome)
    found.remove(("messages agree with each other", "held", ()))  # what a run with a real participant is judged by, too
    assert found == verdicts(play_in_process(scenario, Play()))
    assert outcome.held
    assert outcome.header.external == ("broker",)


@each_scenario
def test_the_same_messages_pass_in_the_same_order_with_the_simulated_broker_over_amqp(
    scenario: Scenario, simulated: Outcomes
) -> None:
    assert conversation(simulated[scenario.name].result()) == conversation(play_in_process(scenario, Play()))


@each_scenario
def test_the_same_messages_pass_in_the_same_order_with_a_real_rabbitmq(scenario: Scenario, real: Outcomes) -> None:
    assert conversation(real[scenario.name].result()) == conversation(play_in_process(scenario, Play()))


def test_the_deliveries_of_a_real_rabbitmq_are_seen_by_their_receiver_alone(
    simulated: Outcomes, real: Outcomes
) -> None:
    """Everybody else has an edge on both sides."""
    one = simulated["push"].result()
    assert [ends(one, message) for message in stated(one) if isinstance(message, Delivery)] == [["sent", "received"]]
    other = real["push"].result()
    assert [ends(other, message) for message in stated(other) if isinstance(message, Delivery)] == [["received"]]
    assert [ends(other, message) for message in stated(other) if isinstance(message, Publish)] == [["sent"]]


def ends(outcome: Outcome, message: Message) -> list[str]:
    """What befell a message."""
    events = [event for event in outcome.events if not isinstance(event, Noted)]
    return [type(event).__name__.lower() for event in events if named(event) == message.id]


def named(event: Any) -> str:
    return event.message if isinstance(event.message, str) else event.message.id


def stated(outcome: Outcome) -> list[Message]:
    """The messages of a run, in the order in which its journal first has them."""
    return [
        event.message for event in outcome.events if not isinstance(event, Noted) and not isinstance(event.message, str)
    ]


def conversation(outcome: Outcome) -> dict[str, list[Any]]:
    """What each participant said to each other one, in order, without what must differ between two runs.

    What it asked stands apart from what it answered: Phraseanet answers a notification as soon as the broker confirms
    the message, and its worker asks for the assets as soon as that is delivered, which a real broker may do first.
    """
    messages = stated(outcome)
    masked = Mask(messages)
    left_out = polls(messages)
    said: dict[str, list[Any]] = {}
    for message in messages:
        if message.id not in left_out:
            shown = masked.message(message)
            said.setdefault(f"{shown.kind} {message.sender} -> {message.receiver}", []).append(shown)
    return said


def polls(messages: list[Message]) -> set[str]:
    """The polls that found nothing, or were not answered any more: how many there are is a matter of time.

    With them, of all polls, what the upload service asks Auth about the one who polls: it asks at the first of them.
    """
    asked = {one.id for one in messages if isinstance(one, Request) and one.operation_id == "listCommits"}
    answers = [one for one in messages if isinstance(one, Response) and one.reply_to in asked]
    found = {one.reply_to for one in answers if one.body.json != []}
    empty = (asked - found) | {one.id for one in answers if one.reply_to not in found}
    checks = {one.id for one in messages if isinstance(one, Request) and one.cause in asked}
    return empty | checks | {one.id for one in messages if isinstance(one, Response) and one.reply_to in checks}


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as it is compared; a request has no status, and so on: what a kind has not is None."""

    kind: str
    operation_id: str | None
    line: tuple[object, ...]
    """Method and target; the status; or where a message was published to, or delivered from."""
    headers: tuple[tuple[str, str], ...]
    properties: Any
    body: Any


class Mask:
    """Takes from the messages of a run what hangs on the run."""

    def __init__(self, messages: list[Message]) -> None:
        # Where the services answer: names in-process, ports on sockets.
        requests = [one for one in messages if isinstance(one, Request)]
        self._replaced: dict[str, str] = {dict(one.headers)["host"]: one.receiver for one in requests}
        tokens = [one for one in messages if isinstance(one, Response) and one.operation_id == "issueToken"]
        if any(one.operation_id == "listCommits" for one in messages):
            # Auth draws tokens in the order in which they are asked for, and the first poll may come at any moment.
            for number, one in enumerate(tokens):
                earlier = sum(other.receiver == one.receiver for other in tokens[:number])
                self._replaced[one.body.json["access_token"]] = f"token {earlier} of {one.receiver}"

    def message(self, message: Message) -> Shown:
        properties = None
        match message:
            case Request():
                line: tuple[object, ...] = (message.method, self._text(message.target))
            case Response():
                line = (message.status,)
            case Publish():
                line, properties = (message.exchange, message.routing_key), message.properties
            case Delivery():
                line = (message.queue, message.exchange, message.routing_key, message.redelivered)
                properties = message.properties
        body = msgspec.to_builtins(message.body)
        shown = self._value(body)
        # The length of a body hangs on those of the URLs in it.
        grown = len(msgspec.json.encode(shown)) - len(msgspec.json.encode(body))
        shown["length"] += grown
        headers = message.headers if isinstance(message, Request | Response) else ()
        return Shown(
            kind=type(message).__name__,
            operation_id=message.operation_id,
            line=line,
            headers=tuple(self._header(name, value, grown) for name, value in headers),
            properties=self._value(properties),
            body=shown,
        )

    def _header(self, name: str, value: str, grown: int) -> tuple[str, str]:
        if name == "content-length" and value.isdecimal():
            return name, str(int(value) + grown)
        # A traceparent is drawn for each message of a participant, whomever it is to.
        return name, "…" if name == "traceparent" else self._text(value)

    def _value(self, value: Any, key: str = "") -> Any:
        match value:
            case dict():
                return {name: self._value(inner, name) for name, inner in value.items()}
            case list():
                return [self._value(inner) for inner in value]
            case str() if key in ("traceparent", "message-id"):
                return "…"  # Ids count the messages of a participant, whomever they are to.
            case str() if key == "createdAt":
                return "…"
            case int() if key == "expires_in":
                return 0  # What is left of a token's life.
            case str():
                return self._text(value)
        return value

    def _text(self, text: str) -> str:
        for found, shown in self._replaced.items():
            text = re.sub(rf"(https?://)?{re.escape(found)}", shown, text)
        return text
