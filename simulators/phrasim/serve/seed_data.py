"""Reads seed data, from a YAML file or from the JSON of the control API: `SeedData` of `openapi/control.yaml`."""

import base64
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from phrasim.documents import DocumentError, Location, Violation, load_with_lines
from phrasim.documents.placed import Problems
from phrasim.documents.quantity import made_size_problem, size_bytes
from phrasim.documents.specification import installed_schemas
from phrasim.documents.violations import pointer_of
from phrasim.documents.yaml_text import read_text
from phrasim.testbed.seed import SeedClient, SeedCommit, SeedData, SeedFile, SeedUser

_MADE_TYPE = "application/octet-stream"


class SeedDataError(ValueError):
    """Seed data that cannot be used; `problems` are all that is wrong with it, each with its place."""

    def __init__(self, problems: list[DocumentError] | list[Violation]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_seed_data(path: Path) -> SeedData:
    """The seed data in a YAML file, whose own folder the paths in it start from.

    Raises `SeedDataError`, whose problems have file and line, or OSError if the file cannot be read.
    """
    try:
        value, lines = load_with_lines(read_text(path), str(path))
    except DocumentError as error:
        raise SeedDataError([error]) from error
    problems = Problems(str(path), lines, "the seed data")
    problems.hold_to_json(value)
    if not problems.problems:
        for violation in installed_schemas().violations("control.yaml", "/components/schemas/SeedData", value):
            location = _location(value, violation.pointer)
            right = f"; {violation.right}" if violation.right else ""
            problems.add(location, f"{problems.place(location)}: {violation.message}{right}")
    if not problems.problems:
        for location, problem in _senseless(value, path.parent):
            problems.add(location, f"{problems.place(location)}: {problem}")
    if problems.problems:
        raise SeedDataError(problems.by_line())
    return _seed_data(value, path.parent)


def seed_data_of(value: Any) -> SeedData:
    """The seed data in a JSON value that the schema `SeedData` takes. Its files have no paths, but sizes or content.

    Raises `SeedDataError`, whose problems have JSON pointers, for what the schema says badly.
    """
    violations = [Violation(pointer_of(location), problem) for location, problem in _senseless(value, None)]
    if violations:
        raise SeedDataError(violations)
    return _seed_data(value, None)


def _senseless(value: Mapping[str, Any], folder: Path | None) -> Iterator[tuple[Location, str]]:
    """What a JSON Schema says badly of seed data, and where: what stands twice, and files that cannot be had."""
    yield from _repeated(value, "users", "email")
    yield from _repeated(value, "users", "id")
    yield from _repeated(value, "users", "token")
    yield from _repeated(value, "clients", "client_id")
    for index, commit in enumerate(value.get("commits", ())):
        for name, file in commit["files"].items():
            at = ("commits", index, "files", name)
            if not name:
                yield at, "a file has a name"
            if "mimeType" in file and "size" not in file:
                yield (*at, "mimeType"), "only a made file is given a type; that of any other is found in its content"
            key, problem = _file_problem(file, folder)
            if problem is not None:
                yield (*at, key), problem


def _repeated(value: Mapping[str, Any], kind: str, key: str) -> Iterator[tuple[Location, str]]:
    """Each place at which a value that names or opens one thing stands a second time; a token is not shown."""
    first: dict[str, int] = {}
    for index, item in enumerate(value.get(kind, ())):
        if key in item and first.setdefault(item[key], index) != index:
            shown = "this token" if key == "token" else repr(item[key])
            yield (kind, index, key), f"{shown} is that of {kind}.{first[item[key]]} already; write another"


def _file_problem(file: Mapping[str, Any], folder: Path | None) -> tuple[str, str | None]:
    """The key by which a file is had, and why it cannot be had so; None if it can."""
    if "path" in file:
        return "path", _path_problem(file["path"], folder)
    if "size" in file:
        too_large = made_size_problem(file["size"])
        empty = not too_large and size_bytes(file["size"]) == 0
        return "size", "a file has at least one byte; write 1 B or more" if empty else too_large
    try:
        _decoded(file["base64"])
    except ValueError as error:
        return "base64", f"this is not base64: {error}"
    return "base64", None


def _path_problem(written: str, folder: Path | None) -> str | None:
    if folder is None:
        return "a path has a meaning in a seed-data file only; send base64, or size for a file that is made"
    path = folder / written
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        return f"there is no file {str(path)!r} ({error}); a path starts from the folder of this seed data"
    if not stat.S_ISREG(found.st_mode):
        return f"{str(path)!r} is no file that can be copied; a path leads to a plain file"
    return None if found.st_size else f"the file {str(path)!r} is empty; a file has at least one byte"


def _decoded(written: str) -> bytes:
    return base64.b64decode(written, validate=True)


def _seed_data(value: Mapping[str, Any], folder: Path | None) -> SeedData:
    return SeedData(
        users=tuple(SeedUser(**_with_tuples(user)) for user in value.get("users", ())),
        clients=tuple(SeedClient(**_with_tuples(client)) for client in value.get("clients", ())),
        commits=tuple(
            SeedCommit(
                publisher=commit["publisher"],
                files=tuple(_file(name, file, folder) for name, file in commit["files"].items()),
                form_data=commit.get("formData", {}),
            )
            for commit in value.get("commits", ())
        ),
    )


def _with_tuples(value: Mapping[str, Any]) -> dict[str, Any]:
    """A user or a client, whose keys are the names of its fields, with its lists as tuples."""
    return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}


def _file(name: str, file: Mapping[str, Any], folder: Path | None) -> SeedFile:
    if "path" in file:
        assert folder is not None, "a path without a folder was refused"
        path = folder / file["path"]
        return SeedFile(name, path, path.stat().st_size, _MADE_TYPE)
    if "size" in file:
        return SeedFile(name, None, size_bytes(file["size"]), file.get("mimeType", _MADE_TYPE))
    content = _decoded(file["base64"])
    return SeedFile(name, None, len(content), _MADE_TYPE, content)


def _location(value: Any, pointer: str) -> Location:
    """The keys and indexes that a JSON pointer into a value is; its last key need not be there."""
    location: list[str | int] = []
    for token in pointer.split("/")[1:]:
        key: str | int = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            key = int(key)
            value = value[key]
        else:
            value = value.get(key)
        location.append(key)
    return tuple(location)
