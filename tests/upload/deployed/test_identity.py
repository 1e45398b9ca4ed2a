"""The deployed upload service verifies a Bearer by Auth's keys and asks for no more (PROTOCOL §5 and §2.4, *now*)."""

import asyncio
import base64
import hashlib
import hmac
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from phrasim.auth.deployed.app import auth_app
from phrasim.auth.deployed.keys import SigningKey
from phrasim.auth.deployed.state import AuthState, Client, User
from phrasim.clock import SIMULATED_EPOCH, Clock, run_simulated
from phrasim.documents import specification
from phrasim.edge.outbound import http_client
from phrasim.edge.transport import InProcessTransport
from phrasim.service.refusal import Refusal
from phrasim.upload.deployed.access import Principal
from phrasim.upload.deployed.app import upload_app
from phrasim.upload.deployed.identity import REFETCH_SECONDS, Identity

KEYS = "/realms/phrasea/protocol/openid-connect/certs"
TOKENS = "/realms/phrasea/protocol/openid-connect/token"
KEY, OTHER_KEY = SigningKey.development(), SigningKey.fresh()
NOW = SIMULATED_EPOCH.timestamp()
USER = User("d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856", "publisher", "publisher@example.org", "secret", ("uploader-admin",))
MACHINE = Client("phraseanet", "secret", ("commit:list",))
FRONT_END = Client("front-end", "secret", grants=("password",))
USER_FIELDS = {
    "grant_type": "password",
    "client_id": "front-end",
    "client_secret": "secret",
    "username": "publisher",
    "password": "secret",
}
MACHINE_FIELDS = {
    "grant_type": "client_credentials",
    "client_id": "phraseanet",
    "client_secret": "secret",
    "scope": "openid commit:list",
}
CLAIMS: dict[str, Any] = {"sub": "u", "exp": NOW + 300}


def auth_service(clock: Clock, key: SigningKey = KEY) -> Any:
    """A deployed Auth with a user, a machine and a front end; its tokens are good for five minutes."""
    state = AuthState(random.Random(1), clock.now, 300, "https://auth.test/realms/phrasea")
    state.add_user(USER)
    for client in (MACHINE, FRONT_END):
        state.add_client(client)
    return auth_app(specification("deployed/auth.yaml"), state, key, "phrasea")


class Verified:
    """An `Identity`, the Auth that it asks, and what that is asked. Where `apps` is emptied, Auth is away."""

    def __init__(self) -> None:
        self.clock = Clock(asyncio.get_running_loop())
        self.apps: dict[str, Any] = {"auth.test": auth_service(self.clock)}
        self.client = http_client(InProcessTransport(self.apps), "https://auth.test")
        self.asked: list[float] = []
        auth = http_client(InProcessTransport(self.apps), "https://auth.test")
        auth.event_hooks = {"request": [self._count]}
        self.identify = Identity(auth, KEYS, self.clock.now)

    async def _count(self, request: httpx.Request) -> None:
        assert request.url.path == KEYS
        self.asked.append(self.clock.now_ns() / 1e9)

    async def token(self, fields: dict[str, str]) -> str:
        """A token that Auth issues."""
        return str((await self.client.post(TOKENS, data=fields)).json()["access_token"])

    async def refusal(self, token: str) -> Refusal:
        with pytest.raises(Refusal) as caught:
            await self.identify(token)
        return caught.value


def verified(main: Callable[[Verified], Awaitable[Any]]) -> Any:
    """Run `main` with a `Verified` on simulated time."""

    async def run() -> Any:
        return await main(Verified())

    return run_simulated(run())


def identified(*tokens: str) -> list[Principal | None]:
    """Who these tokens are taken for."""

    async def main(one: Verified) -> list[Principal | None]:
        return [await one.identify(token) for token in tokens]

    found: list[Principal | None] = verified(main)
    return found


