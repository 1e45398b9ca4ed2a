"""The journal of a run: what is appended, with which time, and who hears of it."""

from phrasim.journal.events import Body, Event, Lost, Noted, Received, Request, Sent
from phrasim.journal.recorder import Journal

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
