"""`phrasim conform`: hold a trace to a drawn sequence."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from phrasim.journal.document import Section
    from phrasim.journal.events import Header

_HELP = """Hold a trace to a sequence diagram of a Markdown document, arrow by arrow.

DOCUMENT has diagrams in fences: ```sequence, a fence that begins with `title`, or ```mermaid with a sequenceDiagram.

\b
Examples:
  phrasim conform docs/request-flow.md push.jsonl
  phrasim conform request_flow.md pull.jsonl --section "Flow Pull mode"

An arrow from one external participant to another is listed as unobserved, and counts neither way.

Exit code: 0 every arrow that could be seen was walked in its order, 1 one was not, 2 the document, the trace or the
call is wrong.
"""

_BLAMELESS = (" walked ", " unobserved ", "both ends are external")
"""What stands in the lines about arrows with which nothing is wrong."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("conform", help=_HELP)(conform)


def conform(
    document: Annotated[Path, typer.Argument(metavar="DOCUMENT", show_default=False)],
    trace: Annotated[Path, typer.Argument(metavar="TRACE", show_default=False)],
    section: Annotated[
        str | None,
        typer.Option(metavar="TITLE", help="The section whose diagram counts; else the one that the scenario names."),
    ] = None,
    commit: Annotated[str | None, typer.Option(metavar="ID", help="Only this commit of the trace.")] = None,
) -> None:
    """Hold a trace to a document."""
    from phrasim.cli.output import fail, print_line
    from phrasim.cli.trace import commit_ids, told_by
    from phrasim.documents import DocumentError, contract
    from phrasim.documents.yaml_text import read_text
    from phrasim.journal import conformance
    from phrasim.journal.account import account
    from phrasim.journal.document import sections

    header, events = told_by(trace)
    try:
        documents = contract(header.profile)
        if not document.exists():
            fail(f"there is no document {str(document)!r}")
        if document.is_dir():
            fail(f"the document {str(document)!r} is a folder; name a Markdown file")
        if commit is not None and commit not in commit_ids(events, documents):
            fail(f"{trace} holds no commit {commit!r}; it holds {', '.join(commit_ids(events, documents)) or 'none'}")
        found = _choose(sections(read_text(document), str(document)), section, header, document)
        verdicts = conformance.conform(found, events, documents, commit, frozenset(header.external))
    except DocumentError as error:
        fail(str(error))
    for verdict in verdicts:
        for line in account(verdict):
            right = verdict.conforms or any(words in line for words in _BLAMELESS)
            print_line("plain" if right else "bad", line)
    raise typer.Exit(0 if all(verdict.conforms for verdict in verdicts) else 1)


def _choose(found: "list[Section]", title: str | None, header: "Header", document: Path) -> "Section":
    """The section of that title, else the one that the trace's scenario names; exit 2 where it draws nothing."""
    from phrasim.cli.output import fail
    from phrasim.scenario.document import scenario_of

    drawing = [one for one in found if one.arrows is not None]
    known = ", ".join(repr(one.title) for one in drawing) or "none"
    if title is None:
        named = scenario_of(header).get("document", "").partition("#")[2]
        if not named:
            who = "the trace's scenario names no section" if header.scenario else "the trace is that of no scenario"
            fail(f"{who}; say --section with one of those that draw: {known}")
        chosen = [one for one in found if one.anchor == named]
        sought = f"#{named}, which the trace's scenario names"
    else:
        chosen = [one for one in found if title in (one.title, one.anchor)] or [
            one for one in found if one.title.casefold() == title.casefold()
        ]
        sought = repr(title)
    if not chosen:
        fail(f"{document} has no section {sought}; sections with a diagram: {known}")
    if chosen[0].arrows is None:
        fail(f"{document} draws nothing in its section {sought}; sections with a diagram: {known}")
    return chosen[0]
