"""The files of a run: the scenario's own, made ones, or the user's; each known by name, size and SHA-256."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from phrasim.journal.events import File
from phrasim.scenario.model import GivenFile
from phrasim.testbed.content import MadeContent, parts_of


class FileError(ValueError):
    """A file of the run that cannot be used; the message says which, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file that the user uploads. Its content comes from `path`, or is made again from `seed` each time."""

    name: str
    size: int
    sha256: str
    path: Path | None
    made: MadeContent | None

    def parts(self) -> Iterator[bytes]:
        """The content, part by part."""
        if self.made is not None:
            yield from self.made.parts()
            return
        assert self.path is not None
        yield from parts_of(self.path)

    @property
    def recorded(self) -> File:
        """How the file stands in a trace."""
        return File(name=self.name, size=self.size, sha256=self.sha256)


def scenario_files(given: Sequence[GivenFile], folders: Sequence[Path], seed: int) -> tuple[RunFile, ...]:
    """The files that a scenario gives; a path is looked for in each of `folders`. Raises `FileError`."""
    return tuple(_scenario_file(file, folders, seed) for file in given)


def recorded_files(
    given: Sequence[GivenFile], folders: Sequence[Path], seed: int, recorded: Sequence[File]
) -> tuple[RunFile, ...]:
    """The files that a scenario gives, each from the first of `folders` that holds it as it was recorded.

    Raises `FileError` where a file is nowhere, or is another one in every place. A file whose name is not among the
    `recorded` ones, and a made one, is as `scenario_files` gives it.
    """
    wanted = {file.name: file for file in recorded}
    return tuple(
        _scenario_file(file, folders, seed)
        if file.path is None or file.name not in wanted
        else _recorded_file(file.path, folders, wanted[file.name])
        for file in given
    )


def user_files(paths: Sequence[Path]) -> tuple[RunFile, ...]:
    """The user's own files, under their own names. Raises `FileError` for one that is missing, empty or no file."""
    files = tuple(_on_disk(path.name, path) for path in paths)
    names = [file.name for file in files]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise FileError(f"two files are named {repeated[0]!r}; the files of a run are told apart by their names")
    return files


def _scenario_file(file: GivenFile, folders: Sequence[Path], seed: int) -> RunFile:
    if file.path is None:
        made = MadeContent(f"{seed}/file/{file.name}", file.size, file.mime_type)
        return RunFile(file.name, file.size, _digest(made.parts())[1], None, made)
    for folder in folders:
        if (folder / file.path).is_file():
            return _on_disk(file.name, folder / file.path)
    raise _nowhere(file.name, file.path, folders)


def _recorded_file(path: str, folders: Sequence[Path], recorded: File) -> RunFile:
    found: list[str] = []
    for place in (folder / path for folder in folders):
        if not place.is_file():
            continue
        try:
            file = _on_disk(recorded.name, place)
        except FileError as error:
            found.append(str(error))
            continue
        if file.recorded == recorded:
            return file
        found.append(f"{str(place)!r} of {file.size} bytes, SHA-256 {file.sha256[:12]}…")
    if not found:
        raise _nowhere(recorded.name, path, folders)
    raise FileError(
        f"the file {recorded.name!r} differs: recorded {recorded.size} bytes, SHA-256 {recorded.sha256[:12]}…; "
        f"found {'; '.join(found)}"
    )


def _nowhere(name: str, path: str, folders: Sequence[Path]) -> FileError:
    looked = ", ".join(str(folder / path) for folder in folders)
    return FileError(f"the file {name!r} of the scenario is not there; looked for {looked}")


def _on_disk(name: str, path: Path) -> RunFile:
    if not path.is_file():
        raise FileError(f"{str(path)!r} is no file" if path.exists() else f"there is no file {str(path)!r}")
    try:
        size, sha256 = _digest(parts_of(path))
    except OSError as error:
        raise FileError(f"reading {str(path)!r}: {error.strerror}") from error
    if not _is_utf8(name):
        raise FileError(f"the name of {str(path)!r} is not UTF-8; no request and no trace can bear it")
    if size == 0:
        raise FileError(f"{str(path)!r} is empty, and the upload service refuses empty files")
    return RunFile(name, size, sha256, path, None)


def _is_utf8(name: str) -> bool:
    """Whether a file name was read without the stand-ins for foreign bytes (PEP 383)."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def _digest(parts: Iterator[bytes]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for part in parts:
        size += len(part)
        digest.update(part)
    return size, digest.hexdigest()
