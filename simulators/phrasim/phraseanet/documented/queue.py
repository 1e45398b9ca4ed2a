"""Phraseanet's side of RabbitMQ: the topology of `messages.yaml`, and handing a commit to itself (P5)."""

from typing import Any

import msgspec

from phrasim.broker.client import BrokerClient, Consumption, Incoming
from phrasim.documents import Messages
from phrasim.phraseanet.documented.wire import Handover, to_message

MAIN, FAILED = "assetsIngest", "assetsIngest_failed"
"""Channels of `messages.yaml` that Phraseanet sends to; the retry queue is reached by rejecting a delivery (A34)."""


class IngestQueue:
    """The commits that Phraseanet has to work on."""

    def __init__(self, client: BrokerClient, messages: Messages) -> None:
        self._client = client
        self._messages = messages

    async def declare(self) -> None:
        """Declare exchanges, queues and bindings (§4.1); those that exist already stay as they are."""
        for channel in self._messages.channels.values():
            await self._client.declare_exchange(channel.exchange, channel.exchange_type)
            await self._client.declare_queue(channel.queue, channel.queue_arguments)
            await self._client.bind_queue(channel.queue, channel.exchange, channel.routing_key)

    async def put(self, handover: Handover) -> None:
        """Produce the message of a commit (P5). Raises `BrokerError` if the broker did not take it."""
        await self._publish(MAIN, msgspec.json.encode(to_message(handover)))

    async def consume(self) -> Consumption:
        """The deliveries, one at a time (§4.3: the deployed prefetch is the number of processes, 1)."""
        return await self._client.consume(self._messages.channels[MAIN].queue, prefetch=1)

    async def stop(self) -> None:
        """Consume no more: the deliveries end with those that were made already."""
        await self._client.cancel()

    async def leave(self) -> None:
        """Leave the broker; what nobody has acknowledged goes back to its queue."""
        await self._client.close()

    async def done(self, incoming: Incoming) -> None:
        """The work on a delivery is done."""
        await self._client.acknowledge(incoming)

    async def try_again(self, incoming: Incoming) -> None:
        """The work failed: through the retry queue the message comes back after its time to live."""
        await self._client.reject(incoming)

    async def give_up(self, incoming: Incoming) -> None:
        """The work failed for the last time: the body goes to the failed queue as it is, then the delivery is done."""
        await self._publish(FAILED, incoming.body)
        await self._client.acknowledge(incoming)

    def executions(self, incoming: Incoming) -> int:
        """Which execution of the work this delivery is, from 1: one more than its rejections in the main queue.

        Whoever publishes may write an `x-death`, too; what no broker would write there counts nothing.
        """
        queue = self._messages.channels[MAIN].queue
        deaths = incoming.headers.get("x-death")
        return 1 + sum(_rejections(death, queue) for death in (deaths if isinstance(deaths, list) else ()))

    async def _publish(self, channel: str, body: bytes) -> None:
        target = self._messages.channels[channel]
        await self._client.publish(target.exchange, target.routing_key, body, {})


def _rejections(death: Any, queue: str) -> int:
    """How often, by this entry of `x-death`, the message was rejected in that queue."""
    if not isinstance(death, dict) or (death.get("queue"), death.get("reason")) != (queue, "rejected"):
        return 0
    count = death.get("count")
    return count if isinstance(count, int) else 0
