"""The deployed upload service alone on simulated time, with a target and an Auth that do as they are told.

Every answer is held to `deployed/upload.yaml`; what that document does not declare stands in `UNDECLARED`.
"""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from phrasim.clock import Clock, run_simulated
from phrasim.documents import specification
from phrasim.documents.specification import installed_schemas
from phrasim.edge.outbound import http_client
from phrasim.edge.transport import InProcessTransport
from phrasim.testbed.spawn import spawning
from phrasim.upload.deployed.access import Principal
from phrasim.upload.deployed.app import upload_app
from phrasim.upload.deployed.outbound import Notifier
from phrasim.upload.deployed.signing import SignedUrls
from phrasim.upload.deployed.state import Commit, Limits, UploadState
from phrasim.upload.deployed.target import Target
from phrasim.upload.deployed.work import Work
from phrasim.upload.storage import IncomingFile, Storage
from phrasim.upload.stored_file import StoredFile

FILE = "deployed/upload.yaml"
JSON = {"accept": "application/json"}
UPLOAD = "https://upload.test"

TARGET = Target(
    id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15",
    slug="press",
    name="Press pictures",
    url="https://phraseanet.test/api/v1/upload/enqueue/",
    key="key-of-press",
)

PEOPLE = {
    "user": Principal("d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856", "publisher", "publisher@example.org", ("user",)),
    "admin": Principal("00000000-0000-4000-8000-00000000000a", "root", "root@example.org", ("admin",)),
    "uploader-admin": Principal("00000000-0000-4000-8000-00000000000b", "keeper", None, ("user", "uploader-admin")),
    "lister": Principal(None, "phraseanet", None, scopes=("openid", "commit:list"), client_id="phraseanet"),
    "client": Principal(None, "other", None, scopes=("openid",), client_id="other"),
}

UNDECLARED = {
    ("uploadAsset", 413),
    ("uploadAsset", 415),
    ("commitAssets", 413),
    ("commitAssets", 415),
    ("listCommits", 400),
    ("getMe", 500),
    ("issueClientToken", 500),
}
"""What is answered and what the document is silent about."""


