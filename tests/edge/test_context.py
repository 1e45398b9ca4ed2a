"""One message, one id: the trace contexts by which a receiver's edge finds out which message it has."""

import random

import pytest

from phrasim.edge import context
from phrasim.edge.context import Correlation, Handled, Tracer, handled

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def tracer(correlation: Correlation | None = None) -> Tracer:
    return Tracer("upload", random.Random(1), correlation or Correlation())


def test_ids_count_the_messages_of_a_participant() -> None:
    one = tracer()
    assert [one.next_id() for _ in range(3)] == ["upload-1", "upload-2", "upload-3"]


def test_a_message_is_found_by_its_traceparent_once() -> None:
    correlation = Correlation()
    traceparent = tracer(correlation).traceparent("upload-1")
    assert correlation.bears(traceparent) == "upload-1"
    assert correlation.bears(traceparent) == "upload-1"
    assert correlation.arrived(traceparent) == "upload-1"
    assert correlation.arrived(traceparent) is None
    assert correlation.arrived(None) is None
    assert correlation.bears(None) is None


def test_a_reply_is_found_by_its_request_once() -> None:
    correlation = Correlation()
    correlation.answered("upload-1", "auth-1")
    assert correlation.reply("upload-1") == "auth-1"
    assert correlation.reply("upload-1") is None


def test_what_is_worked_on_gives_its_trace_to_the_next_message() -> None:
    one = tracer()
    token = handled.set(Handled("user-1", "0af7651916cd43dd8448eb211c80319c"))
    try:
        assert one.working_on() == "user-1"
        assert one.traceparent("upload-1").split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
        assert one.traceparent("upload-2") != one.traceparent("upload-3")
    finally:
        handled.reset(token)
    assert one.working_on() is None
    assert one.traceparent("upload-4").split("-")[1] != "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "a-b-c-d",
        GOOD.upper(),
        GOOD + "-x",
        GOOD.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        "00-" + "a" * 32,
    ],
)
def test_without_a_valid_traceparent_a_new_trace_begins(traceparent: str | None) -> None:
    one = tracer()
    first, second = one.handling("user-1", traceparent), one.handling("user-2", traceparent)
    assert (first.message_id, second.message_id) == ("user-1", "user-2")
    assert len(first.trace_id) == 32
    assert first.trace_id != second.trace_id
    assert first.trace_id != "0" * 32


def test_a_foreign_traceparent_is_carried_on() -> None:
    assert tracer().handling("upload-1", GOOD) == Handled("upload-1", "0af7651916cd43dd8448eb211c80319c")


def test_the_oldest_message_on_its_way_is_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "PENDING_MAX", 2)
    correlation = Correlation()
    one = tracer(correlation)
    first, second, third = (one.traceparent(f"upload-{number}") for number in (1, 2, 3))
    assert correlation.arrived(first) is None
    assert [correlation.arrived(second), correlation.arrived(third)] == ["upload-2", "upload-3"]
