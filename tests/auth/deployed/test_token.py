"""The deployed token endpoint: both grants, what a token says, and every refusal (PROTOCOL §5, the column *now*)."""

from typing import Any

import jwt
import pytest

from phrasim.auth.deployed.state import Client
from phrasim.clock import SIMULATED_EPOCH
from phrasim.documents.specification import installed_schemas
from phrasim.service.operations import REQUEST_BYTES_MAX

CLAIMS = "/components/schemas/TokenClaims"
BEGINNING = int(SIMULATED_EPOCH.timestamp())


def claims_of(auth: Any, token: str) -> dict[str, Any]:
    """What a token says, once its signature has been verified; and that the document describes all of it."""
    public = auth.key.private.public_key()
    options: Any = {f"verify_{claim}": False for claim in ("exp", "iat", "nbf", "aud")}
    claims = jwt.decode(token, public, algorithms=["RS256"], options=options)
    schemas = installed_schemas()
    assert schemas.violations("deployed/auth.yaml", CLAIMS, claims) == []
    return claims


def test_a_machine_gets_a_token_that_names_it(play_auth: Any) -> None:
    """§5, *success* and the sentence below the table: `client_id` makes a machine client."""

    async def main(auth: Any) -> None:
        await auth.clock.sleep(0.75)
        answer = await auth.token(auth.machine_fields | {"scope": "commit:list"})
        assert answer.status_code == 200
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        body = answer.json()
        claims = claims_of(auth, body.pop("access_token"))
        assert body == {
            "expires_in": 300,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "email commit:list",
        }
        ids = {claims.pop("jti"), claims.pop("sub")}
        assert [len(one) for one in ids] == [36, 36]
        assert claims == {
            "iat": BEGINNING,
            "exp": BEGINNING + 300,
            "iss": auth.issuer,
            "azp": "phraseanet",
            "client_id": "phraseanet",
            "preferred_username": "service-account-phraseanet",
            "scope": "email commit:list",
        }

    play_auth(main)


@pytest.mark.parametrize("name", ["username", "email"])
def test_a_user_gets_a_token_that_tells_who_it_is(play_auth: Any, name: str) -> None:
    """§5: the claims `sub, preferred_username, roles, groups, scope`, and no `client_id`."""

    async def main(auth: Any) -> None:
        await auth.clock.sleep(7)
        fields = auth.user_fields | {"username": getattr(auth.user, name), "scope": "openid"}
        answer = await auth.token(fields)
        assert answer.status_code == 200
        claims = claims_of(auth, answer.json()["access_token"])
        assert len(claims.pop("jti")) == 36
        assert claims == {
            "iat": BEGINNING + 7,
            "exp": BEGINNING + 307,
            "iss": auth.issuer,
            "azp": "front-end",
            "sub": auth.user.id,
            "preferred_username": "publisher",
            "email": "publisher@example.org",
            "roles": ["user", "uploader-admin"],
            "groups": ["press"],
            "scope": "openid",
        }
        assert answer.json()["scope"] == "openid"

    play_auth(main)


def test_the_header_names_the_algorithm_and_the_key(play_auth: Any) -> None:
    async def main(auth: Any) -> None:
        token = (await auth.token(auth.machine_fields)).json()["access_token"]
        assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": auth.key.id, "typ": "JWT"}

    play_auth(main)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, "email"),
        ("", "email"),
        ("commit:list", "email commit:list"),
        ("commit:read  commit:list commit:read", "email commit:read commit:list"),
        ("openid email", "email openid"),
    ],
)
def test_a_token_has_the_scopes_of_its_client_and_those_that_were_asked_for(
    play_auth: Any, asked: str | None, given: str
) -> None:
    async def main(auth: Any) -> str:
        fields = auth.machine_fields | ({} if asked is None else {"scope": asked})
        return str((await auth.token(fields)).json()["scope"])

    assert play_auth(main) == given


def test_the_account_of_a_client_stays_the_same_and_no_two_tokens_do(play_auth: Any) -> None:
    async def main(auth: Any) -> None:
        first, second = [
            claims_of(auth, (await auth.token(auth.machine_fields)).json()["access_token"]) for _ in range(2)
        ]
        auth.state.add_client(Client("phraseanet", "another"))
        third = claims_of(
            auth, (await auth.token(auth.machine_fields | {"client_secret": "another"})).json()["access_token"]
        )
        assert first["sub"] == second["sub"] == third["sub"]
        assert len({first["jti"], second["jti"], third["jti"]}) == 3

    play_auth(main)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(play_auth: Any) -> None:
    async def main(auth: Any) -> bytes:
        answers = [await auth.token(fields) for fields in (auth.machine_fields, auth.user_fields)]
        return b"\n".join(answer.content for answer in [*answers, await auth.keys()])

    assert play_auth(main) == play_auth(main)
    assert play_auth(main) != play_auth(main, seed=2)


