"""The credentials of external participants: from options, the environment or `phrasim.toml`, in this order.

A value is never printed: no message and no `repr` here shows one, nor anything that could be one by a slip, such as
what was written in an option that is not NAME=VALUE.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from phrasim.documents.nearest import nearest

FILE_NAME = "phrasim.toml"
"""The file of the working directory in which credentials may be written."""
_FILE_BYTES_MAX = 64 * 1024
"""Bytes that the file may have; eleven of them need some six hundred."""
_EXAMPLE = "publisher.email=somebody@example.org"


class CredentialsError(ValueError):
    """Credentials cannot be read: the message says where and what would be right, and shows no value."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What external participants are spoken to with; None was not given.

    A field `front_end_id` is known to users as `frontEnd.id`, in the environment as PHRASIM_FRONT_END_ID.
    """

    publisher_email: str | None = None
    publisher_password: str | None = None
    administrator_email: str | None = None
    administrator_password: str | None = None
    client_id: str | None = None
    """Phraseanet's client of Auth."""
    client_secret: str | None = None
    front_end_id: str | None = None
    front_end_secret: str | None = None
    phraseanet_token: str | None = None
    target_id: str | None = None
    """The target of a real upload service of the deployed profile; no secret."""
    target_slug: str | None = None

    def __repr__(self) -> str:
        """Which are given; never what they are."""
        return f"Credentials(given: {', '.join(name for name in NAMES if self.value(name) is not None) or 'none'})"

    def value(self, name: str) -> str | None:
        """The value of a dotted name; None when it was not given."""
        value: str | None = getattr(self, _FIELDS[name])
        return value


def environment_name(name: str) -> str:
    """The environment variable of a dotted name: PHRASIM_FRONT_END_ID of `frontEnd.id`."""
    return f"PHRASIM_{_FIELDS[name].upper()}"


def credentials_file(folder: Path) -> Path | None:
    """The file of `folder` that is read unless another is named; None if there is none."""
    file = folder / FILE_NAME
    return file if file.exists() else None


def read_credentials(options: Sequence[str], environ: Mapping[str, str], file: Path | None) -> Credentials:
    """What was given by options NAME=VALUE (of one name the last counts), by the environment and by `file`, if any.

    An environment variable that is empty counts as absent. Raises `CredentialsError`.
    """
    found = {} if file is None else _of_file(file)
    for name in NAMES:
        value = environ.get(environment_name(name))
        if value:
            found[name] = _usable(name, value, environment_name(name))
    for number, option in enumerate(options, start=1):
        place = "--credential" if len(options) == 1 else f"--credential number {number}"
        name, equals, value = option.partition("=")
        if not equals:
            raise CredentialsError(f"{place} has no '='; write NAME=VALUE, such as {_EXAMPLE}")
        if name not in _FIELDS:
            raise CredentialsError(f"{place}: what stands before '=' is no known name; {nearest(name, NAMES)}")
        found[name] = _usable(name, value, f"{place} ({name})")
    return Credentials(**{_FIELDS[name]: value for name, value in found.items()})


def missing(credentials: Credentials, needed: Mapping[str, str]) -> str | None:
    """What to tell a user of whose credentials some are absent; None when all are there.

    `needed` gives, for each dotted name, what it is needed for ("to ask auth for a token").
    """
    lines = [
        f"  {name} {purpose}: --credential {name}=VALUE, or {environment_name(name)} in the environment, "
        f"or [credentials.{section}] {key} in {FILE_NAME}"
        for name, purpose in needed.items()
        for section, _, key in (name.partition("."),)
        if credentials.value(name) is None
    ]
    return "\n".join(["credentials are missing:", *lines]) if lines else None


def _dotted(field: str) -> str:
    owner, _, key = field.rpartition("_")
    return f"{re.sub('_(.)', lambda letter: letter[1].upper(), owner)}.{key}"


_FIELDS: Mapping[str, str] = {_dotted(field.name): field.name for field in fields(Credentials)}
NAMES: tuple[str, ...] = tuple(_FIELDS)
"""The dotted names, as options and messages write them."""


def _of_file(file: Path) -> dict[str, str]:
    """The values in a file, by dotted name. Keys are shown in messages, values are not."""
    table = _table(file)
    for key in table:
        if key != "credentials":
            raise CredentialsError(f"{file}: {key!r} is not known at the top; write [credentials.…] sections")
    known: dict[str, list[str]] = {}
    for name in NAMES:
        section, _, key = name.partition(".")
        known.setdefault(section, []).append(key)
    found = {}
    for section, entries in _entries(file, "credentials", table.get("credentials", {})):
        if section not in known:
            raise CredentialsError(f"{file}: {section!r} is no section of [credentials]; {nearest(section, known)}")
        for key, value in _entries(file, f"credentials.{section}", entries):
            place = f"{file}: {key!r} in [credentials.{section}]"
            if key not in known[section]:
                raise CredentialsError(f"{place} is not known; {nearest(key, known[section])}")
            if not isinstance(value, str):
                raise CredentialsError(f"{place} is {_kind(value)}; write a string, in quotes")
            found[f"{section}.{key}"] = _usable(f"{section}.{key}", value, place)
    return found


def _table(file: Path) -> dict[str, Any]:
    """What stands in a TOML file. What its parser says is dropped: it quotes what it trips over."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CredentialsError(f"{file}: the credentials cannot be read: {error.strerror}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise CredentialsError(f"{file}: the file is longer than {_FILE_BYTES_MAX} bytes, too long for credentials")
    place, table = _parsed(content, file)
    if table is None:
        raise CredentialsError(f'{place}: this is no TOML of credentials; write KEY = "VALUE" in a section, in UTF-8')
    return table


def _parsed(content: bytes, file: Path) -> tuple[str, dict[str, Any] | None]:
    """What TOML says, or None and where it goes wrong.

    Nothing is raised from here, since an error would carry along the parser's, which holds the text.
    """
    try:
        text = content.decode()
        return str(file), tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line ([0-9]+), column [0-9]+\)$", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
    except (ValueError, RecursionError):
        # An integer of too many digits, or arrays in arrays without end; neither is told with its line.
        return str(file), None
    return f"{file}:{line}", None


def _entries(file: Path, name: str, value: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise CredentialsError(f"{file}: {name!r} is {_kind(value)}; write a section, such as [credentials.publisher]")
    return value.items()


def _usable(name: str, value: str, place: str) -> str:
    """`value`, if it can be sent. A line end in a token, say, would be refused later by who shows it in the refusal."""
    if not value:
        raise CredentialsError(f"{place}: the value is empty")
    if not value.isprintable():
        raise CredentialsError(f"{place}: the value holds a character that cannot be printed, such as a line end")
    if name.endswith(".token") and re.fullmatch("[!-~]+", value) is None:
        raise CredentialsError(f"{place}: a token is printable ASCII without spaces (RFC 6750, §2.1), and this is not")
    return value


def _kind(value: Any) -> str:
    """What kind of TOML value that is, in place of the value."""
    match value:
        case str():
            return "a string"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case dict():
            return "a table"
        case list():
            return "an array"
    return "a date or time"
