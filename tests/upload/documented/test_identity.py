"""The upload service asks Auth once whose a Bearer is, and again only when that answer has expired (A33)."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from phrasim.service.credentials import AssetToken
from phrasim.service.refusal import Refusal
from phrasim.testbed import Testbed
from phrasim.upload.documented import identity
from phrasim.upload.documented.access import Client, User
from phrasim.upload.documented.identity import Identity


def test_auth_is_asked_once_for_each_token(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        one, two = await act.bearer(bed), await act.bearer(bed, "administrator")
        for headers in (one, two, one, two, one):
            await act.post_file(bed, headers)
        assert len(act.seen(bed).asked("getTokenInfo")) == 2

    play(main)


def test_auth_is_asked_again_when_the_token_has_expired(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        statuses = []
        for seconds in (0, 59.999, 0.001, 1000):
            await bed.clock.sleep(seconds)
            statuses.append((await act.post_file(bed, headers)).status_code)
        assert statuses == [201, 201, 401, 401]
        assert act.seen(bed).seconds("getTokenInfo") == [0, 60, 1060]

    play(main, token_lifetime=60)


def test_an_answer_holds_for_the_whole_seconds_that_auth_says(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        await bed.clock.sleep(10.5)  # 49.5 s are left: Auth says 49
        for seconds in (0, 48.9, 0.2):
            await bed.clock.sleep(seconds)
            assert (await act.post_file(bed, headers)).status_code == 201
        assert act.seen(bed).seconds("getTokenInfo") == [10.5, 59.6]

    play(main, token_lifetime=60)


def test_an_unknown_token_is_asked_for_each_time(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        for _ in range(3):
            assert (await act.post_file(bed, {"authorization": "Bearer x"})).status_code == 401
        assert len(act.seen(bed).asked("getTokenInfo")) == 3

    play(main)


def test_an_asset_token_is_never_looked_up(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        await act.post_file(bed, {"authorization": "AssetToken x"})
        assert act.seen(bed).asked("getTokenInfo") == []

    play(main)


def with_auth(answer: Callable[[httpx.Request], httpx.Response], *authorizations: str) -> tuple[list[Any], int]:
    """The principals, and how often Auth was asked."""
    asked = []

    def auth(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    async def main() -> list[Any]:
        transport = httpx.MockTransport(auth)
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as client:
            known = Identity(client, lambda: 0)
            return [await known.principal(authorization, ("Bearer",)) for authorization in authorizations]

    return asyncio.run(main()), len(asked)


def test_an_auth_that_tells_no_lifetime_is_asked_each_time() -> None:
    principals, asked = with_auth(lambda _: httpx.Response(200, json={"scopes": ["a"]}), "Bearer x", "Bearer x")
    assert principals == [Client(("a",)), Client(("a",))]
    assert asked == 2


def test_a_user_is_known_by_id_and_roles() -> None:
    info = {"scopes": [], "expires_in": 9, "user": {"id": "u", "roles": ["ROLE_SUPER_ADMIN"]}}
    (principal, _, token), asked = with_auth(
        lambda _: httpx.Response(200, json=info), "Bearer x", "Bearer x", "AssetToken y"
    )
    assert principal == User("u", ("ROLE_SUPER_ADMIN",))
    assert principal.is_administrator
    assert token == AssetToken("y")
    assert asked == 1


def test_the_oldest_answer_is_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "KNOWN_MAX", 2)
    answer = {"scopes": [], "expires_in": 9}
    tokens = ["Bearer a", "Bearer b", "Bearer c", "Bearer b", "Bearer c", "Bearer a"]
    assert with_auth(lambda _: httpx.Response(200, json=answer), *tokens)[1] == 4


@pytest.mark.parametrize("status", [403, 404, 500, 302])
def test_an_auth_that_answers_otherwise_is_unavailable(status: int) -> None:
    with pytest.raises(Refusal) as caught:
        with_auth(lambda _: httpx.Response(status), "Bearer x")
    assert (caught.value.status, str(status) in caught.value.detail) == (503, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"scopes": 1}', b'{"scopes": [], "user": {"id": "u"}}'])
def test_an_auth_whose_answer_is_unusable_is_unavailable(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        with_auth(lambda _: httpx.Response(200, content=body), "Bearer x")
    assert caught.value.status == 503
    assert "unusable" in caught.value.detail
