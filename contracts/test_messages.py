"""What passes beside the answers of the HTTP APIs: the notification, and the messages of RabbitMQ.

What the simulated services send is valid and says what is so. What they may be sent leads to the right requests, and
what nobody should send them ends where PROTOCOL says, and keeps nobody from the next message.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest
from contracts.messages import (
    DEATHS_FOR_EVER,
    NO_MESSAGES,
    NOT_JSON,
    ODD_DEATHS,
    Spoilt,
    anything,
    documented_requests,
    ingest_requests,
    messages,
    notification_violations,
    notifications,
    publish_violations,
    published,
    requests_of,
    spoilt_fields,
    told_of,
)
from contracts.misbehaving import JSON, Misbehaviour, Parts, Peers, playing_among_peers
from contracts.played import Played, budget, file_form
from hypothesis import given
from hypothesis import strategies as st

from phrasim.broker.message import Properties
from phrasim.documents import Operation, contract
from phrasim.edge.faults import Answer, Fault
from phrasim.journal.events import Noted, Request, Sent
from phrasim.phraseanet.deployed import ingest as deployed_ingest
from phrasim.phraseanet.deployed.consumer import Consumer
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.documented import queue as documented_queue
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.phraseanet.documented.wire import from_message
from phrasim.phraseanet.documented.worker import Worker
from phrasim.testbed import Mode, ProfileName, Setting, Testbed
from phrasim.testbed.deployed_setting import DeployedSetting, TargetSetting
from phrasim.testbed.services import HeldCommit
from phrasim.upload.deployed import outbound as deployed_outbound
from phrasim.upload.documented import outbound as documented_outbound
from phrasim.upload.documented.outbound import ALL_FIELDS, DOCUMENTED_FIELDS

pytestmark = pytest.mark.unmeasured

PROFILES: tuple[ProfileName, ...] = ("documented", "deployed")
DEPLOYED_FIELDS = ("assets", "publisher", "commit_id", "token", "base_url")

EXCHANGE = "alchemy-exchange"
AS_JSON = Properties(content_type=JSON)
ENOUGH_SECONDS = 120
"""Longer than three executions, and four rejections, ten seconds apart, of the few messages that there are."""

CONTENTS = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4)
FORMS = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), anything(), max_size=3)
VISIBLE = st.from_regex(r"[!-~]{1,50}", fullmatch=True)
"""Texts that a header can hold."""


@contextmanager
def playing(setting: Setting) -> Iterator[tuple[Played, Peers]]:
    with playing_among_peers(setting, []) as (played, peers):
        yield played, peers
        assert notes(played.bed, "failed") == [], "a service failed over a request"


def notes(bed: Testbed, *names: str) -> list[dict[str, Any]]:
    return [event.details for event in bed.journal.events if isinstance(event, Noted) and event.note in names]


def make_commit(
    played: Played, contents: Sequence[bytes], form: Mapping[str, Any] | None = None, *, administrator: bool = False
) -> HeldCommit:
    """A commit of these files, as a user makes it."""
    bed = played.bed
    user = bed.accounts.administrator if administrator else bed.accounts.publisher
    bearer = f"Bearer {bed.auth.user_token(user)}"
    slug = bed.stage.targets[0]["slug"] if bed.stage.targets else None
    forms = [file_form(content, slug) for content in contents]
    ids = [played.ask("POST", "/assets", bearer, **one).json()["id"] for one in forms]
    body = {"files": ids, "formData": form or {}} | ({} if slug is None else {"targetSlug": slug})
    before = len(bed.upload.commits)
    answer = played.ask("POST", "/commit", bearer, json=body)
    assert answer.status_code == 200, answer.text
    played.turn(lambda: len(bed.upload.commits) > before)
    return bed.upload.commits[-1]


def put(played: Played, queue: str, body: bytes, properties: Properties = AS_JSON) -> None:
    """Somebody publishes a message to a queue of Phraseanet's."""
    bed = played.bed

    async def publish() -> None:
        assert bed.broker.core is not None
        connection = bed.broker.core.open_connection()
        connection.open_channel().basic_publish(EXCHANGE, queue, body, properties)
        bed.broker.pump()  # type: ignore[attr-defined]

    played.run(publish())


