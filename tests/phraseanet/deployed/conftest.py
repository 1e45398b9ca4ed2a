"""A deployed Phraseanet on simulated time, with a broker, and an upload service of the tests' own beside it."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from phrasim.broker.client import BrokerClient, BrokerError, Incoming
from phrasim.broker.local import LocalBroker
from phrasim.broker.message import Properties
from phrasim.broker.record import BrokerRecord
from phrasim.clock import Clock, run_simulated
from phrasim.documents import contract, specification
from phrasim.edge.faults import Fault
from phrasim.journal.events import Noted, Publish, Request
from phrasim.journal.events import Response as Answered
from phrasim.phraseanet.deployed.app import phraseanet_app
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.pull import PullAdministration
from phrasim.phraseanet.deployed.queues import QueueSettings, Topology
from phrasim.phraseanet.deployed.state import Collection, OAuthToken, PhraseanetState, PullTarget, User
from phrasim.phraseanet.deployed.uploader import Uploader
from phrasim.phraseanet.deployed.workers import Workers
from phrasim.testbed.broker import new_broker
from phrasim.testbed.network import InProcess, Network, seeded
from phrasim.testbed.setting import Setting
from phrasim.testbed.spawn import Spawn, spawning

ENQUEUE = "/api/v1/upload/enqueue/"
TOKEN = "f87a1c3e5b7d9f0214365870a9cbed0f214700b7cd"
PUBLISHER = "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"
SUBMITTER = User(7, "submitter@example.org", may_modify=(1,))
READER = User(8, "reader@example.org")
TARGET = PullTarget("press", "https://upload.test/commits?target=press", "phraseanet", "secret")
CONTRACT = contract("deployed")
MESSAGES = CONTRACT.messages


@dataclass
class Asset:
    """A file that the upload service of the tests has, and what it tells of it."""

    id: str
    content: bytes
    form: Any
    acknowledged: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        name = f"{self.id}.bin"
        url = f"https://upload.test/files/{self.id}?expires=1&signature=s"
        said = {"id": self.id, "size": len(self.content), "originalName": name, "mimeType": "application/octet-stream"}
        return said | {"formData": self.form, "url": url, "acknowledged": self.acknowledged} | self.more


class UploadService:
    """Answers as §2 has it, where Phraseanet asks; where `listing` or `metadata` is set, with that.

    Its tokens are `bearer-1`, `bearer-2` …, of which the last is good.
    """

    def __init__(self) -> None:
        self.assets: dict[str, Asset] = {}
        self.commits: list[dict[str, Any]] = []
        self.tokens = 0
        self.token_requests: list[Any] = []
        self.listing: Any = None
        self.metadata: bytes | None = None
        self.base_url = "https://upload.test"
        self.encoding: str | None = None
        self.token = "bearer-"

    def app(self) -> Starlette:
        routes = [
            Route("/assets/{id}", self._asset),
            Route("/assets/{id}/ack", self._acknowledge, methods=["POST"]),
            Route("/files/{id}", self._file),
            Route("/moved/{id}", self._moved),
            Route("/commits", self._listing),
            Route("/oauth/v2/token", self._token, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    def commit(self, *contents: bytes, form: Any = None, **more: Any) -> dict[str, Any]:
        """Make a commit of files; the notification of it. `more` is told of each of its assets."""
        number = len(self.commits) + 1
        form = {"collection_destination": "1"} if form is None else form
        ids = [f"asset-{number}-{index}" for index, _ in enumerate(contents)]
        self.assets |= {
            name: Asset(name, content, form, more=more) for name, content in zip(ids, contents, strict=True)
        }
        commit_id = f"commit-{number}"
        listed = {"id": commit_id, "userId": PUBLISHER, "token": TOKEN, "acknowledged": False, "formData": form}
        self.commits.append(listed | {"assets": [f"/assets/{name}" for name in ids]})
        told = {"assets": ids, "publisher": PUBLISHER, "commit_id": commit_id, "token": TOKEN}
        return told | {"base_url": self.base_url}

    def revoke(self) -> None:
        """The token that was given out last is good no more."""
        self.tokens += 1

    def _found(self, request: HttpRequest) -> Asset | Response:
        authorization = request.headers.get("authorization")
        if authorization is None:
            return Response(status_code=401)
        if authorization != f"AssetToken {TOKEN}":
            return Response(status_code=403)
        return self.assets.get(request.path_params["id"]) or Response(status_code=404)

    async def _asset(self, request: HttpRequest) -> Response:
        found = self._found(request)
        if self.metadata is not None:
            return Response(self.metadata)
        return found if isinstance(found, Response) else JSONResponse(found.metadata())

    async def _acknowledge(self, request: HttpRequest) -> Response:
        found = self._found(request)
        if isinstance(found, Response):
            return found
        found.acknowledged = True
        for commit in self.commits:
            ids = [str(item).removeprefix("/assets/") for item in commit["assets"]]
            commit["acknowledged"] = all(name in self.assets and self.assets[name].acknowledged for name in ids)
        return JSONResponse(True)

    async def _file(self, request: HttpRequest) -> Response:
        content = self.assets[request.path_params["id"]].content
        if self.encoding == "gzip":
            return Response(gzip.compress(content), headers={"content-encoding": "gzip"})
        return Response(content)

    async def _moved(self, request: HttpRequest) -> Response:
        return RedirectResponse(f"/files/{request.path_params['id']}", 302)

    async def _listing(self, request: HttpRequest) -> Response:
        if request.headers.get("authorization") != f"Bearer bearer-{self.tokens}":
            return Response(status_code=401)
        if "accept" in request.headers:
            return JSONResponse(self.commits)
        waiting = [commit for commit in self.commits if not commit["acknowledged"]]
        listing = {"hydra:member": waiting} if self.listing is None else self.listing
        content = listing if isinstance(listing, bytes) else msgspec.json.encode(listing)
        return Response(content, media_type="application/ld+json")

    async def _token(self, request: HttpRequest) -> Response:
        self.token_requests.append(await request.json())
        self.tokens += 1
        return JSONResponse({"access_token": f"{self.token}{self.tokens}", "expires_in": 3600, "token_type": "bearer"})


class Fragile:
    """A client of the broker that is away as long as `away` says so."""

    def __init__(self, client: BrokerClient) -> None:
        self._client = client
        self.away = False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            return self._refuse
        return getattr(self._client, name)

    async def _refuse(self, *_: Any, **__: Any) -> None:
        raise BrokerError("the broker cannot be reached: Connection refused")


class ProcessTable:
    """Starts processes; the next `refusals` of them cannot be started."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self.refusals = 0

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self.refusals and not name.startswith("consumer"):
            self.refusals -= 1
            raise OSError(12, "Cannot allocate memory")
        self._spawn(work, name)


