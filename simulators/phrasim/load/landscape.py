"""Where the services are that a load run calls, and who it is there: what `phrasim serve --print json` prints."""

from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec


class LandscapeError(ValueError):
    """A landscape that cannot be read; the message says what was found and what would be right."""


class Target(msgspec.Struct, frozen=True):
    """A target of the upload service (deployed, §2.3)."""

    id: str
    slug: str


class Upload(msgspec.Struct, frozen=True):
    """The upload service."""

    url: str
    targets: tuple[Target, ...] = ()


class Phraseanet(msgspec.Struct, frozen=True):
    """Phraseanet; `token` is what a notification bears in the deployed profile."""

    url: str
    token: str | None = None


class Auth(msgspec.Struct, frozen=True):
    """Auth."""

    url: str


class Control(msgspec.Struct, frozen=True):
    """The control port of a simulated landscape."""

    url: str


class User(msgspec.Struct, frozen=True):
    """A user who may upload: the first one does. A `token` is taken as it is; else Auth is asked for one."""

    email: str = ""
    password: str = ""
    id: str = ""
    token: str | None = None


class Client(msgspec.Struct, frozen=True):
    """A client of Auth: the first is Phraseanet's, the second the users' front end."""

    client_id: str
    client_secret: str


class Landscape(msgspec.Struct, frozen=True):
    """What of it a load run needs; what is not there is not called. Further keys are passed over."""

    profile: Literal["documented", "deployed"] = "documented"
    mode: Literal["push", "pull", "both", "off"] = "push"
    upload: Upload | None = None
    phraseanet: Phraseanet | None = None
    auth: Auth | None = None
    control: Control | None = None
    users: tuple[User, ...] = ()
    clients: tuple[Client, ...] = ()


def read_landscapes(path: Path) -> tuple[Landscape, ...]:
    """One landscape, or one in each line as several shards print them.

    Raises `LandscapeError`; `OSError` where the file cannot be read.
    """
    content = path.read_bytes()
    with suppress(msgspec.DecodeError):
        if isinstance(msgspec.json.decode(content), dict):
            return (_landscape(content, str(path)),)  # One, in as many lines as whoever wrote it liked.
    lines = [line for line in content.splitlines() if line.strip()]
    if not lines:
        raise LandscapeError(f"{path}: the file is empty; write into it what phrasim serve --print json prints")
    read = tuple(_landscape(line, f"{path}:{number}") for number, line in enumerate(lines, 1))
    if len({(one.profile, one.mode) for one in read}) > 1:
        raise LandscapeError(f"{path}: the landscapes have several profiles or modes; a load run has one of each")
    return read


def _landscape(line: bytes, place: str) -> Landscape:
    try:
        return msgspec.json.decode(line, type=Landscape)
    except msgspec.DecodeError as error:
        raise LandscapeError(
            f"{place}: this is no landscape as phrasim serve --print json prints it: {error}"
        ) from error
