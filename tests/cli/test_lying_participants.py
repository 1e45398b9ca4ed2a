"""A run with a real participant that lies is broken and names the lie. Small servers lie, in a thread beside it."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.edge.faults import Duplicate, Fault
from phrasim.journal.events import Participant
from phrasim.scenario import loopback
from phrasim.serve.external import External
from phrasim.serve.landscape import Landscape, Plan, open_landscape
from phrasim.serve.seed_data import read_seed_data
from phrasim.serve.server import HttpServer
from phrasim.serve.sockets import bind_all, url_of
from phrasim.testbed import SERVICES, SeedData, Setting
from phrasim.upload.documented.outbound import ALL_FIELDS, notification

pytestmark = pytest.mark.unmeasured

Call = Callable[..., Result]
Write = Callable[..., Path]
Answer = tuple[int, str, bytes]
Lie = Callable[[Answer], Answer]

SEED = """
users:
  - {email: publisher@example.org, password: one, name: A Publisher, id: 5bd1e7b2-6a33-4a6b-9f0e-1f1a7b0a7a01}
  - {email: administrator@example.org, password: two, roles: [ROLE_USER, ROLE_SUPER_ADMIN]}
clients:
  - {client_id: dam, client_secret: three, scopes: ["commit:list"]}
  - {client_id: pages, client_secret: four, grants: [password]}
