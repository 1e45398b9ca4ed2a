"""What the verbs print with: styled lines on a terminal, plain ones elsewhere, errors on standard error."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

    from phrasim.report.terminal import Style

Show = Callable[[int, str], None]

_STYLES: "dict[Style, str]" = {"heading": "bold", "aside": "dim", "bad": "red", "good": "green"}


@cache
def _console() -> "Console | None":
    """The terminal that a person looks at; None where the output goes to a file or a pipe."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console  # 70 ms, which only a person at a terminal has to wait for

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_line(style: "Style", text: str) -> None:
    """Print a line, in colour on a terminal."""
    console = _console()
    if console is not None:
        console.print(text, style=_STYLES.get(style, ""))
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Whoever read the output has had enough, as `| head` does; the run goes on to its end and its files.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress(total: int) -> Iterator["Progress"]:
    """A bar that shows how far `total` pieces of work are, on a terminal; nothing elsewhere."""
    console = _console()
    if console is None:
        yield Progress(None)
        return
    from rich import progress as rich

    columns = (rich.MofNCompleteColumn(), rich.BarColumn(), rich.TextColumn("{task.description}"))
    with rich.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield Progress(lambda done, name: bar.update(task, completed=done, description=name))


class Progress:
    """How far a work is; `show` is None where nobody looks."""

    def __init__(self, show: Show | None) -> None:
        self._show = show

    def at(self, done: int, name: str) -> None:
        """So many pieces are done; `name` is the one that is begun."""
        if self._show is not None:
            self._show(done, name)


def warn(problem: str) -> None:
    """Say on standard error what a user should know, and go on."""
    print(f"phrasim: {problem}", file=sys.stderr, flush=True)


def fail(problem: str) -> NoReturn:
    """Say what is wrong with the call and end with exit code 2."""
    if sys.stdout is not None:  # it is None where the caller has closed it
        sys.stdout.flush()
    print(f"phrasim: {problem}", file=sys.stderr)
    sys.exit(2)


def check_target(what: str, path: Path) -> None:
    """Exit 2 where a file cannot come to be at `path`, before anything runs."""
    for folder in (path.parent, Path(os.path.realpath(path)).parent):
        if not folder.is_dir():
            fail(f"writing {what} {str(path)!r}: there is no folder {str(folder)!r}")
    if path.is_dir():
        fail(f"writing {what} {str(path)!r}: this is a folder; name a file")


def write_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; exit 2 where that is not possible."""
    from phrasim.journal.lines import write_trace

    try:
        write_trace(path, content)
    except OSError as error:
        fail(f"writing {str(path)!r}: {error.strerror}")
