"""Where uploaded files lie: written as they arrive, hashed on the way, and named by us, never by a client."""

import codecs
import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from phrasim.upload.stored_file import StoredFile

READ_BYTES = 256 * 1024
"""Bytes that are read from disk at a time."""

SNIFFED_BYTES = 4096
"""Bytes at the start of a file by which its media type is told."""


class IncomingFile:
    """A file on its way in; it becomes a stored one by `store`, or leaves nothing behind."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._hash = hashlib.sha256()
        self._head = b""

    def write(self, part: bytes) -> None:
        """The next part of the content."""
        if len(self._head) < SNIFFED_BYTES:
            self._head += part[: SNIFFED_BYTES - len(self._head)]
        self.size += len(part)
        self._hash.update(part)
        self._file.write(part)

    def flush(self) -> None:
        """Bring to disk what is still buffered."""
        self._file.flush()

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
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self._chance.getrandbits(128):032x}.partial"
        try:
            with path.open("wb") as file:
                yield IncomingFile(path, file)
        finally:
            path.unlink(missing_ok=True)

    def store(self, incoming: IncomingFile) -> StoredFile:
        """Give the file its place."""
        incoming.flush()
        key = incoming.path.stem
        incoming.path.rename(self.folder / key)
        return StoredFile(key, incoming.size, incoming.sha256, incoming.mime_type)

    def delete(self, file: StoredFile) -> None:
        """Delete a stored file; one that is gone already is no error (§2.6)."""
        (self.folder / file.key).unlink(missing_ok=True)

    def open(self, file: StoredFile) -> BinaryIO:
        """The content of a stored file; FileNotFoundError if it was deleted."""
        return (self.folder / file.key).open("rb")


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
