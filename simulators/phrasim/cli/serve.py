"""`phrasim serve`: the simulators on real ports, until they are told to end."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phrasim.cli import options

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from socket import socket

    from phrasim.cli.serving import Serving
    from phrasim.journal.events import Event, Participant
    from phrasim.serve.landscape import Landscape, Plan

_HELP = """Serve the simulated upload service, Phraseanet and Auth on real ports.

They answer until Ctrl-C or SIGTERM. Every arrow is printed as it happens; the control port (openapi/control.yaml) tells
the state, begins anew, polls, strikes faults and opens further landscapes.

\b
Examples:
  phrasim serve
  phrasim serve --mode pull --interval "2 s" --seed-data users.yaml --trace served.jsonl
  phrasim serve --upload-port 0 --phraseanet-port 0 --auth-port 0 --control-port 0 --print json
  phrasim serve --only upload --phraseanet https://dam.example --auth https://auth.example --credential client.id=dam

Exit code: 0 ended as it was told to, 2 the call or what it names is wrong.
"""

_SERVICES = "upload, phraseanet, auth"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("serve", help=_HELP)(serve)


def serve(
    upload_port: options.UploadPort = 8081,
    phraseanet_port: options.PhraseanetPort = 8082,
    auth_port: options.AuthPort = 8083,
    control_port: options.ControlPort = 8080,
    host: options.Host = "127.0.0.1",
    public_url: options.PublicUrl = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    mode: Annotated[
        Literal["push", "pull", "both", "off"],
        typer.Option("--mode", help="Who starts a hand-off: upload notifies, Phraseanet polls, both, or nobody."),
    ] = "push",
    interval: Annotated[
        str | None, typer.Option("--interval", metavar="TIME", help="Between two polls, such as '5 s' or '500 ms'.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="NAMES", help=f"Play these alone, of {_SERVICES}; with commas.")
    ] = None,
    seed_data: options.SeedFile = None,
    upload: options.Upload = None,
    phraseanet: options.Phraseanet = None,
    auth: options.Auth = None,
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
    from phrasim.cli.serving import Serving
    from phrasim.testbed import Setting

    setting = Setting(mode=mode, poll_interval=None if interval is None else _interval(interval))
    serving = Serving(
        options.Options(
            ports={"upload": upload_port, "phraseanet": phraseanet_port, "auth": auth_port, "control": control_port},
            host=host,
            public_url=public_url or (),
            tls_cert=tls_cert,
            tls_key=tls_key,
            seed_data=seed_data,
            urls={"upload": upload, "phraseanet": phraseanet, "auth": auth},
            ca=ca,
            insecure=insecure,
            credential=credential or (),
        ),
        setting,
        None if only is None else _only(only),
    )
    _run(serving, host, trace, show_tokens=show_tokens, print_as=print_as)


def _run(
    serving: "Serving", host: str, trace: Path | None, *, show_tokens: bool, print_as: Literal["text", "json"]
) -> None:
    """Serve until a signal comes."""
    import asyncio
    import signal

    import uvloop

    from phrasim.cli.output import fail, print_line, warn
    from phrasim.report.landscape import landscape_json, landscape_lines
    from phrasim.serve.process import END_SIGNALS, serve_until_told
    from phrasim.testbed.seeding import SeedError

    plan = serving.plan
    listeners = serving.listeners("control")
    if plan.external.urls:
        serving.preflight()
    for absence in serving.absences():
        warn(absence)

    with (
        _closing(listeners.values()),
        _storage() as storage,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        _stream(trace, plan, runner.get_loop(), show_tokens=show_tokens) as traced,
    ):

        def ready(landscape: "Landscape") -> None:
            journal = landscape.network.journal
            for event in journal.events:
                traced(event)
            journal.listen(traced)
            if print_as == "json":
                print_line("plain", landscape_json(landscape.description()))
                return
            for line in landscape_lines(landscape.description(), plan.setting):
                print_line(*line)
            journal.listen(_printer())

        try:
            runner.run(serve_until_told(plan, listeners, storage, host, ready))
        except SeedError as error:
            fail(str(error))
        # All that is left is to clear up, and an impatient second signal must not keep the process from that.
        signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)


def _printer() -> "Callable[[Event], None]":
    """What prints each event as an arrow."""
    from phrasim.cli.output import print_line
    from phrasim.report.terminal import event_lines

    def printed(event: "Event") -> None:
        for line in event_lines(event):
            print_line(*line)

    return printed


@contextmanager
def _closing(listeners: "Iterable[socket]") -> Iterator[None]:
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        yield


@contextmanager
def _storage() -> Iterator[Path]:
    """A folder for files, which is gone at the end."""
    import signal
    import tempfile

    from phrasim.serve.process import END_SIGNALS

    # A signal between the making of the folder and the block that removes it would leave the folder behind.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        with tempfile.TemporaryDirectory(prefix="phrasim-") as folder:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            yield Path(folder)
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise


@contextmanager
def _stream(
    path: Path | None, plan: "Plan", loop: "AbstractEventLoop", *, show_tokens: bool
) -> Iterator["Callable[[Event], None]"]:
    """What takes each event of the trace on disk; ends the command where it cannot be begun."""
    from phrasim.cli.output import fail, warn
    from phrasim.documents import secret_fields
    from phrasim.journal.stream import TraceStream
    from phrasim.serve.trace_header import trace_header

    if path is None:
        yield lambda _: None
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
    from phrasim.cli.output import fail
    from phrasim.documents.quantity import seconds
    from phrasim.documents.specification import installed_schemas

    pointer = "/components/schemas/LandscapeRequest/properties/interval"
    if installed_schemas().violations("control.yaml", pointer, written) or seconds(written) == 0:
        fail(f"--interval {written!r}: write a number above 0 and its unit, such as '5 s', '500 ms' or '2 min'")
    return seconds(written)


def _only(written: str) -> "list[Participant]":
    """The services of `upload,auth`; ends the command for others."""
    from phrasim.cli.output import fail
    from phrasim.testbed import SERVICES

    named = [one.strip() for one in written.split(",")]
    chosen = [service for service in SERVICES if service in named]
    unknown = [one for one in named if one not in SERVICES]
    if unknown:
        fail(f"--only: {unknown[0]!r} is no service that phrasim plays; it plays {_SERVICES}")
    return chosen
