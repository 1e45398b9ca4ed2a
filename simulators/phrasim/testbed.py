"""The participants of a run, joined by a wire, under one clock and one seed."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from starlette.types import ASGIApp

from phrasim.auth import state as auth
from phrasim.auth.app import auth_app
from phrasim.broker.core import Broker
from phrasim.broker.local import LocalBroker
from phrasim.clock import Clock
from phrasim.documents import messages
from phrasim.edge.context import Correlation
from phrasim.edge.edge import Edge, Wire
from phrasim.edge.faults import Fault, Faults
from phrasim.edge.transport import InProcessTransport
from phrasim.journal.events import PARTICIPANTS, Participant
from phrasim.journal.recorder import Journal
from phrasim.phraseanet.app import phraseanet_app
from phrasim.phraseanet.credentials import ClientToken
from phrasim.phraseanet.poller import Poller
from phrasim.phraseanet.queue import IngestQueue
from phrasim.phraseanet.state import PhraseanetState
from phrasim.phraseanet.worker import Worker
from phrasim.profile import DOCUMENTED, Profile
from phrasim.upload.access import ADMINISTRATOR, LIST_COMMITS
from phrasim.upload.app import upload_app
from phrasim.upload.identity import Identity
from phrasim.upload.outbound import ALL_FIELDS, Notifier
from phrasim.upload.state import Commit, UploadState
from phrasim.upload.storage import Storage

Mode = Literal["push", "pull", "both", "off"]
"""Who starts the hand-off: the upload service notifies, Phraseanet polls, both, or nobody (A21)."""

URLS: dict[Participant, str] = {
    "upload": "https://upload.test",
    "phraseanet": "https://phraseanet.test",
    "auth": "https://auth.test",
}
"""Where the services of an in-process run answer; the names lead nowhere else (RFC 6761, `.test`)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made of. Times are in seconds, sizes in bytes; None takes the profile's value or means no limit."""

    profile: Profile = DOCUMENTED
    seed: int = 1
    mode: Mode = "push"
    publisher_email: str = "publisher@example.org"
    publisher_name: str = "A Publisher"
    poll_interval: float | None = None
    token_lifetime: int | None = None
    upload_size_max: int | None = None
    retention: float | None = None
    """How long files are kept after the acknowledgement (A31); None keeps them for ever."""
    notification_fields: tuple[str, ...] = ALL_FIELDS
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who is registered with Auth: the publisher, an administrator, Phraseanet's client and the users' front end."""

    publisher: auth.User
    administrator: auth.User
    phraseanet: auth.Client
    front_end: auth.Client


class Testbed:
    """The simulated participants in one process. Use `open_testbed`, which also takes them down."""

    __test__ = False  # pytest, this is no test

    def __init__(self, setting: Setting, storage: Path, clock: Clock, spawn: "Spawn") -> None:
        self.setting = setting
        self.clock = clock
        self.journal = Journal(clock.now_ns)
        self._spawn = spawn
        self.faults = Faults(setting.faults)
        apps: dict[str, ASGIApp] = {}
        self._transport = InProcessTransport(apps)
        wire = Wire(
            journal=self.journal,
            clock=clock,
            profile=setting.profile,
            faults=self.faults,
            correlation=Correlation(),
            hosts={httpx.URL(url).host: participant for participant, url in URLS.items()},
            transport=self._transport,
        )
        self.edges = {name: Edge(name, wire, self.chance(f"{name}/edge")) for name in PARTICIPANTS}
        self.accounts = _accounts(setting, self.chance("accounts"))
        self.auth = self._auth_state()
        self.upload = UploadState(self.chance("upload"), clock.now)
        self.phraseanet = PhraseanetState()
        self.broker = LocalBroker(
            Broker(clock.now_ns, self.chance("broker"), epoch_s=int(clock.epoch.timestamp())),
            self.edges["broker"],
            clock,
            messages(),
        )
        self._queue = IngestQueue(self.broker.connect(self.edges["phraseanet"]), messages())
        self._notifier = self._make_notifier()
        self.storage = Storage(storage, self.chance("upload/storage"))
        self._mount(apps)

    def chance(self, name: str) -> random.Random:
        """The randomness of one room: a draw more in one of them changes nothing in another."""
        return random.Random(f"{self.setting.seed}/{name}")

    def client(self, participant: Participant, to: Participant, timeout: float | None = 30) -> httpx.AsyncClient:
        """A client of `participant` whose base is the URL of `to`."""
        return self.edges[participant].client(URLS[to], timeout)

    async def start(self) -> None:
        """Declare the topology, start the worker and, where the mode says so, the poller."""
        await self._queue.declare()
        auth_client = self.client("phraseanet", "auth")
        upload_client = self.client("phraseanet", "upload")
        client = self.accounts.phraseanet
        token = ClientToken(auth_client, client.id, client.secret, LIST_COMMITS)
        worker = Worker(
            self.phraseanet,
            self._queue,
            messages(),
            upload=upload_client,
            upload_url=URLS["upload"],
            auth=auth_client,
            token=token,
            executions_max=self.setting.profile.executions_max,
            note=self.edges["phraseanet"].note,
        )
        self._spawn(worker.run(), "phraseanet's worker")
        if self.setting.mode in ("pull", "both"):
            poller = Poller(
                self.phraseanet,
                self._queue,
                upload=upload_client,
                token=token,
                clock=self.clock,
                interval=self.setting.poll_interval or self.setting.profile.poll_interval,
                note=self.edges["phraseanet"].note,
            )
            self._spawn(poller.run(), "phraseanet's poller")

    async def stop(self) -> None:
        """Take the wire down, and with it what the applications still do."""
        await self._transport.aclose()

    def _auth_state(self) -> auth.AuthState:
        lifetime = self.setting.token_lifetime or self.setting.profile.token_lifetime
        state = auth.AuthState(self.chance("auth"), self.clock.now_ns, lifetime)
        for user in (self.accounts.publisher, self.accounts.administrator):
            state.add_user(user)
        for client in (self.accounts.phraseanet, self.accounts.front_end):
            state.add_client(client)
        return state

    def _make_notifier(self) -> Notifier:
        profile = self.setting.profile
        return Notifier(
            self.client("upload", "phraseanet", profile.notify_timeout),
            URLS["upload"],
            clock=self.clock,
            retries=profile.notify_retries,
            fields=self.setting.notification_fields,
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

    def _mount(self, apps: dict[str, ASGIApp]) -> None:
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
        for participant, app in made.items():
            host = httpx.URL(URLS[participant]).host
            apps[host] = self.edges[participant].around(app, stranger=lambda _: "user")


class Spawn:
    """Starts the background tasks of a testbed in a task group, and ends them when the run is over."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: dict[asyncio.Task[None], None] = {}

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` beside the run; what it raises ends the run."""
        task = self._group.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def cancel(self) -> None:
        """End what still runs."""
        for task in tuple(self._tasks):
            task.cancel()


@asynccontextmanager
async def open_testbed(setting: Setting, storage: Path) -> AsyncIterator[Testbed]:
    """A running testbed on the running loop; `storage` is a folder for the files of the run.

    A simulator that fails (not: refuses) ends the block with what it raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            spawn = Spawn(group)
            testbed = Testbed(setting, storage, Clock(asyncio.get_running_loop()), spawn)
            await testbed.start()
            try:
                yield testbed
            finally:
                spawn.cancel()
                await testbed.stop()
    except BaseExceptionGroup as failed:
        if len(failed.exceptions) == 1:
            raise failed.exceptions[0] from None
        raise


def _accounts(setting: Setting, chance: random.Random) -> Accounts:
    def user_id() -> str:
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    return Accounts(
        publisher=auth.User(user_id(), setting.publisher_email, setting.publisher_name, chance.randbytes(8).hex()),
        administrator=auth.User(
            user_id(),
            "administrator@example.org",
            "An Administrator",
            chance.randbytes(8).hex(),
            roles=("ROLE_USER", ADMINISTRATOR),
        ),
        phraseanet=auth.Client("phraseanet", chance.randbytes(16).hex(), scopes=(LIST_COMMITS,)),
        front_end=auth.Client("front-end", chance.randbytes(16).hex(), grants=("password",)),
    )
