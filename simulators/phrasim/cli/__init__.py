"""The command `phrasim`: one module for each verb, each loading what it needs only when it is called."""

import gc
import io
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from phrasim.cli import conform, diagram, diff, docs, load, replay, report, run, serve, verify
from phrasim.cli.output import fail

app = typer.Typer(
    name="phrasim",
    help="Simulate and verify the hand-off of uploaded media to Phraseanet.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (run, serve, verify, load, report, replay, diagram, conform, diff, docs):
    verb.register(app)


@app.callback(invoke_without_command=True)
def phrasim(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    """Simulate and verify the hand-off of uploaded media to Phraseanet."""
    if version:
        from phrasim import __version__

        typer.echo(f"phrasim {__version__}")
        raise typer.Exit


def main() -> None:
    """The console script. Exit 0 held, 1 not held, 2 where the call or what it names is wrong.

    An interrupted command ends with 128 and the signal's number: 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM.
    """
    if sys.stdout is None:
        fail("standard output is closed; send it to /dev/null where nobody is to read it")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding shows an escape, and ends no run
    # What it logs of a broker that is gone is told by errors and notes, in words for people.
    logging.getLogger("aiormq").addHandler(logging.NullHandler())
    # What a command loads stays; to look for garbage in it is a fifth of its start. Who plays or serves enables it.
    gc.disable()
    try:
        with _ended_by_signals():
            app()
    except OSError as error:
        fail(f"{error.filename or 'writing to standard output'}: {error.strerror or error}")
    finally:
        gc.enable()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end the command as Ctrl-C does, by an exception, so that nothing is left behind.

    A signal that the caller has set to be ignored, as `nohup` does, stays ignored.
    """
    known = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    numbers = [number for number in known if number is not None and signal.getsignal(number) == signal.SIG_DFL]
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)  # a second signal must not interrupt the clearing up
        interrupt = signal.getsignal(signal.SIGINT)
        if callable(interrupt):
            interrupt(number, frame)  # that of asyncio's runner, while it runs, lets its tasks end in order
            return
        logging.getLogger("asyncio").disabled = True  # it would show the exit as a traceback of the task it strikes
        sys.exit()

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        if received:
            sys.exit(128 + received[0])