def with_keys(content: bytes, token: str, status: int = 200) -> Principal | None:
    """Who a token is taken for where Auth answers this when it is asked for its keys."""

    async def main() -> Principal | None:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as client:
            return await Identity(client, KEYS, lambda: SIMULATED_EPOCH)(token)

    return asyncio.run(main())


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def segment(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(header: Any, claims: Any = CLAIMS) -> str:
    """The part of a token that is signed."""
    return f"{segment(header)}.{segment(claims)}"


def test_a_user_is_known_by_the_claims() -> None:
    """§5: `sub, preferred_username, roles, groups, scope`."""

    async def main(one: Verified) -> Principal | None:
        return await one.identify(await one.token(USER_FIELDS))

    principal = verified(main)
    assert principal == Principal(USER.id, "publisher", "publisher@example.org", ("uploader-admin",))
    assert principal.is_administrator


def test_a_machine_is_known_by_its_client_id_and_is_no_user() -> None:
    """§5: `client_id` → machine client."""

    async def main(one: Verified) -> Principal | None:
        return await one.identify(await one.token(MACHINE_FIELDS))

    assert verified(main) == Principal(
        None, "service-account-phraseanet", None, (), ("openid", "commit:list"), client_id="phraseanet"
    )


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, "u"),
        ({"client_id": "c"}, "c"),
        ({"client_id": "c", "preferred_username": "p"}, "p"),
        ({"client_id": None, "preferred_username": "p", "email": None, "groups": ["g"], "aud": ["account"]}, "p"),
    ],
)
def test_who_has_no_name_is_called_by_the_id(claims: dict[str, Any], name: str) -> None:
    (principal,) = identified(KEY.signed(CLAIMS | claims))
    assert principal is not None
    assert principal.username == name


def test_the_keys_are_asked_for_when_they_are_first_needed_and_then_kept() -> None:
    async def main(one: Verified) -> list[float]:
        await one.clock.sleep(5)
        for fields in (USER_FIELDS, MACHINE_FIELDS):
            for _ in range(3):
                assert await one.identify(await one.token(fields))
                await one.clock.sleep(3600)
        return one.asked

    assert verified(main) == [5]


def test_many_callers_at_once_ask_for_the_keys_once() -> None:
    async def main(one: Verified) -> list[float]:
        token = await one.token(USER_FIELDS)
        assert None not in await asyncio.gather(*(one.identify(token) for _ in range(5)))
        return one.asked

    assert verified(main) == [0]


def test_a_token_is_good_until_its_second_has_come_and_not_longer() -> None:
    async def main(one: Verified) -> list[bool]:
        token = await one.token(USER_FIELDS)
        found = []
        for seconds in (0, 299.999999, 0.000001, 1000):
            await one.clock.sleep(seconds)
            found.append(await one.identify(token) is not None)
        return found

    assert verified(main) == [True, True, False, False]


def test_the_wall_clock_decides_nothing() -> None:
    """Long past by the wall clock is good, and what is yet to come by it has begun."""
    far = 100_000 * 365 * 86400
    for dates in ({"exp": NOW + 1}, {"exp": far}, {"exp": NOW + 0.5, "iat": far, "nbf": far}):
        assert identified(KEY.signed({"sub": "u"} | dates)) != [None], dates


def test_a_new_key_is_found_and_an_old_one_is_not_any_more() -> None:
    async def main(one: Verified) -> list[bool]:
        old = await one.token(USER_FIELDS)
        assert await one.identify(old)
        one.apps["auth.test"] = auth_service(one.clock, OTHER_KEY)
        new = await one.token(USER_FIELDS)
        found = []
        for seconds in (0, REFETCH_SECONDS - 0.001, 0.001):
            await one.clock.sleep(seconds)
            found.append(await one.identify(new) is not None)
        assert one.asked == [0, REFETCH_SECONDS]
        return [*found, await one.identify(old) is not None]

    assert verified(main) == [False, False, True, False]


def test_unknown_keys_do_not_make_it_ask_again_and_again() -> None:
    async def main(one: Verified) -> list[float]:
        for turn in range(25):
            token = jwt.encode(CLAIMS, OTHER_KEY.private, "RS256", headers={"kid": f"made-up-{turn}"})
            assert await one.identify(token) is None
            await one.clock.sleep(REFETCH_SECONDS / 8)
        return one.asked

    assert verified(main) == pytest.approx([0, REFETCH_SECONDS, 2 * REFETCH_SECONDS, 3 * REFETCH_SECONDS])


def test_without_auth_a_token_is_neither_good_nor_bad() -> None:
    async def main(one: Verified) -> None:
        token, auth = await one.token(USER_FIELDS), dict(one.apps)
        one.apps.clear()
        refusal = await one.refusal(token)
        assert (refusal.status, refusal.detail) == (503, "Auth cannot be asked for its keys: ConnectError")
        one.apps.update(auth)
        assert await one.identify(token), "it is asked again at once"
        one.apps.clear()
        assert await one.identify(token), "the keys are kept"
        await one.clock.sleep(REFETCH_SECONDS)
        assert (await one.refusal(OTHER_KEY.signed(CLAIMS))).status == 503

    verified(main)