"""
CREDENTIALS = (
    *("publisher.email=publisher@example.org", "publisher.password=one"),
    *("administrator.email=administrator@example.org", "administrator.password=two"),
    *("client.id=dam", "client.secret=three", "frontEnd.id=pages", "frontEnd.secret=four"),
)
SOON = ("within: 30 s", "within: 700 ms")
OFTEN = ("given:", "given:\n  pollInterval: 100 ms")


@contextmanager
def living(opening: Callable[[], AbstractAsyncContextManager[None]]) -> Iterator[None]:
    """What `opening` opens lives on a loop of its own, in a thread."""
    opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def live() -> None:
        enough = asyncio.Event()
        async with opening():
            opened.set_result((asyncio.get_running_loop(), enough))
            await enough.wait()

    def main() -> None:
        try:
            asyncio.run(live())
        except Exception as error:  # noqa: BLE001 - the test is to see it, whatever it is
            opened.set_exception(error)

    thread = threading.Thread(target=main)
    thread.start()
    loop, enough = opened.result(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(enough.set)
        thread.join(10)


@asynccontextmanager
async def answering(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    server = HttpServer(app, listener)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0.2)


def rewritten(app: ASGIApp, method: str, path: str, lie: Lie) -> ASGIApp:
    """`app`, whose answers to requests of that method, and to paths with that text in them, are changed by `lie`."""

    async def lying(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != method or path not in f"{scope['path']}$":
            await app(scope, receive, send)
            return
        parts: list[Message] = []

        async def keep(message: Message) -> None:
            parts.append(message)

        await app(scope, receive, keep)
        media_type = dict(parts[0]["headers"]).get(b"content-type", b"").decode()
        body = b"".join(part.get("body", b"") for part in parts[1:])
        status, media_type, body = lie((parts[0]["status"], media_type, body))
        given = {b"content-type": media_type.encode(), b"content-length": str(len(body)).encode()}
        headers = list({**dict(parts[0]["headers"]), **given}.items())
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return lying


def changed(**fields: Any) -> Lie:
    """An answer with other values in its JSON object; a function is given the value that was there."""

    def lie(answer: Answer) -> Answer:
        status, media_type, body = answer
        value = json.loads(body)
        if status < 400:
            value |= {name: change(value.get(name)) if callable(change) else change for name, change in fields.items()}
        return status, media_type, json.dumps(value).encode()

    return lie


def with_bytes(change: Callable[[bytes], bytes]) -> Lie:
    return lambda answer: (answer[0], answer[1], change(answer[2]))


class Town:
    """The addresses of a run in which one participant is a liar, and the run itself."""

    def __init__(self, phrasim: Call, liar: Participant) -> None:
        self._phrasim = phrasim
        self.liar: Participant = liar
        self.listeners = bind_all("127.0.0.1", dict.fromkeys((*SERVICES, "inner"), (0, "")))
        self.urls = {name: url_of(listener, "http") for name, listener in self.listeners.items()}
        Path("seed.yaml").write_text(SEED)
        self.seed = read_seed_data(Path("seed.yaml"))

    def run(self, scenario: Path, *more: str) -> Result:
        words: list[str | Path] = [scenario, f"--{self.liar}", self.urls[self.liar], *more]
        for name in SERVICES:
            if name != self.liar:
                self.listeners[name].close()
                words += [f"--{name}-port", self.urls[name].rpartition(":")[2]]
        if self.liar == "auth":
            for credential in CREDENTIALS:
                words += ["--credential", credential]
        else:
            words += ["--seed-data", "seed.yaml"]
        return self._phrasim("run", *words)

    @asynccontextmanager
    async def simulated(self, around: Callable[[ASGIApp, Landscape], ASGIApp], **setting: Any) -> AsyncIterator[None]:
        """The liar as a simulator of phrasim, with `around` it what lies."""
        plan = Plan(
            setting=Setting(**setting),
            played=(self.liar,),
            external=External({name: self.urls[name] for name in SERVICES if name != self.liar}),
            public_urls={self.liar: self.urls[self.liar]},
            seed=self.seed if self.liar == "auth" else SeedData(),
        )
        inner = {self.liar: self.listeners["inner"]}
        async with open_landscape(plan, inner, Path("liar")) as landscape:
            app = around(landscape.testbed.apps[self.liar], landscape)
            async with answering(app, self.listeners[self.liar]):
                yield

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.close()


@pytest.fixture
def town(phrasim: Call, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Participant], Town]]:
    monkeypatch.setattr(loopback, "QUIET_SECONDS_EXTERNAL", 0.15)  # all of them live on this machine
    towns: list[Town] = []

    def make(liar: Participant) -> Town:
        towns.append(Town(phrasim, liar))
        return towns[-1]

    yield make
    for one in towns:
        one.close()


Towns = Callable[[Participant], Town]


def broken(result: Result) -> dict[str, list[str]]:
    """The lines under each broken expectation, by the expectation's first words; the run has to be broken."""
    assert result.exit_code == 1, result.output
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in result.output.splitlines():
        if line.startswith("broken "):
            lines = found.setdefault(line.removeprefix("broken").strip().partition(":")[0].partition(" (")[0], [])
        elif line.startswith("            ") and lines is not None:
            lines.append(line.strip())
        else:
            lines = None
    return found


def told(found: dict[str, list[str]], expectation: str, text: str) -> bool:
    return any(text in line for line in found.get(expectation, ()))


def test_an_upload_service_below_a_path_that_does_not_lie_is_held(town: Towns, scenario: Write) -> None:
    upload = town("upload")
    upload.urls["upload"] += "/uploader"

    def below(app: ASGIApp, _: Landscape) -> ASGIApp:
        async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"].removeprefix("/uploader")
            await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

        return stripped

    with living(lambda: upload.simulated(below)):
        result = upload.run(scenario("acknowledged-twice"))
    assert result.exit_code == 0, result.output
    assert "POST /uploader/commits/" in result.output