class RememberingStorage(Storage):
    """Remembers what it has stored, and so knows what is left of it."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self._stored: list[StoredFile] = []

    def store(self, incoming: IncomingFile) -> StoredFile:
        self._stored.append(super().store(incoming))
        return self._stored[-1]

    def left(self) -> int:
        """How many of its files can be opened."""
        count = 0
        for one in self._stored:
            with suppress(FileNotFoundError), self.open(one):
                count += 1
        return count


class Upload:
    """The service, its callers, and what it sent to others."""

    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4

    def __init__(
        self,
        folder: Path,
        spawn: Any,
        *,
        targets: tuple[Target, ...] = (TARGET,),
        limits: Limits | None = None,
        grace: float = 0,
        embed_assets: bool = False,
        hold: bool = False,
    ) -> None:
        self.clock = Clock(asyncio.get_running_loop())
        chance = random.Random(1)
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.state = UploadState(targets, chance, self.clock.now, limits)
        self.storage = RememberingStorage(folder, chance)
        self.held: list[Coroutine[Any, Any, None]] = []
        self.hold = hold
        self._spawn = spawn
        self._apps: dict[str, Any] = {"phraseanet.test": self._phraseanet, "auth.test": self._auth}
        self._transport = InProcessTransport(self._apps)
        self.http = http_client(self._transport, "")
        self.notified: list[tuple[float, str, str | None, dict[str, Any]]] = []
        """Of each notification the second, the path, the `Authorization` and the body."""
        self.replies: list[int | float] = []
        """What the target does at each notification: a status, or (float) seconds that it takes; then 200."""
        self.token_requests: list[bytes] = []
        notifier = Notifier(self.http, UPLOAD, clock=self.clock, note=self._note)
        self.work = Work(
            self.state,
            self.storage,
            notifier,
            grace=grace,
            now=self.clock.now,
            spawn=self._start,
            note=self._note,
        )
        contract = specification(FILE)
        self.urls = SignedUrls(UPLOAD, contract.operations["downloadFile"].path, chance, self.clock.now)
        self._apps["upload.test"] = upload_app(
            contract,
            self.state,
            self.storage,
            self.work,
            identify=self._identify,
            urls=self.urls,
            auth=http_client(self._transport, "https://auth.test"),
            token_url="/realms/phrasea/token",
            note=self._note,
            embed_assets=embed_assets,
        )
        self.client = http_client(self._transport, UPLOAD)
        self.client.event_hooks = {"response": [self._judge]}
        self.broken: list[str] = []

    async def _identify(self, token: str) -> Principal | None:
        return PEOPLE.get(token)

    def _note(self, note: str, **details: Any) -> None:
        self.notes.append((note, details))

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self.hold:
            self.held.append(work)
        else:
            self._spawn(work, name)

    async def go_on(self) -> None:
        """Do the work that was held back, and what follows from it."""
        while self.held:
            await self.held.pop(0)

    async def _phraseanet(self, scope: Any, receive: Any, send: Any) -> None:
        body = msgspec.json.decode(await _read(receive))
        authorization = dict(scope["headers"]).get(b"authorization")
        now = self.clock.now_ns() / 1e9
        self.notified.append((now, scope["path"], authorization and authorization.decode(), body))
        self.broken += map(str, installed_schemas().violations(FILE, "/components/schemas/Notification", body))
        reply = self.replies.pop(0) if self.replies else 200
        if isinstance(reply, float):
            await self.clock.sleep(reply)
            reply = 200
        await send({"type": "http.response.start", "status": reply, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _auth(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"] == "/realms/phrasea/token"
        self.token_requests.append(await _read(receive))
        known = b"client_secret=right" in self.token_requests[-1]
        status = 200 if known else 401
        body = (
            b'{"access_token":"a.b.c","expires_in":300,"token_type":"Bearer","scope":"commit:list"}'
            if known
            else b'{"error":"invalid_client"}'
        )
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _judge(self, response: httpx.Response) -> None:
        await response.aread()
        status, media_type = response.status_code, response.headers.get("content-type")
        matched = specification(FILE).match(response.request.method, response.request.url.path)
        if matched is None:
            return
        operation = matched[0]
        if (operation.operation_id, status) in UNDECLARED:
            return
        value = response.json() if "json" in (media_type or "") else None
        found = operation.response_violations(status, media_type, value)
        found += operation.header_violations(status, response.headers)
        self.broken += [f"{operation.operation_id} {status}: {one}" for one in found]

    async def close(self) -> None:
        await self._transport.aclose()

    # What people do.

    @staticmethod
    def as_(who: str | None) -> dict[str, str]:
        """The header of one of `PEOPLE`; None for nobody, and what has a space in it is the header itself."""
        if who is None:
            return {}
        return {"authorization": who if " " in who else f"Bearer {who}"}

    async def post_file(
        self, content: bytes = png, name: str = "test.png", who: str | None = "user", **fields: str
    ) -> httpx.Response:
        """Upload a file for the target, or with the fields that are given."""
        form = {"content-type": "multipart/form-data; boundary=a-boundary-of-the-tests"}
        data = fields or {"targetSlug": TARGET.slug}
        return await self.client.post(
            "/assets", headers=self.as_(who) | form | JSON, files={"file": (name, content)}, data=data
        )

    async def assets(self, *contents: bytes) -> list[str]:
        """The ids of uploaded files."""
        return [(await self.post_file(content)).json()["id"] for content in contents]

    async def post_commit(self, files: Any, who: str | None = "user", **fields: Any) -> httpx.Response:
        """Ask for a commit for the target, or with the fields that are given."""
        if not {"target", "targetSlug"} & fields.keys():
            fields["targetSlug"] = TARGET.slug
        return await self.client.post("/commit", headers=self.as_(who) | JSON, json={"files": files, **fields})

    async def committed(self, *contents: bytes, **fields: Any) -> Commit:
        """A commit of files that are uploaded for it."""
        answer = await self.post_commit(await self.assets(*(contents or (self.png,))), **fields)
        assert (answer.status_code, answer.json()) == (200, True), answer.text
        await self.settle()
        return self.state.commits[-1]

    async def settle(self) -> None:
        """Let the work of this moment be done."""
        await self.go_on()
        await self.clock.sleep(0.001)

    async def get(self, path: str, who: str | None, **headers: str) -> httpx.Response:
        """A GET as plain JSON."""
        return await self.client.get(path, headers=JSON | self.as_(who) | headers)

    async def post(self, path: str, who: str | None) -> httpx.Response:
        """A POST as consumers send an acknowledgement."""
        return await self.client.post(path, headers=JSON | self.as_(who), json={"acknowledged": True})


async def _read(receive: Any) -> bytes:
    content, more = b"", True
    while more:
        message = await receive()
        content, more = content + message.get("body", b""), message.get("more_body", False)
    return content


Main = Callable[[Upload], Awaitable[Any]]


@pytest.fixture(scope="session")
def play_upload() -> Callable[..., Any]:
    """Run `main(upload)` and hold what was answered to the document; keywords are those of `Upload`."""

    def played(main: Main, **setting: Any) -> Any:
        async def run() -> tuple[Any, Upload]:
            with tempfile.TemporaryDirectory() as folder:
                async with spawning() as spawn:
                    upload = Upload(Path(folder), spawn, **setting)
                    result = await main(upload)
                    spawn.cancel()
                    await upload.close()
                return result, upload

        result, upload = run_simulated(run())
        assert upload.broken == []
        return result

    return played
