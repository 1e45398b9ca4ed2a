"""To play again what the first line of a trace says, and compare: for the verbs that read traces."""

import gc
from pathlib import Path

import msgspec

from phrasim.documents import scenarios_folder, secret_fields
from phrasim.journal.events import File, Header
from phrasim.journal.lines import trace_bytes
from phrasim.report.divergence import Divergence, first_divergence
from phrasim.scenario.events import Outcome
from phrasim.scenario.files import FileError, RunFile, recorded_files, user_files
from phrasim.scenario.loader import ScenarioError, parse_scenario
from phrasim.scenario.model import Scenario
from phrasim.scenario.runner import Play, play_in_process


class NotPlayedAgain(Exception):
    """The run of a trace cannot be played again; the message says why."""


def played_again(
    header: Header, trace: Path, assets: list[Path], *, judged: bool = False
) -> tuple[Outcome, Divergence | None]:
    """The run that the trace at `trace` was made of, once more; and the first place at which the traces part.

    `assets` are the files of a run that was made with the user's own. What is expected is judged if `judged` says so.
    Raises `NotPlayedAgain`.
    """
    if header.wire != "in-process":
        raise NotPlayedAgain(
            f"{trace}: the trace was made on the wire {header.wire!r}; only in-process runs can be repeated"
        )
    try:
        scenario = parse_scenario(header.scenario, f"the scenario in {trace}")
        files = _files(header, scenario, trace, assets)
    except (ScenarioError, FileError) as error:
        raise NotPlayedAgain(str(error)) from error
    play = Play(header.seed, files, header.given, show_tokens=header.tokens == "shown", judged=judged)
    gc.enable()
    outcome = play_in_process(scenario, play)
    recorded = trace.read_bytes().splitlines(keepends=True)
    again = trace_bytes(outcome.header, outcome.events, secret_fields()).splitlines(keepends=True)
    # Another version of phrasim, which line 1 holds, must not hide what else may differ.
    as_recorded = trace_bytes(msgspec.structs.replace(outcome.header, version=header.version), (), secret_fields())
    divergence = first_divergence(recorded, [as_recorded, *again[1:]]) or first_divergence(recorded, again)
    return outcome, divergence


def _files(header: Header, scenario: Scenario, trace: Path, assets: list[Path]) -> tuple[RunFile, ...]:
    """The files of the recorded run: the user's again, or the scenario's where they are the same as then."""
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


def _compare(recorded: tuple[File, ...], found: tuple[File, ...], trace: Path) -> None:
    """Raise `FileError` where the files are not those of the recorded run, in their order."""
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
