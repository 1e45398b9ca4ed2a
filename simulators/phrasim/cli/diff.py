"""`phrasim diff`: how two profiles differ."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from phrasim.documents.difference import Compared

_HELP = """Show how the contract of one profile differs from that of another, operation by operation.

The contracts are the documents in openapi/. What is only said to people in them, descriptions and examples, is not
compared. A line begins with - where only the first profile has it, with + where only the second has, with ~ where
both have and it differs.

\b
Examples:
  phrasim diff
  phrasim diff --service upload
  phrasim diff --operation commitAssets
  phrasim diff --json > differences.json

Exit code: 0 where the profiles could be compared, however much they differ, 2 where the call is wrong. This is a
report and no verdict.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("diff", help=_HELP)(diff)


def diff(
    before: Annotated[str, typer.Argument(metavar="PROFILE", help="The first profile.")] = "documented",
    after: Annotated[str, typer.Argument(metavar="PROFILE", help="The second profile.")] = "deployed",
    service: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only upload, phraseanet, auth, or the messages of Phraseanet's queues."),
    ] = None,
    operation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this operation, webhook or channel, by its name there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on one line, nothing cut.")] = False,
) -> None:
    """Compare two profiles."""
    from phrasim.cli.output import print_line
    from phrasim.documents.contract import CONTRACTS
    from phrasim.report.difference import difference_json, difference_lines

    for profile in (before, after):
        _hold_known("profile", profile, CONTRACTS)
    if service is not None:
        _hold_known("service", service, CONTRACTS[before])
    services = _compare(before, after, [service] if service is not None else list(CONTRACTS[before]))
    if operation is not None:
        names = dict.fromkeys(entry.name for entries in services.values() for entry in entries)
        _hold_known("operation", operation, names)
        chosen = {name: [entry for entry in entries if entry.name == operation] for name, entries in services.items()}
        services = {name: entries for name, entries in chosen.items() if entries}
    if as_json:
        print_line("plain", difference_json((before, after), services))
        return
    for style, text in difference_lines((before, after), services):
        print_line(style, text)


def _hold_known(kind: str, name: str, known: Iterable[str]) -> None:
    """End with exit code 2 where there is nothing of that name, and say what may have been meant."""
    from phrasim.cli.output import fail
    from phrasim.documents.nearest import nearest

    if name not in known:
        fail(f"there is no {kind} {name!r}; {nearest(name, known)}")


def _compare(before: str, after: str, services: Iterable[str]) -> "dict[str, list[Compared]]":
    """What the profiles say of those services, side by side."""
    from phrasim.documents.contract import CONTRACTS
    from phrasim.documents.difference import compared
    from phrasim.documents.stated import entries
    from phrasim.documents.store import installed_store

    store = installed_store()
    return {
        name: compared(entries(store, CONTRACTS[before][name]), entries(store, CONTRACTS[after][name]))
        for name in services
    }
