"""The documented profile: the services that the request-flow document describes, joined (PROTOCOL §1)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from phrasim.auth.accounts import Client, User
from phrasim.auth.documented.app import auth_app
from phrasim.auth.documented.state import TOKEN_BYTES, AuthState
from phrasim.broker.client import AnyBroker
from phrasim.documents import contract
from phrasim.journal.events import Participant
from phrasim.phraseanet.documented.app import phraseanet_app
from phrasim.phraseanet.documented.credentials import ClientToken
from phrasim.phraseanet.documented.poller import Poller
from phrasim.phraseanet.documented.queue import IngestQueue
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.phraseanet.documented.worker import Worker
from phrasim.service.credentials import LIST_COMMITS
from phrasim.testbed.accounts import Accounts
from phrasim.testbed.network import Network
from phrasim.testbed.profiles import Profile
from phrasim.testbed.roles import Roles
from phrasim.testbed.setting import Setting
from phrasim.testbed.spawn import Spawn
from phrasim.upload.documented.access import ADMINISTRATOR
from phrasim.upload.documented.app import upload_app
from phrasim.upload.documented.identity import Identity
from phrasim.upload.documented.outbound import Notifier
from phrasim.upload.documented.state import Commit, UploadState
from phrasim.upload.storage import Storage
from phrasim.upload.stored_file import StoredFile

CONTRACT = contract("documented")

POLL_INTERVAL = 5.0
"""Seconds between two polls of pull mode (A14)."""

EXECUTIONS_MAX = 3
"""How often a message is worked on before it goes to the failed queue (A34)."""

NOTIFY_RETRIES = (1, 2, 4)
"""Seconds before a failed notification is sent again (§2.6)."""

NOTIFY_TIMEOUT = 20
"""Seconds for which the upload service waits for the answer to a notification (§2.6, as in 2019)."""

TOKEN_LIFETIME = 7_776_000
"""Seconds for which Auth's access tokens are good (§5: 90 days)."""

_WORKER, _POLLER = "phraseanet's worker", "phraseanet's poller"


class DocumentedStage:
    """Nothing but Phraseanet's token stays, for which nobody is asked (A4)."""

    targets: Sequence[Mapping[str, str]] | None = None
    given: Mapping[str, str] = {}
    log_in_parameters: Mapping[str, str] = {}
    client_scope: str | None = None

    def __init__(self, setting: Setting, network: Network, accounts: Accounts) -> None:
        self._setting = setting
        self._network = network
        self._accounts = accounts
        self.phraseanet_token = network.chance("phraseanet/token").randbytes(16).hex()

    def begin(self, storage: Path, broker: AnyBroker, spawn: Spawn) -> "DocumentedServices":
        """The services at their beginning."""
        return DocumentedServices(self._setting, self._network, self._accounts, storage, broker, spawn)


class Registry(AuthState):
    """The users, clients and tokens of Auth; `front_end` is the client by which users have theirs."""

    def __init__(self, setting: Setting, network: Network, accounts: Accounts) -> None:
        chosen = setting.token_lifetime
        super().__init__(network.chance("auth"), network.clock.now_ns, TOKEN_LIFETIME if chosen is None else chosen)
        self._front_end = accounts.front_end
        self._given = network.chance("tokens")
        for user in accounts.users:
            self.add_user(user)
        for client in accounts.clients:
            self.add_client(client)

    def token_problem(self, token: str) -> str | None:
        """What is wrong with giving a user this token: it is somebody's."""
        return None if self.token(token) is None else "is somebody's already; write another"

    def user_token(self, user: User, token: str | None = None) -> str:
        """A token of that user, without any scope."""
        return self.issue(self._front_end, user, (), token or self._new()).value

    def client_token(self, client: Client, token: str | None = None) -> str:
        """A token of that client's own, for all of its scopes."""
        return self.issue(client, None, client.scopes, token or self._new()).value

    def _new(self) -> str:
        """Drawn apart from the tokens that are asked for, so that those are the same on every wire."""
        return self._given.randbytes(TOKEN_BYTES).hex()


