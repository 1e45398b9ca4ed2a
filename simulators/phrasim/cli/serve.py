"""`phrasim serve`: the simulators on real ports, until they are told to end."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phrasim.cli import options

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Runner
    from socket import socket

    from phrasim.cli.serving import Serving
    from phrasim.journal.events import Event, Participant
    from phrasim.serve.broker import Login
    from phrasim.serve.landscape import Landscape, Plan

_HELP = """Serve the simulated upload service, Phraseanet, Auth and RabbitMQ on real ports.

They answer until Ctrl-C or SIGTERM. Every arrow is printed as it happens; the control port (openapi/control.yaml) tells
the state, begins anew, polls, strikes faults and opens further landscapes.

\b
Examples:
  phrasim serve
  phrasim serve --mode pull --interval "2 s" --seed-data users.yaml --trace served.jsonl
  phrasim serve --profile deployed
  phrasim serve --retain 60s --trace served.jsonl
  phrasim serve --shards 4 --print json
  phrasim serve --profile deployed --mode pull --upload-port 80
  phrasim serve --upload-port 0 --phraseanet-port 0 --auth-port 0 --control-port 0 --print json
  phrasim serve --only upload --phraseanet https://dam.example --auth https://auth.example --credential client.id=dam
  phrasim serve --only broker --amqp-port 5673
  phrasim serve --broker amqp://guest:guest@127.0.0.1/phrasim

