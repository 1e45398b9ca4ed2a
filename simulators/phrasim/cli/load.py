"""`phrasim load`: put hand-offs on services, simulated or real, and judge what became of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from phrasim.cli import options

if TYPE_CHECKING:
    from phrasim.serve.credentials import Credentials

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
    assets: Annotated[str, typer.Option("--assets", metavar="N", help="Files of a commit.")] = "2",
    sizes: Annotated[
        str, typer.Option("--sizes", help="Of a file: one size, or percentiles such as p50=64 KiB,p99=4 MiB.")
    ] = "64 KiB",
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
    from phrasim.cli.output import check_target, fail
    from phrasim.documents.locations import locustfile
    from phrasim.serve.credentials import CredentialsError, credentials_file, missing, read_credentials

    if find_spec("locust") is None:  # To import it would patch this process for gevent.
        fail("load needs locust, which comes with the extra: pip install 'phrasim[load]'")
    if upload is not None and phraseanet is not None:
        fail("--upload and --phraseanet: between two real services nobody would see what becomes of a commit; name one")
    if consume and phraseanet is not None:
        fail("--consume and --phraseanet: either Phraseanet's side is played here, or a real one is loaded; name one")
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
    _check_reachable({name: url for name, url in real.items() if url is not None}, ca, insecure=insecure)
    plays_phraseanet = consume or upload is not None
    port = _port_at("--consumer", consumer_host, consumer_port)
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
        *("--duration", duration, "--rate", rate, "--shape", shape, "--assets", assets, "--sizes", sizes),
        *("--interval", interval, "--patience", patience, "--seed", seed),
        *("--consumer-host", consumer_host, "--consumer-port", str(port)),
        *(["--consume"] if plays_phraseanet else []),
        *("--mix", "Notifier=1" if notifies else "Uploader=1"),
        *_given("--retain", retain),
        *_given("--scenario", scenario),
        *_given("--slo", slo),
        *_given("--result", result),
        *_given("--junit", junit),
        *_given("--html", html),
        *_given("--csv", csv),
        *_given("--ca", ca),
        *(["--insecure"] if insecure else []),
        *(_processes(processes) if processes > 1 else []),
    ]
    with (
        tempfile.TemporaryDirectory(prefix="phrasim-load-") as folder,
        _served(played, serve, shards, own_phraseanet) as served,
    ):
        landscapes = [_with_real(one, real, credentials, profile or "documented", mode) for one in served]
        file = Path(folder) / "landscape.json"
        file.write_text("".join(f"{json.dumps(one)}\n" for one in landscapes), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "locust", "-f", str(locustfile()), "--headless", "--only-summary", "-L", "WARNING"),
            *("-u", str(users), "--landscape", str(file), *words),
        ]
        # A group of its own: Locust ends in order by SIGTERM, and not by Ctrl-C, which strikes it anywhere.
        sys.exit(_ended(subprocess.Popen(command, start_new_session=True)))  # noqa: S603 - this Python, and words that go to no shell


def _given(option: str, value: object) -> list[str]:
    return [] if value is None else [option, str(value)]


def _port_at(option: str, host: str, port: int) -> int:
    """`port`, or a free one for 0; ends the command where nobody can listen there."""
    from phrasim.cli.output import fail

    try:
        with socket.create_server((host, port)) as listener:
            found: int = listener.getsockname()[1]
            return found
    except OSError as error:
        fail(f"{option}-host {host!r}, {option}-port {port}: {error.strerror or error}")


def _processes(count: int) -> list[str]:
    """So many processes of Locust on this machine, at a port that no other run has."""
    port = str(_port_at("--consumer", "127.0.0.1", 0))
    own = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    return ["--processes", str(count), *own, "--master-host", "127.0.0.1", "--master-port", port]


def _check_reachable(urls: Mapping[str, str], ca: Path | None, *, insecure: bool) -> None:
    """End the command where a real service cannot be reached, or its URL is none."""
    import asyncio

    from phrasim.cli.output import fail
    from phrasim.serve.external import External, ExternalError, preflight

    if not urls:
        return
    try:
        found = asyncio.run(preflight(External(urls, ca=ca, insecure=insecure)))  # type: ignore[arg-type]
    except ExternalError as error:
        fail(str(error))
    for one in found:
        if not one.reachable:
            fail(one.text)


@contextmanager
def _served(
    played: Sequence[str], words: Sequence[str], shards: int, own: str | None
) -> Iterator[list[dict[str, Any]]]:
    """The simulated landscapes, each as its server says it is, until the block ends; one that is empty for none.

    What is said of `own`, the Phraseanet that is played here, is left out: it begins after them.
    """
    from phrasim.cli.output import fail

    if not played:
        yield [{}]
        return
    only = [] if len(played) == len(("upload", "phraseanet", "auth")) else ["--only", ",".join(played)]
    command = [sys.executable, "-c", "import sys; from phrasim.cli import main; sys.exit(main())", "serve"]
    command += [*words, *only, "--print", "json"]
    with tempfile.TemporaryFile("w+") as said:
        # A group of its own, too: what Locust loads is there until it has ended.
        server = subprocess.Popen(  # noqa: S603 - the same
            command, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
        )
        assert server.stdout is not None
        try:
            lines = [server.stdout.readline() for _ in range(shards)]
            if not all(lines):
                fail(f"the simulated services have not begun: phrasim serve ended with exit code {server.wait()}")
            yield [json.loads(line) for line in lines]
        finally:
            server.terminate()
            server.stdout.close()
            server.wait()
            said.seek(0)
            for line in said:
                if own is None or own not in line:
                    sys.stderr.write(line)


def _with_real(
    landscape: dict[str, Any], real: Mapping[str, str | None], credentials: "Credentials", profile: str, mode: str
) -> dict[str, Any]:
    """The landscape with real services in it, and the accounts that a real Auth has."""
    landscape |= {"profile": profile, "mode": mode}
    for name, url in real.items():
        if url is not None:
            landscape[name] = {"url": url.rstrip("/")}
    if real["upload"] and credentials.target_slug:
        landscape["upload"]["targets"] = [{"id": credentials.target_id or "", "slug": credentials.target_slug}]
    if real["phraseanet"]:
        landscape["phraseanet"]["token"] = credentials.phraseanet_token
    if real["auth"]:
        landscape["users"] = [{"email": credentials.publisher_email, "password": credentials.publisher_password}]
        landscape["clients"] = [
            {"client_id": credentials.client_id, "client_secret": credentials.client_secret},
            {"client_id": credentials.front_end_id, "client_secret": credentials.front_end_secret},
        ]
    return landscape


_INTERRUPTED = 128 + signal.SIGINT
_TARGET = ("target.id", "target.slug")
_NEEDED = {
    "publisher.email": "for the user who uploads",
    "publisher.password": "for the user who uploads",
    "frontEnd.id": "to ask the real Auth for that user's token",
    "frontEnd.secret": "to ask the real Auth for that user's token",
    "client.id": "by which Phraseanet is known to the real Auth",
    "client.secret": "by which Phraseanet is known to the real Auth",
}


def _ended(locust: "subprocess.Popen[bytes]") -> int:
    """Its exit code. What interrupts this command ends it in order; it tells what it has until then."""
    try:
        return locust.wait()
    except (KeyboardInterrupt, SystemExit):
        locust.terminate()
        locust.wait()
        return _INTERRUPTED