def lying_in(played: Played, queue: str) -> list[bytes]:
    """The bodies of the messages of a queue, oldest first."""
    bed = played.bed

    async def look() -> list[bytes]:
        assert bed.broker.core is not None
        client = bed.broker.connect(bed.edges["user"])
        waiting = bed.broker.core.queues[queue].ready_count
        consumption = await client.consume(queue, prefetch=1000)
        found = [(await anext(consumption)).body for _ in range(waiting)]
        await client.close()
        return found

    return played.run(look())


def depth(played: Played, queue: str) -> int:
    """How many messages a queue holds; a deployed one may not be declared yet."""
    assert played.bed.broker.core is not None
    found = played.bed.broker.core.queues.get(queue)
    return 0 if found is None else found.ready_count + found.unacked_count


# What the upload service notifies.


def hold_the_notification(
    profile: ProfileName,
    contents: Sequence[bytes],
    form: Mapping[str, Any],
    fields: tuple[str, ...],
    token: str | None,
    target: TargetSetting,
    *,
    administrator: bool,
) -> None:
    setting = Setting(
        profile=profile,
        notification_fields=fields,
        phraseanet_token=token,
        deployed=DeployedSetting(targets=(target,)),
    )
    with playing(setting) as (played, _):
        bed = played.bed
        commit = make_commit(played, contents, form, administrator=administrator)
        played.wait(30)
        sent = [one.message for one in bed.journal.events if isinstance(one, Sent) and isinstance(one.message, Request)]
        told = [one for one in sent if one.operation_id == "enqueueAssets"]
        assert told, "nobody was notified"
        assets = [one for name in commit.asset_ids for one in bed.upload.assets if one.id == name]
        shown = None if token is None else f"OAuth {token}"
        if profile == "deployed":
            key = bed.stage.phraseanet_token if target.key is None else target.key
            fields, shown = DEPLOYED_FIELDS, f"{target.scheme} {key}"
        for request in told:
            found = notification_violations(
                bed.network.contract,
                request,
                commit,
                assets,
                fields,
                shown,
                bed.network.addressing.public_url("upload"),
            )
            assert found == []


OPTIONAL_FIELDS = tuple(name for name in ALL_FIELDS if name not in DOCUMENTED_FIELDS)
TARGETS = st.builds(
    TargetSetting,
    slug=st.just("phraseanet"),
    scheme=st.sampled_from(["OAuth", "ApiKey", "Bearer"]),
    key=st.none() | VISIBLE.filter(lambda key: key != "avoid"),
    params=FORMS,
)


@pytest.mark.parametrize("profile", PROFILES)
@given(
    contents=CONTENTS,
    form=FORMS,
    optional=st.sets(st.sampled_from(OPTIONAL_FIELDS)),
    token=st.none() | VISIBLE,
    target=TARGETS,
    administrator=st.booleans(),
)
@budget(20)
def test_a_notification_is_as_its_schema_says_and_agrees_with_its_commit(
    profile: ProfileName,
    contents: list[bytes],
    form: dict[str, Any],
    optional: set[str],
    token: str | None,
    target: TargetSetting,
    administrator: bool,
) -> None:
    """A4, A5, A20, A28, §2.6."""
    fields = tuple(name for name in ALL_FIELDS if name in DOCUMENTED_FIELDS or name in optional)
    hold_the_notification(profile, contents, form, fields, token, target, administrator=administrator)


# What Phraseanet publishes.


FAILING: Mapping[ProfileName, tuple[str, ...]] = {
    "documented": ("getPublisherInfo", "getAsset", "downloadAsset", "acknowledgeCommit"),
    "deployed": ("getAsset", "downloadFile", "acknowledgeAsset"),
}


