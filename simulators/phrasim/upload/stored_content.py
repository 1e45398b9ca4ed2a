"""The bytes of one stored file, though others may lie beside them in the same file on disk."""

import io
import os


class StoredContent(io.RawIOBase):
    """`size` bytes of an open file from byte `offset` on, to be read from position 0; closes its `descriptor`.

    What is deleted meanwhile can be read on. Who hands the descriptor to the system (`fileno`) counts from `offset`,
    and not from the descriptor's own position, which stays where it is.
    """

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        super().__init__()
        self.offset = offset
        self.size = size
        self._position = 0
        self._descriptor = descriptor

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """The descriptor of the file on disk."""
        return self._descriptor

    def tell(self) -> int:
        """Where it is read next, from 0."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Read on at that position; ValueError for one before the first byte."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"reading a stored file at {base + offset}: its first byte is at 0")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, `size` of them at most, all that are left if it is negative; none at the end."""
        left = max(0, self.size - self._position)
        part = os.pread(self._descriptor, left if size < 0 else min(size, left), self.offset + self._position)
        self._position += len(part)
        return part

    def readall(self) -> bytes:
        """What is left."""
        return b"".join(iter(self.read, b""))

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]
        """As `read`, into a buffer; how many bytes."""
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Read no more."""
        if not self.closed:
            os.close(self._descriptor)
            self._descriptor = -1  # another file may have its number soon
        super().close()
