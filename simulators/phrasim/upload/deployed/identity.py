"""How the deployed upload service knows a caller: it verifies the signature of the Bearer itself (PROTOCOL §5, *now*).

Of Auth it needs the public keys alone. Whether a token has expired is decided by the clock that is handed in.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import httpx
import jwt
import msgspec

from phrasim.service.refusal import Refusal
from phrasim.upload.deployed.access import Principal

ALGORITHM = "RS256"
"""The only algorithm whose signatures count, whatever a token says of itself."""

REFETCH_SECONDS = 0.2
"""For so long after Auth gave its keys it is not asked again for one that was not among them."""


class Identity:
    """An `Identify`: keeps Auth's keys, asks for them when one is needed that it has not, and reads the claims.

    `keys_url` is where Auth shows its keys, absolute or below the base URL of `auth`; `now` tells the date.
    """

    def __init__(self, auth: httpx.AsyncClient, keys_url: str, now: Callable[[], datetime]) -> None:
        self._auth = auth
        self._keys_url = keys_url
        self._now = now
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched: datetime | None = None
        self._fetching = asyncio.Lock()

    async def __call__(self, token: str) -> Principal | None:
        """Whose `token` is; None for one that is malformed, expired, or not signed with one of Auth's keys.

        Raises `Refusal` 503 where Auth cannot be asked for its keys.
        """
        key = await self._key(_key_id(token))
        claims = None if key is None else _verified(token, key)
        if claims is None or claims.exp <= self._now().timestamp():
            return None
        return _principal(claims)

    async def _key(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return None
        if key_id not in self._keys:
            async with self._fetching:  # who has waited here finds the keys of who went before
                if self._may_fetch():
                    self._keys = await self._asked()
                    self._fetched = self._now()
        return self._keys.get(key_id)

    def _may_fetch(self) -> bool:
        return self._fetched is None or self._now() - self._fetched >= timedelta(seconds=REFETCH_SECONDS)

    async def _asked(self) -> dict[str, jwt.PyJWK]:
        """The keys with which Auth signs; any others that it shows are left out."""
        try:
            answer = await self._auth.get(self._keys_url)
        except httpx.HTTPError as error:
            raise Refusal(503, f"Auth cannot be asked for its keys: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise Refusal(503, f"Auth cannot be asked for its keys: it answered {answer.status_code}")
        try:
            shown = msgspec.json.decode(answer.content, type=_KeySet).keys
            return {key.kid: _public_key(key) for key in shown if key.signs}
        except (ValueError, RecursionError, jwt.InvalidKeyError) as error:
            raise Refusal(503, f"Auth cannot be asked for its keys: its answer is unusable: {error}") from error


class _Key(msgspec.Struct):
    """What is read of one key of Auth (RFC 7517, §4)."""

    kid: str = ""
    kty: str = ""
    use: str = "sig"
    alg: str = ALGORITHM
    n: str = ""
    e: str = ""

    @property
    def signs(self) -> bool:
        """Whether tokens may be signed with it."""
        return (self.kty, self.use, self.alg) == ("RSA", "sig", ALGORITHM) and self.kid != ""


class _KeySet(msgspec.Struct):
    """What is read of an answer of Auth's `getKeys`."""

    keys: list[_Key]


class _Claims(msgspec.Struct):
    """What is read of a token; `exp` is in seconds of Unix time."""

    sub: str
    exp: int | float
    client_id: str | None = None
    preferred_username: str | None = None
    email: str | None = None
    roles: tuple[str, ...] = ()
    scope: str = ""


def _key_id(token: str) -> str | None:
    """The key that a token says it is signed with; None for one that says nothing or cannot be read."""
    try:
        key_id: str | None = jwt.get_unverified_header(token).get("kid")
    except (jwt.InvalidTokenError, RecursionError):  # PyJWT 2.10 lets the latter through
        return None
    return key_id


def _verified(token: str, key: jwt.PyJWK) -> _Claims | None:
    """What a token says, if it is signed with `key`. (`jwt.decode` would hold its dates to the wall clock.)"""
    try:
        content = jwt.PyJWS().decode(token, key, algorithms=[ALGORITHM])
        return msgspec.json.decode(content, type=_Claims)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return None


def _public_key(key: _Key) -> jwt.PyJWK:
    return jwt.PyJWK({"kty": key.kty, "n": key.n, "e": key.e}, ALGORITHM)


def _principal(claims: _Claims) -> Principal:
    """A machine's token has `client_id`; any other is a user's (§5)."""
    is_user = claims.client_id is None
    return Principal(
        user_id=claims.sub if is_user else None,
        username=claims.preferred_username or claims.client_id or claims.sub,
        email=claims.email,
        roles=claims.roles,
        scopes=tuple(claims.scope.split()),
        client_id=claims.client_id,
    )
