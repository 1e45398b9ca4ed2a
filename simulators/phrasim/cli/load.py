"""`phrasim load`: put hand-offs on services, simulated or real, and judge what became of them."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from phrasim.cli import options

_TARGET = ("target.id", "target.slug")
_NEEDED = {
    "publisher.email": "for the user who uploads",
    "publisher.password": "for the user who uploads",
    "frontEnd.id": "to ask the real Auth for that user's token",
    "frontEnd.secret": "to ask the real Auth for that user's token",
    "client.id": "by which Phraseanet is known to the real Auth",
    "client.secret": "by which Phraseanet is known to the real Auth",
}

_HELP = """Put load on the hand-off: users upload and commit, and every commit is followed to its acknowledgement.

Without URLs all services are simulated. With --upload a real upload service is loaded, and Phraseanet's side is played
here; with --phraseanet a real Phraseanet is told of commits that the simulated upload service has.

\b
Examples:
  phrasim load
  phrasim load --users 50 --rate 100 --duration 10m --retain 60s --slo slo.yaml --junit load.xml --html load.html
  phrasim load --scenario scenarios/pull.yaml --mode pull --interval 500ms --shape steps
  phrasim load --consume --sizes "p50=64 KiB,p90=1 MiB,p99=16 MiB" --assets 5
  phrasim load --shards 2 --processes 2 --users 100
  phrasim load --upload https://upload.example --consumer-host 0.0.0.0 --consumer-port 8082 --auth-port 8083
  phrasim load --phraseanet https://phraseanet.example --credential phraseanet.token=secret

docs/load.md tells what is measured, how objectives are written, and how several machines load one service.

Exit code: 0 kept, 1 an objective or the account is broken, 2 it could not be judged, or the call is wrong.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("load", help=_HELP)(load)