UPLOAD_LIES: dict[str, tuple[tuple[str, str, Lie], str, str]] = {
    "another file of the same size": (
        ("GET", "/download$", with_bytes(lambda body: body[::-1])),
        "records",
        "not expected: 'test.png', 17635 bytes",
    ),
    "a file that ends early": (
        ("GET", "/download$", with_bytes(lambda body: body[:-1])),
        "step handed-over",
        "17634 bytes came, its metadata says 17635",
    ),
    "a size that is not the file's": (
        ("GET", "/assets/", lambda answer: changed(size=7)(answer) if "json" in answer[1] else answer),
        "step handed-over",
        "17635 bytes came, its metadata says 7",
    ),
    "a name that is not the file's": (
        ("GET", "/assets/", lambda answer: changed(originalName="a")(answer) if "json" in answer[1] else answer),
        "records",
        "missing: 'test.png'",
    ),
    "form data that got lost": (
        ("GET", "/assets/", lambda answer: changed(formData={})(answer) if "json" in answer[1] else answer),
        "messages agree with each other",
        "was committed with 'title' 'Test document'; its metadata say None",
    ),
    "a commit that is answered with an object": (
        ("POST", "/commit$", with_bytes(lambda _: b'{"ok": true}')),
        "messages as specified",
        "(commitAssets)",
    ),
    "an acknowledgement that is refused": (
        ("POST", "/ack$", lambda _: (403, "application/problem+json", b'{"title": "no", "status": 403}')),
        "step handed-over",
        "acknowledging the commit: the answer was 403, not 200",
    ),
}


@pytest.mark.parametrize("lie", UPLOAD_LIES)
def test_an_upload_service_whose_answers_lie_is_found_out(lie: str, town: Towns, scenario: Write) -> None:
    (method, path, change), expectation, text = UPLOAD_LIES[lie]
    upload = town("upload")
    with living(lambda: upload.simulated(lambda app, _: rewritten(app, method, path, change))):
        result = upload.run(scenario("push", SOON))
    assert told(broken(result), expectation, text), result.output


@pytest.mark.parametrize(
    ("setting", "expectation", "text"),
    [
        (
            {"notification_fields": ("assets", "publisher")},
            "messages as specified",
            "(enqueueAssets): token: this field",
        ),
        ({"notification_fields": ("assets", "publisher", "token")}, "sequence", "unreachable"),
        ({"faults": (Fault("enqueueAssets", Duplicate()),)}, "sequence", "4 repeated"),
    ],
)
def test_an_upload_service_that_notifies_wrongly_is_found_out(
    setting: dict[str, Any], expectation: str, text: str, town: Towns, scenario: Write
) -> None:
    upload = town("upload")
    with living(lambda: upload.simulated(lambda app, _: app, **setting)):
        result = upload.run(scenario("push", SOON))
    assert told(broken(result), expectation, text), result.output


@pytest.mark.parametrize(
    ("media_type", "publisher", "expectation", "text"),
    [
        ("text/plain", None, "messages as specified", "the media type 'text/plain' is not taken; enqueueAssets takes"),
        ("application/json", "9e2f3c5b-1111-4222-8333-444455556666", "messages agree with each other", "names the"),
    ],
)
def test_a_notification_of_another_type_or_of_another_publisher_is_found_out(
    media_type: str, publisher: str | None, expectation: str, text: str, town: Towns, scenario: Write
) -> None:
    upload = town("upload")

    def notifying(app: ASGIApp, landscape: Landscape) -> ASGIApp:
        async def lying(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)
            if scope["path"] == "/commit":
                (commit,) = landscape.testbed.upload.commits
                body = notification(commit, upload.urls["upload"], ALL_FIELDS)
                body |= {"publisher": publisher} if publisher else {}
                async with httpx.AsyncClient() as client:
                    url = f"{upload.urls['phraseanet']}/api/v1/upload/enqueue"
                    await client.post(url, content=json.dumps(body), headers={"content-type": media_type})

        return lying

    with living(lambda: upload.simulated(notifying, mode="off")):
        result = upload.run(scenario("push", SOON))
    assert told(broken(result), expectation, text), result.output


