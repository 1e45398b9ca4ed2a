"""The participants of a landscape, joined by a network, under one clock and one seed."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from phrasim.auth.documented.app import auth_app
from phrasim.auth.documented.state import AuthState
from phrasim.broker.client import AnyBroker
from phrasim.broker.local import LocalBroker
from phrasim.broker.record import BrokerRecord
from phrasim.clock import Clock
from phrasim.documents import messages
from phrasim.journal.events import Participant
from phrasim.phraseanet.documented.app import phraseanet_app
from phrasim.phraseanet.documented.credentials import ClientToken
from phrasim.phraseanet.documented.poller import Poller
from phrasim.phraseanet.documented.queue import IngestQueue
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.phraseanet.documented.worker import Worker
from phrasim.testbed.accounts import Accounts, accounts_of
from phrasim.testbed.broker import new_broker
from phrasim.testbed.network import InProcess, Network, seeded
from phrasim.testbed.seed import SeedData
from phrasim.testbed.setting import Setting
from phrasim.upload.documented.access import LIST_COMMITS
from phrasim.upload.documented.app import upload_app
from phrasim.upload.documented.identity import Identity
from phrasim.upload.documented.outbound import Notifier
from phrasim.upload.documented.state import Commit, UploadState
from phrasim.upload.storage import Storage

_WORKER, _POLLER = "phraseanet's worker", "phraseanet's poller"


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
        storage: Path,
        spawn: "Spawn",
        broker: AnyBroker | None = None,
    ) -> None:
        self.setting = setting
        self.network = network
        self.accounts = accounts
        self.clock = network.clock
        self.journal = network.journal
        self.faults = network.faults
        self.edges = network.edges
        self.chance = network.chance
        self.client = network.client
        self._spawn = spawn
        self.auth = self._auth_state()
        self.upload = UploadState(self.chance("upload"), self.clock.now)
        self.phraseanet = PhraseanetState()
        self.broker = broker or _local_broker(setting, network)
        self._queue = IngestQueue(self.broker.connect(self.edges["phraseanet"]), messages())
        self._notifier = self._make_notifier()
        self.storage = Storage(storage, self.chance("upload/storage"))
        auth_client, upload_client = self.client("phraseanet", "auth"), self.client("phraseanet", "upload")
        token = ClientToken(auth_client, accounts.phraseanet.id, accounts.phraseanet.secret, LIST_COMMITS)
        self._worker = Worker(
            self.phraseanet,
            self._queue,
            messages(),
            upload=upload_client,
            upload_url=network.addressing.url("upload"),
            auth=auth_client,
            token=token,
            executions_max=setting.profile.executions_max,
            clock=self.clock,
            note=self.edges["phraseanet"].note,
        )
        self.poller = Poller(
            self.phraseanet,
            self._queue,
            upload=upload_client,
            token=token,
            clock=self.clock,
            interval=setting.profile.poll_interval if setting.poll_interval is None else setting.poll_interval,
            note=self.edges["phraseanet"].note,
        )
        self.apps = self._played_apps()

    async def start(self) -> None:
        """Declare the topology, start the worker and, where the mode says so, the poller; all this is Phraseanet's."""
        if "phraseanet" not in self.network.played:
            return
        await self._queue.declare()
        self._spawn(self._worker.run(), _WORKER)
        if self.setting.mode in ("pull", "both"):
            self._spawn(self.poller.run(), _POLLER)

    async def abandon(self) -> None:
        """End at once all that the participants do by themselves; they answer requests, and begin nothing more."""
        await asyncio.gather(*self._spawn.cancel(), return_exceptions=True)
        await self._queue.leave()
        self.broker.close()

    async def wind_up(self, seconds: float) -> None:
        """End the poller, and let the worker end the work at hand; after `seconds` it goes back to its queue."""
        await self._spawn.ended(_POLLER, 0)
        await self._queue.stop()
        await self._spawn.ended(_WORKER, seconds)
        await self.abandon()

    def _auth_state(self) -> AuthState:
        profile, chosen = self.setting.profile, self.setting.token_lifetime
        state = AuthState(self.chance("auth"), self.clock.now_ns, profile.token_lifetime if chosen is None else chosen)
        for user in self.accounts.users:
            state.add_user(user)
        for client in self.accounts.clients:
            state.add_client(client)
        return state

    def _make_notifier(self) -> Notifier:
        profile = self.setting.profile
        return Notifier(
            self.client("upload", "phraseanet", profile.notify_timeout),
            self.network.addressing.public_url("upload"),
            clock=self.clock,
            retries=profile.notify_retries,
            fields=self.setting.notification_fields,
            token=self.setting.phraseanet_token,
            note=self.edges["upload"].note,
        )

    def _committed(self, commit: Commit) -> None:
        if self.setting.mode in ("push", "both"):
            self._spawn(self._notifier.notify(commit), f"notification of {commit.id}")

    def _acknowledged(self, commit: Commit) -> None:
        if self.setting.retention is not None:
            self._spawn(self._delete_files(commit, self.setting.retention), f"retention of {commit.id}")

    async def _delete_files(self, commit: Commit, retention: float) -> None:
        await self.clock.sleep(retention)
        for asset in commit.assets:
            self.storage.delete(asset.file)
        self.edges["upload"].note("files deleted", commit=commit.id)

    def _played_apps(self) -> dict[Participant, ASGIApp]:
        profile = self.setting.profile
        identity = Identity(self.client("upload", "auth"), self.clock.now_ns)
        made: dict[Participant, ASGIApp] = {
            "upload": upload_app(
                profile.specification("upload"),
                self.upload,
                self.storage,
                identity,
                committed=self._committed,
                acknowledged=self._acknowledged,
                upload_size_max=self.setting.upload_size_max,
            ),
            "phraseanet": phraseanet_app(profile.specification("phraseanet"), self.phraseanet, self._queue),
            "auth": auth_app(profile.specification("auth"), self.auth),
        }
        return {name: self.edges[name].around(app) for name, app in made.items() if name in self.network.played}