def hold_the_messages(
    profile: ProfileName, mode: Mode, commits: Sequence[Sequence[bytes]], faults: tuple[Fault, ...]
) -> set[str]:
    """The routing keys that were published to; each message is as the document says."""
    with playing(Setting(profile=profile, mode=mode, poll_interval=20, faults=faults)) as (played, _):
        for contents in commits:
            make_commit(played, contents, {"title": "é"})
        played.wait(ENOUGH_SECONDS)
        sent = published(played.bed.journal.events)
        assert sent, "nothing was published"
        for message in sent:
            assert publish_violations(played.bed.network.contract, message) == [], message
        return {message.routing_key for message in sent}


@pytest.mark.parametrize("profile", PROFILES)
@given(
    mode=st.sampled_from(["push", "pull", "both"]),
    commits=st.lists(CONTENTS, min_size=1, max_size=2),
    calls=st.dictionaries(st.integers(0, 3), st.sets(st.integers(1, 6)), max_size=2),
)
@budget(20)
def test_all_that_phraseanet_publishes_is_as_the_document_says(
    profile: ProfileName, mode: Mode, commits: list[list[bytes]], calls: dict[int, set[int]]
) -> None:
    """§4.1, §4.2, A5 to A7, A25; with failures, so that some are published again, or given up."""
    operations = FAILING[profile]
    faults = tuple(
        Fault(operations[number % len(operations)], Answer(500), tuple(sorted(struck)))
        for number, struck in calls.items()
        if struck
    )
    hold_the_messages(profile, mode, commits, faults)


@pytest.mark.parametrize(
    ("profile", "operation", "queues"),
    [
        ("documented", "downloadAsset", {"assetsIngest", "assetsIngest_failed"}),
        ("deployed", "getAsset", {"assetsIngest", "assetsIngest_retry", "assetsIngest_failed"}),
        ("deployed", "downloadFile", {"assetsIngest", "createRecord", "createRecord_retry", "createRecord_failed"}),
    ],
)
def test_what_is_given_up_is_as_the_document_says(profile: ProfileName, operation: str, queues: set[str]) -> None:
    assert hold_the_messages(profile, "push", [[b"one"]], (Fault(operation, Answer(500)),)) == queues


# What Phraseanet consumes.


def agree(peers: Peers, profile: ProfileName) -> None:
    """From now on everybody agrees to whatever Phraseanet asks."""
    file = b"a file"
    form = {"collection_destination": "1"}

    def answer(request: httpx.Request) -> Any:
        path = request.url.path
        name = path.split("/")[-1]
        if path.startswith("/users/info/"):
            return {"id": name, "email": "publisher@example.org", "name": "A Publisher"}
        metadata = {"id": name, "size": len(file), "originalName": "a", "mimeType": "a/b", "formData": form}
        return metadata | {"url": f"https://upload.test/files/{name}?signature=x"}

    async def tell(request: httpx.Request, _honest: Any) -> httpx.Response:
        path = request.url.path
        is_file = path.endswith("/download") or path.startswith("/files/")
        content = file if is_file else b"true" if path.endswith("/ack") else msgspec.json.encode(answer(request))
        headers = {"content-type": JSON, "content-length": str(len(content))}
        return httpx.Response(200, headers=headers, stream=Parts([content]), request=request)

    for operation in FAILING[profile]:
        peers.misbehave(operation, Misbehaviour("agrees to everything", tell), times=10**9)


def hold_to_the_right_requests(profile: ProfileName, message: Any) -> None:
    """Exactly what PROTOCOL says is asked, in its order, and nothing else; and then all is done."""
    with playing(Setting(profile=profile, mode="off")) as (played, peers):
        agree(peers, profile)
        put(played, "assetsIngest", msgspec.json.encode(message))
        played.wait(ENOUGH_SECONDS)
        asked = requests_of(played.bed.journal.events)
        wanted = documented_requests(message) if profile == "documented" else ingest_requests(message["payload"])
        assert asked == wanted, "Phraseanet asks for something else"
        for queue in played.bed.network.contract.messages.channels:
            assert depth(played, queue) == 0, f"{queue} is not empty"


