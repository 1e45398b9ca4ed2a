"""`phrasim diagram`: a trace as a sequence diagram."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_HELP = """Draw a trace as a sequence diagram.

\b
Examples:
  phrasim diagram push.jsonl
  phrasim diagram push.jsonl --format mermaid > push.mmd

Exit code: 0, or 2 where the trace cannot be read.
"""


class Format(StrEnum):
    """The notations of diagrams: the document's own, or Mermaid's."""

    text = "text"
    mermaid = "mermaid"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("diagram", help=_HELP)(diagram)


def diagram(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", show_default=False)],
    notation: Annotated[
        Format, typer.Option("--format", help="The document's own notation, or Mermaid.")
    ] = Format.text,
    commit: Annotated[
        str | None, typer.Option("--commit", metavar="ID", help="Only what is about this commit.")
    ] = None,
) -> None:
    """Draw a trace."""
    from phrasim.cli.output import fail, print_line
    from phrasim.cli.trace import commit_ids, told_by
    from phrasim.documents import contract
    from phrasim.journal.diagram import mermaid, text
    from phrasim.scenario.document import scenario_of

    header, events = told_by(trace)
    documents = contract(header.profile)
    if commit is not None and commit not in commit_ids(events, documents):
        fail(f"{trace} holds no commit {commit!r}; it holds {', '.join(commit_ids(events, documents)) or 'none'}")
    title = scenario_of(header).get("summary", "Upload request flow")
    print_line(
        "plain", (mermaid if notation is Format.mermaid else text)(events, documents, title, commit).rstrip("\n")
    )
