"""Exchanges: a request and its answer, as a journal tells them."""

import msgspec

from phrasim.journal.events import Body, Noted, Received, Request, Response, Sent
from phrasim.journal.sightings import json_of
from phrasim.scenario.exchanges import Exchanges

REQUEST = Request(
    id="user-1", sender="user", receiver="upload", method="GET", target="/", headers=(), body=Body(length=0)
)
ANSWER = Response(
    id="upload-1",
    sender="upload",
    receiver="user",
    reply_to="user-1",
    status=200,
    headers=(),
    body=Body(length=2, json=[]),
)


def test_an_exchange_ends_when_the_answer_arrives() -> None:
    exchanges = Exchanges([Sent(at=0, message=REQUEST), Received(at=0, message="user-1"), Sent(at=1, message=ANSWER)])
    (exchange,) = exchanges.all
    assert exchange.response is ANSWER
    assert not exchange.succeeded
    assert exchanges.ended == []
    exchanges.take(Received(at=2, message="upload-1"))
    assert exchanges.ended == [exchange]
    assert exchange.succeeded


def test_a_refusal_that_arrives_ends_an_exchange_without_success() -> None:
    refusal = msgspec.structs.replace(ANSWER, status=403)
    exchanges = Exchanges([Sent(at=0, message=REQUEST), Received(at=0, message=refusal)])
    assert [one.succeeded for one in exchanges.ended] == [False]


def test_notes_and_strangers_are_passed_over() -> None:
    stray = msgspec.structs.replace(ANSWER, reply_to="user-9")
    exchanges = Exchanges([Noted(at=0, by="user", note="x"), Sent(at=0, message=stray), Received(at=0, message="b-1")])
    assert exchanges.all == []
    assert exchanges.ended == []


def test_a_body_that_is_no_json_has_no_value() -> None:
    assert json_of(msgspec.structs.replace(REQUEST, body=Body(length=0))) is None
    assert json_of(msgspec.structs.replace(REQUEST, body=Body(length=2, json=[]))) == []
