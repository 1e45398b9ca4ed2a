"""`phrasim replay`: run a trace again and compare."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from phrasim.journal.events import File, Header
    from phrasim.scenario.files import RunFile
    from phrasim.scenario.model import Scenario

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
    import msgspec

    from phrasim.cli.output import fail, print_line
    from phrasim.documents import secret_fields
    from phrasim.journal.lines import TraceError, read_trace, trace_bytes
    from phrasim.report.divergence import divergence_lines, first_divergence
    from phrasim.scenario.files import FileError
    from phrasim.scenario.loader import ScenarioError, parse_scenario
    from phrasim.scenario.runner import Play, play_in_process

    try:
        header, _ = read_trace(trace, ordered=False)
        if header.wire != "in-process":
            fail(f"{trace}: the trace was made on the wire {header.wire!r}; only in-process runs can be repeated")
        scenario = parse_scenario(header.scenario, f"the scenario in {trace}")
        files = _files(header, scenario, trace, asset or [])
        play = Play(header.seed, files, header.given, show_tokens=header.tokens == "shown", judged=False)
        gc.enable()
        outcome = play_in_process(scenario, play)
    except (TraceError, ScenarioError, FileError) as error:
        fail(str(error))
    recorded = trace.read_bytes().splitlines(keepends=True)
    again = trace_bytes(outcome.header, outcome.events, secret_fields()).splitlines(keepends=True)
    # Another version of phrasim, which line 1 holds, must not hide what else may differ.
    as_recorded = trace_bytes(msgspec.structs.replace(outcome.header, version=header.version), (), secret_fields())
    divergence = first_divergence(recorded, [as_recorded, *again[1:]]) or first_divergence(recorded, again)
    if header.version != outcome.header.version:
        print_line("aside", f"the trace was made by phrasim {header.version}, this is {outcome.header.version}")
    if divergence is None:
        print_line("good", f"{trace}: the same, {len(recorded)} lines")
        return
    print_line("bad", f"{trace}: diverges")
    for line in divergence_lines(divergence):
        print_line("plain", line)
    raise typer.Exit(1)


def _files(header: "Header", scenario: "Scenario", trace: Path, assets: list[Path]) -> "tuple[RunFile, ...]":
    """The files of the recorded run: the user's again, or the scenario's where they are the same as then."""
    from phrasim.documents import scenarios_folder
    from phrasim.scenario.files import FileError, recorded_files, user_files

    if header.given:
        files = user_files(assets)
    else:
        if assets:
            raise FileError(f"{trace}: the run was made with the scenario's own files; it takes no --asset")
        folders = list(dict.fromkeys((trace.parent, Path(), scenarios_folder())))
        try:
            files = recorded_files(scenario.given.files, folders, header.seed, header.files)
        except FileError as error:
            raise FileError(f"{trace}: {error}") from error
    _compare(header.files, tuple(file.recorded for file in files), trace)
    return files


def _compare(recorded: "tuple[File, ...]", found: "tuple[File, ...]", trace: Path) -> None:
    """Raise `FileError` where the files are not those of the recorded run, in their order."""
    from phrasim.scenario.files import FileError

    wanted = ", ".join(f"{file.name!r} ({file.size} bytes)" for file in recorded) or "none"
    if [file.name for file in recorded] != [file.name for file in found]:
        given = ", ".join(repr(file.name) for file in found) or "none"
        raise FileError(f"{trace}: the run was made with the files {wanted}, in this order; found {given}")
    for file, other in zip(recorded, found, strict=True):
        if file != other:
            raise FileError(
                f"{trace}: the file {file.name!r} differs: recorded {file.size} bytes, SHA-256 {file.sha256[:12]}…, "
                f"found {other.size} bytes, SHA-256 {other.sha256[:12]}…"
            )
