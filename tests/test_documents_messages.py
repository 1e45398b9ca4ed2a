"""The messages document answers which queue a message reaches, and what is wrong with its body."""

from typing import Any

import pytest

from phrasim.documents import Arrow, contract

ASSET = "4c097077-a26b-4af4-9a5d-b13fd4c77b3d"
PUBLISHER = "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"


def said(value: Any, content_type: str | None = None) -> list[str]:
    return [
        str(violation)
        for violation in contract("documented").messages.message_violations("assetsIngest", value, content_type)
    ]


def test_a_failed_hand_off_waits_in_the_retry_queue_and_returns_by_itself() -> None:
    """The facts of PROTOCOL §4.1: rejected goes to retry, and ten seconds there lead back."""
    channels = contract("documented").messages.channels
    work, retry, failed = (channels[f"assetsIngest{suffix}"] for suffix in ("", "_retry", "_failed"))
    rejected = (work.queue_arguments["x-dead-letter-exchange"], work.queue_arguments["x-dead-letter-routing-key"])
    expired = (retry.queue_arguments["x-dead-letter-exchange"], retry.queue_arguments["x-dead-letter-routing-key"])
    assert contract("documented").messages.for_routing_key(*map(str, rejected)) is retry
    assert contract("documented").messages.for_routing_key(*map(str, expired)) is work
    assert retry.queue_arguments["x-message-ttl"] == 10 * 1000
    assert failed.queue_arguments == {"x-message-ttl": 7 * 24 * 3600 * 1000}


@pytest.mark.parametrize("name", ["assetsIngest", "assetsIngest_retry", "assetsIngest_failed"])
def test_a_queue_is_bound_by_its_own_name(name: str) -> None:
    channel = contract("documented").messages.channels[name]
    assert channel.queue == channel.routing_key == name
    assert channel.exchange == ("alchemy-exchange" if name == "assetsIngest" else "retry-alchemy-exchange")
    assert (channel.exchange_type, channel.exchange_durable, channel.queue_durable) == ("direct", True, True)
    assert contract("documented").messages.for_queue(name) is channel
    assert contract("documented").messages.for_routing_key(channel.exchange, name) is channel


def test_a_key_or_queue_that_is_not_described_has_no_channel() -> None:
    assert contract("documented").messages.for_routing_key("alchemy-exchange", "assetsIngest_retry") is None
    assert contract("documented").messages.for_queue("createRecord") is None


def test_only_the_first_hand_over_is_an_arrow() -> None:
    assert contract("documented").messages.sequence("send", "assetsIngest") == Arrow("Produce message", "commit")
    assert contract("documented").messages.sequence("receive", "assetsIngest") == Arrow("Consume message", "commit")
    assert contract("documented").messages.sequence("send", "assetsIngest_retry") is None
    assert contract("documented").messages.sequence("receive", "assetsIngest_failed") is None


def test_what_is_sent_is_persistent_json() -> None:
    sent = [
        operation for operation in contract("documented").messages.operations.values() if operation.action == "send"
    ]
    assert [operation.operation_id for operation in sent] == ["produceMessage", "giveUpMessage"]
    assert all(operation.persistent for operation in sent)
    assert {channel.content_type for channel in contract("documented").messages.channels.values()} == {
        "application/json"
    }


@pytest.mark.parametrize("key", ["publisher", "publisher_id", "id"])
def test_the_publisher_is_taken_under_any_of_its_three_names(key: str) -> None:
    assert said([{key: PUBLISHER}, {"id": ASSET}]) == []


def test_the_failed_queue_takes_the_same_body() -> None:
    body = [{"publisher": PUBLISHER, "id": PUBLISHER, "token": "t"}, {"id": ASSET, "hash": "any text"}]
    assert contract("documented").messages.message_violations("assetsIngest_failed", body, "application/json") == []


@pytest.mark.parametrize(
    ("value", "violations"),
    [
        ({}, ["an object is not an array"]),
        ([], ["the list is empty"]),
        ([{"id": PUBLISHER}], ["the list has fewer than 2 items"]),
        ([{"token": "t"}, {"id": ASSET}], ["0: one of publisher, publisher_id, id must be here"]),
        ([{"id": "me"}, {"id": ASSET}], ["0/id: 'me' is not a UUID"]),
        ([{"id": PUBLISHER}, {"hash": "h"}], ["1/id: this field is missing"]),
        (
            [{"id": PUBLISHER}, {"id": ASSET, "token": "t"}],
            ["1/token: this field is not known here; known are id, hash"],
        ),
        ([{"id": PUBLISHER}, {"id": ASSET, "hash": 1}], ["1/hash: 1 is not a string"]),
    ],
)
def test_a_faulty_body_is_told_place_by_place(value: Any, violations: list[str]) -> None:
    assert said(value) == violations


def test_another_content_type_is_told() -> None:
    assert said([{"id": PUBLISHER}, {"id": ASSET}], "text/plain") == [
        "the content type 'text/plain' is not application/json"
    ]
