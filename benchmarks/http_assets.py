"""HTTP of `phrasim serve` beside other servers, each on one core with `wrk` on another; more is faster.

`GET /assets/{id}` by the commit's AssetToken, with the journal: at least 1.3 times a bare Starlette application under
the same uvicorn (`http_bare.py`), and 99 of 100 answers within 10 ms at 32 connections. A file of 1 MiB from disk: at
least 0.55 times nginx. An upload of 64 KiB, hashed and on disk: at least 0.6 times the bare application, which parses
the form by `request.form()` and throws it away.

In every round each server does the same in turn, the other one first in the next round; a ratio is that of one round.
The first round is not counted. After each round the landscape begins anew, so that its files are gone from the disk.
"""

import http.client
import importlib.util
import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from comparison import Comparison, LeftOut
from figure import Figure
from http_bare import TOKEN
from http_peers import Load, Peer, absence, bare_starlette, load, nginx, on_core
from served import Served, served

MIB = 1024 * 1024
KIB = 1024
ROUNDS = 5
SECONDS = 2
P99_BAR_MS = 10

_FORM = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "multipart/form-data; boundary=b"
wrk.body = '--b\\r\\nContent-Disposition: form-data; name="file"; filename="asset.bin"\\r\\n\\r\\n'
  .. string.rep("\\1", {size}) .. "\\r\\n--b--\\r\\n"
"""


@dataclass(frozen=True, slots=True)
class Calls:
    """What `wrk` calls at a server."""

    server: Peer
    path: str
    authorization: str
    script: Path | None = None

    def load(self) -> Load:
        return load(self.server, self.path, SECONDS, {"Authorization": self.authorization}, self.script)


@dataclass(slots=True)
class Race:
    """What two servers do in turn, and how fast they were; `bar` is of the ratio."""

    what: str
    bar: float
    other: str
    loads: list[tuple[Load, Load]] = field(default_factory=list)

    def run(self, ours: Calls, theirs: Calls, number: int) -> None:
        """The round `number`; 0 is not counted."""
        if number % 2:
            pair = ours.load(), theirs.load()
        else:
            after = theirs.load()
            pair = ours.load(), after
        if number:
            self.loads.append(pair)

    def comparison(self) -> Comparison:
        ours, theirs = (
            f"{median(one.rate for one in side):,.0f}/s at {median(one.processor for one in side):,.0f} µs"
            for side in zip(*self.loads, strict=True)
        )
        ratios = tuple(one.rate / other.rate for one, other in self.loads)
        return Comparison(self.what, ratios, self.bar, f"{ours}, {self.other} {theirs}")

    def p99(self) -> Figure:
        ours, theirs = (median(one.p99 for one in side) for side in zip(*self.loads, strict=True))
        return Figure(f"{self.what}, 99 of 100 within", ours, P99_BAR_MS, "ms", f"{self.other} {theirs:.2f} ms")


def figures() -> list[Comparison | Figure | LeftOut]:
    missing = absence("wrk")
    if missing is not None:
        return [LeftOut("HTTP beside other servers", missing)]
    get = Race("`GET /assets/{id}` beside bare Starlette", 1.3, "Starlette")
    download = Race("download of 1 MiB beside nginx", 0.55, "nginx")
    upload = Race("upload of 64 KiB beside bare Starlette", 0.6, "Starlette")
    left_out = []
    if (without := absence("nginx")) is not None:
        left_out.append(LeftOut(download.what, without))
    if importlib.util.find_spec("python_multipart") is None:
        left_out.append(LeftOut(upload.what, "not installed: python-multipart, by which Starlette parses a form"))
    skipped = {one.what for one in left_out}
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        (folder / "asset.bin").write_bytes(bytes(MIB))
        form = folder / "form.lua"
        form.write_text(_FORM.format(size=64 * KIB))
        with on_core(0):
            server = ending.enter_context(served("--mode", "off"))
            bare = ending.enter_context(bare_starlette())
            other = None if download.what in skipped else ending.enter_context(nginx(folder))
        for number in range(ROUNDS + 1):
            asset, token, bearer = _prepared(server)
            ours = Peer(server.landscape["upload"]["url"], server.process.pid)
            get.run(Calls(ours, asset, token), Calls(bare, "/assets/0", TOKEN), number)
            if other is not None:
                download.run(Calls(ours, f"{asset}/download", token), Calls(other, "/asset.bin", TOKEN), number)
            if upload.what not in skipped:
                upload.run(Calls(ours, "/assets", bearer, form), Calls(bare, "/assets", TOKEN, form), number)
            _ask(server, "control", "POST", "/_phrasim/reset", bearer)
    run = [race for race in (download, upload) if race.what not in skipped]
    return [get.comparison(), get.p99(), *(race.comparison() for race in run), *left_out]


def _prepared(server: Served) -> tuple[str, str, str]:
    """A committed asset of 1 MiB: its path; what opens it, and what an uploader is authorized by."""
    user, administrator = (f"Bearer {user['token']}" for user in server.landscape["users"][:2])
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="asset.bin"\r\n\r\n'
    body = part + bytes(MIB) + b"\r\n--b--\r\n"
    asset = _ask(server, "upload", "POST", "/assets", user, body, "multipart/form-data; boundary=b")["id"]
    commit = json.dumps({"files": [asset], "formData": {"title": "A title"}}).encode()
    _ask(server, "upload", "POST", "/commit", user, commit, "application/json")
    (listed,) = _ask(server, "upload", "GET", "/commits", administrator)
    return f"/assets/{asset}", f"AssetToken {listed['token']}", user


def _ask(
    server: Served,
    name: str,
    method: str,
    path: str,
    authorization: str,
    body: bytes | None = None,
    content_type: str | None = None,
) -> dict:
    connection = http.client.HTTPConnection(urlsplit(server.landscape[name]["url"]).netloc)
    headers = {"Authorization": authorization} | ({"Content-Type": content_type} if content_type else {})
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"asking the server: expected a success, found {answer.status}: {content[:200]!r}")
    return json.loads(content) if content else {}
