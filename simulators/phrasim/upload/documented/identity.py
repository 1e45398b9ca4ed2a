"""How the upload service knows a caller: it asks Auth whose Bearer that is (A33)."""

from collections.abc import Callable, Sequence

import httpx
import msgspec

from phrasim.clock import NANOSECONDS
from phrasim.service.credentials import AssetToken, Bearer, credentials
from phrasim.service.refusal import Refusal, unauthorized
from phrasim.upload.documented.access import Client, Principal, User

KNOWN_MAX = 10_000
"""Answers of Auth that are kept; the oldest is forgotten first."""


class Identity:
    """Asks Auth for the principal behind a Bearer, and keeps an answer for as long as Auth says that it holds."""

    def __init__(self, auth: httpx.AsyncClient, now_ns: Callable[[], int]) -> None:
        self._auth = auth
        self._now_ns = now_ns
        self._known: dict[str, tuple[Principal, int]] = {}

    async def principal(self, authorization: str | None, schemes: Sequence[str]) -> Principal:
        """Who calls, by one of `schemes`.

        Raises `Refusal`: 401 for nobody and for a Bearer that Auth does not know, 503 without Auth.
        """
        presented = self.presented(authorization, schemes)
        return await self._asked(presented, schemes) if isinstance(presented, Bearer) else presented

    def presented(self, authorization: str | None, schemes: Sequence[str]) -> Principal | Bearer:
        """Who calls, or the Bearer about which Auth has to be asked. Raises `Refusal` 401 for nobody.

        Any non-empty AssetToken is a principal: whether it opens anything is decided per commit (§2.4).
        """
        presented = credentials(authorization)
        if presented is None:
            raise unauthorized("credentials are needed: Authorization: Bearer <token>, or AssetToken <token>", schemes)
        if isinstance(presented, AssetToken):
            return presented
        return self._remembered(presented.token) or presented

    def _remembered(self, token: str) -> Principal | None:
        principal, until_ns = self._known.get(token, (None, 0))
        return principal if until_ns > self._now_ns() else None

    async def _asked(self, bearer: Bearer, schemes: Sequence[str]) -> Principal:
        self._known.pop(bearer.token, None)
        try:
            answer = await self._auth.get("/token-info", headers={"authorization": f"Bearer {bearer.token}"})
        except httpx.HTTPError as error:
            raise Refusal(503, f"Auth cannot be asked whose token that is: {type(error).__name__}") from error
        if answer.status_code == 401:
            raise unauthorized("the access token is unknown or has expired", schemes, invalid_token=True)
        if answer.status_code != 200:
            raise Refusal(503, f"Auth cannot be asked whose token that is: it answered {answer.status_code}")
        try:
            info = msgspec.json.decode(answer.content, type=_TokenInfo)
        except (ValueError, RecursionError) as error:
            raise Refusal(503, f"Auth cannot be asked whose token that is: its answer is unusable: {error}") from error
        principal = User(info.user.id, info.user.roles) if info.user else Client(info.scopes)
        if info.expires_in is not None:
            self._known[bearer.token] = (principal, self._now_ns() + info.expires_in * NANOSECONDS)
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]
        return principal


class _UserInfo(msgspec.Struct):
    """What is read of the user in an answer of `GET /token-info`."""

    id: str
    roles: tuple[str, ...]


class _TokenInfo(msgspec.Struct):
    """What is read of an answer of `GET /token-info`."""

    scopes: tuple[str, ...]
    user: _UserInfo | None = None
    expires_in: int | None = None