DOCUMENTED = contract("documented")
DEPLOYED = contract("deployed")
BASE_URLS = st.sampled_from(["https://upload.test", "https://upload.test/", "https://UPLOAD.test:443"])


@st.composite
def documented_messages(draw: st.DrawFn) -> Any:
    """A message by its schema, which names the upload service that there is, and a token that a header can hold."""
    first, *assets = draw(messages(DOCUMENTED, "assetsIngest"))
    first = {**first, "base_url": draw(BASE_URLS)} if "base_url" in first else first
    first = {**first, "token": draw(VISIBLE)} if "token" in first else first
    return [first, *assets]


@st.composite
def deployed_messages(draw: st.DrawFn) -> Any:
    """The same, deployed; its assets are ids, of which no two are the same, since one has one job row."""
    message = draw(messages(DEPLOYED, "assetsIngest"))
    assets = draw(st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True))
    sound = {"base_url": draw(BASE_URLS), "token": draw(VISIBLE), "assets": assets}
    return {**message, "payload": {**message["payload"], **sound}}


@given(message=documented_messages())
@budget(30)
def test_a_message_leads_to_the_right_requests(message: Any) -> None:
    """A6, A18, A19, A25: also one that somebody else has produced."""
    hold_to_the_right_requests("documented", message)


@given(message=deployed_messages())
@budget(30)
def test_a_deployed_message_leads_to_the_right_requests(message: Any) -> None:
    """§4.5, §4.6."""
    hold_to_the_right_requests("deployed", message)


@given(message=messages(DEPLOYED, "pullAssets"))
@budget(10)
def test_a_message_to_poll_leads_to_a_poll(message: Any) -> None:
    """§4.4."""
    with playing(Setting(profile="deployed", mode="off")) as (played, _):
        put(played, "pullAssets", msgspec.json.encode(message))
        played.wait(1)
        assert requests_of(played.bed.journal.events) == [("GET", "/commits", "Bearer")]
        assert depth(played, "pullAssets_loop") == 1


def good_message(played: Played, commit: HeldCommit) -> bytes:
    """The message of a commit, as Phraseanet would have produced it."""
    known = {"commit_id": commit.id, "token": commit.token, "base_url": "https://upload.test"}
    if played.bed.setting.profile == "documented":
        first = {"publisher": commit.user_id, "id": commit.user_id, **known}
        return msgspec.json.encode([first, *({"id": name} for name in commit.asset_ids)])
    payload = {**known, "assets": list(commit.asset_ids), "publisher": commit.user_id, "type": "uploader push"}
    return msgspec.json.encode({"message_type": "assetsIngest", "payload": {**payload, "published": 1}})


def properties(queue: str) -> st.SearchStrategy[Properties]:
    """Those that a message may have that somebody publishes to a queue."""
    deaths = st.sampled_from(ODD_DEATHS).map(lambda deaths: {"x-death": told_of(queue, deaths)})
    others = st.sampled_from([None, {}, {"traceparent": "00-x"}, {"worker-message": ["x"]}, {"CC": []}])
    return st.builds(
        Properties,
        content_type=st.sampled_from([JSON, None, "text/plain", "application/x-php-serialized", ""]),
        content_encoding=st.sampled_from([None, "gzip"]),
        delivery_mode=st.sampled_from([None, 1, 2]),
        headers=deaths | others,
    )


def survive(profile: ProfileName, queue: str, bad: Sequence[tuple[bytes, Properties]], *, unreadable: bool) -> None:
    """After whatever was published, the next good message is worked on; what is `unreadable` lies in a failed queue.

    A34: after three executions, its body unchanged; H13: after four rejections, deployed.
    """
    with playing(Setting(profile=profile, mode="off")) as (played, _):
        for body, properties in bad:
            put(played, queue, body, properties)
        hold_to_the_next(played)
        for name in played.bed.network.contract.messages.channels:
            if not name.endswith(("_failed", "_loop")):
                assert depth(played, name) == 0, f"{name} is not empty"
        if unreadable:
            found = sorted(lying_in(played, f"{queue}_failed"))
            assert found == sorted(body for body, _ in bad), f"{queue}_failed holds something else"


