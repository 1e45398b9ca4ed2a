"""The events of some operations, out of all: whole exchanges, and nothing else."""

from phrasim.journal.events import Body, Event, Lost, Noted, Publish, Received, Request, Response, Sent
from phrasim.journal.selection import Selection

NOTHING = Body(length=0)


def request(name: str, operation_id: str | None) -> Request:
    return Request(
        id=name,
        sender="user",
        receiver="upload",
        operation_id=operation_id,
        method="GET",
        target="/",
        headers=(),
        body=NOTHING,
    )


def response(name: str, reply_to: str, operation_id: str | None) -> Response:
    return Response(
        id=name,
        sender="upload",
        receiver="user",
        operation_id=operation_id,
        reply_to=reply_to,
        status=200,
        headers=(),
        body=NOTHING,
    )


PUBLISH = Publish(
    id="p", sender="phraseanet", receiver="broker", exchange="e", routing_key="k", properties={}, body=NOTHING
)
WANTED: list[Event] = [
    Sent(at=1, message=request("1", "getAsset")),
    Received(at=2, message="1"),
    Sent(at=3, message=response("2", "1", "getAsset")),
    Lost(at=4, message="2", reason="cut"),
    Received(at=5, message=request("5", "getAsset")),
]
OTHERS: list[Event] = [
    Noted(at=1, by="upload", note="fault"),
    Sent(at=1, message=request("3", "listCommits")),
    Received(at=2, message="3"),
    Sent(at=3, message=request("4", None)),
    Lost(at=4, message="4", reason="refused"),
    Sent(at=5, message=PUBLISH),
    Received(at=6, message="unknown"),
]


def test_what_befalls_messages_of_the_operations_is_picked_in_order() -> None:
    mixed = sorted([*WANTED, *OTHERS], key=lambda event: event.at)
    assert Selection({"getAsset"}).of(mixed) == WANTED


def test_events_may_come_one_by_one() -> None:
    selection = Selection({"getAsset"})
    assert [event for one in WANTED for event in selection.of([one])] == WANTED
    assert selection.of(OTHERS) == []


def test_an_answer_whose_fate_was_told_is_forgotten() -> None:
    selection = Selection({"getAsset"})
    selection.of(WANTED)
    assert selection.of([Received(at=9, message="2")]) == []
