"""The command `phrasim`: one module for each verb, each loading what it needs only when it is called."""

import io
import sys

import typer

from phrasim.cli import conform, diagram, replay, run
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
for verb in (run, replay, diagram, conform):
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
    """The console script. Exit 0 held, 1 not held, 2 where the call or what it names is wrong."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding shows an escape, and ends no run
    try:
        app()
    except OSError as error:
        fail(f"{error.filename or 'writing to standard output'}: {error.strerror or error}")
