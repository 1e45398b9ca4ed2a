"""Runs of the hand-off as lists of messages, to be merged, spoilt and turned into events."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from phrasim.journal.document import Section, section
from phrasim.journal.events import (
    Body,
    Delivery,
    Event,
    Message,
    Participant,
    Publish,
    Received,
    Request,
    Response,
    Sent,
)

SEED = Path(__file__).parents[1] / "data" / "request_flow.md"
ANCHORS = {"push": "flow-push-mode", "pull": "flow-pull-mode"}
TICK_NS = 10_000_000

Chain = list[Message]
Stage = list[Chain]


class Run:
    """One commit's hand-off in `mode` with `n` assets, as stages of chains of messages.

    Stages come one after the other; the chains of a stage may be interleaved. Messages have readable ids: `a.upload.0`,
    `a.upload.0.answer`, `a.contents.1` … `a` is the name of the commit. With `causes`, messages name what they follow
    from; without `tells_id`, nothing names the commit's id before it is acknowledged.
    """

    def __init__(
        self,
        mode: str,
        n: int,
        name: str = "a",
        *,
        publisher: str | None = None,
        causes: bool = False,
        tells_id: bool = True,
    ) -> None:
        self.mode, self.n, self.name, self.causes, self.tells_id = mode, n, name, causes, tells_id
        self.commit_id = f"{name}-commit"
        self.token = f"{name}-token"
        self.publisher = publisher or f"{name}-publisher"
        self.assets = [f"{name}-asset-{index}" for index in range(n)]
        self.delivery_id = f"{name}.consume"
        notified = self.notify() if mode == "push" else self.poll()
        self.stages: list[Stage] = [
            [self.upload(index) for index in range(n)],
            [self.commit()],
            [notified],
            [self.produce()],
            [self.consume()],
            *self.work(),
        ]

    def arrows(self) -> list[str]:
        """The ids of the messages that are the document's arrows, in its order."""
        return [
            *(self.id(f"upload.{index}") for index in range(self.n)),
            self.id("commit"),
            self.id("notify" if self.mode == "push" else "poll"),
            self.id("produce"),
            self.id("consume"),
            self.id("publisher"),
            *(self.id(f"{what}.{index}") for index in range(self.n) for what in ("download", "contents")),
            self.id("ack"),
        ]

    def messages(self) -> list[Message]:
        """All of it, nothing interleaved."""
        return [message for stage in self.stages for chain in stage for message in chain]

    def id(self, what: str) -> str:
        return f"{self.name}.{what}"

    def upload(self, index: int) -> Chain:
        answer = {"id": self.assets[index], "size": 3}
        return exchange(
            self.id(f"upload.{index}"), "user", "upload", "uploadAsset", "POST /assets", answer=answer, status=201
        )

    def commit(self) -> Chain:
        body = {"files": self.assets, "formData": {}}
        return exchange(self.id("commit"), "user", "upload", "commitAssets", "POST /commit", body, answer=True)

    def notify(self) -> Chain:
        body = {"assets": self.assets, "publisher": self.publisher, "token": self.token}
        if self.tells_id:
            body["commit_id"] = self.commit_id
        target = "POST /api/v1/upload/enqueue"
        return exchange(self.id("notify"), "upload", "phraseanet", "enqueueAssets", target, body, answer=True)

    def poll(self, what: str = "poll", *, empty: bool = False) -> Chain:
        item = {"id": self.commit_id, "userId": self.publisher, "token": self.token, "assets": self.assets}
        listing = [] if empty else [item]
        return exchange(self.id(what), "phraseanet", "upload", "listCommits", "GET /commits", answer=listing)

    def hand_over(self) -> Body:
        first = {"publisher": self.publisher, "id": self.publisher, "token": self.token}
        if self.tells_id:
            first["commit_id"] = self.commit_id
        return json_body([first, *({"id": asset, "hash": f"hash of {asset}"} for asset in self.assets)])

    def produce(self, what: str = "produce") -> Chain:
        return [
            Publish(
                id=self.id(what),
                sender="phraseanet",
                receiver="broker",
                operation_id="produceMessage",
                cause=self.id("notify" if self.mode == "push" else "poll.answer") if self.causes else None,
                exchange="alchemy-exchange",
                routing_key="assetsIngest",
                properties={"content_type": "application/json"},
                body=self.hand_over(),
            )
        ]

    def consume(self, what: str = "consume", *, redelivered: bool = False, dead_lettered: bool = False) -> Chain:
        death = {"headers": {"x-death": [{"queue": "assetsIngest_retry", "count": 1}]}} if dead_lettered else {}
        self.delivery_id = self.id(what)
        return [
            Delivery(
                id=self.id(what),
                sender="broker",
                receiver="phraseanet",
                operation_id="consumeMessage",
                publish=self.id("produce"),
                queue="assetsIngest",
                exchange="alchemy-exchange",
                routing_key="assetsIngest",
                redelivered=redelivered,
                properties={"content_type": "application/json", **death},
                body=self.hand_over(),
            )
        ]

    def work(self, suffix: str = "") -> list[Stage]:
        """What follows a delivery; `suffix` tells the messages of several attempts apart."""
        return [
            [self.ask(f"publisher{suffix}")],
            [self.fetch(index, suffix) for index in range(self.n)],
            [self.acknowledge(f"ack{suffix}")],
        ]

    def _cause(self) -> str | None:
        return self.delivery_id if self.causes else None

    def ask(self, what: str = "publisher") -> Chain:
        target = f"GET /users/info/{self.publisher}"
        answer = {"id": self.publisher, "email": "publisher@example.org"}
        return exchange(
            self.id(what), "phraseanet", "auth", "getPublisherInfo", target, answer=answer, cause=self._cause()
        )

    def metadata(self, index: int, what: str = "metadata") -> Chain:
        target = f"GET /assets/{self.assets[index]}"
        answer = {"id": self.assets[index], "size": 3}
        return self.asset_exchange(f"{what}.{index}", "getAsset", target, answer)

    def fetch(self, index: int, suffix: str = "", status: int = 200) -> Chain:
        target = f"GET /assets/{self.assets[index]}/download"
        request, response = self.asset_exchange(f"download{suffix}.{index}", "downloadAsset", target, None, status)
        contents = msgspec.structs.replace(response, id=self.id(f"contents{suffix}.{index}"))
        return [request, contents if status == 200 else response]

    def acknowledge(self, what: str = "ack") -> Chain:
        target = f"POST /commits/{self.commit_id}/ack"
        return self.asset_exchange(what, "acknowledgeCommit", target, True)

    def asset_exchange(self, what: str, operation_id: str, target: str, answer: object, status: int = 200) -> Chain:
        return exchange(
            self.id(what),
            "phraseanet",
            "upload",
            operation_id,
            target,
            answer=answer,
            status=status,
            cause=self._cause(),
            headers=(("authorization", f"AssetToken {self.token}"),),
        )


