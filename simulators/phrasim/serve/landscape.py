"""A landscape: a testbed on real ports, with users and tokens, which can begin anew while its URLs stay."""

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from phrasim.auth.accounts import Client, User
from phrasim.clock import Clock
from phrasim.documents import contract
from phrasim.journal.events import Participant
from phrasim.journal.recorder import JOURNAL_EVENTS_MAX
from phrasim.phraseanet.poll_failed import PollFailed
from phrasim.serve.broker import GUEST, BrokerSide, Login
from phrasim.serve.entrance import BegunAnew, Entrance
from phrasim.serve.external import External
from phrasim.serve.server import HttpServer
from phrasim.serve.sockets import is_loopback, url_of
from phrasim.serve.tls import external_client_context
from phrasim.serve.transport import SocketTransport
from phrasim.testbed import (
    PLAYABLE,
    SERVICES,
    Accounts,
    Addressing,
    Network,
    SeedData,
    Setting,
    Spawn,
    Testbed,
    new_stage,
    registered,
    spawning,
    unguessable,
)
from phrasim.testbed.accounts import new_client, new_user
from phrasim.testbed.network import Chance, real_ones
from phrasim.testbed.profiles import profile_of
from phrasim.testbed.seeding import SeedError, hold_to_landscape, hold_to_profile, seed_commits
from phrasim.testbed.services import HeldCommit

CONTROL = "control"
"""What the control port is called beside those of the participants."""

_USUAL_PORTS = {"http": 80, "https": 443}
"""The ports that httpx leaves out of a URL."""

WORK_STOP_SECONDS = 0.5
"""How long the worker may still work when a landscape ends; then its commit goes back to the queue."""

HTTP_STOP_SECONDS = 0.5
"""How long requests may still take after that: all in all a server ends within three seconds."""

