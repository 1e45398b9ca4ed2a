"""`phrasim replay`: run a trace again and compare."""

from pathlib import Path
from typing import Annotated

import typer

_HELP = """Run again what the first line of a trace says, and compare byte for byte.

A trace that was made with your own files wants them again, by --asset.

\b
Examples:
  phrasim run push --trace push.jsonl && phrasim replay push.jsonl
  phrasim replay pull.jsonl --asset photo.jpg --asset notes.pdf

Exit code: 0 the same, 1 the traces diverge, 2 the trace or the call is wrong, 130 interrupted.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("replay", help=_HELP)(replay)


def replay(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", show_default=False)],
    asset: Annotated[
        list[Path] | None,
        typer.Option("--asset", metavar="PATH", help="A file of the recorded run; repeatable."),
    ] = None,
) -> None:
    """Run a trace again."""
    from phrasim.cli.output import fail, print_line
    from phrasim.cli.replaying import NotPlayedAgain, played_again
    from phrasim.journal.lines import TraceError, read_trace
    from phrasim.report.divergence import divergence_lines

    try:
        header, _ = read_trace(trace, ordered=False)
        outcome, divergence = played_again(header, trace, asset or [])
    except (TraceError, NotPlayedAgain) as error:
        fail(str(error))
    if header.version != outcome.header.version:
        print_line("aside", f"the trace was made by phrasim {header.version}, this is {outcome.header.version}")
    if divergence is None:
        print_line("good", f"{trace}: the same, {len(outcome.events) + 1} lines")
        return
    print_line("bad", f"{trace}: diverges")
    for line in divergence_lines(divergence):
        print_line("plain", line)
    raise typer.Exit(1)
