"""`phrasim run`: play scenarios and judge them."""

import gc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phrasim.cli import options
from phrasim.cli.options import Options

if TYPE_CHECKING:
    from phrasim.cli.wires import Player
    from phrasim.documents import DocumentError
    from phrasim.scenario.events import Outcome
    from phrasim.scenario.model import Scenario
    from phrasim.scenario.runner import Play

_HELP = """Play scenarios and judge what they expect.

SCENARIO is a YAML file, a folder (every scenario in it and below), or the name of a scenario that comes with phrasim.

\b
Examples:
  phrasim run scenarios/push.yaml
  phrasim run pull --asset photo.jpg --asset notes.pdf --trace pull.jsonl
  phrasim run scenarios/ --trace traces/ --junit report.xml
  phrasim run push --html push.html
  phrasim run scenarios/ --wire loopback
  phrasim run push --profile deployed
  phrasim run push --upload https://upload.example --auth-port 8083 --phraseanet-port 8082 --seed-data users.yaml
  phrasim run scenarios/ --broker amqp://guest:guest@127.0.0.1/phrasim

With --wire loopback the participants speak over real sockets, in real time. A real participant (--upload, --phraseanet,
--auth, --broker) implies it: docs/real-participants.md tells what to set up. What cannot be seen then is unobserved:
neither held nor broken. The options from --ca on have a meaning on that wire only.

Exit code: 0 every expectation held, 1 one did not, 2 a scenario or the call is wrong, 130 interrupted.
"""


_OPTIONS = {"trace": "--trace", "page": "--html"}
"""By what is written of each scenario, the option that asks for it."""

Targets = Mapping[str, Mapping[str, Path]]
"""Where what is written goes: by what it is, trace or page, and by the scenario's file."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run", help=_HELP)(run)


def run(
    scenarios: Annotated[list[Path], typer.Argument(metavar="SCENARIO...", show_default=False)],
    asset: Annotated[
        list[Path] | None,
        typer.Option("--asset", metavar="PATH", help="A file of yours in the place of the scenario's; repeatable."),
    ] = None,
    profile: options.ProfileOption = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="What all chance is drawn from.")] = 1,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write the trace here; a folder for several scenarios."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page of the run here; a folder for several scenarios."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the verdicts as JUnit XML.")
    ] = None,
    show_tokens: Annotated[
        bool, typer.Option("--show-tokens", help="Write tokens and passwords to the trace as they are.")
    ] = False,
    wire: Annotated[
        Literal["in-process", "loopback"] | None,
        typer.Option(
            "--wire",
            help="How participants reach each other: as functions, or over sockets; in-process if none is said.",
            show_default=False,
        ),
    ] = None,
    upload: options.Upload = None,
    phraseanet: options.Phraseanet = None,
    auth: options.Auth = None,
    broker: options.Broker = None,
    ca: options.Ca = None,
    insecure: options.Insecure = False,
    credential: options.Credential = None,
    upload_port: options.UploadPort = 0,
    phraseanet_port: options.PhraseanetPort = 0,
    auth_port: options.AuthPort = 0,
    amqp_port: options.AmqpPort = None,
    host: options.Host = "127.0.0.1",
    public_url: options.PublicUrl = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    seed_data: options.SeedFile = None,
) -> None:
    """Play scenarios."""
    from phrasim.cli.output import check_target, fail, write_file
    from phrasim.cli.wires import chosen_wire, playable, player_on
    from phrasim.scenario.files import FileError, user_files
    from phrasim.scenario.loader import ScenarioError
    from phrasim.scenario.runner import Play, own_files

    participants = Options(
        ports={"upload": upload_port, "phraseanet": phraseanet_port, "auth": auth_port},
        amqp_port=amqp_port,
        host=host,
        public_url=public_url or (),
        tls_cert=tls_cert,
        tls_key=tls_key,
        seed_data=seed_data,
        urls={"upload": upload, "phraseanet": phraseanet, "auth": auth},
        broker=broker,
        ca=ca,
        insecure=insecure,
        credential=credential or (),
    )
    chosen = chosen_wire(wire, participants)
    try:
        loaded = _load(scenarios, profile)
        files = user_files(asset) if asset else None
        plays = [
            (one, Play(seed, files or own_files(one, seed), given=files is not None, show_tokens=show_tokens))
            for one in loaded
        ]
    except (ScenarioError, FileError) as error:
        fail(str(error))
    several = len(loaded) > 1 or any(path.is_dir() for path in scenarios)
    if junit is not None:
        check_target("the JUnit file", junit)
    targets = {
        "trace": _target_paths(loaded, "trace", trace, ".jsonl", several=several),
        "page": _target_paths(loaded, "page", html, ".html", several=several),
    }
    _check_apart(plays, targets, junit)
    if several:
        _make_folders(targets)
    plays = playable(plays, chosen, participants, several=several)
    player = player_on(chosen, participants, plays)
    gc.enable()
    outcomes = _play_several(plays, player, targets) if several else [_play_one(*plays[0], player, targets)]
    if junit is not None:
        from phrasim.report.junit import junit_xml

        write_file(junit, junit_xml(outcomes))
    raise typer.Exit(0 if all(outcome.held for outcome in outcomes) else 1)


def _load(paths: Sequence[Path], profile: str | None) -> "list[Scenario]":
    """The scenarios that the arguments name, those of a profile if one is asked for.

    Everything is read before anything runs.
    """
    from phrasim.cli.output import fail
    from phrasim.documents import scenarios_of
    from phrasim.documents.contract import CONTRACTS
    from phrasim.documents.nearest import meant
    from phrasim.scenario.loader import ScenarioError, load_scenario

    own = profile or "documented"
    found: dict[Path, Path] = {}
    for path in paths:
        every = {name: scenarios_of(name) / f"{path}.yaml" for name in CONTRACTS}
        shipped = every[own]
        if path.is_dir():
            inside = sorted(one for one in (*path.rglob("*.yaml"), *path.rglob("*.yml")) if one.is_file())
            if not inside:
                fail(f"looking for scenarios in the folder {str(path)!r}: there is no .yaml file in it or below")
            found.update((one.resolve(), one) for one in inside)
        elif path.exists():
            found[path.resolve()] = path
        elif not path.is_absolute() and ".." not in path.parts and shipped.is_file():
            found[shipped.resolve()] = shipped
        else:
            names = sorted(file.stem for file in shipped.parent.glob("*.yaml"))
            close = meant(path.name, names)
            hint = f"phrasim comes with {', '.join(names)}" if close is None else f"did you mean {close!r}?"
            others = [name for name, file in every.items() if name != own and file.is_file()]
            if others:
                hint = f"there is one in the other profile: add --profile {others[0]}"
            fail(f"there is no file or folder {str(path)!r}, and no scenario of that name; {hint}")
    loaded: list[Scenario] = []
    problems: list[DocumentError] = []
    for path in found.values():
        try:
            loaded.append(load_scenario(path))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    chosen = [one for one in loaded if profile in (None, one.profile)]
    if not chosen:
        named = ", ".join(sorted({one.profile for one in loaded}))
        fail(f"--profile {profile}: what is named are scenarios of the profile {named}")
    return chosen


def _target_paths(
    loaded: "Sequence[Scenario]", what: str, target: Path | None, suffix: str, *, several: bool
) -> dict[str, Path]:
    """Where what is written of each scenario goes, its trace or its page, by the scenario's file."""
    from phrasim.cli.output import check_target, fail

    if target is None:
        return {}
    if not several:
        if target.is_dir():
            return {loaded[0].file: target / f"{loaded[0].name}{suffix}"}
        check_target(f"the {what}", target)
        return {loaded[0].file: target}
    if not target.is_dir() and (target.exists() or target.suffix):
        option = _OPTIONS[what]
        fail(f"{option} {str(target)!r} is a file; for several scenarios it takes a folder, for a file each")
    names = [scenario.name for scenario in loaded]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        fail(f"two scenarios are named {repeated[0]!r}, so their {what}s would have one name")
    return {scenario.file: target / f"{scenario.name}{suffix}" for scenario in loaded}


