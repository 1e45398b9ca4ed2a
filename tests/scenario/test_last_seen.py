"""What a run that waits in vain says of the real participants: the last message of each, and what went wrong."""

from phrasim.journal.events import Body, Noted, Received, Request, Response, Sent
from phrasim.scenario.last_seen import last_seen

NOTHING = Body(length=0)
NOTIFICATION = Request(
    id="1",
    sender="upload",
    receiver="phraseanet",
    method="POST",
    target="/api/v1/upload/enqueue/?token=secret",
    headers=(),
    body=NOTHING,
)
TAKEN = Response(id="2", sender="phraseanet", receiver="upload", reply_to="1", status=202, headers=(), body=NOTHING)
TROUBLE = Noted(at=3_000_000_000, by="phraseanet", note="work failed", details={"asset": "a", "request": "9"})
EVENTS = [
    Sent(at=1_000_000_000, message=NOTIFICATION),
    Received(at=1_500_000_000, message="1"),
    Sent(at=2_000_000_000, message=TAKEN),
    TROUBLE,
    Noted(at=3_500_000_000, by="phraseanet", note="polled"),
]


def test_where_everybody_is_simulated_nothing_is_told() -> None:
    assert last_seen(EVENTS, []) == []


def test_the_last_message_of_each_is_told_without_its_query() -> None:
    assert last_seen(EVENTS, ["upload", "phraseanet"]) == [
        "last seen of upload, at 1.000 s: POST /api/v1/upload/enqueue/ to phraseanet",
        "last seen of phraseanet, at 2.000 s: 202 to POST /api/v1/upload/enqueue/",
        "phraseanet: work failed at 3.000 s (asset a)",
    ]


def test_of_whom_nothing_was_seen_that_is_told_but_of_the_broker() -> None:
    assert last_seen([], ["auth", "broker"]) == ["nothing was seen of auth"]


def test_an_answer_to_what_nobody_saw_is_told_by_its_status() -> None:
    assert last_seen([Sent(at=0, message=TAKEN)], ["phraseanet"]) == ["last seen of phraseanet, at 0.000 s: 202"]


def test_trouble_is_told_once_of_its_sort_with_the_last_time() -> None:
    again = Noted(at=4_000_000_000, by="phraseanet", note="work failed")
    assert last_seen([TROUBLE, again], ["broker"]) == ["phraseanet: work failed at 4.000 s"]
