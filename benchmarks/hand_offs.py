"""Whole hand-offs through one `phrasim serve`: at least 200 a second; at half of its rate 95 of 100 within 50 ms.

A client uploads two assets of 64 KiB and commits them; the upload service notifies Phraseanet, whose worker asks Auth
for the publisher, reads metadata and file of each asset, and acknowledges the commit: push mode, the documented
profile, HTTP and AMQP on loopback. The server is pinned to one core, this process, all its clients, to another.

First so many clients as keep the server busy, each of which begins anew once its commit is acknowledged; the figure is
the time for each hand-off. Then hand-offs begin by themselves, at random times (open loop), half as many a second as
were sustained: from the commit being sent until it is known to be acknowledged. That is learnt from the listing of
commits, which is asked for every `LOOK_SECONDS` (`BUSY_LOOK_SECONDS` before), so that the server has little to do for
it; the figure is the longer for it. The aside gives what one costs the server in processor time, to which a neighbour
on its core adds less.
"""

import asyncio
import random
import statistics
import time
from itertools import count

import uvloop
from figure import Figure
from lean_client import FORM, Connections, form
from served import Served, served_apart

ASSET_BYTES = 64 * 1024
CLIENTS = 24
WARM_UP_SECONDS = 3.0
SECONDS = 15.0
LOOK_SECONDS = 0.01
BUSY_LOOK_SECONDS = 0.05
BAR_MS = 5.0
BAR_LATENCY_MS = 50.0

_CONTENT = bytes(range(256)) * (ASSET_BYTES // 256)


def figures() -> list[Figure]:
    with served_apart() as server:
        return uvloop.run(_figures(server))


async def _figures(server: Served) -> list[Figure]:
    hand_offs = HandOffs(server)
    looking = asyncio.create_task(hand_offs.look())
    await hand_offs.closed_loop(WARM_UP_SECONDS)
    hand_offs.milliseconds.clear()
    cpu_before = server.cpu_seconds()
    seconds = await hand_offs.closed_loop(SECONDS)
    done = len(hand_offs.milliseconds)
    cpu_ms = (server.cpu_seconds() - cpu_before) * 1000 / done
    hand_offs.milliseconds.clear()
    hand_offs.look_seconds = LOOK_SECONDS
    late_ms = await hand_offs.open_loop(SECONDS, done / seconds / 2)
    looking.cancel()
    hand_offs.close()
    latencies = statistics.quantiles(hand_offs.milliseconds, n=100)
    return [
        Figure(
            "a whole hand-off through `phrasim serve`, sustained",
            seconds * 1000 / done,
            BAR_MS,
            "ms",
            f"{done / seconds:.0f} a second for {seconds:.0f} s; {cpu_ms:.2f} ms of the server's processor time each",
        ),
        Figure(
            "from commit to acknowledged at half that rate, 95th percentile",
            latencies[94],
            BAR_LATENCY_MS,
            "ms",
            f"median {latencies[49]:.1f} ms, 99th {latencies[98]:.1f} ms, n = {len(hand_offs.milliseconds)}; "
            f"looked every {LOOK_SECONDS * 1000:.0f} ms; a client began {late_ms:.1f} ms late at most",
        ),
    ]


class HandOffs:
    """Hand-offs that clients begin; `milliseconds` has of each how long it took from the commit on."""

    def __init__(self, server: Served) -> None:
        self.milliseconds: list[float] = []
        self.look_seconds = BUSY_LOOK_SECONDS
        self._upload = Connections(server.landscape["upload"]["url"])
        self._user = f"Bearer {server.landscape['users'][0]['token']}"
        self._administrator = f"Bearer {server.landscape['users'][1]['token']}"
        self._numbers = count()
        self._open: dict[str, asyncio.Future[None]] = {}
        """What waits for the acknowledgement of the commit that the asset belongs to."""

    async def closed_loop(self, seconds: float) -> float:
        """Clients begin anew until the time is over; how many seconds it was until the last one had ended."""
        begin = time.perf_counter()

        async def client() -> None:
            while time.perf_counter() - begin < seconds:
                await self._hand_off()

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return time.perf_counter() - begin

    async def open_loop(self, seconds: float, rate: float) -> float:
        """Clients begin by themselves, `rate` a second on average; by how many milliseconds one was late at most."""
        chance, late = random.Random("arrivals"), 0.0
        begin = due = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            while due < begin + seconds:
                due += chance.expovariate(rate)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                late = max(late, time.perf_counter() - due)
                group.create_task(self._hand_off())
        return late * 1000

    async def look(self) -> None:
        """Learn again and again which commits are acknowledged: those that are listed no more."""
        while True:
            asked = dict(self._open)
            listed = await self._upload.ask("GET", "/commits", self._administrator)
            left = {asset for commit in listed for asset in commit["assets"]}
            for asset, acknowledged in asked.items():
                if asset not in left:
                    acknowledged.set_result(None)
                    del self._open[asset]
            await asyncio.sleep(self.look_seconds)

    def close(self) -> None:
        self._upload.close()

    async def _hand_off(self) -> None:
        assets = [await self._uploaded() for _ in range(2)]
        body = b'{"files": ["%b"], "formData": {"title": "A hand-off"}}' % '", "'.join(assets).encode()
        sent = time.perf_counter()
        await self._upload.ask("POST", "/commit", self._user, body=body)
        # Only now: a listing that was asked for before the commit was made does not have it either.
        acknowledged = self._open[assets[0]] = asyncio.get_running_loop().create_future()
        await acknowledged
        self.milliseconds.append((time.perf_counter() - sent) * 1000)

    async def _uploaded(self) -> str:
        """The id of an asset that is like no other."""
        number = b"asset %d " % next(self._numbers)
        body = form(number + _CONTENT[len(number) :])
        answer = await self._upload.ask("POST", "/assets", self._user, body=body, media_type=FORM)
        asset: str = answer["id"]
        return asset