def test_an_acknowledged_commit_that_is_listed_again_is_found_out(town: Towns, scenario: Write) -> None:
    upload = town("upload")

    def forgetting(app: ASGIApp, _: Landscape) -> ASGIApp:
        async def lying(scope: Scope, receive: Receive, send: Send) -> None:
            await (JSONResponse(True) if scope["path"].endswith("/ack") else app)(scope, receive, send)

        return lying

    waiting = ("expect:", "  - {stepId: polled-again, wait: 500 ms}\nexpect:")
    with living(lambda: upload.simulated(forgetting, mode="pull")):
        result = upload.run(scenario("pull", OFTEN, waiting))
    found = broken(result)
    assert told(found, "messages agree with each other", "again, whose acknowledgement it had answered"), result.output
    assert set(found) == {"messages agree with each other"}, result.output


class Phraseanet:
    """A Phraseanet in a few lines, which does what `acts` say once it is notified."""

    def __init__(self, town: Town, acts: Sequence[str]) -> None:
        self._urls = town.urls
        self._acts = acts
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await JSONResponse(None, 404)(scope, receive, send)
            return
        told = await Request(scope, receive).json()
        await JSONResponse(True)(scope, receive, send)
        self._tasks.append(asyncio.get_running_loop().create_task(self._hand_over(told)))

    async def _hand_over(self, told: dict[str, Any]) -> None:
        headers = {"authorization": f"AssetToken {told['token']}"}
        async with httpx.AsyncClient() as client:
            for act in self._acts:
                match act.split():
                    case ["wrong", "token"]:
                        headers = {"authorization": f"AssetToken {'0' * 42}"}
                    case ["as", "administrator"]:
                        headers = await self._bearer(client, "administrator@example.org", "two")
                    case ["publisher"]:
                        own = await self._bearer(client)
                        await client.get(f"{self._urls['auth']}/users/info/{told['publisher']}", headers=own)
                    case ["download", number]:
                        asset = told["assets"][int(number)]
                        await client.get(f"{told['base_url']}/assets/{asset}/download", headers=headers)
                    case ["acknowledge"]:
                        await client.post(f"{told['base_url']}/commits/{told['commit_id']}/ack", headers=headers)
                    case ["poll", "as", "publisher"]:
                        own = await self._bearer(client, "publisher@example.org", "one")
                        await client.get(f"{self._urls['upload']}/commits", headers=own)

    async def _bearer(self, client: httpx.AsyncClient, email: str = "", password: str = "") -> dict[str, str]:
        if email:
            fields = {"grant_type": "password", "username": email, "password": password}
            fields |= {"client_id": "pages", "client_secret": "four"}
        else:
            fields = {"grant_type": "client_credentials", "client_id": "dam", "client_secret": "three"}
        answer = await client.post(f"{self._urls['auth']}/oauth/v2/token", data=fields)
        return {"authorization": f"Bearer {answer.json()['access_token']}"}


TRUE_ACTS = ("publisher", "download 0", "download 1", "acknowledge")


def test_a_phraseanet_of_a_few_lines_that_does_not_lie_is_held(town: Towns, scenario: Write) -> None:
    phraseanet = town("phraseanet")
    with living(lambda: answering(Phraseanet(phraseanet, TRUE_ACTS), phraseanet.listeners["phraseanet"])):
        result = phraseanet.run(scenario("push", SOON))
    assert result.exit_code == 0, result.output
    assert result.output.count("\nunobserved") == 4
    assert "10 of 12 arrows" in result.output


