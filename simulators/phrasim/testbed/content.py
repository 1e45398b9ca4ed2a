"""The content of files, part by part: read from disk, or made from a seed where nobody has such a file."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PART_BYTES = 256 * 1024
"""Bytes that are read or made at a time."""

_BLOCK_BYTES = 64 * 1024
"""Bytes of a made file that are random; they repeat."""

_SIGNATURES = {
    "application/octet-stream": b"\x00phrasim made this file\x00",
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00",
    "text/plain": b"This file was made by phrasim.\n",
}


@dataclass(frozen=True, slots=True)
class MadeContent:
    """Content of `size` bytes that looks like `mime_type`: its signature, then a random block that repeats."""

    seed: str
    size: int
    mime_type: str

    def parts(self) -> Iterator[bytes]:
        """The content, part by part, the same for the same seed."""
        chance = random.Random(self.seed)
        block = chance.randbytes(_BLOCK_BYTES)
        if self.mime_type == "text/plain":
            block = block.hex().encode()
        part = _SIGNATURES[self.mime_type]
        left = self.size
        while left > 0:
            yield part[:left]
            left -= len(part)
            part = block


def parts_of(path: Path) -> Iterator[bytes]:
    """The content of the file at `path`. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield part
