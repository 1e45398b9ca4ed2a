"""Auth's operations: requests into calls of the state, results into answers."""

from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp

from phrasim.auth.documented.errors import NO_STORE, grant_refused
from phrasim.auth.documented.state import AuthState, GrantRefused, Token
from phrasim.service.credentials import AssetToken, Bearer, credentials
from phrasim.service.operations import Call, json_answer
from phrasim.service.refusal import Refusal, unauthorized


class AuthRoutes:
    """The handlers of `auth.yaml`."""

    def __init__(self, state: AuthState) -> None:
        self._state = state

    async def issue_token(self, call: Call) -> ASGIApp:
        """`POST /oauth/v2/token`: an access token, or OAuth's own refusal."""
        try:
            token = self._state.grant(await self._token_request(call))
        except GrantRefused as refused:
            return grant_refused(refused)
        body = {
            "access_token": token.value,
            "expires_in": self._state.token_lifetime,
            "token_type": "bearer",
            "scope": " ".join(token.scopes),
        }
        return json_answer(body, headers=NO_STORE)

    async def get_token_info(self, call: Call) -> ASGIApp:
        """`GET /token-info`: whose token it is (the shape of 2021), and how long that answer holds (A33)."""
        return self.get_token_info_at_once(call)

    def get_token_info_at_once(self, call: Call) -> Response:
        """The same: nobody has to be waited for."""
        token = self._token(call)
        body: dict[str, Any] = {"scopes": list(token.scopes), "expires_in": self._state.seconds_left(token)}
        if token.user is not None:
            body["user"] = {
                "id": token.user.id,
                "username": token.user.email,
                "email": token.user.email,
                "groups": list(token.user.groups),
                "roles": list(token.user.roles),
            }
        return json_answer(body)

    async def get_publisher_info(self, call: Call) -> ASGIApp:
        """`GET /users/info/{id}`: the publisher, for a registered client only (A8, A27, A32)."""
        return self.get_publisher_info_at_once(call)

    def get_publisher_info_at_once(self, call: Call) -> Response:
        """The same: nobody has to be waited for."""
        if isinstance(credentials(call.authorization), AssetToken):
            raise Refusal(403, "an AssetToken opens assets and commits, not users")
        token = self._token(call)
        if token.user is not None:
            raise Refusal(403, "only a client may ask for a publisher, with a token of its own")
        user = self._state.user(call.path["id"])
        if user is None:
            raise Refusal(404, f"there is no user {call.path['id']!r}")
        return json_answer({"id": user.id, "email": user.email, "name": user.name})

    async def _token_request(self, call: Call) -> dict[str, str]:
        """The fields of a token request; what breaks the specification is OAuth's `invalid_request`."""
        try:
            fields: dict[str, str] = await call.body()
        except Refusal as refusal:
            if refusal.status != 400:
                raise
            raise GrantRefused("invalid_request", refusal.detail) from refusal
        return fields

    def _token(self, call: Call) -> Token:
        presented = credentials(call.authorization)
        if not isinstance(presented, Bearer):
            raise unauthorized("an access token is needed: Authorization: Bearer <token>")
        token = self._state.token(presented.token)
        if token is None:
            raise unauthorized("the access token is unknown or has expired", invalid_token=True)
        return token