@pytest.mark.parametrize(
    ("acts", "expectation", "text"),
    [
        (TRUE_ACTS[:3], "step handed-over", "last seen of phraseanet, at"),
        (TRUE_ACTS[:3], "sequence", "12 missing"),
        ((), "step handed-over", "last seen of phraseanet, at"),
        (("publisher", "acknowledge", "download 0", "download 1"), "sequence", "12 out of order"),
        (("publisher", "download 0", "acknowledge"), "sequence", "10 missing"),
        (("publisher", "download 1", "acknowledge"), "sequence", "8 missing"),
        (("wrong token", *TRUE_ACTS), "sequence", "refused with 403: phraseanet -> upload downloadAsset"),
        (("as administrator", *TRUE_ACTS), "messages agree with each other", "with Bearer, not with AssetToken"),
        (TRUE_ACTS[1:], "sequence", "7 missing"),
    ],
)
def test_a_phraseanet_that_does_not_do_as_it_should_is_found_out(
    acts: Sequence[str], expectation: str, text: str, town: Towns, scenario: Write
) -> None:
    phraseanet = town("phraseanet")
    with living(lambda: answering(Phraseanet(phraseanet, acts), phraseanet.listeners["phraseanet"])):
        result = phraseanet.run(scenario("push", SOON))
    assert told(broken(result), expectation, text), result.output
    assert "0" * 42 not in result.output


def test_a_phraseanet_that_polls_with_a_users_token_is_found_out(town: Towns, scenario: Write) -> None:
    phraseanet = town("phraseanet")

    @asynccontextmanager
    async def polling() -> AsyncIterator[None]:
        app = Phraseanet(phraseanet, ("poll as publisher",))
        async with answering(app, phraseanet.listeners["phraseanet"]):
            told = {"token": "", "assets": [], "publisher": ""}
            again = asyncio.get_running_loop().create_task(every_100_ms(lambda: app._hand_over(told)))
            yield
            again.cancel()

    with living(polling):
        result = phraseanet.run(scenario("pull", SOON))
    found = broken(result)
    assert told(found, "sequence", "refused with 403: phraseanet -> upload listCommits"), result.output
    assert told(found, "step handed-over", "GET /commits to upload")


async def every_100_ms(act: Callable[[], Awaitable[None]]) -> None:
    while True:
        with suppress(httpx.TransportError):  # before the run has begun, and once it is over
            await act()
        await asyncio.sleep(0.1)


AUTH_LIES: dict[str, tuple[tuple[str, str, Lie], str, str]] = {
    "a token that is somebody else's": (
        ("GET", "/token-info$", changed(user=lambda user: user and {**user, "email": "b@c.d", "username": "b@c.d"})),
        "messages agree with each other",
        "auth gave 'publisher@example.org' a token, and says that it is 'b@c.d''s",
    ),
    "another publisher than the one asked for": (
        ("GET", "/users/info/", changed(id="9e2f3c5b-1111-4222-8333-444455556666")),
        "messages agree with each other",
        "auth was asked for the publisher '5bd1e7b2-6a33-4a6b-9f0e-1f1a7b0a7a01' and told of",
    ),
    "a publisher with another address": (
        ("GET", "/users/info/", changed(email="somebody@example.org")),
        "messages agree with each other",
        "is 'somebody@example.org', and it was publisher@example.org who committed",
    ),
    "a publisher without a name": (
        ("GET", "/users/info/", with_bytes(lambda body: json.dumps({"id": json.loads(body)["id"]}).encode())),
        "messages as specified",
        "(getPublisherInfo)",
    ),
    "a token that is a number": (
        ("POST", "/oauth/v2/token$", changed(expires_in="soon")),
        "messages as specified",
        "(issueToken): expires_in",
    ),
    "tokens that nobody knows": (
        ("GET", "/token-info$", lambda _: (401, "application/problem+json", b"{}")),
        "step upload",
        "expected a 2xx answer, found 401",
    ),
}


@pytest.mark.parametrize("lie", AUTH_LIES)
def test_an_auth_whose_answers_lie_is_found_out(lie: str, town: Towns, scenario: Write) -> None:
    (method, path, change), expectation, text = AUTH_LIES[lie]
    auth = town("auth")
    with living(lambda: auth.simulated(lambda app, _: rewritten(app, method, path, change))):
        result = auth.run(scenario("push", SOON))
    assert told(broken(result), expectation, text), result.output