PUBLIC_PEM = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hs256(secret: bytes) -> str:
    """A token that is signed with `secret`, as if that were no public key."""
    signed = unsigned({"alg": "HS256", "typ": "JWT", "kid": KEY.id})
    return f"{signed}.{segment(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


GOOD = KEY.signed(CLAIMS)
HEAD, BODY, SIGNATURE = GOOD.split(".")
OWN_JWK = OTHER_KEY.public()

INVALID = {
    "expired": KEY.signed(CLAIMS | {"exp": NOW - 1}),
    "expired just now": KEY.signed(CLAIMS | {"exp": NOW}),
    "without an end": KEY.signed({"sub": "u"}),
    "an end in words": KEY.signed(CLAIMS | {"exp": "never"}),
    "an end that is none": KEY.signed(CLAIMS | {"exp": None}),
    "an end beyond numbers": jwt.PyJWS().encode(
        b'{"sub": "u", "exp": 1e999}', KEY.private, "RS256", headers={"kid": KEY.id}
    ),
    "without a user": KEY.signed({"exp": NOW + 300}),
    "roles in one word": KEY.signed(CLAIMS | {"roles": "admin"}),
    "claims that are a list": jwt.PyJWS().encode(b"[]", KEY.private, "RS256", headers={"kid": KEY.id}),
    "claims that are no JSON": jwt.PyJWS().encode(b"\xff", KEY.private, "RS256", headers={"kid": KEY.id}),
    "claims without a bottom": jwt.PyJWS().encode(
        b'{"sub": "u", "more": ' + b"[" * 100_000, KEY.private, "RS256", headers={"kid": KEY.id}
    ),
    "alg none": unsigned({"alg": "none", "kid": KEY.id}) + ".",
    "alg None": unsigned({"alg": "None", "kid": KEY.id}) + ".",
    "alg none with a signature": unsigned({"alg": "none", "kid": KEY.id}) + f".{SIGNATURE}",
    "no alg": unsigned({"kid": KEY.id}) + f".{SIGNATURE}",
    "HS256 with the public key": hs256(PUBLIC_PEM),
    "HS256 with the modulus": hs256(KEY.public()["n"].encode()),
    "RS512 with the right key": jwt.encode(CLAIMS, KEY.private, "RS512", headers={"kid": KEY.id}),
    "PS256 with the right key": jwt.encode(CLAIMS, KEY.private, "PS256", headers={"kid": KEY.id}),
    "another key": OTHER_KEY.signed(CLAIMS),
    "another key of the same name": jwt.encode(CLAIMS, OTHER_KEY.private, "RS256", headers={"kid": KEY.id}),
    "a key of its own": jwt.encode(CLAIMS, OTHER_KEY.private, "RS256", headers={"kid": KEY.id, "jwk": OWN_JWK}),
    "no key named": jwt.encode(CLAIMS, KEY.private, "RS256"),
    "a key named by a number": unsigned({"alg": "RS256", "kid": 1}) + f".{SIGNATURE}",
    "other claims": f"{HEAD}.{segment(CLAIMS | {'sub': 'somebody else'})}.{SIGNATURE}",
    "another header": f"{segment({'alg': 'RS256', 'kid': KEY.id, 'typ': 'at+jwt'})}.{BODY}.{SIGNATURE}",
    "no signature": f"{HEAD}.{BODY}.",
    "half a signature": f"{HEAD}.{BODY}.{SIGNATURE[: len(SIGNATURE) // 2]}",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "one word": "x",
    "nothing": "",
    "dots": "..",
    "a header that is no JSON": f"{segment(b'{')}.{BODY}.{SIGNATURE}",
    "a header that is a list": f"{segment([])}.{BODY}.{SIGNATURE}",
    "a header without a bottom": f"{segment(b'[' * 100_000)}.{BODY}.{SIGNATURE}",
    "a header that is no text": f"{segment(bytes([255, 254, 0]))}.{BODY}.{SIGNATURE}",
}


@pytest.mark.parametrize("token", INVALID.values(), ids=INVALID)
def test_an_invalid_token_is_nobodys(token: str) -> None:
    """§2.4, the row *invalid Bearer*; RFC 8725, §2.1: what a token says of its algorithm is not believed."""
    before, found, after = identified(GOOD, token, GOOD)
    assert found is None
    assert before == after == Principal("u", "u", None)


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126)), st.integers(0, len(GOOD)))
def test_a_token_that_is_changed_anywhere_is_nobodys_or_says_the_same(inserted: str, at: int) -> None:
    """Base64 has some bits to spare at the end of a signature: the bytes that count are the same then."""
    (found,) = identified(GOOD[:at] + inserted + GOOD[at:])
    assert found in (None, Principal("u", "u", None))


