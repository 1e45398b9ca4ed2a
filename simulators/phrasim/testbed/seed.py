"""What is in a landscape before anything happens in it: users, clients, and commits that were made already."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class SeedUser:
    """A user who is to be there; what is None is drawn, and who has no `roles` is an ordinary one.

    `token` is an access token that is theirs from the start.
    """

    email: str
    id: str | None = None
    name: str | None = None
    password: str | None = None
    token: str | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeedClient:
    """A client that is to be registered; a secret that is None is drawn."""

    client_id: str
    client_secret: str | None = None
    scopes: tuple[str, ...] = ()
    grants: tuple[str, ...] = ("client_credentials",)


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A file of a commit: the one at `path`, `content`, or else `size` bytes that are made and look like `mime_type`.

    One of `path` and `content` at most is not None. `size` is right for all three; `mime_type` is meant for the last
    alone, since the type of the others is found out from what is in them.
    """

    name: str
    path: Path | None
    size: int
    mime_type: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class SeedCommit:
    """A commit that the user with the e-mail address `publisher` has made; nobody is notified of it."""

    publisher: str
    files: tuple[SeedFile, ...]
    form_data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SeedData:
    """All of it; nothing in it is the default of a landscape."""

    users: tuple[SeedUser, ...] = ()
    clients: tuple[SeedClient, ...] = ()
    commits: tuple[SeedCommit, ...] = ()