def load(
    profile: options.ProfileOption = None,
    mode: Annotated[
        Literal["push", "pull"],
        typer.Option("--mode", help="How a hand-off begins: the upload service notifies, or Phraseanet polls."),
    ] = "push",
    users: Annotated[
        int, typer.Option("--users", metavar="N", min=1, max=100_000, help="The most users at a time.")
    ] = 10,
    duration: Annotated[str, typer.Option("--duration", metavar="TIME", help="How long hand-offs are begun.")] = "60s",
    rate: Annotated[
        str,
        typer.Option("--rate", metavar="N", help="Hand-offs that all begin in a second; 0: no pause. Else one a user."),
    ] = "",
    shape: Annotated[
        Literal["soak", "ramp", "steps", "spike"], typer.Option("--shape", help="How many users there are at a time.")
    ] = "soak",
    assets: Annotated[str | None, typer.Option("--assets", metavar="N", help="Files of a commit; else 2.")] = None,
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", help="Of a file: one size, or percentiles such as p50=64 KiB,p99=4 MiB; else 64 KiB."),
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", metavar="FILE", help="Files and form data are those of this scenario.")
    ] = None,
    slo: Annotated[
        Path | None, typer.Option("--slo", metavar="FILE", help="Service-level objectives, in YAML.")
    ] = None,
    consume: Annotated[
        bool, typer.Option("--consume", help="Play Phraseanet's side here, not by the simulated Phraseanet.")
    ] = False,
    consumer_host: Annotated[
        str, typer.Option("--consumer-host", metavar="ADDRESS", help="Where notifications are taken.")
    ] = "127.0.0.1",
    consumer_port: Annotated[
        int, typer.Option("--consumer-port", metavar="PORT", help="The port there; 0 takes any free one.")
    ] = 0,
    interval: Annotated[str, typer.Option("--interval", metavar="TIME", help="Between two polls.")] = "1s",
    patience: Annotated[
        str, typer.Option("--patience", metavar="TIME", help="How long the last commits may take.")
    ] = "30s",
    retain: Annotated[
        str | None,
        typer.Option("--retain", metavar="TIME", help="The simulated ones forget what was acknowledged longer ago."),
    ] = None,
    shards: Annotated[
        int, typer.Option("--shards", metavar="N", min=1, max=64, help="So many simulated landscapes, a process each.")
    ] = 1,
    processes: Annotated[
        int, typer.Option("--processes", metavar="N", min=1, max=64, help="So many processes of Locust.")
    ] = 1,
    seed: Annotated[str, typer.Option("--seed", metavar="N", help="What sizes are drawn from.")] = "1",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Locust's report.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="PREFIX", help="Locust's tables, as CSV files.")] = None,
    result: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="All figures as JSON.")] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Objectives and account as JUnit XML.")
    ] = None,
    upload: options.Upload = None,
    phraseanet: options.Phraseanet = None,
    auth: options.Auth = None,
    ca: options.Ca = None,
    insecure: options.Insecure = False,
    credential: options.Credential = None,
    upload_port: options.UploadPort = 0,
    auth_port: options.AuthPort = 0,
    host: options.Host = "127.0.0.1",
    public_url: options.PublicUrl = None,
    seed_data: options.SeedFile = None,
) -> None:
    """Put load on the hand-off."""
    from phrasim.cli import loading
    from phrasim.cli.output import check_target, fail
    from phrasim.serve.credentials import CredentialsError, credentials_file, missing, read_credentials

    if find_spec("locust") is None:  # To import it would patch this process for gevent.
        fail("load needs locust, which comes with the extra: pip install 'phrasim[load]'")
    if upload is not None and phraseanet is not None:
        fail("--upload and --phraseanet: between two real services nobody would see what becomes of a commit; name one")
    if consume and phraseanet is not None:
        fail("--consume and --phraseanet: either Phraseanet's side is played here, or a real one is loaded; name one")
    if scenario is not None and (assets is not None or sizes is not None):
        fail("--scenario gives the files of a hand-off; leave --assets and --sizes out with it")
    for what, path in (("the report", html), ("the figures", result), ("the JUnit file", junit), ("tables", csv)):
        if path is not None:
            check_target(what, path)
    try:
        credentials = read_credentials(credential or (), os.environ, credentials_file(Path()))
    except CredentialsError as error:
        fail(str(error))
    needed = dict(_NEEDED) if auth is not None else {}
    if upload is not None and profile == "deployed":
        needed |= dict.fromkeys(_TARGET, "of the real upload service, which files are uploaded for")
    wrong = missing(credentials, needed)
    if wrong is not None:
        fail(wrong)
    real = {"upload": upload, "phraseanet": phraseanet, "auth": auth}
    loading.check_reachable({name: url for name, url in real.items() if url is not None}, ca, insecure=insecure)
    plays_phraseanet = consume or upload is not None
    port = loading.port_at("--consumer", consumer_host, consumer_port)
    own_phraseanet = f"http://{consumer_host}:{port}" if plays_phraseanet else None
    notifies = phraseanet is not None and mode == "push"
    serve = [
        *("--profile", profile or "documented", "--mode", "off" if notifies else mode, "--interval", interval),
        *("--host", host, "--upload-port", str(upload_port), "--auth-port", str(auth_port)),
        *("--phraseanet-port", "0", "--control-port", "0", "--amqp-port", "0", "--shards", str(shards)),
        *(word for value in public_url or () for word in ("--public-url", value)),
        *(word for value in credential or () for word in ("--credential", value)),
        *_given("--retain", retain),
        *_given("--seed-data", seed_data),
        *_given("--ca", ca),
        *(["--insecure"] if insecure else []),
        *_given("--auth", auth),
        *_given("--phraseanet", phraseanet if upload else own_phraseanet or phraseanet),
    ]
    played = [
        name
        for name, other in (("upload", upload), ("phraseanet", own_phraseanet or phraseanet), ("auth", auth))
        if other is None
    ]
    words = [
        *(f"--duration={duration}", f"--rate={rate}", f"--shape={shape}", f"--seed={seed}"),
        *(f"--interval={interval}", f"--patience={patience}"),
        *(f"--consumer-host={consumer_host}", f"--consumer-port={port}"),
        *(["--consume"] if plays_phraseanet else []),
        *("--mix", "Notifier=1" if notifies else "Uploader=1"),
        *_given("--assets", assets),
        *_given("--sizes", sizes),
        *_given("--retain", retain),
        *_given("--scenario", scenario),
        *_given("--slo", slo),
        *_given("--result", result),
        *_given("--junit", junit),
        *_given("--html", html),
        *_given("--csv", csv),
        *_given("--ca", ca),
        *(["--insecure"] if insecure else []),
        *(loading.processes(processes) if processes > 1 else []),
    ]
    with loading.served(played, serve, shards, own_phraseanet) as landscapes:
        for one in landscapes:
            loading.add_real(one, real, credentials, profile or "documented", mode)
        code = loading.run_locust(landscapes, ["-u", str(users), *words])
    sys.exit(code)


def _given(option: str, value: object) -> list[str]:
    """With `=`, since a value may begin like an option."""
    return [] if value is None else [f"{option}={value}"]
