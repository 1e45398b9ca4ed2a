"""What Phraseanet publishes: each message is stamped, and before each the queue is declared anew (§4.1, §4.2)."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from phrasim.broker.client import BrokerClient, BrokerError
from phrasim.phraseanet.deployed.queues import Topology

Payload = Mapping[str, Any]


class Publisher:
    """Publishes through `client`. Nobody hears of a message that the broker does not take: it is noted, and lost (H1).

    `now` gives the time in UTC, `note` writes into the journal.
    """

    def __init__(
        self, client: BrokerClient, topology: Topology, *, now: Callable[[], datetime], note: Callable[..., None]
    ) -> None:
        self.topology = topology
        self._client = client
        self._now = now
        self._note = note
        self._declaring = asyncio.Lock()

    async def publish(self, message_type: str, payload: Payload) -> dict[str, Any]:
        """Publish work to a base queue; the message as it was before it got its stamp."""
        message = {"message_type": message_type, "payload": dict(payload)}
        await self._publish(message_type, message, {})
        return message

    async def try_again(self, message_type: str, payload: Payload, count: int, reason: str) -> None:
        """Publish work that failed straight to its retry queue, with the `x-death` that a broker would have made.

        The array holds one table, in which `routing-keys` is a text where the broker writes an array (§4.3).
        """
        death = {
            "count": count,
            "exchange": self.topology.channel(message_type).exchange,
            "queue": message_type,
            "routing-keys": message_type,
            "reason": "rejected",
            "time": self._now().replace(microsecond=0),
        }
        headers = {"x-death": [death], "worker-message": reason}
        message = {"message_type": message_type, "payload": dict(payload)}
        await self._publish(self.topology.bases[message_type].waiting, message, headers)

    async def give_up(self, message_type: str, payload: Payload, headers: Mapping[str, Any]) -> None:
        """Publish a payload to its failed queue under the headers it came with; the `message_type` is gone (H12)."""
        await self._publish(self.topology.bases[message_type].failed, payload, headers)

    async def give_up_unread(self, queue: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """Publish what is no message to the failed queue of the base queue where it lay, as it is (assumed)."""
        await self._send(self.topology.bases[queue].failed, body, headers)

    async def purge(self, queue: str) -> None:
        """Drop what waits in a queue, and in the one that belongs to it. Raises `BrokerError`."""
        await self.prepare(queue)
        for name in self.topology.declared_with(queue):
            await self._client.purge_queue(name)

    async def prepare(self, queue: str) -> None:
        """Declare a queue, the one that belongs to it, and their exchanges (§4.1). Raises `BrokerError`.

        Each is first declared passively, so that one whose arguments are others by now stays as it is. Where there is
        none, that closes the channel, which other processes have not in common with this one: here they wait.
        """
        async with self._declaring:
            for name in self.topology.declared_with(queue):
                await self._declare(name)

    async def leave(self) -> None:
        """Leave the broker."""
        await self._client.close()

    async def _publish(self, queue: str, message: Payload, headers: Mapping[str, Any]) -> None:
        # A notification may have a field of this name, which is of any type; only an object can be stamped.
        inner = message.get("payload")
        stamp = {"published": int(self._now().timestamp())}
        stamped = {**message, "payload": {**(inner if isinstance(inner, Mapping) else {}), **stamp}}
        await self._send(queue, msgspec.json.encode(stamped), headers)

    async def _send(self, queue: str, body: bytes, headers: Mapping[str, Any]) -> None:
        channel = self.topology.channel(queue)
        try:
            await self.prepare(queue)
            await self._client.publish(channel.exchange, channel.routing_key, body, headers)
        except BrokerError as error:
            self._note("message lost", queue=queue, reason=str(error))

    async def _declare(self, queue: str) -> None:
        try:
            await self._client.check_queue(queue)
        except BrokerError:
            # Not there, or the broker is away: then this fails as well.
            for name, exchange_type in self.topology.exchanges.items():
                await self._client.declare_exchange(name, exchange_type)
            channel = self.topology.channel(queue)
            await self._client.declare_queue(queue, self.topology.arguments(queue))
            await self._client.bind_queue(queue, channel.exchange, channel.routing_key)
