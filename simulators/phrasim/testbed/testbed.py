"""The participants of a landscape, joined by a network, under one clock and one seed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from phrasim.broker.client import AnyBroker
from phrasim.broker.local import LocalBroker
from phrasim.broker.record import BrokerRecord
from phrasim.clock import Clock
from phrasim.documents import contract
from phrasim.testbed.accounts import Accounts, accounts_of
from phrasim.testbed.broker import new_broker
from phrasim.testbed.network import InProcess, Network, seeded
from phrasim.testbed.profiles import profile_of
from phrasim.testbed.seed import SeedData
from phrasim.testbed.services import Stage
from phrasim.testbed.setting import Setting
from phrasim.testbed.spawn import Spawn, spawning

SWEEPS = 60
"""How often one looks, in the time for which all is remembered, what is to be forgotten: each time takes a moment."""


class Testbed:
    """The simulated participants. Use `open_testbed`, or a landscape, which also take them down.

    The state of a participant that is not played stays empty. `apps` are the applications of those that are. Without a
    `broker` theirs is in this process.
    """

    __test__ = False  # pytest, this is no test

    def __init__(
        self,
        setting: Setting,
        network: Network,
        accounts: Accounts,
        stage: Stage,
        storage: Path,
        spawn: Spawn,
        broker: AnyBroker | None = None,
    ) -> None:
        self.setting = setting
        self.network = network
        self.accounts = accounts
        self.stage = stage
        self.clock = network.clock
        self.journal = network.journal
        self.faults = network.faults
        self.edges = network.edges
        self.chance = network.chance
        self.client = network.client
        self._spawn = spawn
        self.broker = broker or _local_broker(setting, network)
        self.services = stage.begin(storage, self.broker, spawn)
        self.auth = self.services.auth
        self.upload = self.services.upload
        self.phraseanet = self.services.phraseanet
        self.storage = self.services.storage
        played = {name: app for name, app in self.services.apps.items() if name in network.played}
        self.apps = {name: self.edges[name].around(app) for name, app in played.items()}
        if setting.retain is not None:
            spawn(self._forget(setting.retain), "forgetting")

    async def _forget(self, retain: float) -> None:
        while True:
            await self.clock.sleep(retain / SWEEPS)
            self.services.forget(self.clock.now() - timedelta(seconds=retain))

    async def start(self) -> None:
        """Start the workers of Phraseanet, where it is played. Raises `BrokerError`."""
        if "phraseanet" in self.network.played:
            await self.services.start()

    async def start_polling(self) -> None:
        """Let Phraseanet poll by itself, where it is played; all services answer by now. Raises `BrokerError`."""
        if "phraseanet" in self.network.played:
            await self.services.start_polling()

    async def abandon(self) -> None:
        """End at once all that the participants do by themselves; they answer requests, and begin nothing more."""
        await asyncio.gather(*self._spawn.cancel(), return_exceptions=True)
        await self.services.leave()
        self.broker.close()

    async def wind_up(self, seconds: float) -> None:
        """End polling, and let the workers end the work at hand; after `seconds` it is broken off."""
        await self.services.wind_up(seconds)
        await self.abandon()


def new_stage(setting: Setting, network: Network, accounts: Accounts) -> Stage:
    """What stays of the services when they begin anew, for the profile of the setting."""
    return profile_of(setting.profile).stage(setting, network, accounts)


def registered(setting: Setting, seed: SeedData, network: Network) -> Accounts:
    """Who is registered with Auth at the beginning, with the roles that the profile knows."""
    return accounts_of(setting, seed, profile_of(setting.profile).roles, network.chance("accounts"))


def _local_broker(setting: Setting, network: Network) -> LocalBroker:
    record = BrokerRecord(network.edges["broker"], network.contract.messages)
    return LocalBroker(new_broker(setting, network), record, network.clock)


@asynccontextmanager
async def open_testbed(setting: Setting, storage: Path, wire: InProcess | None = None) -> AsyncIterator[Testbed]:
    """A testbed in this process, on the running loop; `storage` is a folder for the files of the run.

    Without a `wire` every service is played. A simulator that fails (not: refuses) ends the block with what it raised.
    """
    wire = wire or InProcess()
    async with spawning() as spawn:
        network = Network(
            contract(setting.profile),
            setting.faults,
            wire.addressing,
            clock=Clock(asyncio.get_running_loop()),
            chance=seeded(setting.seed),
        )
        accounts = registered(setting, SeedData(), network)
        testbed = Testbed(setting, network, accounts, new_stage(setting, network, accounts), storage, spawn)
        wire.mount(testbed.apps)
        await testbed.start()
        await testbed.start_polling()
        try:
            yield testbed
        finally:
            spawn.cancel()
            await wire.addressing.transport.aclose()
