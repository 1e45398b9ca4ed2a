"""`phrasim report`: a trace as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phrasim.journal.events import Header
    from phrasim.scenario.events import Verdict

_HELP = """Write a trace as a page: one file that any browser shows, and that asks for nothing else.

It shows the messages in lanes, each to be opened, how the commits walked the document's sequence, and the queues. A run
in one process is played again for the verdicts on what its scenario expects; of any other the trace does not tell them.

\b
Examples:
  phrasim run push --trace push.jsonl && phrasim report push.jsonl --out push.html
  phrasim serve --trace served.jsonl        # then, when it has ended:
  phrasim report served.jsonl --out served.html

Exit code: 0 the page is written, whatever it shows; 2 the trace or the call is wrong.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report", help=_HELP)(report)


def report(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the page goes.")],
    asset: Annotated[
        list[Path] | None,
        typer.Option("--asset", metavar="PATH", help="A file of the recorded run, to judge it again; repeatable."),
    ] = None,
) -> None:
    """Write the page of a trace."""
    import os

    from phrasim.cli.output import check_target, fail, print_line, write_file
    from phrasim.cli.trace import told_by
    from phrasim.report.html.run_page import run_page
    from phrasim.report.html.runs import run_of_trace

    check_target("the page", out)
    for what, path in (("the trace", trace), *(("a file of the run", path) for path in asset or ())):
        if os.path.realpath(out) == os.path.realpath(path):
            fail(f"writing the page {str(out)!r}: this is {what}; name another file")
    header, events = told_by(trace)
    verdicts, judged = _judged(header, trace, asset or [])
    page = run_page(run_of_trace(header, events, verdicts, judged, trace.parent))
    write_file(out, page)
    print_line("good", f"{out}: {len(events)} events, {len(page)} bytes")


def _judged(header: "Header", trace: Path, assets: list[Path]) -> "tuple[Sequence[Verdict], str]":
    """The verdicts on what the scenario of a trace expects, and where they come from; or why there are none."""
    from phrasim import __version__
    from phrasim.cli.replaying import NotPlayedAgain, played_again
    from phrasim.documents import DocumentError

    if not header.scenario:
        return (), "No scenario was played, so that nothing was expected."
    try:
        outcome, divergence = played_again(header, trace, assets, judged=True)
    except (NotPlayedAgain, DocumentError) as error:
        return (), f"Not judged here: {error}."
    if divergence is not None:
        made = "" if header.version == __version__ else f" The trace was made by phrasim {header.version}."
        return (), f"Not judged here: played again, the run is another one (phrasim replay says where).{made}"
    return outcome.verdicts, "Judged by playing the run again, which gave the same trace byte for byte."
