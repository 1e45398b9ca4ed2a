"""`phrasim verify`: hold a participant, simulated or real, to the contract."""

import gc
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phrasim.cli import options
from phrasim.cli.options import Options

if TYPE_CHECKING:
    from phrasim.contract.finding import SuiteResult, Verification
    from phrasim.contract.inquiry import Asked
    from phrasim.contract.suites import Extent
    from phrasim.contract.verify import Verdicts
    from phrasim.testbed import ProfileName

_HELP = """Hold a participant to the contract: what it answers to whom, in which order, with which effect.

PARTICIPANT is upload, phraseanet, auth or broker. With --url it is a real one, and phrasim plays the others around it;
without, it is the simulated one, in this process.

\b
Examples:
  phrasim verify upload --url https://upload.example --phraseanet-port 8082 --auth-port 8083
  phrasim verify phraseanet --url https://phraseanet.example --upload-port 8081 --auth-port 8083 --mode pull
  phrasim verify auth --url https://auth.example --credential client.id=phraseanet --credential client.secret=secret
  phrasim verify broker --url amqp://guest:guest@127.0.0.1/phrasim
  phrasim verify upload --profile deployed --budget 15s --seed 7 --junit report.xml --har exchanges.har

docs/real-participants.md tells what to set up at a real one, and docs/ci.md how to do it in CI. What is made there is
told at the end; with --read-only nothing is made, and what needs that is left out. The same --seed asks the same, as
far as the time reaches; with --fixed it does not depend on the time.

Exit code: 0 kept, 1 broken, 2 it could not be judged, or the call is wrong, 130 interrupted.
"""

_WORKED_SECONDS_MIN = 0.1
"""Processor time below which nothing can be told of how busy the machine is: all was loaded already."""

_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|min|h)?")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", help=_HELP)(verify)


def verify(
    participant: Annotated[
        Literal["upload", "phraseanet", "auth", "broker"], typer.Argument(metavar="PARTICIPANT", show_default=False)
    ],
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Where the real one is; else the simulated one.", show_default=False),
    ] = None,
    profile: options.ProfileOption = None,
    mode: Annotated[
        Literal["push", "pull"],
        typer.Option("--mode", help="How the hand-off begins: the upload service notifies, or Phraseanet polls."),
    ] = "push",
    budget: Annotated[str, typer.Option("--budget", metavar="TIME", help="How long it may take.")] = "60s",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="What all chance is drawn from.")] = 1,
    fixed: Annotated[
        bool, typer.Option("--fixed", help="Try a fixed amount, the same on every machine, and no more.")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Make nothing at the participant; leave out what needs that.")
    ] = False,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write a report as JUnit XML.")] = None,
    har: Annotated[
        Path | None, typer.Option("--har", metavar="FILE", help="Write the last exchanges as HAR 1.2, without secrets.")
    ] = None,
    auth: options.Auth = None,
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
    """Hold a participant to the contract."""
    from phrasim.cli.output import check_target, fail

    began, worked = time.monotonic(), time.process_time()
    try:
        import phrasim.contract.suites  # noqa: F401
    except ModuleNotFoundError as error:
        fail(f"verify needs {error.name}, which comes with the extra: pip install 'phrasim[verify]'")
    from phrasim.contract.inquiry import Asked
    from phrasim.contract.suites import Extent

    stretch = (time.monotonic() - began) / max(time.process_time() - worked, _WORKED_SECONDS_MIN)
    asked = Asked(seed=seed, budget=_seconds(budget), began=began, stretch=stretch, read_only=read_only)
    for what, path in (("the JUnit file", junit), ("the HAR file", har)):
        if path is not None:
            check_target(what, path)
    if junit is not None and har is not None and os.path.realpath(junit) == os.path.realpath(har):
        fail(f"--junit and --har both name {str(har)!r}; name two files")
    given = Options(
        ports={"upload": upload_port, "phraseanet": phraseanet_port, "auth": auth_port},
        amqp_port=amqp_port,
        host=host,
        public_url=public_url or (),
        tls_cert=tls_cert,
        tls_key=tls_key,
        seed_data=seed_data,
        urls={} if participant == "broker" else {"auth": auth, participant: url},
        broker=url if participant == "broker" else None,
        ca=ca,
        insecure=insecure,
        credential=credential or (),
    )
    extent = Extent(fills_time=not fixed, is_real=url is not None, notifies=mode == "push")
    gc.enable()  # what the suites leave behind would else be taken apart at the end, when no time is left for it
    verification = _verified(participant, url, profile or "documented", asked, extent, given)
    _report(verification, junit, har)
    raise typer.Exit(verification.exit_code)


