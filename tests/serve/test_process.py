"""`phrasim serve` as a process: told to end in the midst of whatever it does, it ends soon and leaves nothing."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import httpx
import pytest

from phrasim.journal.lines import read_trace

pytestmark = pytest.mark.unmeasured

COMMAND = [sys.executable, "-c", "from phrasim.cli import main; main()", "serve"]
ANY_PORTS = [word for name in ("upload", "phraseanet", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]

STOP_SECONDS = 3
"""Within this time a server ends, whatever is under way."""
PATIENCE_SECONDS = 30
"""After this time a test gives up."""
MIB = 1024 * 1024
LARGE = "200 MiB"
"""More than the buffers between a server and a caller who does not read."""

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Server:
    """A server that is ready, with a folder for its temporary files and one for its trace and what it says."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process
        self.open = ExitStack()
        """What a test holds open until the server has ended."""
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "stderr").read_text()
        self.landscape: dict[str, Any] = json.loads(line)
        self.client = self.open.enter_context(httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False))
        self.publisher, self.administrator = (f"Bearer {user['token']}" for user in self.landscape["users"])

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    def url(self, name: str, path: str = "") -> str:
        url: str = self.landscape[name]["url"]
        return url + path

    def control(self, path: str, value: Any) -> Any:
        """POST to the control port."""
        answer = self.client.post(self.url("control", f"/_phrasim/{path}"), json=value)
        answer.raise_for_status()
        return answer.json()

    def fault(self, operation_id: str, **effect: Any) -> None:
        self.control("faults", {"operationId": operation_id, **effect})

    def seeded(self, size: str) -> str:
        """The id of an asset in a commit of which nobody is notified."""
        files = {"some.bin": {"size": size}}
        publisher = self.landscape["users"][0]["email"]
        added = self.control("seed-data", {"commits": [{"publisher": publisher, "files": files}]})
        asset: str = added["commits"][0]["assets"][0]
        return asset

    def commit(self) -> None:
        """Upload and commit, as a user does."""
        headers = {"authorization": self.publisher}
        uploaded = self.client.post(self.url("upload", "/assets"), headers=headers, files={"file": ("a.txt", b"text")})
        body = {"files": [uploaded.json()["id"]], "formData": {"title": "Text"}}
        self.client.post(self.url("upload", "/commit"), headers=headers, json=body).raise_for_status()

    def beside(self, landscape: dict[str, Any]) -> "Server":
        """The same process, and another landscape in it."""
        other = copy(self)
        other.landscape = landscape
        other.publisher, other.administrator = (f"Bearer {user['token']}" for user in landscape["users"])
        return other

    def connect(self, name: str, *, receive_bytes: int | None = None) -> socket.socket:
        """A connection that stays open; `receive_bytes` keeps the buffer of one that does not read small."""
        url = httpx.URL(self.url(name))
        made = self.open.enter_context(socket.socket())
        made.settimeout(PATIENCE_SECONDS)
        if receive_bytes is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.connect((url.host, url.port))
        return made

    def ask(self, name: str, *lines: str, receive_bytes: int | None = None) -> socket.socket:
        """A connection on which a request's head was sent."""
        made = self.connect(name, receive_bytes=receive_bytes)
        made.sendall("\r\n".join((*lines, "Host: 127.0.0.1", "", "")).encode())
        return made

    def follow(self) -> Iterator[dict[str, Any]]:
        """Each event from now on, as it comes."""
        asked = self.client.stream("GET", self.url("control", "/_phrasim/journal"), params={"follow": "true"})
        lines = map(json.loads, self.open.enter_context(asked).iter_lines())
        assert next(lines)["wire"] == "loopback"
        return lines

    def until_answered(self, events: Iterator[dict[str, Any]], status: int) -> None:
        """Wait until somebody has answered with that status."""
        assert any(event["event"] == "sent" and event["message"].get("status") == status for event in events)

    def end(self, *numbers: int) -> None:
        """Tell it to end, and hold it to ending as it should."""
        begin = time.monotonic()
        for number in numbers:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        seconds = time.monotonic() - begin
        said = (self.folder / "stderr").read_text()
        assert (code, said) == (0, "")
        assert list(self.temporary.iterdir()) == []
        read_trace(self.folder / "trace.jsonl")
        assert seconds <= STOP_SECONDS