def hold_to_the_next(played: Played) -> None:
    """A commit whose message comes now is handed over."""
    commit = make_commit(played, [b"one", b"two"], {"title": "a"})
    put(played, "assetsIngest", good_message(played, commit))
    played.wait(ENOUGH_SECONDS)
    assert commit.acknowledged, "the next good message was not worked on"


BADLY_SPOILT = st.sampled_from([*NOT_JSON, *NO_MESSAGES])


@pytest.mark.parametrize(("profile", "queue"), [("documented", "assetsIngest"), ("deployed", "createRecord")])
@given(data=st.data())
@budget(20)
def test_what_is_no_message_ends_in_the_failed_queue_and_the_next_one_is_worked_on(
    profile: ProfileName, queue: str, data: st.DataObject
) -> None:
    """A34; of the deployed consumer nobody knows (assumed: it rejects, as often as it rejects work)."""
    bad = st.lists(st.tuples(BADLY_SPOILT.map(lambda spoilt: spoilt.body), properties(queue)), min_size=1, max_size=3)
    survive(profile, queue, data.draw(bad), unreadable=True)


def test_each_thing_that_is_no_message_is_survived() -> None:
    """Each alone, in each queue: the loop of polling takes them, too."""
    huge = Spoilt("huge", b'["' + b"x" * 2**21 + b'"]')
    bad = [(one.body, AS_JSON) for one in (*NOT_JSON, *NO_MESSAGES, huge)]
    survive("documented", "assetsIngest", bad, unreadable=True)
    survive("deployed", "assetsIngest", bad, unreadable=True)
    survive("deployed", "createRecord", bad, unreadable=True)
    survive("deployed", "pullAssets", bad, unreadable=False)


@pytest.mark.parametrize("deaths", ODD_DEATHS, ids=lambda deaths: repr(deaths)[:60])
def test_each_odd_tale_of_deaths_is_survived(deaths: Any) -> None:
    told = Properties(content_type=JSON, headers={"x-death": told_of("assetsIngest", deaths)})
    survive("documented", "assetsIngest", [(b"{}", told)], unreadable=True)
    survive("deployed", "assetsIngest", [(b"{}", told)], unreadable=True)


@pytest.mark.parametrize("deaths", DEATHS_FOR_EVER, ids=repr)
def test_a_tale_of_another_death_makes_work_go_on_for_ever_and_keeps_nobody_from_the_next(deaths: Any) -> None:
    """H13: the deployed consumer counts the last one."""
    told = Properties(content_type=JSON, headers={"x-death": told_of("assetsIngest", deaths)})
    survive("documented", "assetsIngest", [(b"{}", told)], unreadable=True)
    with playing(Setting(profile="deployed", mode="off")) as (played, _):
        put(played, "assetsIngest", b"{}", told)
        hold_to_the_next(played)
        assert depth(played, "assetsIngest_retry") == 1


@st.composite
def spoilt_messages(draw: st.DrawFn, profile: ProfileName, queue: str) -> Spoilt:
    """A message by its schema, with a field that it lacks, or that is of a wrong type."""
    whole = draw(messages(contract(profile), queue))
    if profile == "documented":
        paths = [(0,), (1,), (1, "id"), *((0, name) for name in whole[0])]
        return draw(spoilt_fields(whole, paths))
    paths = [("message_type",), ("payload",), *(("payload", name) for name in whole["payload"])]
    return draw(spoilt_fields(whole, paths))


CONSUMED = [
    ("documented", "assetsIngest"),
    ("deployed", "assetsIngest"),
    ("deployed", "createRecord"),
    ("deployed", "pullAssets"),
]