def _verified(
    participant: Literal["upload", "phraseanet", "auth", "broker"],
    url: str | None,
    profile: "ProfileName",
    asked: "Asked",
    extent: "Extent",
    given: Options,
) -> "Verification":
    from phrasim.cli.output import fail
    from phrasim.contract.finding import Verification
    from phrasim.journal.events import Participant

    preflight: list[str] = []
    shown = url
    if participant == "broker":
        named = _without_meaning(given, but=("--ca", "--insecure"))
        if named is not None:
            fail(f"{named} has no meaning for a broker, around which nobody is played")
        verdicts, shown = _broker(url, asked, extent, given)
    elif url is None:
        named = _without_meaning(given)
        if named is not None:
            fail(f"{named} has no meaning without --url, where nothing has a port; name a real {participant} by --url")
        verdicts = _simulated(participant, profile, asked, extent)
    else:
        others: dict[str, tuple[Participant, ...]] = {
            "upload": ("phraseanet", "auth"),
            "phraseanet": ("upload", "auth"),
        }
        wanted = others.get(participant, ())
        needed = [f"--{name}-port" for name in wanted if not given.ports[name] and not given.urls.get(name)]
        if needed:
            told = f"where phrasim plays the others: {' and '.join(needed)}"
            fail(f"--url: a real {participant} has to be told {told}; docs/real-participants.md says how")
        preflight, verdicts = _real(participant, profile, asked, extent, given)
    return Verification(
        participant=participant,
        profile=profile,
        url=shown,
        seed=asked.seed,
        asked=shlex.join(_options(sys.argv[1:])),
        suites=tuple(verdicts.suites),
        preflight=tuple(preflight),
        created=tuple(verdicts.made.told()) if extent.is_real else (),
        exchanges=tuple(verdicts.exchanges),
        answers=dict(verdicts.answers),
    )


def _options(written: list[str]) -> list[str]:
    """The options of a command line, without the verb, the participant and the URL, which are told by themselves.

    Nor are the files of reports named, which the same command would write anew.
    """
    kept: list[str] = []
    skipped = False
    for word in written:
        if word.partition("=")[0] not in ("--url", "--junit", "--har") and not skipped:
            kept.append(word)
        skipped = word in ("--url", "--junit", "--har")
    return [word for word in kept if word not in ("verify", "upload", "phraseanet", "auth", "broker")]


def _simulated(
    participant: Literal["upload", "phraseanet", "auth"], profile: "ProfileName", asked: "Asked", extent: "Extent"
) -> "Verdicts":
    from phrasim.contract.verify import verify_simulated

    return verify_simulated(participant, profile, asked, extent, _told)


def _real(
    participant: Literal["upload", "phraseanet", "auth"],
    profile: "ProfileName",
    asked: "Asked",
    extent: "Extent",
    given: Options,
) -> "tuple[list[str], Verdicts]":
    from phrasim.broker.client import BrokerError
    from phrasim.cli.output import fail
    from phrasim.cli.serving import Serving
    from phrasim.contract.set_up import NotSetUp
    from phrasim.contract.verify import verify_real
    from phrasim.testbed import Setting
    from phrasim.testbed.seeding import SeedError

    serving = Serving(given, Setting(profile=profile, seed=asked.seed))
    if "auth" in given.external:
        serving.need(_AUTH_NEEDS)
    preflight = serving.reach(told=False)
    try:
        return preflight, verify_real(participant, serving.plan, serving.listeners, asked, extent, _told)
    except SeedError as error:
        fail(str(error))
    except NotSetUp as error:
        fail(f"{participant} cannot be judged: {error}")
    except BrokerError as error:
        fail(f"broker: {error}")


