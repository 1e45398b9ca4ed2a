"""From the start of `phrasim serve` to the first answer of each service at most 0.6 s, with at most 80 MiB of memory.

A fresh process each time, asked by plain sockets as soon as it says that it is ready: upload, Phraseanet, Auth and the
control port, one after the other. The yardstick in the aside is a process that imports what a server stands on; both
are measured in turn, and the bytecode of both comes from a folder of the benchmark's own, which a first round fills.
Peak memory is Linux's VmHWM after the answers.
"""

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlsplit

from figure import Figure, spread
from served import served

ROUNDS = 9
BAR_SECONDS = 0.6
BAR_MIB = 80

ASKED = {
    "upload": "/commits",
    "phraseanet": "/api/v1/upload/enqueue",
    "auth": "/token-info",
    "control": "/_phrasim/state",
}

_IMPORTS = "import httpx, jsonschema_rs, msgspec, starlette.requests, typer, uvicorn, uvloop, yaml"


def figures() -> list[Figure]:
    seconds, mib, import_seconds = [], [], []
    with tempfile.TemporaryDirectory(prefix="phrasim-benchmark-") as bytecode:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        _started(environment)
        _imported(environment)
        for _ in range(ROUNDS):
            took, peak = _started(environment)
            seconds.append(took)
            mib.append(peak)
            import_seconds.append(_imported(environment))
    ratio = statistics.median(seconds) / statistics.median(import_seconds)
    imports = spread([one * 1000 for one in import_seconds], "ms")
    return [
        Figure(
            "`phrasim serve`, start to the first answers",
            statistics.median(seconds),
            BAR_SECONDS,
            "s",
            f"{spread([one * 1000 for one in seconds], 'ms')}; imports {imports}; ratio {ratio:.2f}",
        ),
        Figure("peak memory after them", statistics.median(mib), BAR_MIB, "MiB", spread(mib, "MiB")),
    ]


def _started(environment: dict[str, str]) -> tuple[float, float]:
    """The seconds until every service has answered, and the peak of memory in MiB."""
    begin = time.perf_counter()
    with served(environment=environment) as server:
        for name, path in ASKED.items():
            connection = http.client.HTTPConnection(urlsplit(server.landscape[name]["url"]).netloc)
            connection.request("GET", path)
            connection.getresponse().read()
            connection.close()
        return time.perf_counter() - begin, server.peak_mib()


def _imported(environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True, cwd=sys.prefix, env=environment)
    return time.perf_counter() - begin
