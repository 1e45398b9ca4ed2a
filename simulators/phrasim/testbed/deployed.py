"""The deployed profile: the services as they are today, joined (PROTOCOL §2 to §5, the columns *now*)."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from phrasim.auth.accounts import Client, User
from phrasim.auth.deployed.app import auth_app
from phrasim.auth.deployed.keys import SigningKey
from phrasim.auth.deployed.state import AuthState
from phrasim.auth.deployed.state import Client as RealmClient
from phrasim.auth.deployed.state import User as RealmUser
from phrasim.broker.client import AnyBroker
from phrasim.documents import contract
from phrasim.journal.events import Participant
from phrasim.phraseanet.deployed.app import phraseanet_app
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.pull import PullAdministration
from phrasim.phraseanet.deployed.queues import PULL_ASSETS, QueueSettings, Topology
from phrasim.phraseanet.deployed.state import OAuthToken, PhraseanetState, PullTarget, WorkerDied
from phrasim.phraseanet.deployed.uploader import Uploader
from phrasim.phraseanet.deployed.workers import Workers
from phrasim.phraseanet.poll_failed import PollFailed
from phrasim.service.credentials import LIST_COMMITS
from phrasim.testbed.accounts import Accounts
from phrasim.testbed.deployed_setting import TargetSetting
from phrasim.testbed.network import Network, unguessable
from phrasim.testbed.profiles import Profile
from phrasim.testbed.roles import Roles
from phrasim.testbed.setting import Setting
from phrasim.testbed.spawn import Spawn
from phrasim.upload.deployed.access import ADMINISTRATORS
from phrasim.upload.deployed.app import upload_app
from phrasim.upload.deployed.identity import Identity
from phrasim.upload.deployed.outbound import Notifier
from phrasim.upload.deployed.signing import SignedUrls
from phrasim.upload.deployed.state import Commit, CommitRequest, UploadState
from phrasim.upload.deployed.target import Target
from phrasim.upload.deployed.work import Work
from phrasim.upload.storage import Storage
from phrasim.upload.stored_file import StoredFile

CONTRACT = contract("deployed")

REALM = "phrasea"
"""Keycloak's realm; the name is that of the services' own stack (assumed)."""

TOKEN_LIFETIME = 86_400
"""Seconds for which Auth's access tokens are good: Keycloak's setting, which nobody has verified (assumed: a day)."""

POLL_INTERVAL = 5.0
"""Seconds between two polls of pull mode: what the sample configuration says, where the code says 10 (A14, §4.1)."""

SWEEP_SECONDS = 86_400.0
"""How often the command that removes what is too old is run (§2.7); operators run it daily (assumed)."""

_PHRASEANET = "phraseanet's "
"""What the names of Phraseanet's tasks begin with."""


class DeployedStage:
    """The signing key, the targets and Phraseanet's tokens stay."""

    log_in_parameters: Mapping[str, str] = {"realm": REALM}
    client_scope: str | None = LIST_COMMITS

    def __init__(self, setting: Setting, network: Network, accounts: Accounts) -> None:
        self._setting = setting
        self._network = network
        self._accounts = accounts
        # Whoever has this program has the development key; but where chance comes from a seed they have all else, too.
        self._key = SigningKey.fresh() if network.chance is unguessable else SigningKey.development()
        drawn = network.chance("phraseanet/token")
        token, *spoilt = (drawn.randbytes(16).hex() for _ in range(3))
        self.phraseanet_token = setting.phraseanet_token or token
        self._tokens = (
            OAuthToken(self.phraseanet_token),
            OAuthToken(spoilt[0], expires=datetime.fromtimestamp(0, UTC)),
            OAuthToken(spoilt[1], revoked=True),
        )
        ids = network.chance("upload/targets")
        first, *others = setting.deployed.targets
        known = replace(first, slug=setting.target_slug or first.slug)
        drawn_ids = [str(uuid.UUID(int=ids.getrandbits(128), version=4)) for _ in setting.deployed.targets]
        self._targets = (
            self._target(known, setting.target_id or drawn_ids[0]),
            *map(self._target, others, drawn_ids[1:]),
        )
        self.targets: Sequence[Mapping[str, str]] | None = [{"id": one.id, "slug": one.slug} for one in self._targets]
        self.given: Mapping[str, str] = {
            "target.id": self._targets[0].id,
            "target.slug": self._targets[0].slug,
            "phraseanet.token": self.phraseanet_token,
            "phraseanet.expiredToken": spoilt[0],
            "phraseanet.revokedToken": spoilt[1],
            "client.id": accounts.phraseanet.id,
            "client.secret": accounts.phraseanet.secret,
            "upload.url": network.addressing.public_url("upload"),
        }

    def begin(self, storage: Path, broker: AnyBroker, spawn: Spawn) -> "DeployedServices":
        """The services at their beginning."""
        return DeployedServices(
            self._setting,
            self._network,
            self._accounts,
            storage,
            broker,
            spawn,
            key=self._key,
            targets=self._targets,
            tokens=self._tokens,
        )

    def _target(self, setting: TargetSetting, target_id: str) -> Target:
        url = setting.url
        if url is None and self._setting.mode in ("push", "both"):
            path = CONTRACT.operations["enqueueAssets"].path
            url = self._network.addressing.url("phraseanet") + path
        return Target(
            id=target_id,
            slug=setting.slug,
            name=setting.slug,
            url=url,
            key=self.phraseanet_token if setting.key is None else setting.key,
            scheme=setting.scheme,
            default_destination=setting.default_destination,
            params=setting.params,
            form_schema=setting.form_schema,
            enabled=setting.enabled,
            hidden=setting.hidden,
        )