@pytest.mark.parametrize(("profile", "queue"), CONSUMED)
@given(data=st.data())
@budget(30)
def test_a_message_with_a_spoilt_field_keeps_nobody_from_the_next(
    profile: ProfileName, queue: str, data: st.DataObject
) -> None:
    """A34; H2 where the deployed worker dies of it."""
    one = st.tuples(spoilt_messages(profile, queue).map(lambda spoilt: spoilt.body), properties(queue))
    survive(profile, queue, data.draw(st.lists(one, min_size=1, max_size=3)), unreadable=False)


@pytest.mark.parametrize(("profile", "queue"), CONSUMED)
@given(data=st.data())
@budget(30)
def test_a_message_of_the_schema_keeps_nobody_from_the_next_whatever_it_names(
    profile: ProfileName, queue: str, data: st.DataObject
) -> None:
    """Upload services that are not there, tokens that no header can hold, ids of nobody."""
    whole = messages(contract(profile), queue)
    if profile == "deployed":
        # Whoever notifies may give fields that are not known, and these names mean something elsewhere. A count that is
        # less than nothing is one: the work is done so many times more.
        more = st.fixed_dictionaries(
            {},
            optional={"count": st.sampled_from([None, "x", [], {}, True])}
            | dict.fromkeys(("payload", "message_type", "storyId"), anything()),
        )
        whole = st.builds(lambda one, extra: {**one, "payload": {**extra, **one["payload"]}}, whole, more)
    bad = data.draw(st.lists(st.tuples(whole.map(msgspec.json.encode), properties(queue)), min_size=1, max_size=3))
    survive(profile, queue, bad, unreadable=False)


# What Phraseanet is notified of.


def enqueue(played: Played, body: bytes, content_type: str = JSON) -> httpx.Response:
    path = played.bed.network.contract.operations["enqueueAssets"].path
    headers = {"content-type": content_type}
    authorization = f"OAuth {played.bed.stage.phraseanet_token}"
    return played.ask("POST", f"https://phraseanet.test{path}", authorization, headers=headers, content=body)


def hold_to_the_message(profile: ProfileName, body: dict[str, Any]) -> None:
    """A notification is answered 200, and becomes one message, which is as the document says and says the same."""
    with playing(Setting(profile=profile, mode="off")) as (played, _):
        answer = enqueue(played, msgspec.json.encode(body))
        assert answer.status_code == 200, answer.text
        made = [one for one in published(played.bed.journal.events) if one.operation_id == "produceMessage"]
        assert len(made) == 1, f"{len(made)} messages were produced"
        assert publish_violations(played.bed.network.contract, made[0]) == []
        content = made[0].body.json
        if profile == "documented":
            first, *assets = content
            known = {"token": body["token"], **{name: body[name] for name in ("commit_id", "base_url") if name in body}}
            assert first == {"publisher": body["publisher"], "id": body["publisher"], **known}
            hashes = body.get("hashes", {})
            assert assets == [
                {"id": name} | ({"hash": hashes[name]} if name in hashes else {}) for name in body["assets"]
            ]
        else:
            payload = content["payload"]
            told = {**body, "type": "uploader push", "published": payload["published"]}
            assert payload == told, "the message says something else"
            assert answer.json()["response"] == {"data": body}
        played.wait(ENOUGH_SECONDS)


@given(body=notifications(DOCUMENTED))
@budget(30)
def test_a_notification_by_the_schema_becomes_a_message(body: dict[str, Any]) -> None:
    """A1, A2, A5 to A7, A25, A30."""
    hold_to_the_message("documented", body)


@given(body=notifications(DEPLOYED))
@budget(30)
def test_a_deployed_notification_by_the_schema_becomes_a_message(body: dict[str, Any]) -> None:
    """§3, §4.2: with all its fields, also those that nobody knows."""
    reserved = ("count", "published", "type", "payload", "message_type")
    hold_to_the_message("deployed", {name: value for name, value in body.items() if name not in reserved})


@st.composite
def wrong_notifications(draw: st.DrawFn, profile: ProfileName) -> Spoilt:
    """One that lacks a required field, or has a field of a wrong type."""
    whole = draw(notifications(contract(profile)))
    known = DOCUMENTED_FIELDS if profile == "documented" else DEPLOYED_FIELDS
    return draw(spoilt_fields(whole, [(name,) for name in known]))