def _broker(url: str | None, asked: "Asked", extent: "Extent", given: Options) -> "tuple[Verdicts, str]":
    from phrasim.broker.amqp.url import BrokerUrlError, broker_url
    from phrasim.broker.client import BrokerError
    from phrasim.cli.output import fail
    from phrasim.contract.broker.verify import verify_broker
    from phrasim.contract.verify import Verdicts
    from phrasim.serve.tls import external_client_context

    if url is None:
        fail("verify broker takes --url amqp://USER:PASSWORD@HOST/VHOST; a simulated one is served by phrasim serve")
    try:
        where = broker_url(url)
        result = verify_broker(
            where,
            asked.seed,
            asked.budget if extent.fills_time else float("inf"),
            asked.read_only,
            tls=lambda: external_client_context(given.ca, given.insecure),
        )
    except (BrokerUrlError, BrokerError) as error:
        fail(f"broker: {str(error).removeprefix('broker: ')}")
    _told(result)
    return Verdicts(suites=[result]), where.shown


_AUTH_NEEDS = {
    "publisher.email": "by which the publisher logs in",
    "publisher.password": "by which the publisher logs in",
    "frontEnd.id": "by which users log in",
    "frontEnd.secret": "by which users log in",
    "client.id": "by which Phraseanet's client logs in",
    "client.secret": "by which Phraseanet's client logs in",
}


def _without_meaning(given: Options, but: Sequence[str] = ()) -> str | None:
    """The option that was given and says nothing of a participant around which nobody is played; none of `but`."""
    meant: dict[str, object] = {f"--{name}-port": port for name, port in given.ports.items()}
    meant |= {"--amqp-port": given.amqp_port, "--public-url": given.public_url, "--tls-cert": given.tls_cert}
    meant |= {"--tls-key": given.tls_key, "--seed-data": given.seed_data, "--host": given.host != "127.0.0.1"}
    meant |= {"--ca": given.ca, "--insecure": given.insecure, "--credential": given.credential}
    meant |= {"--auth": given.urls.get("auth")}
    named = [name for name, value in meant.items() if value and name not in but]
    return named[0] if named else None


def _told(result: "SuiteResult") -> None:
    """Say that a suite is done, to who waits at a terminal."""
    from phrasim.cli.output import print_line

    if sys.stdout.isatty():
        print_line("aside", f"{result.name}: {result.cases} cases in {result.seconds:.0f} s")


def _report(verification: "Verification", junit: Path | None, har: Path | None) -> None:
    from phrasim.cli.output import print_line, write_file
    from phrasim.report.github import annotations, summary
    from phrasim.report.har import har as har_json
    from phrasim.report.verification import verification_lines
    from phrasim.report.verification_junit import verification_junit

    for style, line in verification_lines(verification):
        print_line(style, line)
    if junit is not None:
        write_file(junit, verification_junit(verification))
    if har is not None:
        write_file(har, har_json(verification))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in annotations(verification):
            print_line("plain", line)
        target = os.environ.get("GITHUB_STEP_SUMMARY")
        if target:
            with Path(target).open("a", encoding="utf-8") as file:
                file.write(summary(verification))


def _seconds(written: str) -> float:
    from phrasim.cli.output import fail
    from phrasim.documents.quantity import seconds

    matched = _BUDGET.fullmatch(written)
    if matched is None or float(matched[1]) <= 0:
        fail(f"--budget {written!r}: write a time above 0, such as 60s, '500 ms' or 5min")
    return seconds(f"{matched[1]} {matched[2] or 's'}")