class Registry:
    """The users and clients of Auth's realm, and tokens that `key` signs."""

    def __init__(self, state: AuthState, key: SigningKey, accounts: Accounts) -> None:
        self._state = state
        self._key = key
        self._front_end = accounts.front_end
        self._users: dict[str, User] = {}
        for user in accounts.users:
            self.add_user(user)
        for client in accounts.clients:
            self.add_client(client)

    @property
    def token_lifetime(self) -> int:
        """For how many seconds a token is good that is signed from now on."""
        return self._state.token_lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: int) -> None:
        self._state.token_lifetime = seconds

    @property
    def users(self) -> tuple[User, ...]:
        """All users, in the order in which they were registered."""
        return tuple(self._users.values())

    def user(self, user_id: str) -> User | None:
        """The user of that id."""
        return self._users.get(user_id)

    def add_user(self, user: User) -> None:
        """Register a user."""
        self._users[user.id] = user
        self._state.add_user(_realm_user(user))

    def add_client(self, client: Client) -> None:
        """Register a client."""
        self._state.add_client(_realm_client(client))

    def token_problem(self, token: str) -> str | None:  # noqa: ARG002 - whichever it is
        """What is wrong with giving a user this token: only Auth makes tokens."""
        return "cannot be chosen: in this profile Auth signs its tokens; leave it out"

    def user_token(self, user: User, token: str | None = None) -> str:
        """A signed token of that user; one that was signed before stays what it is."""
        return token or self._key.signed(self._state.issue(_realm_client(self._front_end), _realm_user(user), ()))

    def client_token(self, client: Client, token: str | None = None) -> str:
        """A signed token of that client's own, for all of its scopes; one that was signed before stays what it is."""
        return token or self._key.signed(self._state.issue(_realm_client(client), None, client.scopes))