@pytest.mark.parametrize("profile", PROFILES)
@given(data=st.data())
@budget(30)
def test_what_is_no_notification_is_refused_and_becomes_nothing(profile: ProfileName, data: st.DataObject) -> None:
    """A29: 400; §3: 422, and the Content-Type is not enforced."""
    no_objects = [one for one in NO_MESSAGES if one.body[:1] != b"{"]
    wrong = data.draw(st.one_of(wrong_notifications(profile), st.sampled_from([*NOT_JSON, *no_objects])))
    other_type = data.draw(st.sampled_from([JSON, "application/json; charset=utf-8", "text/plain", "application/xml"]))
    hold_to_the_refusal(profile, wrong, other_type)


def hold_to_the_refusal(profile: ProfileName, wrong: Spoilt, other_type: str) -> None:
    """It is refused as its profile says, nothing comes of it, and the next one is taken."""
    with playing(Setting(profile=profile, mode="off")) as (played, _):
        answer = enqueue(played, wrong.body, other_type)
        documented = 400 if other_type.startswith(JSON) else 415
        assert answer.status_code == (documented if profile == "documented" else 422), wrong.how
        assert published(played.bed.journal.events) == []
        hold_a_right_one_is_taken(played)


def hold_a_right_one_is_taken(played: Played) -> None:
    commit = make_commit(played, [b"one"], {})
    told = {"assets": list(commit.asset_ids), "publisher": commit.user_id, "token": commit.token}
    told |= {"commit_id": commit.id, "base_url": "https://upload.test"}
    assert enqueue(played, msgspec.json.encode(told)).status_code == 200
    played.wait(5)
    assert commit.acknowledged


# That the suite can fail: each lie is found.


