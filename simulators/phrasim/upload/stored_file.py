"""A file that storage holds, as a value: those who decide know no disk."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as storage has it: where (`key`), how long in bytes, its SHA-256, and what its content looks like."""

    key: str
    size: int
    sha256: str
    mime_type: str
