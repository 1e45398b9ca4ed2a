"""Who is registered with Auth, whichever profile it has."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A person; the profile says which `roles` make an administrator (§2.4)."""

    id: str
    email: str
    name: str
    password: str
    roles: tuple[str, ...] = ("ROLE_USER",)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """A registered application; `scopes` are those that it may ask for with its own credentials."""

    id: str
    secret: str
    scopes: tuple[str, ...] = ()
    grants: tuple[str, ...] = ("client_credentials",)
