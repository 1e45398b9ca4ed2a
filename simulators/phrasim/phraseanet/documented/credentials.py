"""Phraseanet's own access token: obtained by client credentials when it is first needed, and again after a 401."""

from typing import Any

import httpx
import msgspec

from phrasim.documents import secret_fields
from phrasim.service.credentials import fits_a_header


class TokenRefused(Exception):
    """Auth gave no token; the message says what it answered."""


class _Token(msgspec.Struct):
    """What is read of an answer of `POST /oauth/v2/token`."""

    access_token: str


class ClientToken:
    """Sends requests with a Bearer of the client `client_id`."""

    def __init__(self, auth: httpx.AsyncClient, client_id: str, client_secret: str, scope: str) -> None:
        self._auth = auth
        self._fields = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            "scope": scope,
        }
        self._token: str | None = None

    async def get(self, client: httpx.AsyncClient, path: str) -> httpx.Response:
        """`GET path`; a 401 asks for a new token, once. Raises `httpx.HTTPError` or `TokenRefused`."""
        had_token = self._token is not None
        answer = await self._with_token(client, path)
        if answer.status_code == 401 and had_token:
            self._token = None
            answer = await self._with_token(client, path)
        return answer

    async def _with_token(self, client: httpx.AsyncClient, path: str) -> httpx.Response:
        if self._token is None:
            self._token = await self._obtain()
        return await client.get(path, headers={"authorization": f"Bearer {self._token}"})

    async def _obtain(self) -> str:
        answer = await self._auth.post("/oauth/v2/token", data=self._fields)
        if answer.status_code != 200:
            raise TokenRefused(f"Auth answered {answer.status_code} to the token request: {_without_secrets(answer)}")
        try:
            token = msgspec.json.decode(answer.content, type=_Token).access_token
        except (ValueError, RecursionError) as error:
            raise TokenRefused(f"Auth's answer to the token request is unusable: {error}") from error
        if not fits_a_header(token):
            raise TokenRefused("Auth's answer to the token request is unusable: no header can hold that token")
        return token


def _without_secrets(answer: httpx.Response) -> dict[str, Any] | str:
    try:
        body = answer.json()
    except ValueError:
        return f"{len(answer.content)} bytes that are not JSON"
    return {key: value for key, value in body.items() if key not in secret_fields()} if isinstance(body, dict) else body