class DeployedServices:
    """The services, joined."""

    def __init__(
        self,
        setting: Setting,
        network: Network,
        accounts: Accounts,
        storage: Path,
        broker: AnyBroker,
        spawn: Spawn,
        *,
        key: SigningKey,
        targets: Sequence[Target],
        tokens: Sequence[OAuthToken],
    ) -> None:
        self._setting = setting
        self._network = network
        self._spawn = spawn
        self.storage = Storage(storage, network.chance("upload/storage"))
        realm = AuthState(
            network.chance("auth"),
            network.clock.now,
            TOKEN_LIFETIME if setting.token_lifetime is None else setting.token_lifetime,
            issuer=f"{network.addressing.public_url('auth')}/realms/{REALM}",
        )
        self.auth = Registry(realm, key, accounts)
        self.upload = UploadState(targets, network.chance("upload"), network.clock.now, setting.deployed.limits)
        self._work = self._upload_work()
        self.phraseanet = PhraseanetState(
            network.clock.now,
            network.chance("phraseanet"),
            tokens=tokens,
            users=setting.deployed.users,
            collections=setting.deployed.collections,
            targets=self._pull_targets(targets[0], accounts.phraseanet),
        )
        edge = network.edges["phraseanet"]
        self._publisher = Publisher(
            broker.connect(edge), Topology(CONTRACT.messages, self._queues()), now=network.clock.now, note=edge.note
        )
        self._workers = Workers(
            self.phraseanet,
            self._publisher,
            Uploader(edge.client()),
            connect=lambda: broker.connect(edge),
            spawn=lambda work, name: spawn(work, _PHRASEANET + name),
            clock=network.clock,
            note=edge.note,
            processes_max=setting.deployed.processes_max,
        )
        self._polling = PullAdministration(self.phraseanet, self._publisher, network.clock.now)
        if setting.retention is not None and "upload" in network.played:
            spawn(self._sweep(setting.retention), "removal of what is too old")
        self.apps: Mapping[Participant, ASGIApp] = {
            "upload": self._upload_app(),
            "phraseanet": phraseanet_app(
                CONTRACT.specification("phraseanet"), self.phraseanet, self._publisher, network.clock.now
            ),
            "auth": auth_app(CONTRACT.specification("auth"), realm, key, REALM),
        }

    def add_commit(self, user_id: str, files: Sequence[tuple[str, StoredFile]], form_data: Mapping[str, Any]) -> Commit:
        """Make a commit of files for the first target, as that user would have."""
        target = self.upload.targets[0]
        assets = [self.upload.add_asset(user_id, target, name, stored, {}).id for name, stored in files]
        return self.upload.commit(
            CommitRequest(user_id, target, tuple(assets), form_data, {}, notify=False, locale="en")
        )

    def counts(self) -> Mapping[str, int]:
        """Quarantine, stories and job rows of Phraseanet, and the assets that it acknowledged."""
        rows = [row.status for row in self.phraseanet.jobs.rows]
        return {
            "acknowledgedAssets": sum(asset.acknowledged for asset in self.upload.assets),
            "quarantined": len(self.phraseanet.quarantine),
            "stories": len(self.phraseanet.stories),
            "runningJobs": rows.count("running"),
            "finishedJobs": rows.count("finished"),
            "canceledJobs": rows.count("canceled"),
        }

    async def start(self) -> None:
        """Declare the topology, and start the workers."""
        for queue in self._publisher.topology.bases:
            await self._publisher.prepare(queue)
        self._workers.start()

    async def start_polling(self) -> None:
        """Send the message that makes Phraseanet poll, where the mode says so."""
        if self._setting.mode in ("pull", "both"):
            await self._polling.start()

    async def poll(self) -> int:
        """Let Phraseanet poll at once; how many commits it handed to itself. Raises `PollFailed`."""
        try:
            return await self._workers.pull.round()
        except WorkerDied as died:
            raise PollFailed(str(died)) from died

    def forget(self, before: datetime) -> None:
        """Forget what was acknowledged before that moment."""
        self._work.forget(before)
        self.phraseanet.forget_finished(before)

    async def wind_up(self, seconds: float) -> None:
        """Consume no more, and let the processes end; after `seconds` they are killed, and their work is lost (H2)."""
        await self._workers.stop()
        await self._spawn.ended(_PHRASEANET, seconds)

    async def leave(self) -> None:
        """Leave the broker."""
        await self._workers.leave()

    async def _sweep(self, age: float) -> None:
        while True:
            await self._network.clock.sleep(SWEEP_SECONDS)
            self._work.remove_old_assets(age / 86_400)

    def _upload_work(self) -> Work:
        edge, clock = self._network.edges["upload"], self._network.clock
        base_url = self._network.addressing.public_url("upload")
        notifier = Notifier(edge.client(), base_url, clock=clock, note=edge.note)
        return Work(
            self.upload,
            self.storage,
            notifier,
            grace=self._setting.deployed.grace,
            now=clock.now,
            spawn=self._spawn,
            note=edge.note,
        )

    def _upload_app(self) -> ASGIApp:
        specification, clock = CONTRACT.specification("upload"), self._network.clock
        auth, operations = self._network.client("upload", "auth"), CONTRACT.operations
        return upload_app(
            specification,
            self.upload,
            self.storage,
            self._work,
            identify=Identity(auth, operations["getKeys"].path.format(realm=REALM), clock.now),
            urls=SignedUrls(
                self._network.addressing.public_url("upload"),
                operations["downloadFile"].path,
                self._network.chance("upload/signing"),
                clock.now,
                self._setting.deployed.url_lifetime,
            ),
            auth=auth,
            token_url=operations["issueToken"].path.format(realm=REALM),
            note=self._network.edges["upload"].note,
            embed_assets=self._setting.deployed.embed_assets,
        )

    def _pull_targets(self, target: Target, client: Client) -> list[PullTarget]:
        base_url = self._network.addressing.portless_url("upload")
        written = self._setting.deployed.pull_uris
        uris = [uri.replace("{upload}", base_url).replace("{target}", target.id) for uri in written]
        return [
            PullTarget(f"{target.slug} {number}" if len(uris) > 1 else target.slug, uri, client.id, client.secret)
            for number, uri in enumerate(uris, start=1)
        ]

    def _queues(self) -> Mapping[str, QueueSettings]:
        """The settings of the queues, the pause between two polls among them."""
        chosen = self._setting.poll_interval
        pause = round((POLL_INTERVAL if chosen is None else chosen) * 1000)
        settings = self._setting.deployed.queues
        return {**settings, PULL_ASSETS: replace(settings.get(PULL_ASSETS, QueueSettings()), ttl_retry_ms=pause)}


def _realm_user(user: User) -> RealmUser:
    return RealmUser(user.id, user.email, user.email, user.password, user.roles, user.groups)


def _realm_client(client: Client) -> RealmClient:
    return RealmClient(client.id, client.secret, client.scopes, grants=client.grants)


PROFILE = Profile(Roles(("user",), ADMINISTRATORS), DeployedStage, drops_port=True)
