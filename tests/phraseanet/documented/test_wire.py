"""The shapes that Phraseanet reads and writes: A6, A25, and what is left out."""

from typing import Any

import pytest

from phrasim.documents import contract
from phrasim.phraseanet.documented.wire import Handover, from_listing, from_message, from_notification, to_message

PUBLISHER = "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"
ASSET = "4c097077-a26b-4af4-9a5d-b13fd4c77b3d"
OTHER = "a134145e-9461-4f0a-8bd8-7025d31a6b8e"
WHOLE = Handover(PUBLISHER, (ASSET, OTHER), "token", OTHER, "https://upload.test", {ASSET: "digest"})


@pytest.mark.parametrize(
    "first",
    [{"publisher": PUBLISHER}, {"publisher_id": PUBLISHER}, {"id": PUBLISHER}, {"publisher": PUBLISHER, "id": ASSET}],
)
def test_element_0_may_name_the_publisher_in_three_ways(first: dict[str, str]) -> None:
    handover = from_message([first, {"id": ASSET}])
    assert handover == Handover(PUBLISHER, (ASSET,), None, None, None)
    assert contract("documented").messages.message_violations("assetsIngest", [first, {"id": ASSET}]) == []


@pytest.mark.parametrize(
    "handover",
    [WHOLE, Handover(PUBLISHER, (ASSET,), None, None, None), Handover(PUBLISHER, (ASSET,), "token", None, None)],
)
def test_a_message_keeps_all_that_is_known(handover: Handover) -> None:
    message = to_message(handover)
    assert from_message(message) == handover
    assert contract("documented").messages.message_violations("assetsIngest", message) == []


def test_what_is_not_known_is_left_out_of_the_message() -> None:
    assert to_message(Handover(PUBLISHER, (ASSET,), None, None, None)) == [
        {"publisher": PUBLISHER, "id": PUBLISHER},
        {"id": ASSET},
    ]
    assert to_message(WHOLE)[1:] == [{"id": ASSET, "hash": "digest"}, {"id": OTHER}]


def test_a_notification_and_a_listing_of_one_commit_say_the_same() -> None:
    shared: dict[str, Any] = {"assets": [ASSET, OTHER], "token": "token", "hashes": {ASSET: "digest"}}
    pushed = from_notification(shared | {"publisher": PUBLISHER, "commit_id": OTHER, "base_url": "https://upload.test"})
    pulled = from_listing(shared | {"userId": PUBLISHER, "id": OTHER}, "https://upload.test")
    assert pushed == pulled == WHOLE


def test_a_commit_is_named_by_its_id_or_else_by_its_token() -> None:
    assert WHOLE.key == OTHER
    assert Handover(PUBLISHER, (ASSET,), "token", None, None).key == "token"
    assert Handover(PUBLISHER, (ASSET,), None, None, None).key is None
