"""Other HTTP servers, each in a process of its own, and `wrk`, which calls a server from another core than its own."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
START_SECONDS = 20

_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ root {folder}; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is ready: its base URL, and the process that was started."""

    url: str
    pid: int


def absence(*programs: str) -> str | None:
    """Why servers cannot be compared here by these programs; None when they can."""
    if not hasattr(os, "sched_setaffinity"):
        return "a process cannot be kept on one core here: that is Linux's"
    if len(os.sched_getaffinity(0)) < 2:
        return "one core for the server and one for its caller are needed, and there is only one"
    missing = [program for program in programs if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Keep this process, and those that it starts in the block, on one of its cores, counted from 0."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def bare_starlette() -> Iterator[Peer]:
    """The application of `http_bare.py` under uvicorn with uvloop and httptools."""
    port = _free_port()
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    command = [sys.executable, "-m", "uvicorn", "http_bare:app", "--port", str(port), *options]
    with _running(command, Path(__file__).parent, port) as peer:
        yield peer


@contextmanager
def nginx(folder: Path) -> Iterator[Peer]:
    """One worker of nginx with sendfile, which serves the files of `folder`."""
    port = _free_port()
    configuration = folder / "nginx.conf"
    # Begun by root it would read the files as another user.
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration.write_text(user + _NGINX.format(folder=folder, port=port))
    with _running(["nginx", "-c", str(configuration)], folder, port) as peer:
        yield peer


@contextmanager
def _running(command: Sequence[str], folder: Path, port: int) -> Iterator[Peer]:
    process = subprocess.Popen(command, cwd=folder)
    with process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"starting {command[0]}: nobody answers on its port") from None
                    time.sleep(0.02)
            yield Peer(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Load:
    """What `wrk` saw: answers a second, the milliseconds within which 99 of 100 came; and what the server took.

    That is microseconds of processor time for each answer: other processes on its core lengthen it less.
    """

    rate: float
    p99: float
    processor: float


def load(server: Peer, path: str, seconds: int, headers: Mapping[str, str], script: Path | None = None) -> Load:
    """Call a server from the second core on 32 connections. Raises RuntimeError where an answer was no success."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command += ["-s", str(script)] if script else []
    url = server.url + path
    before = _processor_seconds(server.pid)
    with on_core(1):
        told = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    took = _processor_seconds(server.pid) - before
    rate, p99 = re.search(r"Requests/sec:\s+([\d.]+)", told), re.search(r"99%\s+([\d.]+)(us|ms|s)", told)
    if rate is None or p99 is None or float(rate[1]) == 0 or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"calling {url}: expected successes alone, found\n{told}")
    milliseconds = float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]
    return Load(float(rate[1]), milliseconds, took * 1e6 / (float(rate[1]) * seconds))


def _processor_seconds(pid: int) -> float:
    """What a process and its children have had of the processor (proc(5): the fields 14 and 15 of `stat`)."""
    ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(_processor_seconds, map(int, children)))
