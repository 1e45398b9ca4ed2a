"""With 100,000 assets in 10,000 commits `phrasim serve` lists and looks up as fast as with 100, in at most 300 MiB.

Two servers are filled over the control port, one of them with 10 commits, each of 10 assets, the other with 10,000. In
both all commits but 5 are acknowledged then. The listing of these, and the metadata of assets at random, are asked for
in turn; of each the figure is the ratio of medians. Nobody hands these commits over, which would take minutes: what
Phraseanet keeps of an asset is measured with `HANDED` more of them, in a third server, whose journal is full already,
and counted for as many assets as there are. Memory is Linux's VmRSS; names are as a user's are, and files short.

A server that is told to forget, `--retain 2s`, takes no more memory for hand-offs that go on and on: whole ones of two
assets, as `hand_offs` has them, for `SOAK_SECONDS` after as many as fill its journal.
"""

import asyncio
import base64
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Self

import uvloop
from figure import Figure
from hand_offs import HandOffs
from lean_client import Connections
from served import Served, served_apart

ASSETS_EACH = 10
FEW, MANY = 10, 10_000
LEFT = 5
AT_ONCE = 100
HANDED = 500
ROUNDS = 2000
BAR_RATIO = 1.2
BAR_MIB = 300
FILLING_SECONDS, SOAK_SECONDS = 10, 20
BAR_SOAK_MIB = 8


def figures() -> list[Figure]:
    with served_apart("--mode", "off") as few, served_apart("--mode", "off") as many:
        seconds, mib = uvloop.run(_asked(few, many))
    with served_apart("--mode", "off") as handing:
        kept_kib = uvloop.run(_handed_over(handing))
    with served_apart("--retain", "2s") as forgetting:
        first, last, done = uvloop.run(_soaked(forgetting))
    assets = MANY * ASSETS_EACH
    whole = mib + assets * kept_kib / 1024
    aside = f"{mib:.0f} MiB with {assets} assets acknowledged, and {kept_kib:.2f} KiB for each that Phraseanet has"
    return [
        *(
            Figure(
                f"{what}, with {assets} assets beside {FEW * ASSETS_EACH}",
                statistics.median(with_many) / statistics.median(with_few),
                BAR_RATIO,
                "x",
                f"{statistics.median(with_many) * 1000:.2f} ms beside {statistics.median(with_few) * 1000:.2f} ms",
            )
            for what, with_few, with_many in seconds
        ),
        Figure(f"memory of `phrasim serve` with {assets} assets handed over", whole, BAR_MIB, "MiB", aside),
        Figure(
            "its growth in a soak with `--retain 2s`",
            last - first,
            BAR_SOAK_MIB,
            "MiB",
            f"{first:.0f} MiB before, {last:.0f} MiB after {done} hand-offs in {SOAK_SECONDS} s",
        ),
    ]


async def _asked(few: Served, many: Served) -> tuple[list[tuple[str, list[float], list[float]]], float]:
    """What was asked and how many seconds it took with few and with many; then the memory with many."""
    chance = random.Random("assets")
    async with Filled(few) as small, Filled(many) as large:
        for filled, commits in ((small, FEW), (large, MANY)):
            await filled.commit(commits)
            await filled.acknowledge(filled.commits[:-LEFT])
        mib = many.memory_mib()
        found = []
        for what, ask in (
            ("listing of 5 commits", lambda filled: filled.upload.ask("GET", "/commits", filled.administrator)),
            ("look-up of an asset", lambda filled: filled.look_up(chance)),
        ):
            with_few, with_many = await _in_turn(ask, small, large)
            found.append((what, with_few, with_many))
    return found, mib


async def _handed_over(server: Served) -> float:
    """The KiB by which the server grows for each asset that is handed over, beyond what the upload service keeps."""
    grown = 0.0
    async with Filled(server) as filled:
        for _ in range(2):  # the first time the journal is filled
            grown = 0.0
            for _ in range(HANDED // AT_ONCE):
                await filled.commit(AT_ONCE)
                before = server.memory_mib()
                await filled.control.ask("POST", "/_phrasim/poll", "")
                await _idle(server)
                grown += server.memory_mib() - before
        left = await filled.upload.ask("GET", "/commits", filled.administrator)
    if left:
        raise RuntimeError(f"handing commits over: {len(left)} are not acknowledged")
    return grown * 1024 / (HANDED * ASSETS_EACH)


async def _soaked(server: Served) -> tuple[float, float, int]:
    """The memory in MiB before and after the soak, and how many hand-offs it had."""
    hand_offs = HandOffs(server)
    looking = asyncio.create_task(hand_offs.look())
    await hand_offs.closed_loop(FILLING_SECONDS)
    before = server.memory_mib()
    hand_offs.milliseconds.clear()
    await hand_offs.closed_loop(SOAK_SECONDS)
    after = server.memory_mib()
    looking.cancel()
    hand_offs.close()
    return before, after, len(hand_offs.milliseconds)


async def _idle(server: Served) -> None:
    """Wait until the server does nothing: nobody asks it whether it does, since its journal would keep the answers."""
    used = -1.0
    while used != server.cpu_seconds():
        used = server.cpu_seconds()
        await asyncio.sleep(0.5)


async def _in_turn(
    ask: Callable[["Filled"], Awaitable[object]], small: "Filled", large: "Filled"
) -> tuple[list[float], list[float]]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        for filled, taken in zip((small, large), seconds, strict=True):
            begin = time.perf_counter()
            await ask(filled)
            if number >= ROUNDS // 10:
                taken.append(time.perf_counter() - begin)
    return seconds


class Filled:
    """A server to be filled."""

    def __init__(self, server: Served) -> None:
        landscape = server.landscape
        self.upload = Connections(landscape["upload"]["url"])
        self.control = Connections(landscape["control"]["url"])
        self.administrator = f"Bearer {landscape['users'][1]['token']}"
        self.commits: list[dict[str, object]] = []
        self._publisher = landscape["users"][0]["email"]
        self._made = 0

    async def commit(self, commits: int) -> None:
        """Make so many commits more."""
        for first in range(0, commits, AT_ONCE):
            made = [self._commit() for _ in range(min(AT_ONCE, commits - first))]
            body = json.dumps({"commits": made}).encode()
            added = await self.control.ask("POST", "/_phrasim/seed-data", "", body=body)
            self.commits += added["commits"]

    async def acknowledge(self, commits: list[dict[str, object]]) -> None:
        for commit in commits:
            await self.upload.ask("POST", f"/commits/{commit['id']}/ack", self.administrator, body=b"{}")

    async def look_up(self, chance: random.Random) -> None:
        assets = chance.choice(self.commits)["assets"]
        assert isinstance(assets, list)
        await self.upload.ask("GET", f"/assets/{chance.choice(assets)}", self.administrator)

    def _commit(self) -> dict[str, object]:
        files = {}
        for _ in range(ASSETS_EACH):
            self._made += 1
            content = base64.b64encode(f"The content of asset {self._made}".encode()).decode()
            files[f"asset-{self._made}.txt"] = {"base64": content}
        return {"publisher": self._publisher, "files": files, "formData": {"title": "A commit", "keywords": ["a", "b"]}}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.upload.close()
        self.control.close()
