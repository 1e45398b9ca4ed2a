"""The contents of files that a load run uploads: of any size, never in memory as a whole, no two the same."""

import hashlib
from dataclasses import dataclass

BLOCK_BYTES = 256 * 1024
_BLOCK = bytes(range(251)) * (BLOCK_BYTES // 251 + 1)
"""251 is prime, so that a block which is shifted by less is another one."""


@dataclass(frozen=True, slots=True)
class Content:
    """`size` bytes that begin with `name` as far as it fits."""

    name: str
    size: int

    def part(self, start: int, length: int) -> bytes:
        """The bytes from `start`, at most `length` of them and at most BLOCK_BYTES; none at the end."""
        head = self.name.encode()[: self.size]
        end = min(start + min(length, BLOCK_BYTES), self.size)
        if start < len(head):
            return head[start:end]
        offset = (start - len(head)) % 251
        return _BLOCK[offset : offset + max(0, end - start)]

    def sha256(self) -> str:
        """The digest of all of it, in hexadecimal digits."""
        digest, start = hashlib.sha256(), 0
        while part := self.part(start, BLOCK_BYTES):
            digest.update(part)
            start += len(part)
        return digest.hexdigest()
