"""Runs in which not all participants are phrasim's: the traces that the others' edges leave, and how they conform.

They are made of real runs, by leaving out what no edge of an external participant could have recorded.
"""

from collections.abc import Iterable
from functools import cache

import msgspec
import pytest

from phrasim.documents import contract, flow_document, load, scenarios_folder, secret_fields
from phrasim.documents.yaml_text import read_text
from phrasim.journal.account import account
from phrasim.journal.conformance import conform
from phrasim.journal.diagram import mermaid, text
from phrasim.journal.document import Section, section, sections
from phrasim.journal.events import Event, Lost, Message, Noted, Participant, Request, Response, Sent
from phrasim.journal.lines import trace_bytes
from phrasim.journal.verdict import CommitVerdict
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.runner import Play, play_in_process

pytestmark = pytest.mark.unmeasured

CONTRACT = contract("documented")

External = frozenset[Participant]

NOBODY: External = frozenset()
UPLOAD: External = frozenset({"upload"})
AUTH: External = frozenset({"auth"})
PHRASEANET: External = frozenset({"phraseanet", "broker"})
CASES = pytest.mark.parametrize("external", [NOBODY, UPLOAD, AUTH, PHRASEANET], ids=lambda case: "+".join(sorted(case)))
MODES = pytest.mark.parametrize("mode", ["push", "pull"])
BROKERED = ["Produce message", "Consume message"]


@cache
def played(mode: str) -> tuple[Event, ...]:
    outcome = play_in_process(load_scenario(scenarios_folder() / f"{mode}.yaml"), Play())
    assert outcome.held
    return outcome.events


@cache
def drawn(mode: str) -> Section:
    return section(read_text(flow_document("documented")), f"{mode}-mode")


class Edges:
    """What the edges record of a run in which some participants have none."""

    def __init__(self, external: External) -> None:
        self._external = external
        self._sent: dict[str, Message] = {}
        self._ids: dict[str, str] = {}

    def events(self, events: Iterable[Event]) -> list[Event]:
        """The events of a run, as far as anybody sees them."""
        return [seen for event in events if (seen := self._seen(event)) is not None]

    def _seen(self, event: Event) -> Event | None:
        if isinstance(event, Noted):
            return None if event.by in self._external else event
        if isinstance(event, Sent):
            message = self._sent[event.message.id] = event.message
        else:
            assert isinstance(event.message, str), "in a run that phrasim plays alone everybody is observed"
            message = self._sent[event.message]
        sender_seen, receiver_seen = (end not in self._external for end in (message.sender, message.receiver))
        if isinstance(event, Sent):
            return Sent(at=event.at, message=self._own(message)) if sender_seen else None
        if not receiver_seen:
            return event if isinstance(event, Lost) and sender_seen else None
        if sender_seen:
            return event
        return msgspec.structs.replace(event, message=self._foreign(message))

    def _own(self, message: Message) -> Message:
        """What a participant of phrasim sent: its cause and what it answers are known by the ids of their receipts."""
        changes = {"cause": self._ids.get(message.cause or "", message.cause)}
        if isinstance(message, Response):
            changes["reply_to"] = self._ids.get(message.reply_to, message.reply_to)
        return msgspec.structs.replace(message, **changes)

    def _foreign(self, message: Message) -> Message:
        """What its receiver alone has seen: a request gets an id of the receiver's, a response that of its request."""
        if isinstance(message, Response):
            self._ids[message.id] = f"{message.reply_to}-answer"
            return msgspec.structs.replace(message, id=self._ids[message.id], cause=message.reply_to)
        assert isinstance(message, Request), "the broker is external exactly where Phraseanet is"
        self._ids[message.id] = f"{message.receiver}-foreign-{len(self._ids)}"
        # A call that anybody could make is taken for a user's.
        sender = "user" if message.operation_id in ("issueToken", None) else message.sender
        return msgspec.structs.replace(message, id=self._ids[message.id], cause=None, sender=sender)


