"""Where uploaded files lie: written as they arrive, hashed on the way, and named by us, never by a client."""

import codecs
import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from phrasim.upload.stored_file import StoredFile

READ_BYTES = 512 * 1024
"""Bytes that are read from disk at a time: with fewer there are more turns, with more the memory is always new."""

HELD_BYTES_MAX = 128 * 1024
"""Bytes of a file that are held back until it is whole: making, writing and naming one at once costs the least."""

_BUFFER_BYTES = 16 * 1024
"""Bytes of a longer file that wait to be written; longer parts are written as they come."""

SNIFFED_BYTES = 4096
"""Bytes at the start of a file by which its media type is told."""


class IncomingFile:
    """A file on its way in, to be named `key`; it becomes a stored one by `Storage.store`, or leaves nothing behind."""

    def __init__(self, key: str, create: Callable[[str], BinaryIO]) -> None:
        self.key = key
        self.size = 0
        self.place: str | None = None
        """The name under which there is something of it on disk."""
        self._create = create
        self._held: list[bytes | bytearray] = []
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._head = b""

    def write(self, part: bytes | bytearray) -> None:
        """The next part of the content."""
        if len(self._head) < SNIFFED_BYTES:
            self._head += part[: SNIFFED_BYTES - len(self._head)]
        self.size += len(part)
        self._hash.update(part)
        self._held.append(part)
        if self.size > HELD_BYTES_MAX:
            self._bring_to_disk(f"{self.key}.partial")

    def finish(self) -> None:
        """Bring to disk what is not there yet: a content that was held back whole straight to its last name."""
        self._bring_to_disk(self.key)
        self.close()

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()

    def _bring_to_disk(self, name: str) -> None:
        """Write what is held back, to a new file of that name where there is none yet."""
        if self._file is None:
            self._file = self._create(name)
            self.place = name
        for part in self._held:
            self._file.write(part)
        self._held.clear()

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in lower-case hexadecimal."""
        return self._hash.hexdigest()

    @property
    def mime_type(self) -> str:
        """What the content looks like."""
        return sniffed(self._head, whole=self.size <= SNIFFED_BYTES)


class Storage:
    """Files in `folder`, side by side; their names are drawn from `chance`."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self._chance = chance

    @contextmanager
    def incoming(self) -> Iterator[IncomingFile]:
        """A new file to write; what `store` did not take is gone when the block ends."""
        incoming = IncomingFile(f"{self._chance.getrandbits(128):032x}", self._created)
        try:
            yield incoming
        finally:
            try:
                incoming.close()
            finally:
                if incoming.place is not None:
                    (self.folder / incoming.place).unlink(missing_ok=True)

    def _created(self, name: str) -> BinaryIO:
        path = self.folder / name
        try:
            return path.open("wb", _BUFFER_BYTES)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            return path.open("wb", _BUFFER_BYTES)

    def store(self, incoming: IncomingFile) -> StoredFile:
        """Give the file its place."""
        incoming.finish()
        if incoming.place is not None and incoming.place != incoming.key:
            (self.folder / incoming.place).rename(self.folder / incoming.key)
        incoming.place = None
        return StoredFile(incoming.key, incoming.size, incoming.sha256, incoming.mime_type)

    def delete(self, file: StoredFile) -> None:
        """Delete a stored file; one that is gone already is no error (§2.6)."""
        (self.folder / file.key).unlink(missing_ok=True)

    def open(self, file: StoredFile) -> BinaryIO:
        """The content of a stored file; FileNotFoundError if it was deleted."""
        return FileIO(f"{self.folder}/{file.key}")  # A Path of the file takes longer to make than this to open it.


@lru_cache(maxsize=256)
def sniffed(head: bytes, *, whole: bool) -> str:
    """The media type that a file's first bytes show; `whole` says that they are all of it.

    What puremagic does not know is `text/plain` if it reads as UTF-8, and `application/octet-stream` otherwise.
    """
    import puremagic  # a table of a thousand signatures, read when the first file comes

    try:
        return puremagic.from_string(head, mime=True) or "application/octet-stream"
    except (puremagic.PureError, ValueError):
        pass
    try:
        # A character that is cut by the end of the head is no sign of binary content.
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if b"\0" in head else "text/plain"