def test_keys_that_are_for_something_else_are_left_out() -> None:
    """Keycloak shows a key for encryption, too, and a realm may have keys of other kinds."""
    public = KEY.public()
    curve = {"kid": "c", "kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256", "x": "eA", "y": "eQ"}
    others = [curve, public | {"use": "enc"}, public | {"alg": "RS512"}, {name: public[name] for name in ("kty", "n")}]
    assert with_keys(key_set(*others, public | {"x5c": ["MII"]}), GOOD) == Principal("u", "u", None)
    assert with_keys(key_set(*others), GOOD) is None
    assert with_keys(key_set(), GOOD) is None


def test_a_private_or_symmetric_key_in_the_list_verifies_nothing_more() -> None:
    symmetric = {"kid": KEY.id, "kty": "oct", "k": segment(PUBLIC_PEM), "alg": "HS256", "use": "sig"}
    assert with_keys(key_set(symmetric), hs256(PUBLIC_PEM)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"{",
        b'{"keys": {}}',
        b'{"keys": [1]}',
        b'{"more": ' + b"[" * 100_000,
        key_set(KEY.public() | {"n": "AQAB", "e": ""}),
        key_set(KEY.public() | {"n": "", "e": ""}),
        key_set(KEY.public() | {"n": "ü"}),
        key_set(KEY.public() | {"n": 1}),
    ],
)
def test_an_auth_whose_keys_are_unusable_is_unavailable(content: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        with_keys(content, GOOD)
    assert caught.value.status == 503
    assert "unusable" in caught.value.detail


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_an_auth_that_answers_otherwise_is_unavailable(status: int) -> None:
    with pytest.raises(Refusal) as caught:
        with_keys(key_set(KEY.public()), GOOD, status)
    assert (caught.value.status, str(status) in caught.value.detail) == (503, True)


def mounted(upload: Any) -> None:
    """Let the upload service of the tests know its callers by an Auth beside it."""
    upload._apps["auth.test"] = auth_service(upload.clock)
    auth = http_client(upload._transport, "https://auth.test")
    upload._apps["upload.test"] = upload_app(
        specification("deployed/upload.yaml"),
        upload.state,
        upload.storage,
        upload.work,
        identify=Identity(auth, KEYS, upload.clock.now),
        urls=upload.urls,
        auth=auth,
        token_url=TOKENS,
        note=upload._note,
    )


def test_a_token_that_the_upload_service_relays_opens_it(play_upload: Any) -> None:
    """§5: the upload service forwards the fields, and trusts what comes back by its signature; §2.4 in the answers."""

    async def main(upload: Any) -> None:
        mounted(upload)
        opened = []
        for fields in (USER_FIELDS, MACHINE_FIELDS):
            answer = await upload.client.post("/oauth/v2/token", data=fields)
            assert answer.status_code == 200
            who = f"Bearer {answer.json()['access_token']}"
            opened.append((await upload.get("/commits", who)).status_code)
            if fields is USER_FIELDS:
                me = (await upload.get("/me", who)).json()
                assert (me["user_id"], me["username"], me["email"]) == (USER.id, USER.username, USER.email)
            await upload.clock.sleep(300)
            opened.append((await upload.get("/commits", who)).status_code)
        assert opened == [200, 401, 200, 401]

    play_upload(main)


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        pytest.param({"client_secret": "x"}, 401, "invalid_client", id="§5 bad client id or secret"),
        pytest.param({"scope": "x"}, 400, "invalid_scope", id="§5 scope not allowed"),
        pytest.param({"grant_type": "password"}, 400, "unauthorized_client", id="§5 grant not allowed for client"),
    ],
)
def test_a_refusal_is_relayed(play_upload: Any, changes: dict[str, str], status: int, error: str) -> None:
    """§5, *token endpoint*: status and body are relayed."""

    async def main(upload: Any) -> None:
        mounted(upload)
        answer = await upload.client.post("/oauth/v2/token", data=MACHINE_FIELDS | changes)
        assert (answer.status_code, answer.json()["error"]) == (status, error)

    play_upload(main)


def test_the_upload_service_says_so_where_it_cannot_know_its_caller(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        mounted(upload)
        del upload._apps["auth.test"]
        client = http_client(upload._transport, "https://upload.test")
        answer = await client.get("/me", headers={"authorization": f"Bearer {GOOD}", "accept": "application/json"})
        assert (answer.status_code, answer.json()["detail"]) == (
            503,
            "Auth cannot be asked for its keys: ConnectError",
        )

    play_upload(main)
