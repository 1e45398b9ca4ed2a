"""The sequences of the deployed profile: runs of it walk them, and runs that were changed do not.

The runs are those of shipped scenarios, played in this process; a change takes messages out, or puts them elsewhere.
"""

from collections.abc import Callable
from functools import cache

import msgspec
import pytest

from phrasim.documents import contract, flow_document, scenarios_folder
from phrasim.journal.account import account
from phrasim.journal.conformance import conform
from phrasim.journal.diagram import mermaid, text
from phrasim.journal.document import Section, section
from phrasim.journal.events import Delivery, Event, Noted, Publish, Request, Response, Sent
from phrasim.journal.verdict import CommitVerdict
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.runner import Play, play_in_process

pytestmark = pytest.mark.unmeasured

CONTRACT = contract("deployed")
ARROWS = 19
"""Those of two assets: 7 each, and 5 for the commit."""


def drawn(mode: str) -> Section:
    return section(flow_document("deployed").read_text(encoding="utf-8"), f"{mode}-mode")


@cache
def events_of(name: str) -> tuple[Event, ...]:
    scenario = load_scenario(scenarios_folder() / "deployed" / f"{name}.yaml")
    return play_in_process(scenario, Play(judged=False)).events


def verdict_on(events: list[Event], mode: str = "push", **external: frozenset[str]) -> CommitVerdict:
    (verdict,) = conform(drawn(mode), events, CONTRACT, **external)
    return verdict


def walker(number: int, mode: str) -> str:
    """The id of the message that walks an arrow in the run of a mode."""
    message = verdict_on(list(events_of(mode)), mode).arrows[number - 1].message
    assert message is not None
    return message.message.id


def is_about(event: Event, message_id: str) -> bool:
    if isinstance(event, Noted):
        return False
    return (event.message if isinstance(event.message, str) else event.message.id) == message_id


def changed(events: list[Event], change: Callable[[object], object]) -> list[Event]:
    """The events with each message as `change` makes it."""
    return [
        event
        if isinstance(event, Noted) or isinstance(event.message, str)
        else msgspec.structs.replace(event, message=change(event.message))
        for event in events
    ]


@pytest.mark.parametrize("mode", ["push", "pull"])
@pytest.mark.parametrize("number", range(1, ARROWS + 1))
def test_without_the_message_of_an_arrow_that_arrow_is_missing_and_no_other(mode: str, number: int) -> None:
    gone = walker(number, mode)
    verdict = verdict_on([event for event in events_of(mode) if not is_about(event, gone)], mode)
    assert [(one.arrow.number, one.mark) for one in verdict.broken] == [(number, "missing")]


@pytest.mark.parametrize(
    ("mode", "number"),
    # A poll, which is arrow 4 of pull mode, stands where its answer does.
    [(mode, number) for number in range(1, ARROWS + 1) for mode in ("push", "pull") if (mode, number) != ("pull", 4)],
)
def test_a_message_that_comes_last_is_out_of_order_if_another_should_follow_it(mode: str, number: int) -> None:
    events = list(events_of(mode))
    moved = [event for event in events if is_about(event, walker(number, mode))]
    late = [msgspec.structs.replace(event, at=events[-1].at) for event in moved]
    verdict = verdict_on([*(event for event in events if event not in moved), *late], mode)
    last_of_an_asset = [one.arrow.number for one in verdict.arrows if one.arrow.kind.operation_id == "acknowledgeAsset"]
    assert verdict.conforms == (number in last_of_an_asset)
    assert all(one.mark == "out of order" for one in verdict.broken)


@pytest.mark.parametrize("number", range(1, ARROWS + 1))
def test_a_message_that_is_sent_again_is_repeated(number: int) -> None:
    """A response has one request, so that another with it is another answer; all others may be sent again."""
    events, copied = list(events_of("push")), walker(number, "push")
    again = [
        msgspec.structs.replace(event, at=events[-1].at, message=msgspec.structs.replace(event.message, id="again"))
        for event in events
        if isinstance(event, Sent) and event.message.id == copied
    ]
    answers = [
        msgspec.structs.replace(
            event, at=events[-1].at, message=msgspec.structs.replace(event.message, id="again-answer", reply_to="again")
        )
        for event in events
        if isinstance(event, Sent) and isinstance(event.message, Response) and event.message.reply_to == copied
    ]
    verdict = verdict_on([*events, *again, *answers])
    assert (number, "repeated") in [(one.arrow.number, one.mark) for one in verdict.broken]


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_messages_without_causes_walk_the_same_arrows(mode: str) -> None:
    """Of external participants nobody knows the causes; the first look is the first request for metadata then."""
    bare = changed(list(events_of(mode)), lambda message: msgspec.structs.replace(message, cause=None))
    verdict = verdict_on(bare, mode)
    assert verdict.conforms
    assert [one.message.message.id for one in verdict.arrows if one.message is not None] == [
        walker(number, mode) for number in range(1, ARROWS + 1)
    ]