def _make_folders(targets: Targets) -> None:
    """Make the folders that the traces and the pages of several scenarios go to."""
    from phrasim.cli.output import fail

    for what, paths in targets.items():
        for folder in {path.parent for path in paths.values()}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                fail(f"making the folder {str(folder)!r} for the {what}s: {error.strerror}")


def _play_one(scenario: "Scenario", play: "Play", player: "Player", targets: Targets) -> "Outcome":
    """Play a scenario and print it as it goes."""
    from phrasim.cli.output import print_line
    from phrasim.report.terminal import RunReport

    outcome = player(scenario, play, RunReport(print_line))
    _write(outcome, targets)
    return outcome


def _play_several(plays: "Sequence[tuple[Scenario, Play]]", player: "Player", targets: Targets) -> "list[Outcome]":
    """Play scenarios one after the other: a line each, what it leaves unproved, and why where one is broken."""
    from phrasim.cli.output import print_line, progress
    from phrasim.report.terminal import outcome_line, unproved_lines, verdict_lines

    outcomes: list[Outcome] = []
    with progress(len(plays)) as bar:
        for scenario, play in plays:
            bar.at(len(outcomes), scenario.name)
            outcome = player(scenario, play, lambda _: None)
            _write(outcome, targets)
            outcomes.append(outcome)
            print_line(*outcome_line(outcome))
            for text in unproved_lines(outcome):
                print_line("aside", f"            {text}")
            for verdict in outcome.verdicts:
                if verdict.judgement == "broken":
                    for line in verdict_lines(verdict):
                        print_line(*line)
    held = sum(outcome.held for outcome in outcomes)
    print_line("good" if held == len(outcomes) else "bad", f"{held} of {len(outcomes)} scenarios held")
    return outcomes


def _check_apart(plays: "Sequence[tuple[Scenario, Play]]", written: Targets, junit: Path | None) -> None:
    """Exit 2 where what is to be written would take the place of what the run reads, or of what else it writes."""
    from phrasim.cli.output import fail

    taken = [("a scenario of this run", Path(scenario.file)) for scenario, _ in plays]
    for _, play in plays:
        taken += [("a file of this run", file.path) for file in play.files or () if file.path is not None]
    places = {os.path.realpath(path): (what, path) for what, path in taken}
    targets = [(f"the {what}", path) for what, paths in written.items() for path in paths.values()]
    targets += [] if junit is None else [("the JUnit file", junit)]
    for what, path in targets:
        place = os.path.realpath(path)
        if place in places:
            other, found = places[place]
            fail(f"writing {what} {str(path)!r}: {str(found)!r} is {other}; name another file")
        places[place] = (what, path)


def _write(outcome: "Outcome", targets: Targets) -> None:
    """Write the trace and the page of a run, as far as they are asked for."""
    from phrasim.cli.output import write_file
    from phrasim.documents import secret_fields
    from phrasim.journal.lines import trace_bytes

    file = outcome.scenario.file
    if file in targets["trace"]:
        write_file(targets["trace"][file], trace_bytes(outcome.header, outcome.events, secret_fields()))
    if file in targets["page"]:
        from phrasim.report.html.run_page import run_page
        from phrasim.report.html.runs import run_of_outcome

        write_file(targets["page"][file], run_page(run_of_outcome(outcome)))
