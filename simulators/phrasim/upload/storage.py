"""Where uploaded files lie: written as they arrive, hashed on the way, and named by us, never by a client."""

import errno
import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Self

from phrasim.upload.media_type import SNIFFED_BYTES, sniffed
from phrasim.upload.segments import Segments
from phrasim.upload.stored_content import StoredContent
from phrasim.upload.stored_file import StoredFile

READ_BYTES = 512 * 1024
"""Bytes that are read from disk at a time: with fewer there are more turns, with more the memory is always new."""

HELD_BYTES_MAX = 128 * 1024
"""Bytes of a file that are held back until it is whole; a longer one is a file on disk of its own."""

_BUFFER_BYTES = 16 * 1024
"""Bytes of a longer file that wait to be written; longer parts are written as they come."""


class IncomingFile:
    """A file on its way in, for a block at whose end it is gone unless `Storage.store` has taken it."""

    def __init__(self, create: Callable[[], tuple[Path, BinaryIO]]) -> None:
        self.size = 0
        self.place: Path | None = None
        """Where there is something of it on disk."""
        self._create = create
        self._held: list[bytes | bytearray] = []
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._head = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self.close()
        finally:
            if self.place is not None:
                self.place.unlink(missing_ok=True)

    def write(self, part: bytes | bytearray) -> None:
        """The next part of the content."""
        if len(self._head) < SNIFFED_BYTES:
            self._head += part[: SNIFFED_BYTES - len(self._head)]
        self.size += len(part)
        self._hash.update(part)
        if self.size <= HELD_BYTES_MAX:
            self._held.append(part)
            return
        if self._file is None:
            self.place, self._file = self._create()
            self._file.write(self.held)
            self._held.clear()
        self._file.write(part)

    def close(self) -> None:
        """Write no more, and bring to disk what is not held back."""
        if self._file is not None:
            self._file.close()

    @property
    def held(self) -> bytes | bytearray:
        """The content of one that is held back whole."""
        return self._held[0] if len(self._held) == 1 else b"".join(self._held)

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in lower-case hexadecimal."""
        return self._hash.hexdigest()

    @property
    def mime_type(self) -> str:
        """What the content looks like."""
        return sniffed(self._head, whole=self.size <= SNIFFED_BYTES)


class Storage:
    """Files in `folder`, the short ones of them in segments; the names there are drawn from `chance`."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self._chance = chance
        self._segments = Segments(folder, self._new_name)

    def incoming(self) -> IncomingFile:
        """A new file to write."""
        return IncomingFile(self._created)

    def store(self, incoming: IncomingFile) -> StoredFile:
        """Give the file its place."""
        incoming.close()
        if incoming.place is None:
            key, offset = self._segments.append(incoming.held)
        else:
            key, offset = incoming.place.stem, 0
            incoming.place.rename(incoming.place.with_suffix(""))
            incoming.place = None
        return StoredFile(key, offset, incoming.size, incoming.sha256, incoming.mime_type)

    def delete(self, file: StoredFile) -> None:
        """Delete a stored file; one that is gone already is no error (§2.6)."""
        if _lies_in_a_segment(file):
            self._segments.delete(file.key, file.offset)
        else:
            (self.folder / file.key).unlink(missing_ok=True)

    def open(self, file: StoredFile) -> StoredContent:
        """The content of a stored file; FileNotFoundError if it was deleted."""
        if _lies_in_a_segment(file) and not self._segments.holds(file.key, file.offset):
            raise FileNotFoundError(errno.ENOENT, "this stored file was deleted", file.key)
        # A Path of the file takes longer to make than this to open it.
        descriptor = os.open(f"{self.folder}/{file.key}", os.O_RDONLY | os.O_CLOEXEC)
        return StoredContent(descriptor, file.offset, file.size)

    def _created(self) -> tuple[Path, BinaryIO]:
        """A new file for one that is too long to be held back, and where it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self._new_name()}.partial"
        return path, path.open("wb", _BUFFER_BYTES)

    def _new_name(self) -> str:
        return f"{self._chance.getrandbits(128):032x}"


def _lies_in_a_segment(file: StoredFile) -> bool:
    return file.size <= HELD_BYTES_MAX
