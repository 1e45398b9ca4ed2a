"""`POST /api/v1/upload/enqueue`: what is taken, what is refused, and what a repeat changes (A30)."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.phraseanet.documented.wire import Handover
from phrasim.service.operations import REQUEST_BYTES_MAX
from phrasim.testbed import Testbed

UUID = "4c097077-a26b-4af4-9a5d-b13fd4c77b3d"
DOCUMENTED: dict[str, Any] = {"assets": [UUID], "publisher": UUID, "token": "f87...700b7cd"}
WITH_ID = DOCUMENTED | {"commit_id": UUID}


async def enqueue(bed: Testbed, body: Any, **headers: str) -> httpx.Response:
    return await bed.client("user", "phraseanet").post("/api/v1/upload/enqueue", json=body, headers=headers)


def produced(bed: Testbed, act: Any) -> list[Any]:
    return [one.body.json for one in act.seen(bed).publishes if one.operation_id == "produceMessage"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "OAuth x"}, {"authorization": "Bearer x"}], ids=str)
def test_the_documented_request_is_taken_whoever_sends_it(play: Any, act: Any, headers: dict[str, str]) -> None:
    async def main(bed: Testbed) -> None:
        answer = await enqueue(bed, DOCUMENTED, **headers)
        assert (answer.status_code, answer.json()) == (200, True)
        assert produced(bed, act) == [[{"publisher": UUID, "id": UUID, "token": "f87...700b7cd"}, {"id": UUID}]]

    play(main)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"assets": None}, "assets: this field is missing"),
        ({"publisher": None}, "publisher: this field is missing"),
        ({"token": None}, "token: this field is missing"),
        ({"assets": []}, "assets: the list is empty"),
        ({"assets": UUID}, "assets: "),
        ({"assets": [UUID, "x"]}, "assets/1: 'x' is not a UUID"),
        ({"publisher": "x"}, "publisher: 'x' is not a UUID"),
        ({"token": ""}, "token: the text is empty"),
        ({"token": 7}, "token: the secret value is not a string"),
        ({"commit_id": "x"}, "commit_id: 'x' is not a UUID"),
        ({"base_url": "upload.example"}, "base_url: 'upload.example' is not an absolute URI"),
        ({"base_url": "ftp://upload.example"}, "base_url: "),
        ({"hashes": {UUID: "x"}}, f"hashes/{UUID}: "),
    ],
    ids=str,
)
def test_a_field_of_the_wrong_shape_is_named(play: Any, act: Any, change: dict[str, Any], said: str) -> None:
    async def main(bed: Testbed) -> None:
        body = {name: value for name, value in (DOCUMENTED | change).items() if value is not None}
        answer = await enqueue(bed, body)
        assert (answer.status_code, said in answer.json()["detail"]) == (400, True), answer.text
        assert produced(bed, act) == []

    play(main)


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", None, 415),
        (b" " * (REQUEST_BYTES_MAX + 1), "application/json", 413),
    ],
)
def test_a_body_that_is_no_json_is_refused(play: Any, content: bytes, media_type: str | None, status: int) -> None:
    async def main(bed: Testbed) -> int:
        headers = {"content-type": media_type} if media_type else {}
        client = bed.client("user", "phraseanet")
        return (await client.post("/api/v1/upload/enqueue", content=content, headers=headers)).status_code

    assert play(main) == status


@pytest.mark.parametrize("body", [DOCUMENTED, WITH_ID], ids=["known by its token", "known by its commit id"])
def test_a_repeat_is_answered_alike_and_its_message_dropped(play: Any, act: Any, body: dict[str, Any]) -> None:
    async def main(bed: Testbed) -> None:
        for seconds in (0, 0, 100):
            await bed.clock.sleep(seconds)
            answer = await enqueue(bed, body)
            assert (answer.status_code, answer.json()) == (200, True)
        assert len(produced(bed, act)) == 1
        assert len(act.seen(bed).noted("work given up")) == 1, "the work had failed long before the last repeat"

    play(main)


def test_another_commit_is_another_message_although_its_assets_are_the_same(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        for token in ("one", "two"):
            await enqueue(bed, DOCUMENTED | {"token": token})
        for commit_id in (UUID, UUID.replace("4", "5")):
            await enqueue(bed, WITH_ID | {"commit_id": commit_id})
        assert len(produced(bed, act)) == 4

    play(main)


def test_a_commit_that_the_broker_does_not_take_is_503_and_new_the_next_time(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        operator = bed.broker.core.open_connection().open_channel()
        operator.queue_unbind("assetsIngest", "alchemy-exchange", "assetsIngest")
        for _ in range(2):
            answer = await enqueue(bed, WITH_ID)
            assert (answer.status_code, "NO_ROUTE" in answer.json()["detail"]) == (503, True), answer.text
        await bed.services._queue.declare()
        assert (await enqueue(bed, WITH_ID)).status_code == 200
        assert len(produced(bed, act)) == 3

    play(main)


def handover(**known: Any) -> Handover:
    return Handover("p", ("a",), **{"token": None, "commit_id": None, "base_url": None, **known})


def test_a_commit_is_known_from_acceptance_until_it_is_forgotten() -> None:
    state = PhraseanetState(lambda: datetime.now(UTC))
    assert state.accept(handover(token="t"))
    assert not state.accept(handover(token="t"))
    state.forget(handover(token="t"))
    assert state.accept(handover(token="t"))


def test_what_nothing_names_is_always_new() -> None:
    state = PhraseanetState(lambda: datetime.now(UTC))
    assert state.accept(handover())
    state.forget(handover())
    assert state.accept(handover())
