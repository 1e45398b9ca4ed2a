"""The two machines of an exchange: every event in every state either moves to the listed state or is refused."""

from typing import get_args

import pytest

from phrasim.edge.progress import (
    REQUEST,
    RESPONSE,
    OutOfOrderError,
    RequestEvent,
    RequestState,
    ResponseEvent,
    ResponseState,
    after,
)

# Written out once more, by hand: a row for each state, a column for each event in the order of its type.
REQUESTS = {
    #           end      answer    leave
    "arriving": "whole   unread    lost",
    "whole":    "whole   whole     whole",
    "unread":   "whole   unread    unread",
    "lost":     "-       -         lost",
}  # fmt: skip
RESPONSES = {
    #           head   part   end       drop     cut  leave
    "none":     "held  -      -         -        -    lost",
    "held":     "held  going  -         -        -    lost",
    "going":    "-     going  complete  dropped  cut  lost",
    "complete": "-     -      -         -        -    -",
    "dropped":  "-     -      -         -        -    -",
    "cut":      "-     -      -         -        -    -",
    "lost":     "-     -      -         -        -    -",
}  # fmt: skip


@pytest.mark.parametrize("state", get_args(RequestState))
@pytest.mark.parametrize("event", get_args(RequestEvent))
def test_a_request_moves_as_listed_or_the_event_is_refused(state: RequestState, event: RequestEvent) -> None:
    expected = REQUESTS[state].split()[get_args(RequestEvent).index(event)]
    if expected == "-":
        with pytest.raises(OutOfOrderError):
            after(REQUEST, state, event)
    else:
        assert after(REQUEST, state, event) == expected


@pytest.mark.parametrize("state", get_args(ResponseState))
@pytest.mark.parametrize("event", get_args(ResponseEvent))
def test_a_response_moves_as_listed_or_the_event_is_refused(state: ResponseState, event: ResponseEvent) -> None:
    expected = RESPONSES[state].split()[get_args(ResponseEvent).index(event)]
    if expected == "-":
        with pytest.raises(OutOfOrderError):
            after(RESPONSE, state, event)
    else:
        assert after(RESPONSE, state, event) == expected


def test_every_state_has_its_row_and_can_be_reached() -> None:
    requests = {following for events in REQUEST.values() for following in events.values()}
    responses = {following for events in RESPONSE.values() for following in events.values()}
    assert {*REQUEST} == requests | {"arriving"} == {*get_args(RequestState)}
    assert {*RESPONSE} == responses | {"none"} == {*get_args(ResponseState)}


def test_a_refusal_names_the_event_the_state_and_what_would_be_right() -> None:
    with pytest.raises(OutOfOrderError) as caught:
        after(RESPONSE, "none", "part")
    message = "an exchange goes on by 'part' where its state is 'none'; there it can go on by 'head' or 'leave'"
    assert str(caught.value) == message
    with pytest.raises(OutOfOrderError, match=r"it can go on by nothing$"):
        after(RESPONSE, "complete", "part")
