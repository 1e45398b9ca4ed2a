"""One testbed on simulated time, played and then held to the documents: no answer of any test escapes them."""

import os
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import settings

from phrasim.clock import run_simulated
from phrasim.documents import contract
from phrasim.documents.specification import installed_schemas
from phrasim.edge.faults import Effect, Fault
from phrasim.journal.events import Body, Event, Lost, Noted, Publish, Received, Request, Response, Sent
from phrasim.testbed import Setting, Testbed, open_testbed

sys.path.insert(0, str(Path(__file__).parent))

from amount import leave_out, so_many
from differential.rabbitmq import absence, running_node

# No example is timed: on a busy machine a slow one says nothing of the code.
settings.register_profile("untimed", deadline=None, max_examples=so_many(50, elsewhere=25))
settings.load_profile("untimed")

# Under nohup it would be ignored, by every process that the tests start, too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out(config, items, Path(__file__).parent)


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4


class Seen:
    """What a journal tells, by questions."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.messages = [
            event.message for event in events if not isinstance(event, Noted) and not isinstance(event.message, str)
        ]
        self.requests = [message for message in self.messages if isinstance(message, Request)]
        self.responses = [message for message in self.messages if isinstance(message, Response)]
        self.publishes = [message for message in self.messages if isinstance(message, Publish)]
        self.notes = [event for event in events if isinstance(event, Noted)]

    def asked(self, operation_id: str) -> list[Request]:
        """The requests to an operation."""
        return [request for request in self.requests if request.operation_id == operation_id]

    def answered(self, operation_id: str) -> list[int]:
        """The statuses that an operation answered with."""
        return [response.status for response in self.responses if response.operation_id == operation_id]

    def noted(self, note: str) -> list[dict[str, Any]]:
        """The details of each note of that text."""
        return [event.details for event in self.notes if event.note == note]

    def seconds(self, operation_id: str) -> list[float]:
        """When the requests to an operation were sent."""
        ids = {request.id for request in self.asked(operation_id)}
        return [event.at / 1e9 for event in self.events if isinstance(event, Sent) and event.message.id in ids]

    def fates(self, message_id: str) -> list[type[Event]]:
        """What befell a message, in order."""
        return [type(event) for event in self.events if not isinstance(event, Noted) and named(event) == message_id]


def named(event: Sent | Received | Lost) -> str:
    return event.message if isinstance(event.message, str) else event.message.id


def content(body: Body) -> Any:
    return body.json if body.json is not msgspec.UNSET else body.text


def broken_promises(events: list[Event], *, failing: bool, foreign: bool) -> list[str]:
    """What the journal shows that no run may show.

    `failing` allows a service to fail, which is answered with 500; `foreign` answers that keep no specification.
    """
    seen = Seen(events)
    spoilt = {note["request"] for note in seen.noted("fault") if note["effect"].startswith("Answer")}
    found = [f"{note}" for note in seen.noted("failed") if not failing]
    for response in seen.responses:
        if response.reply_to not in spoilt and not (failing and response.status == 500) and not foreign:
            found += [f"{response.operation_id} {response.status}: {violation}" for violation in of_answer(response)]
        if response.status >= 400 and content(response.body) is not msgspec.UNSET and response.status != 400:
            found += [f"{response.id}: {violation}" for violation in of_problem(response)]
    for request in seen.requests:
        if request.sender != "user" and request.operation_id is not None:
            media_type = dict(request.headers).get("content-type")
            value = content(request.body)
            if media_type != "application/x-www-form-urlencoded":
                found += map(
                    str, contract("documented").operations[request.operation_id].request_violations(media_type, value)
                )
    for publish in seen.publishes:
        if publish.operation_id == "produceMessage" and publish.sender == "phraseanet":
            found += map(str, contract("documented").messages.message_violations("assetsIngest", content(publish.body)))
    sent = Counter(event.message.id for event in events if isinstance(event, Sent))
    ended = Counter(named(event) for event in events if isinstance(event, Received | Lost))
    found += [f"{message} sent {times} times" for message, times in sent.items() if times > 1]
    found += [f"{message} ended {times} times" for message, times in ended.items() if times > 1]
    first: dict[str, type[Event]] = {}
    for event in events:
        if not isinstance(event, Noted):
            first.setdefault(named(event), type(event))
    found += [
        f"{message} began with {kind.__name__}"
        for message, kind in first.items()
        if message in sent and kind is not Sent
    ]
    traced = Counter(
        traceparent for request in seen.requests if (traceparent := dict(request.headers).get("traceparent"))
    )
    traced.update(publish.properties["headers"]["traceparent"] for publish in seen.publishes)
    found += [f"traceparent {value} used {times} times" for value, times in traced.items() if times > 1]
    form = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01")
    found += [
        f"traceparent {value} of no valid form"
        for value in traced
        if value.startswith("00-") and not form.fullmatch(value)
    ]
    return found


def of_answer(response: Response) -> list[str]:
    """What is wrong with an answer by its specification; outside the operations only 404 and 405 are right."""
    headers = dict(response.headers)
    if response.operation_id is None:
        bodiless = response.status < 400 and response.body.length == 0
        return [] if response.status in (404, 405) or bodiless else ["an answer to no operation"]
    operation = contract("documented").operations[response.operation_id]
    value = None if response.body.sha256 else content(response.body)
    kept = response.body.sha256 is None or (response.operation_id, response.status) == ("downloadAsset", 200)
    violations = operation.response_violations(response.status, headers.get("content-type"), value) if kept else []
    return [str(violation) for violation in violations + operation.header_violations(response.status, headers)]


def of_problem(response: Response) -> list[str]:
    if dict(response.headers)["content-type"] != "application/problem+json":
        return ["a refusal that is no application/problem+json"]
    value = content(response.body)
    violations = installed_schemas().violations("shared.yaml", "/components/schemas/Problem", value)
    wrong = [] if value.get("status") == response.status else ["the problem says another status"]
    return [*map(str, violations), *wrong]


Main = Callable[[Testbed], Awaitable[Any]]


@pytest.fixture(scope="session")
def play() -> Callable[..., Any]:
    """Run `main(bed)` with an open testbed, hold its journal to the documents, and return what `main` returned.

    Keywords are those of `Setting`; `failing` says that a service may fail, `foreign` that one is not ours.
    """

    def played(main: Main, *, failing: bool = False, foreign: bool = False, **setting: Any) -> Any:
        async def run() -> tuple[Any, Testbed]:
            with tempfile.TemporaryDirectory() as folder:
                async with open_testbed(Setting(**setting), Path(folder)) as bed:
                    return await main(bed), bed

        result, bed = run_simulated(run())
        assert broken_promises(bed.journal.events, failing=failing, foreign=foreign) == []
        return result

    return played


class Acts:
    """What users and the like do in a testbed."""

    png = PNG

    @staticmethod
    def fault(operation_id: str, effect: Effect, *occurrences: int) -> Fault:
        return Fault(operation_id, effect, occurrences)

    @staticmethod
    def seen(bed: Testbed) -> Seen:
        return Seen(bed.journal.events)

    @staticmethod
    async def bearer(bed: Testbed, who: str = "publisher") -> dict[str, str]:
        """The header of the publisher, the administrator or Phraseanet's client."""
        fields: dict[str, str]
        if who == "phraseanet":
            client = bed.accounts.phraseanet
            fields = {"grant_type": "client_credentials"}
        else:
            client = bed.accounts.front_end
            user = getattr(bed.accounts, who)
            fields = {"grant_type": "password", "username": user.email, "password": user.password}
        fields |= {"client_id": client.id, "client_secret": client.secret}
        answer = await bed.client("user", "auth").post("/oauth/v2/token", data=fields)
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    @staticmethod
    async def post_file(
        bed: Testbed, headers: dict[str, str], content: bytes = PNG, name: str = "test.png"
    ) -> httpx.Response:
        form = {"content-type": "multipart/form-data; boundary=a-boundary-of-the-tests"}
        client = bed.client("user", "upload")
        return await client.post("/assets", headers=headers | form, files={"file": (name, content)})

    @staticmethod
    async def assets(bed: Testbed, headers: dict[str, str], *contents: bytes) -> list[str]:
        """The ids of uploaded files."""
        answers = [await Acts.post_file(bed, headers, content) for content in contents]
        return [answer.json()["id"] for answer in answers]

    @staticmethod
    async def post_commit(bed: Testbed, headers: dict[str, str], files: Any, **fields: Any) -> httpx.Response:
        return await bed.client("user", "upload").post("/commit", headers=headers, json={"files": files, **fields})

    @staticmethod
    async def hand_over(bed: Testbed, *contents: bytes, seconds: float = 100) -> list[str]:
        """Upload files as the publisher, commit them, and wait; the ids of the assets."""
        headers = await Acts.bearer(bed)
        ids = await Acts.assets(bed, headers, *(contents or (PNG,)))
        answer = await Acts.post_commit(bed, headers, ids, formData={"title": "Test document"})
        assert answer.status_code == 200, answer.text
        await bed.clock.sleep(seconds)
        return ids


@pytest.fixture(scope="session")
def act() -> type[Acts]:
    return Acts


@pytest.fixture(scope="session")
def node() -> Iterator[tuple[str, int]]:
    """The address of a RabbitMQ node of our own. Without RabbitMQ its tests are skipped, but in CI they fail."""
    reason = absence()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with running_node() as address:
        yield address
