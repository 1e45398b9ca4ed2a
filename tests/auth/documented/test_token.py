"""`POST /oauth/v2/token`: both grants, every refusal of PROTOCOL §5, and how long a token is good."""

from typing import Any

import httpx
import pytest

from phrasim.service.operations import REQUEST_BYTES_MAX
from phrasim.testbed import Testbed


def user_fields(bed: Testbed) -> dict[str, str]:
    client, user = bed.accounts.front_end, bed.accounts.publisher
    return {
        "grant_type": "password",
        "client_id": client.id,
        "client_secret": client.secret,
        "username": user.email,
        "password": user.password,
    }


def client_fields(bed: Testbed) -> dict[str, str]:
    client = bed.accounts.phraseanet
    return {"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret}


async def asked(bed: Testbed, fields: dict[str, Any], form: str) -> httpx.Response:
    sent: dict[str, Any] = {"data": fields} if form == "form" else {"json": fields}
    return await bed.client("user", "auth").post("/oauth/v2/token", **sent)


forms = pytest.mark.parametrize("form", ["form", "JSON"])


@forms
@pytest.mark.parametrize(
    ("fields", "scope"), [(user_fields, ""), (client_fields, "commit:list")], ids=["password", "client_credentials"]
)
def test_a_grant_gives_a_bearer_token_that_no_cache_keeps(play: Any, form: str, fields: Any, scope: str) -> None:
    async def main(bed: Testbed) -> None:
        answer = await asked(bed, fields(bed), form)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert len(body.pop("access_token")) == 64
        assert body == {"expires_in": 7_776_000, "token_type": "bearer", "scope": scope}

    play(main)


def test_a_client_may_ask_for_less_than_it_may_have(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        for scope, given in ((" ", "commit:list"), ("commit:list", "commit:list"), ("", "commit:list")):
            assert (await asked(bed, client_fields(bed) | {"scope": scope}, "form")).json()["scope"] == given

    play(main)


REFUSALS: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("a wrong password", user_fields, {"password": "x"}, "invalid_grant", "Invalid username and password combination"),
    ("an unknown user", user_fields, {"username": "x"}, "invalid_grant", "Invalid username and password combination"),
    ("a wrong secret", client_fields, {"client_secret": "x"}, "invalid_client", "The client credentials are invalid"),
    ("an unknown client", client_fields, {"client_id": "x"}, "invalid_client", "The client credentials are invalid"),
    ("a user's wrong client secret", user_fields, {"client_secret": "x"}, "invalid_client", "The client credentials"),
    ("an unknown grant", client_fields, {"grant_type": "implicit"}, "invalid_request", "grant_type: "),
    ("an empty grant", client_fields, {"grant_type": ""}, "invalid_request", "grant_type: "),
    ("no grant", client_fields, {"grant_type": None}, "invalid_request", "grant_type: "),
    ("no client", client_fields, {"client_id": None}, "invalid_request", "client_id: "),
    ("no secret", client_fields, {"client_secret": None}, "invalid_request", "client_secret: "),
    ("no user name", user_fields, {"username": None}, "invalid_request", "username: "),
    ("no password", user_fields, {"password": None}, "invalid_request", "password: "),
    (
        "a grant of others",
        user_fields,
        {"grant_type": "client_credentials"},
        "unauthorized_client",
        "'client_credentials'",
    ),
    ("a scope of others", client_fields, {"scope": "commit:list admin"}, "invalid_scope", "'admin'"),
]


@forms
@pytest.mark.parametrize(
    ("fields", "changes", "error", "said"),
    [row[1:] for row in REFUSALS],
    ids=[row[0] for row in REFUSALS],
)
def test_a_refusal_is_oauths_own(
    play: Any, form: str, fields: Any, changes: dict[str, Any], error: str, said: str
) -> None:
    async def main(bed: Testbed) -> None:
        changed = {name: value for name, value in (fields(bed) | changes).items() if value is not None}
        answer = await asked(bed, changed, form)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert body["error"] == error
        assert said in body["error_description"]
        assert bed.auth._tokens == {}

    play(main)


def test_a_user_of_the_password_grant_may_not_use_phraseanets_client(play: Any) -> None:
    async def main(bed: Testbed) -> str:
        fields = user_fields(bed) | client_fields(bed) | {"grant_type": "password"}
        return str((await asked(bed, fields, "form")).json()["error"])

    assert play(main) == "unauthorized_client"


@pytest.mark.parametrize(
    ("content", "media_type", "status", "error"),
    [
        (b"{", "application/json", 400, "invalid_request"),
        (b"[]", "application/json", 400, "invalid_request"),
        (b'{"grant_type": 1}', "application/json", 400, "invalid_request"),
        (b"", "application/x-www-form-urlencoded", 400, "invalid_request"),
        (b"\xff=%ff", "application/x-www-form-urlencoded", 400, "invalid_request"),
        (b"", "text/plain", 415, None),
        (b"", None, 415, None),
        (b"a" * (REQUEST_BYTES_MAX + 1), "application/x-www-form-urlencoded", 413, None),
    ],
)
def test_a_body_that_is_no_token_request_is_refused(
    play: Any, content: bytes, media_type: str | None, status: int, error: str | None
) -> None:
    async def main(bed: Testbed) -> None:
        headers = {"content-type": media_type} if media_type else {}
        answer = await bed.client("user", "auth").post("/oauth/v2/token", content=content, headers=headers)
        assert (answer.status_code, answer.json().get("error")) == (status, error)

    play(main)


def test_a_refusal_shows_no_secret(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        fields: dict[str, Any] = user_fields(bed) | {"password": 12345678, "client_secret": ["topsecret"]}
        text = (await asked(bed, fields, "JSON")).text
        assert "12345678" not in text
        assert "topsecret" not in text

    play(main)


def test_a_token_is_good_until_its_lifetime_is_over_and_not_longer(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        auth = bed.client("user", "auth")
        seen = []
        for seconds in (0, 0.5, 59, 0.499999999, 0.000000001):
            await bed.clock.sleep(seconds)
            answer = await auth.get("/token-info", headers=headers)
            seen.append((answer.status_code, answer.json().get("expires_in")))
        assert seen == [(200, 60), (200, 59), (200, 0), (200, 0), (401, None)]
        assert (await auth.get("/token-info", headers=headers)).status_code == 401

    play(main, token_lifetime=60)


def test_a_token_of_the_default_lifetime_is_good_for_90_days(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> list[int]:
        headers = await act.bearer(bed)
        auth = bed.client("user", "auth")
        statuses = []
        for seconds in (90 * 86400 - 1, 1):
            await bed.clock.sleep(seconds)
            statuses.append((await auth.get("/token-info", headers=headers)).status_code)
        return statuses

    assert play(main) == [200, 401]


def test_token_info_tells_a_user_and_of_a_client_only_its_scopes(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        auth = bed.client("user", "auth")
        answer = await auth.get("/token-info", headers=await act.bearer(bed, "administrator"))
        administrator = bed.accounts.administrator
        assert answer.json() == {
            "scopes": [],
            "expires_in": 7_776_000,
            "user": {
                "id": administrator.id,
                "username": administrator.email,
                "email": administrator.email,
                "groups": [],
                "roles": ["ROLE_USER", "ROLE_SUPER_ADMIN"],
            },
        }
        answer = await auth.get("/token-info", headers=await act.bearer(bed, "phraseanet"))
        assert answer.json() == {"scopes": ["commit:list"], "expires_in": 7_776_000}

    play(main)


def test_publisher_info_is_id_email_and_name(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        publisher = bed.accounts.publisher
        answer = await bed.client("phraseanet", "auth").get(
            f"/users/info/{publisher.id}", headers=await act.bearer(bed, "phraseanet")
        )
        assert answer.json() == {"id": publisher.id, "email": "other@example.org", "name": "Another Name"}

    play(main, publisher_email="other@example.org", publisher_name="Another Name")


def test_a_token_that_has_expired_says_so_in_its_challenge(play: Any) -> None:
    async def main(bed: Testbed) -> str:
        answer = await bed.client("user", "auth").get("/token-info", headers={"authorization": "Bearer x"})
        return answer.headers["www-authenticate"]

    assert play(main) == 'Bearer error="invalid_token"'


def test_two_tokens_of_one_user_are_two(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> bool:
        return bool(await act.bearer(bed) != await act.bearer(bed))

    assert play(main)
