"""Phraseanet's workers: a consumer for each base queue, and what each does with its messages."""

from collections.abc import Callable

from phrasim.broker.client import BrokerClient
from phrasim.clock import Clock
from phrasim.phraseanet.deployed.consumer import Consumer, Spawn
from phrasim.phraseanet.deployed.creation import CreateRecord
from phrasim.phraseanet.deployed.ingest import AssetsIngest
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.pull import PullAssets
from phrasim.phraseanet.deployed.queues import ASSETS_INGEST, CREATE_RECORD, PULL_ASSETS
from phrasim.phraseanet.deployed.state import PhraseanetState
from phrasim.phraseanet.deployed.uploader import Uploader


class Workers:
    """The consumers over `state`; `connect` makes a connection to the broker for each of them."""

    def __init__(
        self,
        state: PhraseanetState,
        publisher: Publisher,
        uploader: Uploader,
        *,
        connect: Callable[[], BrokerClient],
        spawn: Spawn,
        clock: Clock,
        note: Callable[..., None],
        processes_max: int = 1,
    ) -> None:
        self._publisher = publisher
        self._spawn = spawn
        self.pull = PullAssets(state, publisher, uploader, note)
        works = {
            ASSETS_INGEST: AssetsIngest(state, publisher, uploader, note).work,
            CREATE_RECORD: CreateRecord(state, publisher, uploader, note).work,
            PULL_ASSETS: self.pull.work,
        }
        self.consumers = tuple(
            Consumer(
                queue,
                connect(),
                publisher,
                works,
                processes_max=processes_max,
                spawn=spawn,
                clock=clock,
                note=note,
            )
            for queue in publisher.topology.bases.values()
        )

    def start(self) -> None:
        """Begin to consume; pull mode rests until it is started (`PullAdministration`)."""
        for consumer in self.consumers:
            self._spawn(consumer.run(), f"consumer of {consumer.queue.name}")

    async def stop(self) -> None:
        """Consume no more; processes that were started go on."""
        for consumer in self.consumers:
            await consumer.stop()

    async def leave(self) -> None:
        """Leave the broker; what was delivered and not settled goes back to its queue."""
        for consumer in self.consumers:
            await consumer.leave()
        await self._publisher.leave()