Exit code: 0 ended as it was told to, 2 the call or what it names is wrong; with --shards that of a process that failed.
"""

SHARDS_MAX = 64
SHARD_PORTS = 10
"""The ports of one shard are so far from those of the next one."""

PORT_MAX = 65535

_PLAYED = "upload, phraseanet, auth, broker"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("serve", help=_HELP)(serve)


def serve(
    upload_port: options.UploadPort = 8081,
    phraseanet_port: options.PhraseanetPort = 8082,
    auth_port: options.AuthPort = 8083,
    control_port: options.ControlPort = 8080,
    amqp_port: options.AmqpPort = None,
    amqp_login: Annotated[
        str, typer.Option("--amqp-login", metavar="USER:PASSWORD", help="Who may use the simulated broker.")
    ] = "guest:guest",
    amqp_vhost: Annotated[
        str, typer.Option("--amqp-vhost", metavar="NAME", help="The virtual host of the simulated broker.")
    ] = "/",
    broker_version: Annotated[
        Literal["3", "4"],
        typer.Option("--broker-version", help="Which RabbitMQ it is; 4 ignores an x-death that a publisher sends."),
    ] = "3",
    host: options.Host = "127.0.0.1",
    public_url: options.PublicUrl = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    profile: options.ProfileOption = None,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace", metavar="TIME", help="Deployed: how long files of an acknowledged commit stay, 30 s if not said."
        ),
    ] = None,
    embed_assets: Annotated[
        bool, typer.Option("--embed-assets", help="Deployed: list assets as objects, which Phraseanet cannot read.")
    ] = False,
    mode: Annotated[
        Literal["push", "pull", "both", "off"],
        typer.Option("--mode", help="Who starts a hand-off: upload notifies, Phraseanet polls, both, or nobody."),
    ] = "push",
    interval: Annotated[
        str | None, typer.Option("--interval", metavar="TIME", help="Between two polls, such as '5 s' or '500 ms'.")
    ] = None,
    retain: Annotated[
        str | None,
        typer.Option("--retain", metavar="TIME", help="Forget what was acknowledged longer ago; else nothing is."),
    ] = None,
    shards: Annotated[
        int,
        typer.Option(
            "--shards", metavar="N", min=1, max=SHARDS_MAX, help="So many landscapes, each in a process of its own."
        ),
    ] = 1,
    only: Annotated[
        str | None, typer.Option("--only", metavar="NAMES", help=f"Play these alone, of {_PLAYED}; with commas.")
    ] = None,
    seed_data: options.SeedFile = None,
    upload: options.Upload = None,
    phraseanet: options.Phraseanet = None,
    auth: options.Auth = None,
    broker: options.Broker = None,
    ca: options.Ca = None,
    insecure: options.Insecure = False,
    credential: options.Credential = None,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Write the trace here, event by event.")
    ] = None,
    show_tokens: Annotated[
        bool, typer.Option("--show-tokens", help="Write tokens and passwords to the trace as they are.")
    ] = False,
    print_as: Annotated[
        Literal["text", "json"],
        typer.Option("--print", help="What to print: text for people, or URLs and accounts as one line of JSON."),
    ] = "text",
) -> None:
    """Serve the simulators."""
    from phrasim.broker.amqp.url import PORT as AMQP_PORT
    from phrasim.cli.output import fail
    from phrasim.cli.serving import Serving
    from phrasim.testbed import Setting
    from phrasim.testbed.deployed_setting import DeployedSetting

    if broker is not None and (amqp_login, amqp_vhost, broker_version) != ("guest:guest", "/", "3"):
        fail("--amqp-login, --amqp-vhost and --broker-version are for a simulated broker; leave them out with --broker")
    if profile != "deployed" and (grace is not None or embed_assets):
        fail(f"{'--grace' if grace is not None else '--embed-assets'} has a meaning with --profile deployed only")
    usual = DeployedSetting()
    setting = Setting(
        profile=profile or "documented",
        mode=mode,
        poll_interval=None if interval is None else _interval(interval),
        broker_version=broker_version,
        retain=None if retain is None else _time("--retain", retain, above_0=True),
        deployed=replace(
            usual, embed_assets=embed_assets, grace=usual.grace if grace is None else _time("--grace", grace)
        ),
    )
    if shards > 1 and (broker is not None or public_url):
        named = "--broker" if broker is not None else "--public-url"
        fail(f"{named} is for one landscape, and with --shards there are several; leave one of them out")
    ports = {"upload": upload_port, "phraseanet": phraseanet_port, "auth": auth_port, "control": control_port}
    given = [
        options.Options(
            ports={name: _shifted(name, port, shard) for name, port in ports.items()},
            amqp_port=None if amqp_port is None else _shifted("amqp", amqp_port, shard),
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
        for shard in range(shards)
    ]
    played, login = None if only is None else _only(only), _login(amqp_login, amqp_vhost)
    servings = [
        Serving(one, setting, played, amqp_port=AMQP_PORT + SHARD_PORTS * shard, login=login)
        for shard, one in enumerate(given)
    ]
    _check_apart([serving.ports("control") for serving in servings])
    bound = [serving.listeners("control") for serving in servings]
    traces = [trace]
    if shards > 1 and trace is not None:
        traces = [trace.with_stem(f"{trace.stem}-{number}") for number in range(1, shards + 1)]
    works = [
        partial(_run, serving, listeners, host, path, show_tokens=show_tokens, print_as=print_as)
        for serving, listeners, path in zip(servings, bound, traces * (shards // len(traces)), strict=True)
    ]
    if shards == 1:
        works[0]()
    else:
        _run_shards(works, bound, print_as)


def _shifted(name: str, port: int, shard: int) -> int:
    """The port of that shard, counted from 0; 0 takes any free one for all of them."""
    from phrasim.cli.output import fail

    shifted = port + SHARD_PORTS * shard if port else 0
    if shard and shifted > PORT_MAX:
        fail(f"--shards: the --{name}-port of shard {shard + 1} would be {shifted}, and {PORT_MAX} is the last one")
    return shifted


def _check_apart(shards: "Sequence[Mapping[str, tuple[int, str]]]") -> None:
    """End the command where two shards would have one port."""
    from phrasim.cli.output import fail

    taken: dict[int, tuple[str, int]] = {}
    for number, ports in enumerate(shards, start=1):
        for port, option in ports.values():
            other, at = taken.setdefault(port, (option, number))
            if port and at != number:
                fail(
                    f"--shards: {option} of shard {number} would be {port}, which {other} of shard {at} is; "
                    f"each shard's ports are {SHARD_PORTS} above those of the one before, and 0 takes any free ones"
                )


def _run_shards(
    works: "Sequence[Callable[[], None]]",
    bound: "Sequence[Mapping[str, socket]]",
    print_as: Literal["text", "json"],
) -> None:
    """Serve in a process each. JSON comes in the order of the shards; other lines bear the number of theirs."""
    from phrasim.cli.output import print_line
    from phrasim.serve.shards import run_shards

    waiting: dict[int, str] = {}
    told = 0

    def say(number: int, line: str) -> None:
        nonlocal told
        if print_as == "text":
            print_line("plain", f"{number}  {line}")
            return
        waiting[number] = line
        while told + 1 in waiting:
            told += 1
            print_line("plain", waiting[told])

    def alone(number: int) -> None:
        with _closing(one for other in (*bound[:number], *bound[number + 1 :]) for one in other.values()):
            pass
        works[number]()

    with _closing(listener for listeners in bound for listener in listeners.values()):
        code = run_shards([partial(alone, number) for number in range(len(works))], say)
    if code:
        raise typer.Exit(code)


def _run(
    serving: "Serving",
    listeners: "Mapping[str, socket]",
    host: str,
    trace: Path | None,
    *,
    show_tokens: bool,
    print_as: Literal["text", "json"],
) -> None:
    """Serve until a signal comes."""
    import signal

    from phrasim.broker.client import BrokerError
    from phrasim.cli.output import fail, print_line, warn
    from phrasim.page.app import with_page
    from phrasim.report.landscape import landscape_json, landscape_lines
    from phrasim.serve.process import END_SIGNALS, serve_until_told
    from phrasim.testbed.seeding import SeedError

    plan = serving.plan
    if plan.external.urls or plan.external.broker:
        serving.preflight()
    for absence in serving.absences():
        warn(absence)

    with (
        _closing(listeners.values()),
        _storage_and_loop() as (storage, runner),
        _stream(trace, plan, runner.get_loop(), show_tokens=show_tokens) as traced,
    ):

        def ready(landscape: "Landscape") -> None:
            journal = landscape.network.journal
            if traced is not None:
                for event in journal.events:
                    traced(event)
                journal.listen(traced)
            if print_as == "json":
                print_line("plain", landscape_json(landscape.description()))
                return
            for line in landscape_lines(landscape.description(), plan.setting):
                print_line(*line)
            journal.listen(_printer(plan))

        try:
            runner.run(serve_until_told(plan, listeners, storage, host, ready, with_page))
        except SeedError as error:
            fail(str(error))
        except BrokerError as error:
            fail(f"broker: {error}; phrasim cannot serve Phraseanet without it")
        # All that is left is to clear up, and an impatient second signal must not keep the process from that.
        signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)


def _printer(plan: "Plan") -> "Callable[[Event], None]":
    """What prints each event as an arrow."""
    from phrasim.cli.output import print_line
    from phrasim.documents import contract
    from phrasim.report.terminal import event_lines

    documents = contract(plan.setting.profile)

    def printed(event: "Event") -> None:
        for line in event_lines(event, documents):
            print_line(*line)

    return printed


@contextmanager
def _closing(listeners: "Iterable[socket]") -> Iterator[None]:
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        yield


@contextmanager
def _storage_and_loop() -> Iterator[tuple[Path, "Runner"]]:
    """A folder for files, which is gone at the end, and what runs the event loop; signals wait until it takes them."""
    import asyncio
    import signal
    import tempfile

    import uvloop

    from phrasim.serve.process import END_SIGNALS

    with ExitStack() as stack:
        # A signal between the making of one of them and the block that ends it would leave it behind; and one that
        # cancelled the opening of a landscape might be swallowed there.
        signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="phrasim-"))
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        yield Path(folder), runner


@contextmanager
def _stream(
    path: Path | None, plan: "Plan", loop: "AbstractEventLoop", *, show_tokens: bool
) -> Iterator["Callable[[Event], None] | None"]:
    """What takes each event of the trace on disk, if one is wanted; ends the command where it cannot be begun."""
    from phrasim.cli.output import fail, warn
    from phrasim.documents import secret_fields
    from phrasim.journal.stream import TraceStream
    from phrasim.serve.trace_header import trace_header

    if path is None:
        yield None
        return

    def failed(error: OSError) -> None:
        warn(f"writing the trace {str(path)!r}: {error.strerror}; it ends here, and the server goes on")

    try:
        stream = TraceStream(path, trace_header(plan, show_tokens=show_tokens), secret_fields(), loop.call_soon, failed)
    except OSError as error:
        fail(f"writing the trace {str(path)!r}: {error.strerror}")
    try:
        yield stream.take
    finally:
        stream.close()


def _interval(written: str) -> float:
    """The seconds of `5 s`; ends the command for what is no time, or none that passes."""
    return _time("--interval", written, above_0=True)


def _time(option: str, written: str, *, above_0: bool = False) -> float:
    """The seconds of `5 s` or `5s`; ends the command for what is no time, or is none where it must be above 0."""
    from phrasim.cli.output import fail
    from phrasim.documents.quantity import typed_seconds

    try:
        amount = typed_seconds(written)
    except ValueError as error:
        fail(f"{option} {written!r}: {error}")
    if above_0 and not amount:
        fail(f"{option} {written!r}: write a number above 0 and its unit, such as '5 s' or '500 ms'")
    return amount


def _only(written: str) -> "list[Participant]":
    """The participants of `upload,auth`; ends the command for others."""
    from phrasim.cli.output import fail
    from phrasim.testbed import PLAYABLE

    named = [one.strip() for one in written.split(",")]
    chosen = [one for one in PLAYABLE if one in named]
    unknown = [one for one in named if one not in PLAYABLE]
    if unknown:
        fail(f"--only: {unknown[0]!r} is no participant that phrasim plays; it plays {_PLAYED}")
    return chosen


def _login(written: str, vhost: str) -> "Login":
    """User and password of `guest:guest`; ends the command for what is none."""
    from phrasim.broker.amqp.url import VHOST_BYTES_MAX
    from phrasim.cli.output import fail
    from phrasim.serve.broker import OWN_USER, Login

    user, colon, password = written.partition(":")
    if not (user and colon and password):
        fail("--amqp-login: write USER:PASSWORD, such as guest:guest")
    if user == OWN_USER:
        fail(f"--amqp-login: {OWN_USER!r} is the user of the simulated Phraseanet; choose another")
    if not 1 <= len(vhost.encode()) <= VHOST_BYTES_MAX:
        fail(f"--amqp-vhost: a virtual host has a name of 1 to {VHOST_BYTES_MAX} bytes, such as /")
    return Login(user, password, vhost)