@contextmanager
def begun(folder: Path, *words: str, before: Callable[[], None] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A server that begins; what it says on standard error is in a file."""
    temporary = folder / "temporary"
    temporary.mkdir()
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, *ANY_PORTS, "--print", "json", "--trace", str(folder / "trace.jsonl"), *words],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "TMPDIR": str(temporary)},
            preexec_fn=before,  # noqa: PLW1509 -- no thread of the test's holds a lock
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server: `serve("--mode", "pull")`."""
    with ExitStack() as stack:

        def start(*words: str, before: Callable[[], None] | None = None) -> Server:
            server = Server(tmp_path, stack.enter_context(begun(tmp_path, *words, before=before)))
            stack.callback(server.open.close)
            return server

        yield start


# What may be under way.


def nothing(server: Server) -> None:
    pass


def an_upload(server: Server) -> None:
    made = server.ask(
        "upload",
        "POST /assets HTTP/1.1",
        f"Authorization: {server.publisher}",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {1024 * MIB}",
        "Expect: 100-continue",
    )
    assert made.recv(100).startswith(b"HTTP/1.1 100")  # now it is read
    made.sendall(b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' + bytes(MIB))
    while not [*server.temporary.rglob("*.partial")]:
        time.sleep(0.001)


def a_download(server: Server) -> None:
    made = server.ask(
        "upload",
        f"GET /assets/{server.seeded(LARGE)}/download HTTP/1.1",
        f"Authorization: {server.administrator}",
        receive_bytes=64 * 1024,
    )
    assert made.recv(100).startswith(b"HTTP/1.1 200")


def somebody_who_follows_the_journal(server: Server) -> None:
    server.follow()


def somebody_who_follows_the_journal_and_does_not_read(server: Server) -> None:
    made = server.ask("control", "GET /_phrasim/journal?follow=true HTTP/1.1", receive_bytes=1024)
    assert made.recv(100).startswith(b"HTTP/1.1 200")
    for _ in range(100):
        server.client.get(server.url("auth", "/users/info/1"), headers={"a-long-header": "x" * 50_000})


def a_poll(server: Server) -> None:
    server.fault("listCommits", delay="1 h")
    events = server.follow()
    polling = server.ask("control", "POST /_phrasim/poll HTTP/1.1", "Content-Length: 0")
    assert any(event.get("note") == "fault" for event in events)
    assert select.select([polling], [], [], 0)[0] == []


def work(server: Server) -> None:
    server.fault("downloadAsset", delay="1 h")
    events = server.follow()
    server.commit()
    assert any(event.get("note") == "fault" for event in events)


def work_on_a_large_file(server: Server) -> None:
    """The worker reads as fast as it can; where it is when the signal comes is chance's."""
    server.seeded("1 GiB")
    assert server.control("poll", None) == {"accepted": 1}


def a_notification_between_two_tries(server: Server) -> None:
    server.fault("enqueueAssets", answer={"status": 503})
    events = server.follow()
    server.commit()
    server.until_answered(events, 503)


def idle_connections(server: Server) -> None:
    for name in ("upload", "phraseanet", "auth", "control"):
        for _ in range(10):
            server.connect(name)
            assert server.ask(name, "GET /nothing HTTP/1.1").recv(100).startswith(b"HTTP/1.1 404")


def half_a_head(server: Server) -> None:
    server.connect("upload").sendall(b"GET /assets HTTP/1.1\r\nHost: ")


def a_reply_that_a_fault_drops(server: Server) -> None:
    server.fault("listCommits", dropReply=True)
    events = server.follow()
    server.ask("upload", "GET /commits HTTP/1.1", f"Authorization: {server.administrator}")
    assert any(event["event"] == "lost" for event in events)


def a_busy_landscape_beside_a_busy_one(server: Server) -> None:
    landscape = server.control("landscapes", {})
    for one in (server.beside(landscape), server):
        a_download(one)
        work(one)


def everything(server: Server) -> None:
    idle_connections(server)
    half_a_head(server)
    somebody_who_follows_the_journal_and_does_not_read(server)
    a_poll(server)
    an_upload(server)
    a_download(server)
    work(server)


SITUATIONS: Mapping[str, Callable[[Server], None]] = {
    situation.__name__.replace("_", " "): situation
    for situation in (
        nothing,
        an_upload,
        a_download,
        somebody_who_follows_the_journal,
        somebody_who_follows_the_journal_and_does_not_read,
        a_poll,
        work,
        work_on_a_large_file,
        a_notification_between_two_tries,
        idle_connections,
        half_a_head,
        a_reply_that_a_fault_drops,
        a_busy_landscape_beside_a_busy_one,
        everything,
    )
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_it_ends_soon_and_leaves_nothing(situation: str, serve: Callable[..., Server]) -> None:
    server = serve()
    SITUATIONS[situation](server)
    server.end(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_every_signal_ends_it_in_the_midst_of_everything(number: int, serve: Callable[..., Server]) -> None:
    server = serve("--mode", "both", "--interval", "10 ms")
    everything(server)
    server.end(number)


@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_changes_nothing(second: int, serve: Callable[..., Server]) -> None:
    server = serve()
    an_upload(server)
    server.end(signal.SIGINT, second)


@pytest.mark.parametrize("number", SIGNALS)
def test_impatience_changes_nothing(number: int, serve: Callable[..., Server]) -> None:
    """Signals that come until the process is gone, while it clears up what it has stored, and after that."""
    server = serve()
    server.seeded(LARGE)
    while server.process.poll() is None:
        server.process.send_signal(number)
        select.select([], [], [], 0.002)
    server.end()


def test_what_was_answered_before_the_end_arrives_whole(serve: Callable[..., Server]) -> None:
    """The server has given all of it to the wire; the caller takes its time, though not too much of it."""
    server = serve()
    size = 6 * MIB
    asset = server.seeded("6 MiB")
    headers = {"authorization": server.administrator}
    with server.client.stream("GET", server.url("upload", f"/assets/{asset}/download"), headers=headers) as answer:
        parts = answer.iter_raw()
        received = len(next(parts))
        server.process.send_signal(signal.SIGTERM)
        received += sum(map(len, parts))
    assert received == size
    server.end()


def test_an_idle_connection_is_closed_in_order(serve: Callable[..., Server]) -> None:
    server = serve()
    idle = server.connect("upload")
    server.end(signal.SIGTERM)
    assert idle.recv(1) == b""


def caught(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether the process handles that signal itself."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process catches is read from /proc")
@pytest.mark.parametrize(
    ("number", "stored"),
    [*((number, True) for number in SIGNALS), (signal.SIGTERM, False), (signal.SIGHUP, False)],
)
def test_a_signal_before_it_is_ready_ends_it_and_leaves_nothing(number: int, stored: bool, tmp_path: Path) -> None:
    """As soon as its folder for files is there, or even sooner, as soon as it handles signals."""
    with begun(tmp_path) as process:
        while not caught(process, signal.SIGTERM) or (stored and not list((tmp_path / "temporary").iterdir())):
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(PATIENCE_SECONDS) in (0, 128 + number)
    assert (tmp_path / "stderr").read_text() == ""
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_port_can_be_had_again_at_once(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Also where a connection was open, so that the port lingers in TIME_WAIT."""
    server = serve()
    url = httpx.URL(server.url("upload"))
    idle_connections(server)
    server.end(signal.SIGTERM)
    (again := tmp_path / "again").mkdir()
    with begun(again, "--upload-port", str(url.port)) as process:
        assert Server(again, process).url("upload") == str(url)