class Land:
    """Phraseanet, the broker and the upload service, joined."""

    def __init__(self, spawn: Spawn, wire: InProcess, faults: tuple[Fault, ...], **options: Any) -> None:
        broker_version = options.pop("broker_version", "3")
        settings = options.pop("queues", {"pullAssets": QueueSettings(ttl_retry_ms=5000)})
        processes_max = options.pop("processes_max", 1)
        users = options.pop("users", (SUBMITTER, READER))
        self.clock = Clock(asyncio.get_running_loop())
        network = Network(CONTRACT, faults, wire.addressing, clock=self.clock, chance=seeded(1))
        self.network, self.journal = network, network.journal
        edge = network.edges["phraseanet"]
        core = new_broker(Setting(broker_version=broker_version), network)
        self.broker = LocalBroker(core, BrokerRecord(network.edges["broker"], MESSAGES), self.clock)
        self.state = PhraseanetState(
            self.clock.now,
            network.chance("phraseanet"),
            tokens=(OAuthToken("good"), OAuthToken("revoked", revoked=True)),
            users=users,
            collections=(Collection(1), Collection(2), Collection(3, databox_id=2, fields=())),
            **options,
        )
        self.publishing = Fragile(self.broker.connect(edge))
        self.topology = Topology(MESSAGES, settings)
        client: Any = self.publishing
        self.publisher = Publisher(client, self.topology, now=self.clock.now, note=edge.note)
        self.processes = ProcessTable(spawn)
        self.workers = Workers(
            self.state,
            self.publisher,
            Uploader(edge.client()),
            connect=lambda: self.broker.connect(edge),
            spawn=self.processes,
            clock=self.clock,
            note=edge.note,
            processes_max=processes_max,
        )
        self.pull = PullAdministration(self.state, self.publisher, self.clock.now)
        self.upload = UploadService()
        app = phraseanet_app(specification("deployed/phraseanet.yaml"), self.state, self.publisher, self.clock.now)
        wire.mount(
            {"phraseanet": edge.around(app), "upload": network.edges["upload"].around(self.upload.app())},
        )

    async def tell(self, body: Any, **headers: str) -> httpx.Response:
        """Notify Phraseanet with a good token."""
        client = self.network.client("upload", "phraseanet")
        return await client.post(ENQUEUE, json=body, headers={"authorization": "OAuth good"} | headers)

    async def push(self, *contents: bytes, seconds: float = 100, **more: Any) -> dict[str, Any]:
        """Commit files, tell Phraseanet, and wait; the notification."""
        told = self.upload.commit(*contents, **more)
        assert (await self.tell(told)).status_code == 200
        await self.clock.sleep(seconds)
        return told

    def depth(self, queue: str) -> tuple[int, int]:
        """How many messages of a queue wait and are with its consumer."""
        found = self.broker.core.queues[queue]
        return found.ready_count, found.unacked_count

    async def lying_in(self, queue: str) -> list[Incoming]:
        """The messages of a queue, which go back there."""
        client = self.broker.connect(self.network.edges["user"])
        waiting, _ = self.depth(queue)
        consumption = await client.consume(queue, prefetch=100)
        found = [await anext(consumption) for _ in range(waiting)]
        await client.close()
        return found

    async def put(self, queue: str, body: Any, headers: dict[str, Any] | None = None) -> None:
        """Publish anything to a base queue."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        channel = self.broker.core.open_connection().open_channel()
        channel.basic_publish("alchemy-exchange", queue, raw, Properties(headers=headers))
        self.broker.pump()
        await self.clock.sleep(0)


def broken_promises(land: Land) -> list[str]:
    """What Phraseanet answered or published that its contract has not."""
    found = []
    messages = [event.message for event in land.journal.events if not isinstance(event, Noted)]
    for message in (one for one in messages if not isinstance(one, str) and one.sender == "phraseanet"):
        if isinstance(message, Publish):
            queue = message.routing_key
            found += [f"{queue}: {one}" for one in MESSAGES.message_violations(queue, message.body.json)]
        elif isinstance(message, Answered) and message.operation_id is not None:
            operation = specification("deployed/phraseanet.yaml").operations[message.operation_id]
            headers = dict(message.headers)
            if message.body.length and message.body.json is not msgspec.UNSET:
                value = message.body.json
                found += map(str, operation.response_violations(message.status, headers["content-type"], value))
            found += map(str, operation.header_violations(message.status, headers))
        elif isinstance(message, Request) and message.operation_id is not None:
            assert "accept" not in dict(message.headers), "Guzzle sends no Accept (§4.4)"
    return found


Main = Callable[[Land], Awaitable[Any]]


@pytest.fixture(scope="session")
def play() -> Callable[..., Any]:
    """Run `main(land)`, hold what Phraseanet said to its contract, and return what `main` returned."""

    def played(main: Main, *, faults: tuple[Fault, ...] = (), foreign: bool = False, **options: Any) -> Any:
        async def run() -> tuple[Any, Land]:
            wire = InProcess()
            async with spawning() as spawn:
                land = Land(spawn, wire, faults, **options)
                land.workers.start()
                await land.clock.sleep(0)
                try:
                    return await main(land), land
                finally:
                    spawn.cancel()
                    await wire.addressing.transport.aclose()

        result, land = run_simulated(run())
        if not foreign:
            assert broken_promises(land) == []
        return result

    return played
