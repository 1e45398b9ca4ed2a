"""What a load run is made of: the simulated services, what is known of the real ones, and Locust, a process each."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phrasim.cli.output import fail, warn
from phrasim.documents.locations import locustfile
from phrasim.serve.credentials import Credentials
from phrasim.serve.external import External, ExternalError, preflight
from phrasim.serve.process import LIFELINE

_INTERRUPTED = 128 + signal.SIGINT


def port_at(option: str, host: str, port: int) -> int:
    """`port`, or a free one for 0; ends the command where nobody can listen there."""
    try:
        with socket.create_server((host, port)) as listener:
            found: int = listener.getsockname()[1]
            return found
    except OSError as error:
        fail(f"{option}-host {host!r}, {option}-port {port}: {error.strerror or error}")


def processes(count: int) -> list[str]:
    """So many processes of Locust on this machine, at a port that no other run has."""
    port = str(port_at("--consumer", "127.0.0.1", 0))
    own = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    return ["--processes", str(count), *own, "--master-host", "127.0.0.1", "--master-port", port]


def check_reachable(urls: Mapping[str, str], ca: Path | None, *, insecure: bool) -> None:
    """End the command where a real service cannot be reached, or its URL is none."""
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
def served(played: Sequence[str], words: Sequence[str], shards: int, own: str | None) -> Iterator[list[dict[str, Any]]]:
    """The simulated landscapes, each as its server says it is, until the block ends; one that is empty for none.

    What is said of `own`, the Phraseanet that is played here, is left out: it begins after them.
    """
    if not played:
        yield [{}]
        return
    only = [] if len(played) == len(("upload", "phraseanet", "auth")) else ["--only", ",".join(played)]
    command = [sys.executable, "-c", "import sys; from phrasim.cli import main; sys.exit(main())", "serve"]
    command += [*words, *only, "--print", "json"]
    with tempfile.TemporaryFile("w+") as said, _lifeline() as lifeline:
        # A group of its own, too: what Locust loads is there until it has ended.
        server = subprocess.Popen(  # noqa: S603 - this Python, and words that go to no shell
            command,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
            pass_fds=[lifeline],
            env={**os.environ, LIFELINE: str(lifeline)},
        )
        assert server.stdout is not None
        try:
            lines = [server.stdout.readline() for _ in range(shards)]
            if not all(lines):
                fail(f"the simulated services have not begun: phrasim serve ended with exit code {server.wait()}")
            yield [json.loads(line) for line in lines]
            if server.poll() is not None:
                why = f"phrasim serve ended with exit code {server.returncode}"
                warn(f"the simulated services were gone before the end of the run: {why}")
        finally:
            server.terminate()
            server.stdout.close()
            server.wait()
            said.seek(0)
            for line in said:
                if own is None or own not in line:
                    sys.stderr.write(line)


@contextmanager
def _lifeline() -> Iterator[int]:
    """A descriptor that comes to its end when this process does, however it ends."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def add_real(
    landscape: dict[str, Any], real: Mapping[str, str | None], credentials: Credentials, profile: str, mode: str
) -> None:
    """Put the real services into the landscape, and the accounts that a real Auth has."""
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


def run_locust(landscapes: Sequence[Mapping[str, Any]], words: Sequence[str]) -> int:
    """The exit code of Locust. What interrupts this command ends it in order; it tells what it has until then."""
    with tempfile.TemporaryDirectory(prefix="phrasim-load-") as folder:
        file = Path(folder) / "landscape.json"
        file.write_text("".join(f"{json.dumps(one)}\n" for one in landscapes), encoding="utf-8")
        command = [sys.executable, "-m", "locust", "-f", str(locustfile()), "--headless", "--only-summary"]
        command += ["-L", "WARNING", "--landscape", str(file), *words]
        # A group of its own: Locust ends in order by SIGTERM, and not by Ctrl-C, which strikes it anywhere.
        locust = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - this Python, and words that go to no shell
        try:
            return locust.wait()
        except (KeyboardInterrupt, SystemExit):
            locust.terminate()
            locust.wait()
            return _INTERRUPTED
