"""What the deployed Auth knows and decides: who exists, what a token says, which grant is refused (PROTOCOL §5, *now*).

It remembers no token: a token is what its claims say, once they are signed, which is done elsewhere.
"""

import hmac
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

CLIENT_CREDENTIALS, PASSWORD = "client_credentials", "password"

OPENID = "openid"
"""The scope that any client may ask for (OpenID Connect Core, §3.1.2.1)."""

Error = Literal[
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
]

_NOT_ALLOWED = {
    CLIENT_CREDENTIALS: "Client not enabled to retrieve service account",
    PASSWORD: "Client not allowed for direct access grants",
}


@dataclass(frozen=True, slots=True)
class User:
    """A person; the role `admin` or `uploader-admin` makes an administrator of the upload service (§2.4)."""

    id: str
    username: str
    email: str
    password: str
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """A registered application; a token has its `default_scopes`, and those of `scopes` that are asked for."""

    id: str
    secret: str
    scopes: tuple[str, ...] = ()
    default_scopes: tuple[str, ...] = ()
    grants: tuple[str, ...] = (CLIENT_CREDENTIALS,)


class GrantRefused(Exception):
    """A token request that is refused: a status, an error code of RFC 6749, §5.2, and a sentence."""

    def __init__(self, status: int, error: Error, description: str) -> None:
        super().__init__(f"{status} {error}: {description}")
        self.status = status
        self.error = error
        self.description = description


class AuthState:
    """The users and clients of one realm. `now` tells the date, `chance` makes the ids that tokens hold.

    `token_lifetime` is in seconds; `issuer` is the URL of the realm, which its tokens name.
    """

    def __init__(self, chance: random.Random, now: Callable[[], datetime], token_lifetime: int, issuer: str) -> None:
        self._chance = chance
        self._now = now
        self.token_lifetime = token_lifetime
        self._issuer = issuer
        self._users: dict[str, User] = {}
        self._clients: dict[str, Client] = {}
        self._service_accounts: dict[str, str] = {}

    def add_user(self, user: User) -> None:
        """Register a user; one of the same id is replaced."""
        self._users[user.id] = user

    def add_client(self, client: Client) -> None:
        """Register a client; one of the same id is replaced, and its service account keeps its id."""
        self._clients[client.id] = client
        if client.id not in self._service_accounts:
            self._service_accounts[client.id] = self._new_id()

    def grant(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """The claims of a new token for a request of one of the two grants, or `GrantRefused` (§5)."""
        grant_type = _field(fields, "grant_type")
        if grant_type not in _NOT_ALLOWED:
            raise GrantRefused(400, "unsupported_grant_type", "Unsupported grant_type")
        client = self._client(_field(fields, "client_id"), _field(fields, "client_secret"))
        if grant_type not in client.grants:
            raise GrantRefused(400, "unauthorized_client", _NOT_ALLOWED[grant_type])
        scopes = _scopes(client, fields.get("scope", ""))
        if grant_type == CLIENT_CREDENTIALS:
            return self.issue(client, None, scopes)
        return self.issue(client, self._user(_field(fields, "username"), _field(fields, "password")), scopes)

    def issue(self, client: Client, user: User | None, scopes: tuple[str, ...]) -> dict[str, Any]:
        """The claims of a new token without a request for one: a user's, or (None) that of a registered client itself.

        Only the latter has `client_id`, by which the upload service tells machines from people (§5).
        """
        issued = int(self._now().timestamp())
        claims: dict[str, Any] = {
            "exp": issued + self.token_lifetime,
            "iat": issued,
            "jti": self._new_id(),
            "iss": self._issuer,
        }
        if user is None:
            account: dict[str, Any] = {
                "sub": self._service_accounts[client.id],
                "azp": client.id,
                "client_id": client.id,
                "preferred_username": f"service-account-{client.id}",
            }
        else:
            account = {
                "sub": user.id,
                "azp": client.id,
                "preferred_username": user.username,
                "email": user.email,
                "roles": list(user.roles),
                "groups": list(user.groups),
            }
        return claims | account | {"scope": " ".join(scopes)}

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def _client(self, client_id: str, secret: str) -> Client:
        client = self._clients.get(client_id)
        if client is None or not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise GrantRefused(401, "invalid_client", "Invalid client or Invalid client credentials")
        return client

    def _user(self, name: str, password: str) -> User:
        named = (user for user in self._users.values() if name in (user.username, user.email))
        user = next(named, None)
        if user is None or not hmac.compare_digest(user.password.encode(), password.encode()):
            raise GrantRefused(401, "invalid_grant", "Invalid user credentials")
        return user


def _field(fields: Mapping[str, str], name: str) -> str:
    if name not in fields:
        raise GrantRefused(400, "invalid_request", f"Missing form parameter: {name}")
    return fields[name]


def _scopes(client: Client, asked: str) -> tuple[str, ...]:
    """The scopes of a token, each once: those that the client has by default, then those that are asked for."""
    words = asked.split()
    allowed = (OPENID, *client.default_scopes, *client.scopes)
    if any(word not in allowed for word in words):
        raise GrantRefused(400, "invalid_scope", f"Invalid scopes: {asked}")
    return tuple(dict.fromkeys((*client.default_scopes, *words)))
