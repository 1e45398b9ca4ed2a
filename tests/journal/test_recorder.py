"""The journal of a run: what is appended, with which time, what is kept of it, and who hears of it."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.clock import run_simulated
from phrasim.journal.events import Body, Event, Lost, Noted, Received, Request, Sent
from phrasim.journal.recorder import EventsForgotten, Journal

REQUEST = Request(
    id="user-1", sender="user", receiver="upload", method="GET", target="/", headers=(), body=Body(length=0)
)


def test_events_are_kept_in_order_with_the_time_of_the_run() -> None:
    times = iter(range(10, 20))
    journal = Journal(lambda: next(times))
    journal.sent(REQUEST)
    journal.received("user-1")
    journal.lost("user-2", "refused")
    journal.noted("upload", "kept", size=3)
    assert journal.events == [
        Sent(at=10, message=REQUEST),
        Received(at=11, message="user-1"),
        Lost(at=12, message="user-2", reason="refused"),
        Noted(at=13, by="upload", note="kept", details={"size": 3}),
    ]


def test_a_listener_hears_each_event_once_it_is_kept_until_it_leaves() -> None:
    journal = Journal(lambda: 0)
    heard: list[Event] = []

    def listen(event: Event) -> None:
        assert journal.events[-1] is event
        heard.append(event)

    journal.received("before")
    leave = journal.listen(listen)
    journal.received("during")
    leave()
    journal.received("after")
    assert heard == [Received(at=0, message="during")]


def test_a_listener_may_leave_while_it_listens() -> None:
    journal = Journal(lambda: 0)
    heard: list[str] = []

    def once(event: Event) -> None:
        heard.append("once")
        leave()

    leave = journal.listen(once)
    journal.listen(lambda event: heard.append("always"))
    journal.received("a")
    journal.received("b")
    assert heard == ["once", "always", "always"]


# --- what is kept


def journal_of(count: int, events_max: int | None = None) -> Journal:
    """A journal to which the messages `0`, `1`, … were appended."""
    journal = Journal(lambda: 0, events_max)
    append(journal, count)
    return journal


def append(journal: Journal, count: int = 1) -> None:
    """Append events that name their own number."""
    for _ in range(count):
        journal.received(str(journal.next))


class Unmade:
    """An exchange whose two events name their own numbers, once they are made."""

    def __init__(self, number: int) -> None:
        self.number = number

    def received(self) -> Received:
        return Received(at=0, message=str(self.number))

    def sent(self) -> Any:
        return Received(at=0, message=str(self.number + 1))


def numbers(events: list[Event]) -> list[int]:
    return [int(event.message) for event in events if isinstance(event, Received) and isinstance(event.message, str)]


def test_a_journal_without_a_limit_keeps_everything() -> None:
    journal = journal_of(1000)
    assert (journal.first, journal.next) == (0, 1000)
    assert numbers(journal.events) == numbers(journal.since(0)) == list(range(1000))


@given(st.integers(1, 5), st.integers(0, 20))
def test_a_limited_journal_keeps_the_last_events_and_their_numbers(events_max: int, count: int) -> None:
    journal = journal_of(count, events_max)
    assert numbers(journal.events) == list(range(count))[-events_max:]
    assert (journal.first, journal.next) == (max(0, count - events_max), count)


def test_what_is_cleared_is_forgotten_and_the_numbers_go_on() -> None:
    journal = journal_of(3)
    kept = journal.events
    journal.clear()
    assert kept == journal.since(3) == []
    assert (journal.first, journal.next) == (3, 3)
    append(journal)
    assert numbers(journal.since(3)) == [3]
    with pytest.raises(EventsForgotten) as raised:
        journal.since(2)
    assert (raised.value.asked, raised.value.first) == (2, 3)
    assert str(raised.value) == "reading the journal from event 2 on: the first that is still kept is 3"


@given(
    st.lists(st.sampled_from(["append", "exchange", "read", "read on", "clear", "listen", "stop"]), max_size=40),
    st.one_of(st.none(), st.integers(1, 6)),
)
def test_events_that_are_made_when_they_are_read_are_kept_and_heard_as_all_others(
    moves: list[str], events_max: int | None
) -> None:
    journal = Journal(lambda: 0, events_max)
    kept: list[int] = []
    heard: list[Event] = []
    to_hear: list[int] = []
    stops: list[Callable[[], None]] = []
    for move in moves:
        before = journal.next
        match move:
            case "append":
                append(journal)
            case "exchange":
                journal.exchanged(Unmade(journal.next))
            case "read":
                assert numbers(journal.events) == kept
            case "read on":
                assert numbers(journal.since(journal.first)) == kept
            case "clear":
                journal.clear()
                kept.clear()
            case "listen" if not stops:
                stops.append(journal.listen(heard.append))
            case "stop" if stops:
                stops.pop()()
        new = list(range(before, journal.next))
        to_hear += new if stops else []
        kept = (kept + new)[-(events_max or 10**9) :]
        assert journal.first == journal.next - len(kept)
    assert numbers(journal.since(journal.first)) == numbers(journal.events) == kept
    assert numbers(heard) == to_hear


def test_who_reads_on_does_not_make_the_journal_keep_more() -> None:
    class Watched:
        """In the place of an event, of which there is no weak reference."""

    class Exchanged:
        def received(self) -> Any:
            watched.append(weakref.ref(event := Watched()))
            return event

        sent = received

    watched: list[weakref.ref[Watched]] = []
    journal = Journal(lambda: 0, events_max=100)
    for _ in range(1000):
        journal.exchanged(Exchanged())
        assert len(journal.since(journal.next - 2)) == 2
    assert 100 <= sum(one() is not None for one in watched) <= 125


@pytest.mark.parametrize("number", [-1, 4])
def test_a_number_that_no_event_can_have_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"from event {number} on: events have numbers from 0 to 3"):
        journal_of(3).since(number)


def test_what_is_read_does_not_change_with_the_journal() -> None:
    journal = journal_of(2)
    read = journal.since(0)
    append(journal)
    journal.clear()
    assert numbers(read) == [0, 1]


# --- who follows


async def turn() -> None:
    """Let everybody who can go on do so."""
    for _ in range(3):
        await asyncio.sleep(0)


class Reader:
    """Follows a journal in a task, and takes each batch only when it is `allowed` to."""

    def __init__(self, journal: Journal, number: int = 0) -> None:
        self.read: list[int] = []
        self.batches = 0
        self.allowed = asyncio.Event()
        self.task = asyncio.ensure_future(self._follow(journal.follow(number)))

    async def _follow(self, batches: AsyncIterator[list[Event]]) -> None:
        async for events in batches:
            assert events
            self.read += numbers(events)
            self.batches += 1
            await self.allowed.wait()


def test_who_follows_gets_what_is_there_and_then_what_comes() -> None:
    async def main() -> None:
        journal = journal_of(3)
        reader = Reader(journal, 1)
        reader.allowed.set()
        await turn()
        assert reader.read == [1, 2]
        append(journal, 2)
        await turn()
        assert (reader.read, reader.batches) == ([1, 2, 3, 4], 2)
        journal.end_following()
        await reader.task

    run_simulated(main())


def test_who_follows_an_ended_journal_reads_it_to_its_end() -> None:
    async def main() -> None:
        journal = journal_of(3)
        journal.end_following()
        reader = Reader(journal)
        reader.allowed.set()
        await reader.task
        assert reader.read == [0, 1, 2]

    run_simulated(main())


def test_who_falls_behind_what_is_kept_is_told() -> None:
    async def main() -> None:
        journal = journal_of(1, 2)
        slow, waiting = Reader(journal), Reader(journal)
        waiting.allowed.set()
        await turn()
        append(journal, 4)
        slow.allowed.set()
        for reader in (slow, waiting):
            with pytest.raises(EventsForgotten) as raised:
                await reader.task
            assert (raised.value.asked, raised.value.first) == (1, 3)
            assert reader.read == [0]

    run_simulated(main())


def test_who_has_read_everything_goes_on_after_the_journal_is_cleared() -> None:
    async def main() -> None:
        journal = journal_of(2)
        reader = Reader(journal)
        reader.allowed.set()
        await turn()
        journal.clear()
        append(journal)
        journal.end_following()
        await reader.task
        assert reader.read == [0, 1, 2]

    run_simulated(main())


def test_nothing_is_left_of_who_stops_following() -> None:
    async def main() -> None:
        journal = journal_of(0)
        readers = [Reader(journal) for _ in range(3)]
        await turn()
        for reader in readers[:2]:
            reader.task.cancel()
        await turn()
        assert len(journal._waiting) == 1
        append(journal)
        await turn()
        assert [reader.read for reader in readers] == [[], [], [0]]
        assert not journal._waiting
        readers[2].allowed.set()
        journal.end_following()
        await readers[2].task

    run_simulated(main())


moves = st.lists(st.sampled_from(["append", "exchange", "read", "turn", "pause", "clear"]), max_size=40)


@given(moves, st.one_of(st.none(), st.integers(1, 4)))
def test_whatever_is_appended_when_and_read_when_no_event_is_lost_or_repeated(
    moves: list[str], events_max: int | None
) -> None:
    """A reader has an unbroken row of numbers up to where it was told that the next ones are forgotten."""

    async def main() -> None:
        journal = Journal(lambda: 0, events_max)
        reader = Reader(journal)
        for move in moves:
            match move:
                case "append":
                    append(journal)
                case "exchange":
                    journal.exchanged(Unmade(journal.next))
                case "read":
                    reader.allowed.set()
                case "pause":
                    reader.allowed.clear()
                case "clear":
                    journal.clear()
                case "turn":
                    await asyncio.sleep(0)
        last = journal.next
        journal.end_following()
        reader.allowed.set()
        (failure,) = await asyncio.gather(reader.task, return_exceptions=True)
        if failure is None:
            assert reader.read == list(range(last))
        else:
            assert isinstance(failure, EventsForgotten)
            assert reader.read == list(range(failure.asked))
            assert failure.asked < failure.first
            assert events_max is not None or "clear" in moves

    run_simulated(main())
