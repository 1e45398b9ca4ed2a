"""How the upload service knows a caller: it asks Auth whose Bearer that is (A33)."""

from collections.abc import Callable

import httpx
import msgspec

from phrasim.clock import NANOSECONDS
from phrasim.service.credentials import AssetToken, Bearer, credentials
from phrasim.service.refusal import Refusal, unauthorized
from phrasim.upload.access import Client, Principal, User

KNOWN_MAX = 10_000
"""Answers of Auth that are kept; the oldest is forgotten first."""


class Identity:
    """Asks Auth for the principal behind a Bearer, and keeps an answer for as long as Auth says that it holds."""

    def __init__(self, auth: httpx.AsyncClient, now_ns: Callable[[], int]) -> None:
        self._auth = auth
        self._now_ns = now_ns
        self._known: dict[str, tuple[Principal, int]] = {}

    async def principal(self, authorization: str | None) -> Principal:
        """Who calls. Raises `Refusal`: 401 for nobody and for a Bearer that Auth does not know, 503 without Auth.

        Any non-empty AssetToken is a principal: whether it opens anything is decided per commit (§2.4).
        """
        presented = credentials(authorization)
        if presented is None:
            raise unauthorized("credentials are needed: Authorization: Bearer <token>, or AssetToken <token>")
        if isinstance(presented, AssetToken):
            return presented
        return self._remembered(presented.token) or await self._asked(presented)

    def _remembered(self, token: str) -> Principal | None:
        principal, until_ns = self._known.get(token, (None, 0))
        return principal if until_ns > self._now_ns() else None

    async def _asked(self, bearer: Bearer) -> Principal:
        self._known.pop(bearer.token, None)
        try:
            answer = await self._auth.get("/token-info", headers={"authorization": f"Bearer {bearer.token}"})
        except httpx.HTTPError as error:
            raise Refusal(503, f"Auth cannot be asked whose token that is: {type(error).__name__}") from error
        if answer.status_code == 401:
            raise unauthorized("the access token is unknown or has expired", 'Bearer error="invalid_token"')
        if answer.status_code != 200:
            raise Refusal(503, f"Auth cannot be asked whose token that is: it answered {answer.status_code}")
        info = msgspec.json.decode(answer.content)
        user = info.get("user")
        principal = User(user["id"], tuple(user["roles"])) if user else Client(tuple(info["scopes"]))
        if "expires_in" in info:
            self._known[bearer.token] = (principal, self._now_ns() + info["expires_in"] * NANOSECONDS)
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]
        return principal