class DocumentedServices:
    """The services, joined."""

    def __init__(
        self,
        setting: Setting,
        network: Network,
        accounts: Accounts,
        storage: Path,
        broker: AnyBroker,
        spawn: Spawn,
    ) -> None:
        self._setting = setting
        self._network = network
        self._spawn = spawn
        edge = network.edges["phraseanet"]
        self.auth = Registry(setting, network, accounts)
        self.upload = UploadState(network.chance("upload"), network.clock.now)
        self.phraseanet = PhraseanetState(network.clock.now)
        self.storage = Storage(storage, network.chance("upload/storage"))
        self._queue = IngestQueue(broker.connect(edge), CONTRACT.messages)
        self._notifier = Notifier(
            network.client("upload", "phraseanet", NOTIFY_TIMEOUT),
            network.addressing.public_url("upload"),
            clock=network.clock,
            retries=NOTIFY_RETRIES,
            fields=setting.notification_fields,
            token=setting.phraseanet_token,
            note=network.edges["upload"].note,
        )
        auth_client, upload_client = network.client("phraseanet", "auth"), network.client("phraseanet", "upload")
        token = ClientToken(auth_client, accounts.phraseanet.id, accounts.phraseanet.secret, LIST_COMMITS)
        self._worker = Worker(
            self.phraseanet,
            self._queue,
            CONTRACT.messages,
            upload=upload_client,
            upload_url=network.addressing.url("upload"),
            auth=auth_client,
            token=token,
            executions_max=EXECUTIONS_MAX,
            clock=network.clock,
            note=edge.note,
        )
        self._poller = Poller(
            self.phraseanet,
            self._queue,
            upload=upload_client,
            token=token,
            clock=network.clock,
            interval=POLL_INTERVAL if setting.poll_interval is None else setting.poll_interval,
            note=edge.note,
        )
        self.apps: Mapping[Participant, ASGIApp] = {
            "upload": upload_app(
                CONTRACT.specification("upload"),
                self.upload,
                self.storage,
                Identity(network.client("upload", "auth"), network.clock.now_ns),
                committed=self._committed,
                acknowledged=self._acknowledged,
                upload_size_max=setting.upload_size_max,
            ),
            "phraseanet": phraseanet_app(CONTRACT.specification("phraseanet"), self.phraseanet, self._queue),
            "auth": auth_app(CONTRACT.specification("auth"), self.auth),
        }

    def add_commit(self, user_id: str, files: Sequence[tuple[str, StoredFile]], form_data: Mapping[str, Any]) -> Commit:
        """Make a commit of files, as that user would have."""
        assets = [self.upload.add_asset(user_id, name, stored).id for name, stored in files]
        return self.upload.commit(user_id, assets, dict(form_data))

    def counts(self) -> Mapping[str, int]:
        """Nothing else is counted."""
        return {}

    async def start(self) -> None:
        """Declare the topology, and start the worker."""
        await self._queue.declare()
        self._spawn(self._worker.run(), _WORKER)

    async def start_polling(self) -> None:
        """Start the poller, where the mode says so."""
        if self._setting.mode in ("pull", "both"):
            self._spawn(self._poller.run(), _POLLER)

    async def poll(self) -> int:
        """Let Phraseanet poll at once; how many commits were new to it. Raises `PollFailed`."""
        return await self._poller.poll()

    def forget(self, before: datetime) -> None:
        """Forget what was acknowledged before that moment."""
        for file in self.upload.forget(before):
            self.storage.delete(file)
        self.phraseanet.forget_done(before)

    async def wind_up(self, seconds: float) -> None:
        """End the poller, and let the worker end the work at hand; after `seconds` it goes back to its queue."""
        await self._spawn.ended(_POLLER, 0)
        await self._queue.stop()
        await self._spawn.ended(_WORKER, seconds)

    async def leave(self) -> None:
        """Leave the broker."""
        await self._queue.leave()

    def _committed(self, commit: Commit) -> None:
        if self._setting.mode in ("push", "both"):
            self._spawn(self._notifier.notify(commit), f"notification of {commit.id}")

    def _acknowledged(self, commit: Commit) -> None:
        if self._setting.retention is not None:
            self._spawn(self._delete_files(commit, self._setting.retention), f"retention of {commit.id}")

    async def _delete_files(self, commit: Commit, retention: float) -> None:
        await self._network.clock.sleep(retention)
        for asset in commit.assets:
            self.storage.delete(asset.file)
        self._network.edges["upload"].note("files deleted", commit=commit.id)


PROFILE = Profile(Roles(("ROLE_USER",), (ADMINISTRATOR,)), DocumentedStage)