def verdict_of(mode: str, events: Iterable[Event], external: External) -> CommitVerdict:
    (verdict,) = conform(drawn(mode), events, CONTRACT, external=external)
    return verdict


def labels(verdict: CommitVerdict, mark: str) -> list[str]:
    return [one.arrow.kind.label for one in verdict.arrows if one.mark == mark]


def asked(events: Iterable[Event], operation_id: str) -> list[str]:
    """The ids of the requests to an operation."""
    messages = [event.message for event in events if not isinstance(event, Noted)]
    return [one.id for one in messages if isinstance(one, Request) and one.operation_id == operation_id]


def without(events: Iterable[Event], request_id: str) -> list[Event]:
    """The events but for what befell a request and its answer."""
    left_out = {request_id}
    kept: list[Event] = []
    for event in events:
        if isinstance(event, Noted):
            kept.append(event)
            continue
        message_id = event.message if isinstance(event.message, str) else event.message.id
        if isinstance(event.message, Response) and event.message.reply_to in left_out:
            left_out.add(message_id)
        if message_id not in left_out:
            kept.append(event)
    return kept


def again(events: Iterable[Event]) -> list[Event]:
    """Messages that are like these and come right after them."""
    repeated: list[Event] = []
    for event in events:
        assert not isinstance(event, Noted)
        if isinstance(event.message, str):
            message: str | Message = f"{event.message}-again"
        else:
            changes = {"id": f"{event.message.id}-again"}
            if isinstance(event.message, Response):
                changes["reply_to"] = f"{event.message.reply_to}-again"
            message = msgspec.structs.replace(event.message, **changes)
        repeated.append(msgspec.structs.replace(event, message=message))
    return repeated


@MODES
@CASES
def test_a_participant_that_is_external_is_never_the_one_that_records(mode: str, external: External) -> None:
    for event in Edges(external).events(played(mode)):
        if isinstance(event, Noted):
            assert event.by not in external
        elif isinstance(event, Sent):
            assert event.message.sender not in external
        elif not isinstance(event.message, str):
            assert event.message.receiver not in external
            assert event.message.sender in {*external, "user"}


@MODES
@CASES
def test_all_but_what_two_external_participants_say_to_each_other_is_walked(mode: str, external: External) -> None:
    verdict = verdict_of(mode, Edges(external).events(played(mode)), external)
    assert labels(verdict, "unobserved") == (BROKERED if external == PHRASEANET else [])
    assert len(labels(verdict, "walked")) == 12 - len(verdict.unobserved)
    assert verdict.conforms
    assert not any(one.repeats for one in verdict.arrows)


@MODES
@pytest.mark.parametrize(
    "external", [UPLOAD | AUTH, AUTH | PHRASEANET, UPLOAD | PHRASEANET, UPLOAD | AUTH | PHRASEANET]
)
def test_of_several_external_participants_exactly_the_arrows_between_them_are_unobserved(
    mode: str, external: External
) -> None:
    verdict = verdict_of(mode, Edges(external).events(played(mode)), external)
    between = [one for one in verdict.arrows if {one.arrow.kind.sender, one.arrow.kind.receiver} <= external]
    assert list(verdict.unobserved) == between
    assert verdict.conforms


@MODES
def test_without_saying_who_is_external_what_nobody_saw_is_missing(mode: str) -> None:
    verdict = verdict_of(mode, Edges(PHRASEANET).events(played(mode)), NOBODY)
    assert labels(verdict, "missing") == BROKERED
    assert not verdict.conforms


@MODES
def test_where_the_users_are_external_too_what_they_do_at_an_external_upload_is_unobserved(mode: str) -> None:
    """As in the landscape of a server, where phrasim plays no user."""
    external: External = frozenset({"user", "upload"})
    verdict = verdict_of(mode, Edges(external).events(played(mode)), external)
    assert labels(verdict, "unobserved") == ["Upload asset", "Upload asset", "Commit"]
    assert len(labels(verdict, "walked")) == 9
    played_upload = verdict_of(mode, Edges(frozenset({"user"})).events(played(mode)), frozenset({"user"}))
    assert len(labels(played_upload, "walked")) == 12