def notify_otherwise(module: Any, **fields: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """The notification says something else in some of its fields."""
    notification = module.notification

    def told(*args: Any) -> dict[str, Any]:
        body = notification(*args)
        return body | {name: change(body[name]) for name, change in fields.items()}

    return lambda monkeypatch: monkeypatch.setattr(module, "notification", told)


def hand_out_more(monkeypatch: pytest.MonkeyPatch) -> None:
    to_message = documented_queue.to_message
    told = lambda handover: [to_message(handover)[0], *({**one, "size": 1} for one in to_message(handover)[1:])]  # noqa: E731
    monkeypatch.setattr(documented_queue, "to_message", told)


def keep_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given up could be put back as it is (against H12)."""
    give_up = Publisher.give_up

    async def given_up(self: Any, message_type: str, payload: Any, headers: Any) -> None:
        await give_up(self, message_type, {"message_type": message_type, **payload}, headers)

    monkeypatch.setattr(Publisher, "give_up", given_up)


def trust_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    read = lambda _self, incoming: from_message(msgspec.json.decode(incoming.body))  # noqa: E731
    monkeypatch.setattr(Worker, "_read", read)


def reject_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: Any, incoming: Any, _count: Any) -> None:
        await self._client.reject(incoming)

    monkeypatch.setattr(Consumer, "_refuse", refuse)


def put_it_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body in the failed queue is not what it was (against A34)."""

    async def give_up(self: Any, incoming: Any) -> None:
        await self._publish("assetsIngest_failed", b"[" + incoming.body + b"]")
        await self._client.acknowledge(incoming)

    monkeypatch.setattr(documented_queue.IngestQueue, "give_up", give_up)


def download_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    download = Worker._download  # noqa: SLF001

    async def open_to_all(self: Any, url: str, _headers: Any, *more: Any) -> Any:
        return await download(self, url, {}, *more)

    monkeypatch.setattr(Worker, "_download", open_to_all)


def forget_what_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Publisher.publish

    async def forgetful(self: Any, message_type: str, payload: Any) -> Any:
        kept = {name: value for name, value in payload.items() if name in (*DEPLOYED_FIELDS, "type")}
        return await publish(self, message_type, kept)

    monkeypatch.setattr(Publisher, "publish", forgetful)


def changed(thing: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr(thing, name, value)


def notified(profile: ProfileName) -> None:
    usual = TargetSetting("phraseanet")
    hold_the_notification(profile, [b"one", b"two"], {}, ALL_FIELDS, None, usual, administrator=False)


def no_message(profile: ProfileName, body: bytes) -> None:
    survive(profile, "assetsIngest", [(body, AS_JSON)], unreadable=True)


A_UUID = "00000000-0000-4000-8000-000000000000"
A_MESSAGE = [{"publisher": A_UUID, "token": "t", "base_url": "https://upload.test"}, {"id": A_UUID}]
A_NOTIFICATION = {"assets": [A_UUID], "publisher": A_UUID, "token": "t", "commit_id": A_UUID, "base_url": "b"}

LIES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], Callable[[], Any], str]] = {
    "hashes are upper case": (
        notify_otherwise(
            documented_outbound, hashes=lambda hashes: {name: one.upper() for name, one in hashes.items()}
        ),
        lambda: notified("documented"),
        "the body: hashes",
    ),
    "the assets are in another order": (
        notify_otherwise(documented_outbound, assets=lambda assets: assets[::-1]),
        lambda: notified("documented"),
        "the field assets",
    ),
    "somebody else has published": (
        notify_otherwise(deployed_outbound, publisher=lambda _: A_UUID),
        lambda: notified("deployed"),
        "the field publisher",
    ),
    "the token is another one": (
        notify_otherwise(deployed_outbound, token=lambda token: token[::-1]),
        lambda: notified("deployed"),
        "the field token",
    ),
    "the message says more than it may": (
        hand_out_more,
        lambda: hold_the_messages("documented", "push", [[b"one"]], ()),
        "this field is not known here",
    ),
    "work is counted from one": (
        changed(deployed_ingest, "next_count", lambda _payload: 1),
        lambda: hold_the_messages("deployed", "push", [[b"one"]], (Fault("getAsset", Answer(500), (1,)),)),
        "1 is less than 2",
    ),
    "what is given up bears its type": (
        keep_the_type,
        lambda: hold_the_messages("deployed", "push", [[b"one"]], (Fault("getAsset", Answer(500)),)),
        "message_type: this field must not be here",
    ),
    "what is no message ends the worker": (
        trust_the_message,
        lambda: no_message("documented", b"[]"),
        "not enough values to unpack",
    ),
    "what is no message is rejected for ever": (
        reject_for_ever,
        lambda: no_message("deployed", b"{}"),
        "assetsIngest_retry is not empty",
    ),
    "the failed queue holds something else": (
        put_it_into_words,
        lambda: no_message("documented", b"{}"),
        "holds something else",
    ),
    "a file is asked for without a token": (
        download_without_a_token,
        lambda: hold_to_the_right_requests("documented", A_MESSAGE),
        "asks for something else",
    ),
    "a notification becomes nothing": (
        changed(PhraseanetState, "accept", lambda *_: False),
        lambda: hold_to_the_message("documented", A_NOTIFICATION | {"base_url": "https://upload.test"}),
        "0 messages were produced",
    ),
    "what is not known is left out": (
        forget_what_is_not_known,
        lambda: hold_to_the_message("deployed", A_NOTIFICATION | {"more": 1}),
        "the message says something else",
    ),
    "a notification is not looked at": (
        changed(Operation, "request_violations", lambda *_: []),
        lambda: hold_to_the_refusal("deployed", Spoilt("without a token", b'{"assets": []}'), JSON),
        "without a token",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    tell, held, what = LIES[lie]
    tell(monkeypatch)
    with pytest.raises((AssertionError, ValueError), match=what):
        held()


@pytest.mark.parametrize("lie", LIES)
def test_what_finds_a_lie_finds_nothing_in_the_truth(lie: str) -> None:
    LIES[lie][1]()
