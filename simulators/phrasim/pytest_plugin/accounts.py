"""Users and clients of a landscape, each with a token that is good from the start."""

from dataclasses import dataclass

from phrasim.auth.accounts import Client, User


@dataclass(frozen=True, slots=True)
class UserAccount:
    """A user who is logged in already."""

    id: str
    email: str
    password: str
    roles: tuple[str, ...]
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The header that shows the token."""
        return {"authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class ClientAccount:
    """A registered client, with a token of its own for all of its scopes."""

    client_id: str
    client_secret: str
    scopes: tuple[str, ...]
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The header that shows the token."""
        return {"authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Target:
    """A target of the upload service, in the profile `deployed`."""

    id: str
    slug: str


def user_account(user: User, token: str) -> UserAccount:
    """That user, by that token."""
    return UserAccount(user.id, user.email, user.password, user.roles, token)


def client_account(client: Client, token: str) -> ClientAccount:
    """That client, by that token."""
    return ClientAccount(client.id, client.secret, client.scopes, token)