@MODES
@CASES
@pytest.mark.parametrize("operation_id", ["commitAssets", "getPublisherInfo", "downloadAsset", "acknowledgeCommit"])
def test_what_an_external_participant_leaves_out_is_missing(mode: str, external: External, operation_id: str) -> None:
    events = Edges(external).events(played(mode))
    verdict = verdict_of(mode, without(events, asked(events, operation_id)[0]), external)
    missing = {one.arrow.kind.operation_id for one in verdict.arrows if one.mark == "missing"}
    assert missing == {operation_id}
    assert not verdict.conforms


@MODES
@CASES
def test_a_trace_on_disk_gives_the_same_account(mode: str, external: External) -> None:
    events = Edges(external).events(played(mode))
    header = play_in_process(load_scenario(scenarios_folder() / f"{mode}.yaml"), Play(judged=False)).header
    content = trace_bytes(msgspec.structs.replace(header, external=tuple(sorted(external))), events, secret_fields())
    read = [msgspec.json.decode(line, type=Event) for line in content.splitlines()[1:]]
    assert account(verdict_of(mode, read, external)) == account(verdict_of(mode, events, external))


@MODES
@CASES
def test_the_diagram_shows_what_was_seen_and_is_walked(mode: str, external: External) -> None:
    events = Edges(external).events(played(mode))
    for drawing, fence in ((text(events, CONTRACT), "sequence"), (mermaid(events, CONTRACT), "mermaid")):
        assert ("RabbitMQ" in drawing) == (external != PHRASEANET)
        (own,) = sections(f"```{fence}\n{drawing}```\n")
        (verdict,) = conform(own, events, CONTRACT, external=external)
        assert len(labels(verdict, "walked")) == len(verdict.arrows) == (10 if external == PHRASEANET else 12)


def test_an_execution_that_begins_anew_unseen_is_told_and_no_fault() -> None:
    events = Edges(PHRASEANET).events(played("push"))
    first = next(index for index, event in enumerate(events) if _is_of(event, "getPublisherInfo"))
    last = next(index for index, event in enumerate(events) if _is_of(event, "downloadAsset"))
    begun = [event for event in events[first:last] if not isinstance(event, Noted)]
    verdict = verdict_of("push", [*events[:last], *again(begun), *events[last:]], PHRASEANET)
    assert verdict.conforms
    assert [one.arrow.label for one in verdict.arrows if one.repeats] == ["Get publisher info"]
    assert any("came again, perhaps by a redelivery, which nobody saw: " in line for line in account(verdict))


def test_what_precedes_the_delivery_may_not_come_again_though_nobody_saw_it() -> None:
    events = Edges(PHRASEANET).events(played("push"))
    place = next(index for index, event in enumerate(events) if _is_of(event, "enqueueAssets"))
    repetition = again([events[place]])
    verdict = verdict_of("push", [*events[: place + 1], *repetition, *events[place + 1 :]], PHRASEANET)
    assert labels(verdict, "repeated") == ["Notify there is a new asset"]
    assert len(labels(verdict, "unobserved")) == 2


def test_a_trace_of_external_participants_alone_holds_no_commit() -> None:
    everybody: External = frozenset({"user", "upload", "phraseanet", "broker", "auth"})
    assert Edges(everybody).events(played("push")) == []
    verdict = verdict_of("push", [], everybody)
    assert not verdict.found
    assert not verdict.conforms
    assert {one.mark for one in verdict.arrows} == {"unobserved"}


def _is_of(event: Event, operation_id: str) -> bool:
    return (
        not isinstance(event, Noted)
        and not isinstance(event.message, str)
        and event.message.operation_id == operation_id
    )


def test_the_sections_of_the_scenarios_are_those_that_are_held_here() -> None:
    for mode in ("push", "pull"):
        named = load((scenarios_folder() / f"{mode}.yaml").read_text(), mode)["document"]
        assert named.endswith(f"#{mode}-mode")
