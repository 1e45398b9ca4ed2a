"""Short files side by side in few files on disk: to make one for each would take longer than all else about it.

ext4 passes over each inode that was deleted lately when it makes a file (`recently_deleted`), and a service that
forgets what was handed over deletes as many as it makes.
"""

import os
from collections.abc import Callable
from pathlib import Path

SEGMENT_BYTES_MAX = 8 * 1024 * 1024
"""How long a segment may be. It keeps its place on disk until the last of its files is deleted."""


class Segments:
    """Segments in `folder`, each a file of a name that `new_name` gives, filled one after the other.

    A byte that somebody may read is never written again, and no descriptor is open between two calls.
    """

    def __init__(self, folder: Path, new_name: Callable[[], str]) -> None:
        self._folder = folder
        self._new_name = new_name
        self._living: dict[str, set[int]] = {}
        """By the names of the segments: where their files begin."""
        self._name: str | None = None
        """The segment that is not full yet, if there is one."""
        self._end = 0
        """Where it goes on."""

    def append(self, content: bytes | bytearray) -> tuple[str, int]:
        """Write a content; in which segment it lies, and from which byte on.

        Raises OSError where the disk does not take it, and then leaves nothing behind.
        """
        # An empty one takes a byte, too, so that no two begin at the same.
        length = len(content) or 1
        if self._name is None or self._end + length > SEGMENT_BYTES_MAX:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._name, self._end = self._new_name(), 0
        try:
            self._write(self._name, content)
        except BaseException:
            self._remove_if_dead(self._name)
            raise
        begin = self._end
        self._living.setdefault(self._name, set()).add(begin)
        self._end += length
        return self._name, begin

    def holds(self, name: str, begin: int) -> bool:
        """Whether a content that begins there is not deleted yet."""
        return begin in self._living.get(name, ())

    def delete(self, name: str, begin: int) -> None:
        """Delete a content; one that is gone already is no error."""
        if self.holds(name, begin):
            self._living[name].remove(begin)
            self._remove_if_dead(name)

    def _write(self, name: str, content: bytes | bytearray) -> None:
        is_new = os.O_CREAT | os.O_EXCL if self._end == 0 else 0
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CLOEXEC | is_new, 0o666)
        try:
            written = 0
            while written < len(content):
                written += os.pwrite(descriptor, memoryview(content)[written:], self._end + written)
        finally:
            os.close(descriptor)

    def _remove_if_dead(self, name: str) -> None:
        """Remove a segment of which nothing is left; whoever has it open reads on."""
        if not self._living.get(name):
            self._living.pop(name, None)
            (self._folder / name).unlink(missing_ok=True)
            if name == self._name:
                self._name = None