REFUSALS: list[Any] = [
    pytest.param("user", {"password": "x"}, 401, "invalid_grant", "user credentials", id="§5 bad user/password"),
    pytest.param("user", {"username": "x"}, 401, "invalid_grant", "user credentials", id="§5 bad user/password: user"),
    pytest.param("user", {"username": ""}, 401, "invalid_grant", "user credentials", id="§5 bad user/password: empty"),
    pytest.param("machine", {"client_id": "x"}, 401, "invalid_client", "Invalid client", id="§5 bad client id"),
    pytest.param("machine", {"client_secret": "x"}, 401, "invalid_client", "Invalid client", id="§5 bad secret"),
    pytest.param(
        "user", {"client_secret": "x"}, 401, "invalid_client", "Invalid client", id="§5 bad secret, of a user"
    ),
    pytest.param("machine", {"grant_type": None}, 400, "invalid_request", ": grant_type", id="§5 missing grant"),
    pytest.param("machine", {"grant_type": "x"}, 400, "unsupported_grant_type", "grant_type", id="§5 unknown grant"),
    pytest.param("machine", {"grant_type": ""}, 400, "unsupported_grant_type", "grant_type", id="§5 empty grant"),
    pytest.param(
        "machine", {"grant_type": "refresh_token"}, 400, "unsupported_grant_type", "grant_type", id="§5 other grant"
    ),
    pytest.param(
        "machine",
        {"grant_type": "password", "username": "publisher", "password": "correct horse battery staple"},
        400,
        "unauthorized_client",
        "direct access grants",
        id="§5 grant not allowed for client: password",
    ),
    pytest.param(
        "user",
        {"grant_type": "client_credentials"},
        400,
        "unauthorized_client",
        "service account",
        id="§5 grant not allowed for client: client_credentials",
    ),
    pytest.param(
        "machine", {"scope": "commit:list x"}, 400, "invalid_scope", "commit:list x", id="§5 scope not allowed"
    ),
    pytest.param(
        "user", {"scope": "commit:list"}, 400, "invalid_scope", "commit:list", id="§5 scope not allowed, of a user"
    ),
    pytest.param("machine", {"client_id": None}, 400, "invalid_request", ": client_id", id="no client"),
    pytest.param("machine", {"client_secret": None}, 400, "invalid_request", ": client_secret", id="no secret"),
    pytest.param("user", {"username": None}, 400, "invalid_request", ": username", id="no user name"),
    pytest.param("user", {"password": None}, 400, "invalid_request", ": password", id="no password"),
    pytest.param("machine", {"scope": ["email", "email"]}, 400, "invalid_request", "duplicated", id="a field twice"),
]


@pytest.mark.parametrize(("who", "changes", "status", "error", "said"), REFUSALS)
def test_a_refusal_is_keycloaks(
    play_auth: Any, who: str, changes: dict[str, Any], status: int, error: str, said: str
) -> None:
    """The rows of §5 from *bad user/password* to *scope not allowed*, and what the document adds to them."""

    async def main(auth: Any) -> None:
        fields = getattr(auth, f"{who}_fields") | changes
        answer = await auth.token({name: value for name, value in fields.items() if value is not None})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        body = answer.json()
        assert list(body) == ["error", "error_description"]
        assert body["error"] == error
        assert said in body["error_description"]

    play_auth(main)


def test_a_refusal_shows_no_secret(play_auth: Any) -> None:
    async def main(auth: Any) -> None:
        for secret in ("client_secret", "password"):
            assert "topsecret" not in (await auth.token(auth.user_fields | {secret: "topsecret"})).text

    play_auth(main)


def test_the_grant_is_looked_at_before_the_client_and_the_client_before_the_user(play_auth: Any) -> None:
    async def main(auth: Any) -> list[str]:
        wrong = {"grant_type": "x", "client_secret": "x", "scope": "x", "username": "x"}
        fields = auth.user_fields | wrong
        found = []
        for name in ("grant_type", "client_secret", "scope", "username"):
            found.append((await auth.token(fields)).json()["error"])
            fields = {key: value for key, value in fields.items() if key != name} | (
                {} if name == "scope" else {name: auth.user_fields[name]}
            )
        return [*found, (await auth.token(fields)).json()["token_type"]]

    assert play_auth(main) == ["unsupported_grant_type", "invalid_client", "invalid_scope", "invalid_grant", "Bearer"]


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 400),
        (b"\xff=%ff", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"", None, 415),
        (b"a" * (REQUEST_BYTES_MAX + 1), "application/x-www-form-urlencoded", 413),
    ],
)
def test_a_body_that_is_no_form_is_refused(play_auth: Any, content: bytes, media_type: str | None, status: int) -> None:
    async def main(auth: Any) -> int:
        path = "/realms/phrasea/protocol/openid-connect/token"
        headers = {"content-type": media_type} if media_type else {}
        answer = await auth.client.post(path, content=content, headers=headers)
        return int(answer.status_code)

    assert play_auth(main) == status


def test_another_realm_is_not_there(play_auth: Any) -> None:
    async def main(auth: Any) -> None:
        for answer in (await auth.token(auth.machine_fields, "master"), await auth.keys("master")):
            assert (answer.status_code, answer.json()) == (404, {"error": "Realm does not exist"})

    play_auth(main)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/token-info"),
        ("GET", "/me"),
        ("GET", "/users/x"),
        ("GET", "/users/info/x"),
        ("POST", "/oauth/v2/token"),
    ],
)
def test_what_the_former_auth_had_is_gone(play_auth: Any, method: str, path: str) -> None:
    """§5: the rows `GET /me`, `GET /users/{id}`, `GET /token-info`, `users/info/{id}`, *token endpoint*."""

    async def main(auth: Any) -> int:
        auth.client.event_hooks = {}
        return int((await auth.client.request(method, path)).status_code)

    assert play_auth(main) == 404
