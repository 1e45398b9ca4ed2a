"""The deployed Auth's operations: requests into calls of the state, results into answers."""

from collections import Counter
from urllib.parse import parse_qsl

from starlette.types import ASGIApp

from phrasim.auth.deployed.errors import NO_STORE, grant_refused, no_such_realm
from phrasim.auth.deployed.keys import SigningKey
from phrasim.auth.deployed.state import AuthState, GrantRefused
from phrasim.service.operations import Call, json_answer


class AuthRoutes:
    """The handlers of `deployed/auth.yaml`, for one realm."""

    def __init__(self, state: AuthState, key: SigningKey, realm: str) -> None:
        self._state = state
        self._key = key
        self._realm = realm

    async def issue_token(self, call: Call) -> ASGIApp:
        """`POST /realms/{realm}/protocol/openid-connect/token`: a signed token, or OAuth's own refusal (§5)."""
        if call.path["realm"] != self._realm:
            return no_such_realm()
        try:
            claims = self._state.grant(await _fields(call))
        except GrantRefused as refused:
            return grant_refused(refused)
        body = {
            "access_token": self._key.signed(claims),
            "expires_in": self._state.token_lifetime,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": claims["scope"],
        }
        return json_answer(body, headers=NO_STORE)

    async def get_keys(self, call: Call) -> ASGIApp:
        """`GET /realms/{realm}/protocol/openid-connect/certs`: the public keys of the realm."""
        if call.path["realm"] != self._realm:
            return no_such_realm()
        return json_answer({"keys": [self._key.public()]})


async def _fields(call: Call) -> dict[str, str]:
    """The fields of a token request, each of which is sent once (RFC 6749, §3.2)."""
    call.check_media_type()
    content = await call.content()
    pairs = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
    if any(times > 1 for times in Counter(name for name, _ in pairs).values()):
        raise GrantRefused(400, "invalid_request", "duplicated parameter")
    return dict(pairs)