def test_what_passes_between_an_external_phraseanet_and_its_broker_is_unobserved() -> None:
    def is_seen(event: Event) -> bool:
        return isinstance(event, Noted) or isinstance(event.message, Request | Response)

    messages = {event.message.id for event in events_of("push") if isinstance(event, Sent) and not is_seen(event)}
    seen = [event for event in events_of("push") if not any(is_about(event, one) for one in messages)]
    bare = changed(seen, lambda message: msgspec.structs.replace(message, cause=None))
    verdict = verdict_on(bare, external=frozenset({"phraseanet", "broker"}))
    assert verdict.conforms
    unobserved = {one.arrow.kind.part for one in verdict.unobserved}
    assert (unobserved, len(verdict.unobserved)) == ({"publish", "delivery"}, 6)


def test_a_file_is_known_by_the_address_that_its_metadata_gave_out() -> None:
    """A real upload service keeps its files wherever it likes: their addresses are none of its operations."""

    def elsewhere(message: object) -> object:
        if isinstance(message, Request) and message.operation_id == "downloadFile":
            return msgspec.structs.replace(
                message, operation_id=None, target=message.target.replace("/files", "/store/a")
            )
        if isinstance(message, Response) and message.operation_id == "downloadFile":
            return msgspec.structs.replace(message, operation_id=None)
        if isinstance(message, Response) and message.operation_id == "getAsset":
            url = message.body.json["url"].replace("https://upload.test/files", "http://minio.test:9000/store/a")
            body = msgspec.structs.replace(message.body, json={**message.body.json, "url": url})
            return msgspec.structs.replace(message, body=body)
        return message

    assert verdict_on(changed(list(events_of("push")), elsewhere)).conforms


@pytest.mark.parametrize(
    ("name", "operation_id", "attempts"),
    [("download-fails-twice", "consumeRecordMessage", 2), ("ingest-fails-twice", "consumeMessage", 2)],
)
def test_each_retry_is_an_attempt_of_its_own(name: str, operation_id: str, attempts: int) -> None:
    """At the one asset that could not be downloaded, or at the whole commit; the last one is judged."""
    verdict = verdict_on(list(events_of(name)))
    assert verdict.conforms, account(verdict)
    assert [(one.number, one.of) for one in verdict.attempts] == [
        (number, attempts + 1) for number in range(1, attempts + 1)
    ]
    assert {one.delivery.operation_id for one in verdict.attempts} == {operation_id}
    assert [bool(one.asset) for one in verdict.attempts] == [operation_id == "consumeRecordMessage"] * attempts
    assert all(one.stopped_by for one in verdict.attempts)


@pytest.mark.parametrize(
    "name", ["push", "pull", "download-fails-twice", "ingest-fails-twice", "story-holds-the-assets"]
)
@pytest.mark.parametrize("notation", ["mermaid", "sequence"])
def test_a_run_walks_its_own_diagram(name: str, notation: str) -> None:
    events = list(events_of(name))
    drawing = {"mermaid": mermaid, "sequence": text}[notation](events, CONTRACT)
    own = section(f"# Run\n```{notation}\n{drawing}```\n", None)
    (verdict,) = conform(own, events, CONTRACT)
    assert verdict.conforms, drawing
    assert not any(secret in drawing for secret in ("signature", "AssetToken", "Bearer"))


def test_the_message_of_a_commit_is_noted_without_its_token() -> None:
    lines = mermaid(events_of("push"), CONTRACT).splitlines()
    (note,) = [line for line in lines if line.startswith("    Note over RabbitMQ") and '"assets"' in line]
    published = [event.message for event in events_of("push") if isinstance(event, Sent)]
    (message,) = [one for one in published if isinstance(one, Publish) and one.routing_key == "assetsIngest"]
    assert message.body.json["payload"]["commit_id"] in note
    assert message.body.json["payload"]["token"] not in note
    assert any(isinstance(one, Delivery) for one in published)