class Spawn:
    """Starts the background tasks of a testbed in a task group, and ends them when the run is over."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._closed = False

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` beside the run; what it raises ends the run. Once all is over, nothing new is begun."""
        if self._closed:
            work.close()
            return
        task = self._group.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def ended(self, name: str, seconds: float) -> None:
        """Wait until the tasks of that name have ended; after `seconds` they are cancelled."""
        tasks = [task for task in self._tasks if task.get_name() == name]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def cancel(self) -> tuple[asyncio.Task[None], ...]:
        """End what still runs, and begin nothing new; the tasks that are ending."""
        self._closed = True
        ending = tuple(self._tasks)
        for task in ending:
            task.cancel()
        return ending

    def anew(self) -> "Spawn":
        """Another place in the same group."""
        return Spawn(self._group)


def _local_broker(setting: Setting, network: Network) -> LocalBroker:
    record = BrokerRecord(network.edges["broker"], messages())
    return LocalBroker(new_broker(setting, network), record, network.clock)


@asynccontextmanager
async def spawning() -> AsyncIterator[Spawn]:
    """A place for background tasks, to be cancelled at the end of the block.

    A simulator that fails (not: refuses) ends the block with what it raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield Spawn(group)
    except BaseExceptionGroup as failed:
        if len(failed.exceptions) == 1:
            raise failed.exceptions[0] from None
        raise


@asynccontextmanager
async def open_testbed(setting: Setting, storage: Path, wire: InProcess | None = None) -> AsyncIterator[Testbed]:
    """A testbed in this process, on the running loop; `storage` is a folder for the files of the run.

    Without a `wire` every service is played. A simulator that fails (not: refuses) ends the block with what it raised.
    """
    wire = wire or InProcess()
    async with spawning() as spawn:
        network = Network(
            setting.profile,
            setting.faults,
            wire.addressing,
            clock=Clock(asyncio.get_running_loop()),
            chance=seeded(setting.seed),
        )
        accounts = accounts_of(setting, SeedData(), network.chance("accounts"))
        testbed = Testbed(setting, network, accounts, storage, spawn)
        wire.mount(testbed.apps)
        await testbed.start()
        try:
            yield testbed
        finally:
            spawn.cancel()
            await wire.addressing.transport.aclose()
