"""What becomes of each message in the entries of a page: once each, and marked where it is out of the ordinary."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.clock import NANOSECONDS
from phrasim.documents import contract, scenarios_folder
from phrasim.journal.events import Body, Event, Lost, Noted, Received, Request, Response, Sent
from phrasim.report.html.entries import LATE_NANOSECONDS, Entries, MessageEntry, NoteEntry, entries_of
from phrasim.scenario.events import Outcome
from phrasim.scenario.files import RunFile
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.runner import Play, play_in_process
from phrasim.testbed.content import MadeContent
from report.html.played import MUCH_GOES_WRONG, SHIPPED, name_of, push, shipped

DOCUMENTED = contract("documented")


def of_run(outcome: Outcome) -> Entries:
    return entries_of(outcome.events, contract(outcome.header.profile))


def messages(entries: Entries) -> list[MessageEntry]:
    return [one for one in entries.all if isinstance(one, MessageEntry)]


def of_operation(entries: Entries, operation_id: str) -> list[tuple[str, tuple[str, ...]]]:
    """The messages of an operation, each by its kind and its marks."""
    return [
        (one.message.__struct_config__.tag, one.marks)  # type: ignore[misc]
        for one in messages(entries)
        if one.message.operation_id == operation_id
    ]


def marked(entries: Entries) -> dict[str, list[str | None]]:
    """The operations of the messages that bear a mark, by the mark."""
    found: dict[str, list[str | None]] = {}
    for one in messages(entries):
        for mark in one.marks:
            found.setdefault(mark, []).append(one.message.operation_id)
    return found


@pytest.mark.unmeasured
@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_every_message_and_every_note_of_a_run_is_an_entry_once(path: Path) -> None:
    outcome = shipped(path)
    entries = of_run(outcome)
    whole = [one.message for one in outcome.events if not isinstance(one, Noted) and not isinstance(one.message, str)]
    assert [one.message.id for one in messages(entries)] == list(dict.fromkeys(message.id for message in whole))
    notes = [one for one in outcome.events if isinstance(one, Noted)]
    assert [one.note for one in entries.all if isinstance(one, NoteEntry)] == [one.note for one in notes]
    assert [one.number for one in entries.all] == list(range(1, len(entries.all) + 1))
    assert [one.at for one in entries.all] == sorted(one.at for one in entries.all)
    lost = Counter(one.reason for one in outcome.events if isinstance(one, Lost))
    assert Counter(one.lost for one in messages(entries) if one.lost is not None) == lost


def test_a_run_in_which_nothing_goes_wrong_has_no_marks() -> None:
    entries = of_run(push())
    assert marked(entries) == {}
    assert all(one.arrived is not None for one in messages(entries))


def test_an_answer_that_a_fault_drops_is_lost_and_says_why() -> None:
    entries = of_run(push("{operationId: getPublisherInfo, occurrences: [1], dropReply: true}"))
    (lost,) = [one for one in messages(entries) if one.lost is not None]
    assert (lost.message.sender, lost.message.receiver, lost.lost) == (
        "auth",
        "phraseanet",
        "a fault dropped the reply",
    )
    assert lost.arrived is None
    assert of_operation(entries, "getPublisherInfo") == [
        ("request", ()),
        ("response", ("lost",)),
        ("request", ()),
        ("response", ()),
    ]


def test_a_request_whose_connection_is_refused_is_lost_and_its_repetition_is_marked_again() -> None:
    entries = of_run(push("{operationId: acknowledgeCommit, occurrences: [1], refuse: true}"))
    assert of_operation(entries, "acknowledgeCommit") == [
        ("request", ("lost",)),
        ("request", ("again",)),
        ("response", ()),
    ]


def test_a_body_that_is_cut_is_lost() -> None:
    entries = of_run(push("{operationId: downloadAsset, occurrences: [1], cutBody: {after: 10 B}}"))
    (first, *_) = [one for one in messages(entries) if one.label == "Get contents"]
    assert first.marks == ("lost",)
    assert "received 10 bytes" in str(first.lost)


def test_an_answer_that_says_no_is_refused() -> None:
    entries = of_run(push("{operationId: downloadAsset, occurrences: [1], answer: {status: 500}}"))
    (refused,) = [one for one in messages(entries) if one.refused]
    assert isinstance(refused.message, Response)
    assert (refused.message.status, refused.marks) == (500, ("refused",))


@pytest.mark.parametrize(("delay", "late"), [("999 ms", None), ("1 s", NANOSECONDS), ("3 s", 3 * NANOSECONDS)])
@pytest.mark.parametrize(("operation_id", "kind"), [("getPublisherInfo", "response"), ("acknowledgeCommit", "request")])
def test_what_a_receiver_does_late_is_late_from_a_second_on_at_one_place(
    operation_id: str, kind: str, delay: str, late: int | None
) -> None:
    """A request with a body arrives when the receiver reads it; one without arrives at once, and its answer is late."""
    entries = of_run(push(f"{{operationId: {operation_id}, delay: {delay}}}"))
    assert [one.late for one in messages(entries) if one.late is not None] == ([] if late is None else [late])
    other = "request" if kind == "response" else "response"
    marks = dict(of_operation(entries, operation_id))
    assert marks == {kind: () if late is None else ("late",), other: ()}


def test_a_request_that_goes_out_twice_is_marked_again_the_second_time() -> None:
    entries = of_run(push("{operationId: enqueueAssets, occurrences: [1], duplicate: true}"))
    asked = [marks for kind, marks in of_operation(entries, "enqueueAssets") if kind == "request"]
    assert asked == [(), ("again",)]


def test_the_same_content_under_another_name_is_another_upload() -> None:
    """Of a large body the digest of the file is known alone; the boundary of its form is another each time."""
    content = MadeContent("the same", 100_000, "image/png")
    digest = hashlib.sha256(b"".join(content.parts())).hexdigest()
    files = tuple(RunFile(name, 100_000, digest, None, content) for name in ("one.png", "two.png"))
    outcome = play_in_process(load_scenario(scenarios_folder() / "push.yaml"), Play(files=files, given=True))
    assert marked(of_run(outcome)) == {}


def test_a_delivery_from_the_retry_queue_is_marked_again() -> None:
    entries = of_run(push("{operationId: downloadAsset, occurrences: [1, 2], answer: {status: 500}}"))
    delivered = [one.marks for one in messages(entries) if one.label == "Consume message"]
    assert delivered == [(), ("again",), ("again",)]


def test_what_only_reads_may_come_again_without_a_mark() -> None:
    """A poll asks for the same each time, and so does who downloads a file once more."""
    outcome = push("{operationId: downloadAsset, occurrences: [1, 2], answer: {status: 500}}")
    entries = of_run(outcome)
    asked = Counter(one.message.target for one in messages(entries) if isinstance(one.message, Request))
    assert max(asked.values()) >= 3
    assert set(marked(entries)["again"]) == {"consumeMessage"}


def test_much_that_goes_wrong_in_one_run_is_told_apart() -> None:
    found = marked(of_run(push(*MUCH_GOES_WRONG)))
    assert {mark: len(operations) for mark, operations in found.items()} == {
        "lost": 2,
        "again": 3,
        "late": 1,
        "refused": 1,
    }


def answer(at: int) -> list[Event]:
    request = Request(
        id="user-1", sender="user", receiver="upload", method="GET", target="/", headers=(), body=Body(length=0)
    )
    response = Response(
        id="upload-1",
        sender="upload",
        receiver="user",
        reply_to="user-1",
        status=200,
        headers=(),
        body=Body(length=0),
    )
    return [
        Sent(at=0, message=request),
        Received(at=0, message="user-1"),
        Sent(at=at, message=response),
        Received(at=at, message="upload-1"),
    ]


def test_a_message_that_the_journal_forgot_is_told_by_its_id_and_its_sender() -> None:
    """Its memory is limited: of what is old it may be asked no more than the rest."""
    entries = entries_of([Received(at=5, message="upload-7"), Lost(at=6, message="upload-7", reason="why")], DOCUMENTED)
    (entry,) = entries.all
    assert isinstance(entry, NoteEntry)
    assert (entry.by, entry.at, entry.note, entry.details) == ("upload", 5, "message forgotten", (("id", "upload-7"),))
    assert entries.number_of("upload-7") == 1
    assert entries.number_of("upload-8") is None


def test_an_id_that_names_nobody_is_told_on_the_users_lifeline() -> None:
    (entry,) = entries_of([Received(at=5, message="strange")], DOCUMENTED).all
    assert isinstance(entry, NoteEntry)
    assert entry.by == "user"


def test_an_answer_to_a_forgotten_request_is_shown() -> None:
    _, _, *rest = answer(at=3 * NANOSECONDS)
    (entry,) = entries_of(rest, DOCUMENTED).all
    assert isinstance(entry, MessageEntry)
    assert (entry.late, entry.arrived) == (None, 3 * NANOSECONDS)


def test_of_a_message_that_nobody_saw_leave_only_the_arrival_is_known() -> None:
    sent, _, answered, _ = answer(at=1)
    assert isinstance(sent, Sent)
    entries = entries_of([Received(at=0, message=sent.message), answered], DOCUMENTED)
    request, response = messages(entries)
    assert (request.unseen, request.arrived) == (True, 0)
    assert (response.unseen, response.arrived) == (False, None)


@given(sent=st.integers(0, 10**12), took=st.integers(0, 10**12))
def test_a_message_is_late_if_it_took_long_to_arrive(sent: int, took: int) -> None:
    message = answer(at=0)[0].message  # type: ignore[union-attr]
    assert isinstance(message, Request)
    entries = entries_of([Sent(at=sent, message=message), Received(at=sent + took, message=message.id)], DOCUMENTED)
    (entry,) = messages(entries)
    assert (entry.late is not None) == (took >= LATE_NANOSECONDS)
    assert entry.late in (None, took)


def cut(events: tuple[Event, ...], begin: int) -> Iterable[Event]:
    """A trace that begins in the midst: what came before is known by its ids alone."""
    return events[begin:]


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_trace_that_begins_in_the_midst_has_its_entries(part: float) -> None:
    events = push(*MUCH_GOES_WRONG).events
    entries = entries_of(cut(events, int(len(events) * part)), DOCUMENTED)
    assert [one.number for one in entries.all] == list(range(1, len(entries.all) + 1))
    assert messages(entries)


def test_the_details_of_a_note_are_told_as_a_trace_has_them() -> None:
    noted = Noted(at=0, by="broker", note="dropped", details={"a": True, "b": None, "c": {"d": [1.5]}, "e": "text"})
    (live,) = entries_of([noted], DOCUMENTED).all
    (read,) = entries_of([msgspec.json.decode(msgspec.json.encode(noted), type=Noted)], DOCUMENTED).all
    assert live == read
    assert isinstance(live, NoteEntry)
    assert live.details == (("a", "true"), ("c", '{"d": [1.5]}'), ("e", "text"))
