"""What Auth knows and decides: who exists, which token is whose, which grant is refused and how (PROTOCOL §5)."""

import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass

from phrasim.auth.accounts import Client, User

NANOSECONDS = 1_000_000_000

TOKEN_BYTES = 32
"""Bytes of an access token; it is written in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token: a user's (`user` set) or a client's own; good until `expires_ns` of the run's clock."""

    value: str
    client: Client
    user: User | None
    scopes: tuple[str, ...]
    expires_ns: int


class GrantRefused(Exception):
    """A token request that is refused: an error code of RFC 6749, §5.2, and a sentence."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


class AuthState:
    """Users, clients and tokens. `now_ns` gives the run's time; `token_lifetime` is in seconds."""

    def __init__(self, chance: random.Random, now_ns: Callable[[], int], token_lifetime: int) -> None:
        self._chance = chance
        self._now_ns = now_ns
        self.token_lifetime = token_lifetime
        self._users: dict[str, User] = {}
        self._clients: dict[str, Client] = {}
        self._tokens: dict[str, Token] = {}

    def add_user(self, user: User) -> None:
        """Register a user; one of the same id is replaced."""
        self._users[user.id] = user

    def add_client(self, client: Client) -> None:
        """Register a client; one of the same id is replaced."""
        self._clients[client.id] = client

    @property
    def users(self) -> tuple[User, ...]:
        """All users, in the order in which they were registered."""
        return tuple(self._users.values())

    def user(self, user_id: str) -> User | None:
        """The user of that id."""
        return self._users.get(user_id)

    def grant(self, fields: dict[str, str]) -> Token:
        """A new token for a complete request of one of the two grants, or `GrantRefused` (§5, as in 2019)."""
        client = self._client(fields)
        grant_type = fields["grant_type"]
        if grant_type not in client.grants:
            raise GrantRefused("unauthorized_client", f"The grant type {grant_type!r} is not allowed for this client")
        asked = tuple(fields.get("scope", "").split())
        beyond = [scope for scope in asked if scope not in client.scopes]
        if beyond:
            raise GrantRefused("invalid_scope", f"The scope {beyond[0]!r} is not allowed for this client")
        if grant_type == "password":
            return self.issue(client, self._user(fields), asked)
        return self.issue(client, None, asked or client.scopes)

    def issue(self, client: Client, user: User | None, scopes: tuple[str, ...], value: str | None = None) -> Token:
        """A new token without a request for one; `value` is drawn where it is None."""
        token = Token(
            value=value or self._chance.randbytes(TOKEN_BYTES).hex(),
            client=client,
            user=user,
            scopes=scopes,
            expires_ns=self._now_ns() + self.token_lifetime * NANOSECONDS,
        )
        self._tokens[token.value] = token
        return token

    def token(self, value: str) -> Token | None:
        """The token of that value, while it is good."""
        token = self._tokens.get(value)
        if token is not None and token.expires_ns <= self._now_ns():
            del self._tokens[value]
            return None
        return token

    def seconds_left(self, token: Token) -> int:
        """Whole seconds for which the token is still good."""
        return (token.expires_ns - self._now_ns()) // NANOSECONDS

    def _client(self, fields: dict[str, str]) -> Client:
        client = self._clients.get(fields["client_id"])
        if client is None or not hmac.compare_digest(client.secret.encode(), fields["client_secret"].encode()):
            raise GrantRefused("invalid_client", "The client credentials are invalid")
        return client

    def _user(self, fields: dict[str, str]) -> User:
        named = (user for user in self._users.values() if user.email == fields["username"])
        user = next(named, None)
        if user is None or not hmac.compare_digest(user.password.encode(), fields["password"].encode()):
            raise GrantRefused("invalid_grant", "Invalid username and password combination")
        return user
