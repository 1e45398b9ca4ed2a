"""What external participants say in several messages must agree: a run that was right, with one thing said wrongly."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from phrasim.auth.accounts import Client, User
from phrasim.journal.events import Event, Noted, Request, Response, Sent
from phrasim.journal.sightings import json_of
from phrasim.scenario.agreement import disagreements
from phrasim.scenario.events import Outcome
from phrasim.scenario.loader import parse_scenario
from phrasim.testbed import SERVICES
from phrasim.testbed.accounts import Accounts

Message = Request | Response
Change = Callable[[Any], Any]


@pytest.fixture
def outcome(played: Callable[[str], Outcome], push: str) -> Outcome:
    """A hand-over that was held."""
    return played(push)


@pytest.fixture
def accounts(outcome: Outcome) -> Accounts:
    """Those that the run had, as Auth told of them."""
    (told,) = [json_of(one) for one in messages(outcome.events, "getPublisherInfo") if isinstance(one, Response)]
    nobody = Client("nobody", "", ("client_credentials",))
    publisher = User(told["id"], told["email"], "", "")
    return Accounts(publisher, User("1", "administrator@example.org", "", ""), nobody, nobody)


def messages(events: Sequence[Event], operation_id: str) -> list[Message]:
    sent = [event.message for event in events if isinstance(event, Sent)]
    return [one for one in sent if isinstance(one, Message) and one.operation_id == operation_id]


def told(outcome: Outcome, accounts: Accounts, push: str, events: Sequence[Event] | None = None) -> list[str]:
    return disagreements(parse_scenario(push, "push"), accounts, outcome.events if events is None else events, SERVICES)


def changed(events: Sequence[Event], kind: type[Message], operation_id: str, change: Change) -> list[Event]:
    """The same events, with the JSON bodies of those messages changed."""

    def one(event: Event) -> Event:
        if isinstance(event, Noted) or not isinstance(event.message, kind):
            return event
        if event.message.operation_id != operation_id:
            return event
        body = msgspec.structs.replace(event.message.body, json=change(json_of(event.message)))
        return msgspec.structs.replace(event, message=msgspec.structs.replace(event.message, body=body))

    return [one(event) for event in events]


def test_a_run_that_was_right_agrees(outcome: Outcome, accounts: Accounts, push: str) -> None:
    assert told(outcome, accounts, push) == []


LIES: dict[str, tuple[type[Message], str, Change, str]] = {
    "a token of somebody else": (
        Response,
        "getTokenInfo",
        lambda said: said | {"user": {"id": "7", "email": "else@example.org", "username": "else@example.org"}},
        "a token, and says that it is 'else@example.org''s",
    ),
    "another publisher than was asked for": (
        Response,
        "getPublisherInfo",
        lambda said: said | {"id": "7"},
        "auth was asked for the publisher",
    ),
    "a publisher who did not commit": (
        Response,
        "getPublisherInfo",
        lambda said: said | {"email": "else@example.org"},
        "is 'else@example.org', and it was publisher@example.org who committed",
    ),
    "a notification of another publisher": (
        Request,
        "enqueueAssets",
        lambda said: said | {"publisher": "7"},
        "upload names the publisher '7'",
    ),
    "form data of another commit": (
        Response,
        "getAsset",
        lambda said: said | {"formData": {"title": "Another"}},
        "was committed with 'title' 'Test document'; its metadata say 'Another'",
    ),
    "form data that are lost": (
        Response,
        "getAsset",
        lambda said: said | {"formData": None},
        "its metadata say None",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_said_in_two_ways_is_told(lie: str, outcome: Outcome, accounts: Accounts, push: str) -> None:
    kind, operation_id, change, line = LIES[lie]
    found = told(outcome, accounts, push, changed(outcome.events, kind, operation_id, change))
    assert found != []
    assert all(line in one for one in found)


def test_what_is_no_object_agrees_with_everything(outcome: Outcome, accounts: Accounts, push: str) -> None:
    """Whoever answers so breaks the specification, which says it better."""
    events: Sequence[Event] = outcome.events
    for operation_id in ("getTokenInfo", "getPublisherInfo", "uploadAsset", "issueToken"):
        events = changed(events, Response, operation_id, lambda _: [])
    assert [line for line in told(outcome, accounts, push, events) if line.startswith("auth")] == []


def test_assets_are_read_with_the_token_of_their_commit(outcome: Outcome, accounts: Accounts, push: str) -> None:
    def as_administrator(event: Event) -> Event:
        if isinstance(event, Noted) or not isinstance(event.message, Request):
            return event
        if event.message.operation_id != "downloadAsset":
            return event
        headers = tuple(one for one in event.message.headers if one[0] != "authorization")
        return msgspec.structs.replace(event, message=msgspec.structs.replace(event.message, headers=headers))

    found = told(outcome, accounts, push, [as_administrator(event) for event in outcome.events])
    assert found == ["phraseanet called downloadAsset with no authorization, not with AssetToken"]


def test_a_commit_of_a_token_of_its_own_is_anybodys(outcome: Outcome, accounts: Accounts, push: str) -> None:
    own = push.replace("    operationId: commitAssets\n", "    operationId: commitAssets\n    as: {bearer: abc}\n")
    assert own != push
    events = changed(outcome.events, Response, "getPublisherInfo", lambda said: said | {"email": "else@example.org"})
    assert told(outcome, accounts, own, events) == []