BROKER_STOP_SECONDS = 0.5
"""How long clients of the broker may take to leave, once they are told that it ends."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The context of a landscape's HTTPS servers, and what makes one that trusts them and nobody else."""

    server: ssl.SSLContext
    client: Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be served.

    `played` are the participants that phrasim plays; `login` is how others use its broker. `accounts` are taken from
    `seed` and drawn unless they are given, as those of an external Auth have to be. `events_max` bounds the journal;
    None keeps all of it.
    """

    setting: Setting = field(default_factory=Setting)
    played: tuple[Participant, ...] = PLAYABLE
    external: External = field(default_factory=lambda: External({}))
    public_urls: Mapping[Participant, str] = field(default_factory=dict)
    tls: Tls | None = None
    login: Login = GUEST
    seed: SeedData = field(default_factory=SeedData)
    accounts: Accounts | None = None
    chance: Chance = unguessable
    events_max: int | None = JOURNAL_EVENTS_MAX

    @property
    def real(self) -> tuple[Participant, ...]:
        """The participants that are real ones."""
        external = (*self.external.urls, *(("broker",) if self.external.broker else ()))
        return real_ones(external, self.played)

    def further(self, setting: Setting, seed: SeedData) -> "Plan":
        """The plan of one more landscape beside this one.

        A public URL leads to the first: what it promises of the others would not hold. In a real broker they would
        take each other's messages: each has a simulated one.
        """
        played = self.played if self.external.broker is None else (*self.played, "broker")
        external = replace(self.external, broker=None)
        return replace(self, setting=setting, seed=seed, public_urls={}, external=external, played=played)


@dataclass(frozen=True, slots=True)
class Added:
    """What seed data has put into a landscape; users and clients are values for JSON."""

    users: list[dict[str, Any]]
    clients: list[dict[str, Any]]
    commits: tuple[HeldCommit, ...]


class LandscapeEnded(Exception):
    """The landscape ends, and cannot be changed any more."""


class Landscape:
    """A testbed behind sockets. Use `open_landscape`, which also ends it."""

    def __init__(self, plan: Plan, listeners: Mapping[str, socket.socket], storage: Path, spawn: Spawn) -> None:
        self.plan = plan
        scheme = "https" if plan.tls else "http"
        http = {name: listener for name, listener in listeners.items() if name != "broker"}
        self._bound = {name: url_of(listener, scheme) for name, listener in http.items()}
        self.is_local = all(is_loopback(listener.getsockname()[0]) for listener in listeners.values())
        """Whether this machine alone reaches the landscape."""
        self._storage = storage
        self._spawn = spawn
        self._beginnings = 0
        self._changing = asyncio.Lock()
        self._ended = False
        self.network = self._network()
        correlation = self.network.edges["user"].tracer.correlation
        self._entrance = Entrance(lambda traceparent: correlation.bears(traceparent) is not None)
        self._control_entrance = Entrance(lambda _traceparent: False)
        self.accounts = plan.accounts or registered(plan.setting, plan.seed, self.network)
        self._stage = new_stage(plan.setting, self.network, self.accounts)
        given = {user.email: user.token for user in plan.seed.users if user.token is not None}
        self.tokens = {user.id: given[user.email] for user in self.accounts.users if user.email in given}
        """An access token of each user, by the user's id; it stays the same when the landscape begins anew."""
        self._servers = {
            name: HttpServer(
                (self._control_entrance if name == CONTROL else self._entrance).at(name),
                listener,
                plan.tls.server if plan.tls else None,
            )
            for name, listener in http.items()
        }
        self._broker = BrokerSide(self.network, plan.setting, plan.external, plan.login, listeners.get("broker"))
        self.testbed = self._testbed()
        self._client_ids = {client.id for client in self.accounts.clients}

    @property
    def control_url(self) -> str | None:
        """The URL of the control port, if there is one."""
        return self._bound.get(CONTROL)

    @property
    def broker_url(self) -> str | None:
        """The URL of the broker, with the login of one that is played; None where nobody reaches one."""
        return self._broker.url

    def mount_control(self, app: ASGIApp) -> None:
        """From now on `app` answers at the control port."""
        self._control_entrance.open([(CONTROL, app)])

    async def start(self) -> None:
        """Answer on every port, and begin. Raises `SeedError`, before anything answers."""
        self._hold_seed()
        for server in self._servers.values():
            await server.start()
        await self._broker.start()
        await self._begin()

    async def connectable(self) -> None:
        """Connect to every port once, so that TLS that cannot work shows at the start. Raises OSError."""
        for url in self._bound.values():
            base = httpx.URL(url)
            tls = self.plan.tls.client() if self.plan.tls else None
            port = base.port or _USUAL_PORTS[base.scheme]
            _, writer = await asyncio.open_connection(base.host, port, ssl=tls)
            writer.close()
            await writer.wait_closed()

    async def reset(self) -> None:
        """Begin anew: URLs, users, clients and their tokens stay; all else is as it was in the beginning.

        Whatever is under way is broken off, and who calls meanwhile waits. Raises `LandscapeEnded`, and `BrokerError`
        where a real broker is away: then nobody works until it begins anew once more.
        """
        async with self._changing:
            if self._ended:
                raise LandscapeEnded("the landscape ends, and does not begin anew")
            await self.testbed.abandon()
            await self._entrance.close()
            self.testbed.broker.close()  # A request that was still under way may have set its timer again.
            self.network.faults.clear()
            for fault in self.plan.setting.faults:
                self.network.faults.add(fault)
            self.network.journal.clear()
            gone = self.testbed.storage.folder
            self.testbed = self._testbed()
            self._client_ids = {client.id for client in self.accounts.clients}
            shutil.rmtree(gone, ignore_errors=True)
            await self._begin()

    async def add(self, seed: SeedData) -> Added:
        """Put more into the landscape, until it begins anew. Raises `SeedError`, and then adds nothing."""
        async with self._changing:
            self._hold_added(seed)
            chance = self.plan.chance("accounts")
            roles = profile_of(self.plan.setting.profile).roles
            users = [(new_user(one, roles, chance), one.token) for one in seed.users]
            clients = tuple(new_client(one, chance) for one in seed.clients)
            issued = {}
            for user, token in users:
                self.testbed.auth.add_user(user)
                issued[user.id] = self.testbed.auth.user_token(user, token)
            for client in clients:
                self.testbed.auth.add_client(client)
                self._client_ids.add(client.id)
            commits = seed_commits(self.testbed, seed.commits)
        return Added(
            users=[described_user(user, issued[user.id]) for user, _ in users],
            clients=[described_client(client) for client in clients],
            commits=commits,
        )

    async def poll(self) -> int:
        """Let Phraseanet poll at once; how many commits were new. Raises `PollFailed`."""
        try:
            async with self._entrance.under_way():
                return await self.testbed.services.poll()
        except BegunAnew as error:
            raise PollFailed(str(error)) from error

    async def stop(self) -> None:
        """End in this order: who follows the journal, the poller, the worker, HTTP and AMQP; once is enough."""
        async with self._changing:
            if self._ended:
                return
            self._ended = True
        self.network.journal.end_following()
        await self.testbed.wind_up(WORK_STOP_SECONDS)
        await self.network.addressing.transport.aclose()
        await asyncio.gather(
            self._broker.stop(BROKER_STOP_SECONDS),
            *(server.stop(HTTP_STOP_SECONDS) for server in self._servers.values()),
        )

    def description(self) -> dict[str, Any]:
        """URLs, users and clients as values for JSON: control.yaml's Landscape, without an id."""
        auth_is_played = "auth" in self.network.played
        phraseanet = self._described("phraseanet")
        if phraseanet is not None:
            phraseanet["token"] = self._stage.phraseanet_token if "phraseanet" in self.network.played else None
        upload = self._described("upload")
        if upload is not None and self._stage.targets is not None:
            upload["targets"] = (
                [dict(target) for target in self._stage.targets] if "upload" in self.network.played else []
            )
        return {
            "profile": self.plan.setting.profile,
            "mode": self.plan.setting.mode,
            "upload": upload,
            "phraseanet": phraseanet,
            "auth": self._described("auth"),
            "control": None if self.control_url is None else {"url": self.control_url},
            "broker": None if self.broker_url is None else {"url": self.broker_url},
            "users": [described_user(user, self.tokens[user.id]) for user in self.accounts.users if auth_is_played],
            "clients": [described_client(client) for client in self.accounts.clients if auth_is_played],
        }

    def _network(self) -> Network:
        plan = self.plan
        bound = {name: self._bound[name] for name in SERVICES if name in plan.played}
        known = bound | {name: url for name, url in plan.public_urls.items() if name in bound}
        scheme = "https" if plan.tls else "http"
        portless = {name: f"{scheme}://{name}.test" for name in bound}
        transport = SocketTransport(
            {url: bound[name] for urls in (bound, known, portless) for name, url in urls.items()},
            own_tls=plan.tls.client if plan.tls else lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            external_tls=lambda: external_client_context(plan.external.ca, plan.external.insecure),
        )
        addressing = Addressing(
            urls=bound | dict(plan.external.urls),
            public_urls=known,
            portless_urls=portless,
            played=frozenset(plan.played),
            external=plan.real,
            transport=transport,
        )
        loop = asyncio.get_running_loop()
        return Network(
            contract(plan.setting.profile),
            plan.setting.faults,
            addressing,
            clock=Clock(loop, datetime.now(UTC)),
            chance=plan.chance,
            events_max=plan.events_max,
        )

    def _testbed(self) -> Testbed:
        self._beginnings += 1
        folder = self._storage / str(self._beginnings)
        broker = self._broker.begin()
        return Testbed(self.plan.setting, self.network, self.accounts, self._stage, folder, self._spawn.anew(), broker)

    async def _begin(self) -> None:
        for user in self.accounts.users:
            self.tokens[user.id] = self.testbed.auth.user_token(user, self.tokens.get(user.id))
        try:
            seed_commits(self.testbed, self.plan.seed.commits)
            await self.testbed.start()
        finally:
            self._entrance.open(self.testbed.apps.items())
        await self.testbed.start_polling()

    def _hold_seed(self) -> None:
        """Raise `SeedError` where the plan's seed data does not fit; its users and clients are the accounts."""
        seed = self.plan.seed
        hold_to_profile(self.testbed, seed.users)
        if "auth" in self.network.played:
            seed = replace(seed, users=(), clients=())
        hold_to_landscape(self.testbed, seed)

    def _hold_added(self, seed: SeedData) -> None:
        """Raise `SeedError` where seed data does not fit what is there; a secret is not shown."""
        hold_to_landscape(self.testbed, seed)
        hold_to_profile(self.testbed, seed.users)
        auth = self.testbed.auth
        for user in seed.users:
            if user.id is not None and auth.user(user.id) is not None:
                raise SeedError(f"users: there is a user with the id {user.id!r} already")
        for client in seed.clients:
            if client.client_id in self._client_ids:
                raise SeedError(f"clients: there is a client {client.client_id!r} already")

    def _described(self, participant: Participant) -> dict[str, Any] | None:
        addressing = self.network.addressing
        return None if addressing.role(participant) == "absent" else {"url": addressing.public_url(participant)}


def described_user(user: User, token: str) -> dict[str, Any]:
    """A user, with an access token, as a value for JSON."""
    return {
        "id": user.id,
        "email": user.email,
        "password": user.password,
        "token": token,
        "roles": list(user.roles),
    }


def described_client(client: Client) -> dict[str, Any]:
    """A client as a value for JSON."""
    return {"client_id": client.id, "client_secret": client.secret, "scopes": list(client.scopes)}


@asynccontextmanager
async def open_landscape(plan: Plan, listeners: Mapping[str, socket.socket], storage: Path) -> AsyncIterator[Landscape]:
    """A landscape that answers on `listeners` (bound sockets, by participant and `CONTROL`), until the block ends.

    `storage` is a folder for its files. A simulator that fails (not: refuses) ends the block with what it raised.
    """
    try:
        async with spawning() as spawn:
            landscape = Landscape(plan, listeners, storage, spawn)
            try:
                await landscape.start()
                yield landscape
            finally:
                await landscape.stop()
    finally:
        for listener in listeners.values():
            listener.close()