def exchange(
    message_id: str,
    sender: Participant,
    receiver: Participant,
    operation_id: str | None,
    request_line: str,
    body: object = None,
    *,
    answer: object = None,
    status: int = 200,
    cause: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Chain:
    """A request and its response."""
    method, target = request_line.split(" ")
    request = Request(
        id=message_id,
        sender=sender,
        receiver=receiver,
        operation_id=operation_id,
        cause=cause,
        method=method,
        target=target,
        headers=headers,
        body=json_body(body),
    )
    response = Response(
        id=f"{message_id}.answer",
        sender=receiver,
        receiver=sender,
        operation_id=operation_id,
        reply_to=message_id,
        status=status,
        headers=(),
        body=json_body(answer),
    )
    return [request, response]


def json_body(content: object) -> Body:
    return Body(length=0) if content is None else Body(length=len(msgspec.json.encode(content)), json=content)


def merged(chains: Sequence[Chain], turns: Iterable[int]) -> Chain:
    """The chains interleaved: `turns` names the chain whose next message comes, as often as each has messages."""
    left = [list(chain) for chain in chains]
    return [left[turn].pop(0) for turn in turns]


def events_of(messages: Iterable[Message]) -> list[Event]:
    """Each message sent and received, one tick after the other."""
    events: list[Event] = []
    for tick, message in enumerate(messages):
        events.append(Sent(at=tick * TICK_NS, message=message))
        events.append(Received(at=tick * TICK_NS + 1, message=message.id))
    return events


class Build:
    """What the tests make traces with."""

    Run = Run
    exchange = staticmethod(exchange)
    merged = staticmethod(merged)
    events = staticmethod(events_of)


@pytest.fixture(scope="session")
def build() -> type[Build]:
    return Build


@pytest.fixture(scope="session")
def drawn() -> Callable[[str], Section]:
    """The section of the given document that draws a mode, `push` or `pull`."""
    text = SEED.read_text()
    return lambda mode: section(text, ANCHORS[mode], "request_flow.md")
