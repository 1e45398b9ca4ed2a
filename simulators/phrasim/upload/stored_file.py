"""A file that storage holds, as a value: those who decide know no disk."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as storage has it: where it lies, how long it is in bytes, its SHA-256, and what its content looks like.

    It lies in the file `key` of the storage's folder from byte `offset` on; short ones lie in one such file together.
    """

    key: str
    offset: int
    size: int
    sha256: str
    mime_type: str
