"""The consumer of a base queue: it starts a process for each delivery, and settles the delivery at once (§4.3, H2)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from phrasim.broker.client import BrokerClient, BrokerError, Incoming
from phrasim.clock import Clock
from phrasim.edge.context import handled
from phrasim.phraseanet.deployed.payload import as_number
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.queues import BaseQueue
from phrasim.phraseanet.deployed.state import WorkerDied

RECONNECT_SECONDS = 1.0
"""How long a consumer waits for a broker that is gone, before it tries again."""

Work = Callable[[dict[str, Any]], Awaitable[None]]
"""What a process does with a payload. It raises `WorkerDied` for what nobody catches in the real one."""

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
"""Starts a process under a name; OSError where none can be started."""


@dataclass(frozen=True, slots=True)
class _Message:
    message_type: str
    payload: dict[str, Any]


class Consumer:
    """Consumes `queue` through a client of its own; at most `processes_max` of its processes run at a time (§4.3)."""

    def __init__(
        self,
        queue: BaseQueue,
        client: BrokerClient,
        publisher: Publisher,
        works: Mapping[str, Work],
        *,
        processes_max: int,
        spawn: Spawn,
        clock: Clock,
        note: Callable[..., None],
    ) -> None:
        self.queue = queue
        self._client = client
        self._publisher = publisher
        self._works = works
        self._processes_max = processes_max
        self._free = asyncio.Semaphore(processes_max)
        self._spawn = spawn
        self._clock = clock
        self._note = note

    async def run(self) -> None:
        """Consume until it is stopped. Where the broker or the queue is gone it declares anew, and goes on."""
        consuming = True
        while True:
            try:
                await self._publisher.prepare(self.queue.name)
                deliveries = await self._client.consume(self.queue.name, self._processes_max)
                consuming = True
                async for incoming in deliveries:
                    await self._take(incoming)
            except BrokerError as error:
                if consuming:
                    self._note("consuming failed", queue=self.queue.name, reason=str(error))
                consuming = False
            else:
                return
            await self._clock.sleep(RECONNECT_SECONDS)

    async def stop(self) -> None:
        """Consume no more: `run` ends behind the deliveries that were made already."""
        await self._client.cancel()

    async def leave(self) -> None:
        """Leave the broker."""
        await self._client.close()

    async def _take(self, incoming: Incoming) -> None:
        """Give a message up that was tried too often, or start a process for it; then settle the delivery.

        A message that cannot be read, or that is no work of this queue's kind, starts no process: it is rejected, and
        given up as often as any other, as it is (assumed: nothing tells what the real consumer does with it).
        """
        handled.set(incoming.handled)
        count = self._count(incoming)
        message = self._read(incoming, count)
        if message is None:
            await self._refuse(incoming, count)
            return
        base = self._publisher.topology.bases[message.message_type]
        if base.gives_up_at(count):
            self._note("work given up", work=base.name, count=count)
            await self._publisher.give_up(base.name, message.payload, _own_headers(incoming))
            await self._client.acknowledge(incoming)
        elif not await self._start(message, incoming) or base.loops:
            await self._client.reject(incoming)
        else:
            await self._client.acknowledge(incoming)

    async def _refuse(self, incoming: Incoming, count: int | None) -> None:
        """There is no work in a message."""
        if not self.queue.gives_up_at(count):
            await self._client.reject(incoming)
            return
        self._note("work given up", work=self.queue.name, count=count)
        await self._publisher.give_up_unread(self.queue.name, incoming.body, _own_headers(incoming))
        await self._client.acknowledge(incoming)

    def _count(self, incoming: Incoming) -> int | None:
        """The `count` of the last `x-death` entry that names a base queue, whichever one (H13); None without any."""
        count, bases = None, self._publisher.topology.bases
        deaths = incoming.headers.get("x-death")
        for death in deaths if isinstance(deaths, list | tuple) else ():
            if isinstance(death, Mapping) and "count" in death and str(death.get("queue")) in bases:
                count = as_number(death["count"])
        return count

    def _read(self, incoming: Incoming, count: int | None) -> _Message | None:
        """The message with the count in its payload, or None, which is noted, if there is no work in it."""
        try:
            body = msgspec.json.decode(incoming.body)
        except (ValueError, RecursionError) as error:
            self._note("message unreadable", queue=self.queue.name, reason=f"it is not JSON: {error}")
            return None
        match body:
            case {"message_type": str(message_type), "payload": dict(payload)} if message_type in self._works:
                return _Message(message_type, payload if count is None else {**payload, "count": count})
        known = ", ".join(self._works)
        reason = f"it is no object with a payload and a message_type, which is one of {known}"
        self._note("message unreadable", queue=self.queue.name, reason=reason)
        return None

    async def _start(self, message: _Message, incoming: Incoming) -> bool:
        """Wait for a free process and start it; whether that went well. How it ends is not looked at (H2)."""
        await self._free.acquire()
        process = self._process(message, incoming)
        try:
            self._spawn(process, f"{message.message_type} of {incoming.handled.message_id}")
        except OSError as error:
            process.close()
            self._free.release()
            self._note("process not started", queue=self.queue.name, reason=str(error))
            return False
        return True

    async def _process(self, message: _Message, incoming: Incoming) -> None:
        handled.set(incoming.handled)
        try:
            await self._works[message.message_type](message.payload)
        except WorkerDied as died:
            self._note("worker died", work=message.message_type, reason=str(died))
        finally:
            self._free.release()


def _own_headers(incoming: Incoming) -> dict[str, Any]:
    """The headers of a delivery without the trace that the wire put there."""
    return {name: value for name, value in incoming.headers.items() if name != "traceparent"}
