"""A trace that is written while the run goes on, for one that nobody can hold in memory to its end."""

import errno
import os
import stat
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from phrasim.journal.events import Event, Header
from phrasim.journal.lines import LineWriter, is_standard_output

_MODE = 0o666
"""The permissions of a new file, before the process's mask, as `open` has them."""


class TraceStream:
    """Writes the header to the file at `path`, then the line of each event that it takes: a listener of a journal.

    Lines are gathered, and written when `schedule` calls back, as `loop.call_soon` does at the loop's next turn. What
    is there is emptied if it is a file and written to as it is if not: a device, a FIFO that somebody reads, whatever
    standard output goes to. A reader who pauses makes the whole process wait.

    When writing fails, `failed` is why, `on_failure` hears of it once, and nothing more is written; the run goes on,
    and a file ends with a whole line. Raises OSError where the file cannot be opened or takes not even the header.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        secret_fields: AbstractSet[str],
        schedule: Callable[[Callable[[], None]], object],
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._writer = LineWriter(header, secret_fields)
        self._schedule = schedule
        self._on_failure = on_failure
        self._lines: list[bytes] = []
        self._closed = False
        self.failed: OSError | None = None
        self._descriptor = _opened(path)
        try:
            _write_whole(self._descriptor, self._writer.header())
        except OSError:
            os.close(self._descriptor)
            raise

    def take(self, event: Event) -> None:
        """Write the event's line soon; not after a failure, nor when the stream is closed."""
        if self._closed:
            return
        self._lines.append(self._writer.line(event))
        if len(self._lines) == 1:
            self._schedule(self._write)

    def close(self) -> None:
        """Write what is left, and close the file; once is enough, and more does nothing."""
        self._write()
        if not self._closed:
            self._close()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            _write_whole(self._descriptor, b"".join(lines))
        except OSError as error:
            self._fail(error)

    def _close(self) -> None:
        self._closed = True
        try:
            os.close(self._descriptor)
        except OSError as error:  # A file system over a network may say only here that it has no room.
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.failed is not None:
            return
        self.failed = error
        if not self._closed:
            self._close()
        self._on_failure(error)


def _opened(path: Path) -> int:
    """The descriptor of the file at `path`; raises OSError where there is none to be had."""
    if is_standard_output(path):
        return os.dup(1)  # It shares the place in the file with what the process prints.
    try:
        # Without a reader the open of a FIFO would wait for one, and everything with it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, _MODE)
    except OSError as error:
        if error.errno == errno.ENXIO and path.is_fifo():
            raise OSError(errno.ENXIO, "nobody reads this FIFO; start its reader first", str(path)) from error
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def _write_whole(descriptor: int, lines: bytes) -> None:
    """Write whole lines; where that fails, what was written of the last one is taken off a file again."""
    written = 0
    try:
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
    except OSError:
        torn = written - (lines.rfind(b"\n", 0, written) + 1)
        if torn and stat.S_ISREG(os.fstat(descriptor).st_mode):
            with suppress(OSError):
                os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR) - torn)
        raise
