"""`phrasim docs`: the documentation as a site."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from phrasim.site.runs import Run

_HELP = """Build the documentation as a site that works without a server and without a network.

The site tells the protocol in both profiles, with the diagrams and verdicts of every scenario that comes with phrasim,
all played in the build; the reference of each service, of the messages and of this command; findings and guides.
Open index.html in its folder.

\b
Examples:
  phrasim docs
  phrasim docs --out build/site

It needs the extra: pip install 'phrasim[docs]'. A site that this command made is replaced; another folder that is not
empty is left alone.

Exit code: 0, 1 where a scenario did not hold, which its page tells, 2 where the site cannot be built; then the folder
is as it was.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("docs", help=_HELP)(docs)


def docs(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the site is written.")] = Path("site"),
) -> None:
    """Build the site."""
    from typer.core import TyperGroup

    from phrasim.cli.output import fail, print_line, progress
    from phrasim.site.build import SiteError, build, check_installed, check_out

    try:
        check_installed()
        check_out(out)
    except SiteError as error:
        fail(str(error))
    from phrasim.documents import DocumentError
    from phrasim.documents.store import installed_store
    from phrasim.scenario.files import FileError
    from phrasim.scenario.loader import ScenarioError
    from phrasim.site.contents import contents
    from phrasim.site.runs import play_shipped, shipped_scenarios

    root = context.find_root().command
    assert isinstance(root, TyperGroup)
    gc.enable()
    scenarios = list(shipped_scenarios())
    runs: list[Run] = []
    try:
        with progress(len(scenarios)) as bar:
            for file in scenarios:
                bar.at(len(runs), file)
                runs.append(play_shipped(file))
        build(contents(installed_store(), runs, root), out)
    except (SiteError, DocumentError, ScenarioError, FileError, LookupError) as error:
        fail(str(error))
    broken = [run.file for run in runs if not run.outcome.held]
    for file in broken:
        print_line("bad", f"{file}: broken")
    print_line("bad" if broken else "good", f"{len(runs) - len(broken)} of {len(runs)} scenarios held")
    print_line("plain", f"{out / 'index.html'}")
    raise typer.Exit(1 if broken else 0)
