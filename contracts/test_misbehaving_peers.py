"""Each service among peers that misbehave: time-outs, broken connections, refusals, redirects, bodies of all sorts.

What becomes of the hand-off is what PROTOCOL says: it is tried again, so often and in such intervals (A34, §2.6, §4.3),
and is then acknowledged, lies in a failed queue, or is stranded by the hazard of §6 that has a name. `expected` is what
PROTOCOL says of one misbehaviour; `explain` is all that may be the matter with a commit that nobody acknowledged.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import httpx
import pytest
from contracts.misbehaving import (
    ALWAYS_WRONG,
    MISBEHAVIOURS,
    PUT_IN,
    Misbehaviour,
    Peers,
    playing_among_peers,
    spoiling,
)
from contracts.played import Played, budget, file_form
from hypothesis import given
from hypothesis import strategies as st

from phrasim.edge import outbound
from phrasim.journal.events import Delivery, Noted, Publish, Request, Sent
from phrasim.phraseanet.deployed import creation, ingest
from phrasim.phraseanet.deployed.pull import PullAssets
from phrasim.phraseanet.deployed.state import Download
from phrasim.phraseanet.deployed.uploader import RequestFailed, Uploader
from phrasim.phraseanet.documented import credentials
from phrasim.phraseanet.documented.poller import Poller
from phrasim.phraseanet.documented.queue import FAILED, IngestQueue
from phrasim.phraseanet.documented.worker import Worker
from phrasim.phraseanet.poll_failed import PollFailed
from phrasim.testbed import Mode, ProfileName, Setting
from phrasim.testbed import documented as documented_testbed
from phrasim.upload.deployed import outbound as deployed_outbound
from phrasim.upload.documented.access import User
from phrasim.upload.documented.identity import Identity
from phrasim.upload.documented.outbound import Notifier

pytestmark = pytest.mark.unmeasured

PROFILES: tuple[ProfileName, ...] = ("documented", "deployed")

POLL_INTERVAL = 45.0
"""Longer than the patience of a poll, so that the next one finds that it is over."""
ENOUGH_SECONDS, ENOUGH_AT_ONCE_SECONDS = 1200, 300
"""Longer than all takes that was begun, polls and pauses of 10 s; the former where a misbehaviour takes its time."""

NOTIFY_PAUSES = (1, 2, 4)
"""Seconds between the notifications of a commit (§2.6)."""
WORK_PAUSE = 10
"""Seconds after which work that failed is done again (A34, §4.1)."""
EXECUTIONS = 3
"""How often work is done at most (A34, H13)."""

LENGTH = 1000
"""Bytes of the file of asset 0, and one more of each further one: no odd content has so many."""

End = Literal["acknowledged", "failed queue", "H3", "H6", "H17", "lied to"]


@dataclass(frozen=True, slots=True)
class Struck:
    """An operation at whose calls a peer misbehaves: from call `first` on, `times` calls."""

    profile: ProfileName
    operation: str
    misbehaviour: Misbehaviour
    first: int = 1
    times: int = 1

    def __repr__(self) -> str:
        calls = f"calls {self.first} to {self.first + self.times - 1}"
        return f"{self.profile}: {self.misbehaviour} at {calls} of {self.operation}"

    @property
    def mode(self) -> Mode:
        """How the hand-off has to begin for the operation to be called."""
        pulls = self.operation in ("listCommits", "issueClientToken")
        return "pull" if pulls else "push"


OPERATIONS: Mapping[ProfileName, tuple[tuple[str, int], ...]] = {
    "documented": (
        ("enqueueAssets", 1),
        ("issueToken", 1),
        ("getPublisherInfo", 1),
        ("getAsset", 1),
        ("downloadAsset", 1),
        ("acknowledgeCommit", 1),
        ("listCommits", 1),
    ),
    "deployed": (
        ("enqueueAssets", 1),
        ("getAsset", 1),  # of the work on the commit
        ("getAsset", 2),  # of the work on its asset
        ("downloadFile", 1),
        ("acknowledgeAsset", 1),
        ("issueClientToken", 1),
        ("listCommits", 1),
    ),
}
"""What the services ask of one another in a hand-off of one asset, each with the first call that is struck."""

USED_ANSWERS = ("issueToken", "getAsset", "downloadAsset", "listCommits", "issueClientToken")
"""Operations of whose answers the bodies are read, and not only their statuses."""


# What PROTOCOL says.


@dataclass(frozen=True, slots=True)
class Expected:
    """How often the struck work is done, and what becomes of the commit."""

    executions: int
    end: End


def expected(struck: Struck) -> Expected:
    """What PROTOCOL says of a hand-off in which nothing else goes wrong."""
    return (documented if struck.profile == "documented" else deployed)(struck)


def documented(struck: Struck) -> Expected:
    """A34: three executions, ten seconds apart, then the failed queue; §2.6 for the notification.

    Nothing but a 200 is a success, and of what it says so much is read as is needed.
    """
    misbehaviour = struck.misbehaviour
    taken = misbehaviour.is_right or (
        misbehaviour.status == 200 and (struck.operation not in USED_ANSWERS or is_an_empty_listing(struck))
    )
    failures = 0 if taken else refusals(struck)
    lied = taken and not misbehaviour.is_right and struck.operation in ("enqueueAssets", "acknowledgeCommit")
    if struck.operation == "enqueueAssets":
        return notified(failures, struck, lied=lied)
    if struck.mode == "pull":
        return Expected(failures, "acknowledged")
    return worked_on(failures, lied=lied, done=struck.operation == "acknowledgeCommit" and misbehaviour.done)


def is_an_empty_listing(struck: Struck) -> bool:
    return struck.operation == "listCommits" and struck.misbehaviour.content == b"[]"


def deployed(struck: Struck) -> Expected:
    """§4.4 to §4.6, step by step; H3, H6, H17, H24."""
    misbehaviour, operation = struck.misbehaviour, struck.operation
    if operation == "enqueueAssets":
        taken = misbehaviour.status is not None and misbehaviour.status < 300
        return notified(0 if taken else struck.times, struck, lied=taken and not misbehaviour.is_right)
    if struck.mode == "pull":
        # A listing that cannot be read, but is one of 200, is an empty one.
        unread = operation == "listCommits" and misbehaviour.status == 200
        return Expected(0 if misbehaviour.is_right or unread else refusals(struck), "acknowledged")
    # Guzzle follows redirects, and raises from 400 on.
    refused = misbehaviour.status is None or misbehaviour.status >= 400 or misbehaviour.redirects
    if operation == "downloadFile":
        # Any bytes are a file's, but for more of them than the metadata tell of.
        longer = misbehaviour.content is not None and len(misbehaviour.content) > LENGTH
        return worked_on(struck.times if refused or longer or misbehaviour.status != 200 else 0)
    if operation == "acknowledgeAsset":
        if misbehaviour.done:
            return Expected(1, "acknowledged")
        return Expected(1, "H6" if refused else "lied to")
    if refused:
        return worked_on(struck.times) if struck.first == 1 else Expected(1, "H3")
    # Metadata without a URL are enough for the commit's work. The download fails, and is what is tried again.
    unread = 0 if misbehaviour.is_right else struck.times
    if struck.first == 1:
        return Expected(1, worked_on(max(0, unread - 1)).end)
    return worked_on(unread)


def refusals(struck: Struck) -> int:
    """How many executions or polls fail: after a 401 a new token is asked for, and the request made again, once.

    The first time the token was new already.
    """
    asks_again = struck.misbehaviour.status == 401 and struck.operation in ("getPublisherInfo", "listCommits")
    return (struck.times + 1) // 2 if asks_again else struck.times


def notified(failures: int, struck: Struck, *, lied: bool) -> Expected:
    """§2.6, H17; one that was taken, and whose answer was lost, is told again (A30, H7)."""
    attempts = len(NOTIFY_PAUSES) + 1
    given_up = failures >= attempts and not struck.misbehaviour.done
    end: End = "lied to" if lied else "H17" if given_up else "acknowledged"
    return Expected(min(failures + 1, attempts), end)


def worked_on(failures: int, *, lied: bool = False, done: bool = False) -> Expected:
    """A34, H13; an acknowledgement that was done holds, though its answer was lost."""
    given_up = failures >= EXECUTIONS and not done
    end: End = "lied to" if lied else "failed queue" if given_up else "acknowledged"
    return Expected(min(failures + 1, EXECUTIONS), end)


# A hand-off, and what the journal says of it.


class HandOff:
    """A landscape among peers, and the commits that its publisher made."""

    def __init__(self, played: Played, peers: Peers) -> None:
        self.played = played
        self.peers = peers
        self.bed = played.bed
        self.profile: ProfileName = self.bed.setting.profile
        self.bearer = f"Bearer {self.bed.auth.user_token(self.bed.accounts.publisher)}"
        self.contents: dict[str, bytes] = {}
        self.commits: dict[str, list[str]] = {}

    def commit(self, assets: int = 1) -> str:
        """Upload so many files and commit them; the commit's id."""
        slug = self.bed.stage.targets[0]["slug"] if self.bed.stage.targets else None
        ids = []
        for _ in range(assets):
            content = b"%0*d" % (LENGTH + len(self.contents), len(self.contents))
            answer = self.played.ask("POST", "/assets", self.bearer, **file_form(content, slug))
            ids.append(answer.json()["id"])
            self.contents[ids[-1]] = content
        body = {"files": ids} | ({} if slug is None else {"targetSlug": slug})
        assert self.played.ask("POST", "/commit", self.bearer, json=body).status_code == 200
        # A notification is on its way at once; the commit is there before it.
        self.played.turn(lambda: len(self.bed.upload.commits) > len(self.commits))
        commit = self.bed.upload.commits[-1]
        self.commits[commit.id] = ids
        return commit.id

    def acknowledged(self, commit_id: str) -> bool:
        """Whether the upload service says so; one that it swept was acknowledged before (§2.7)."""
        found = [one.acknowledged for one in self.bed.upload.commits if one.id == commit_id]
        return not found or found[0]

    def notes(self, *names: str) -> list[Noted]:
        return [event for event in self.bed.journal.events if isinstance(event, Noted) and event.note in names]

    def sent(self, kind: type[Any]) -> list[Sent]:
        events = self.bed.journal.events
        return [event for event in events if isinstance(event, Sent) and isinstance(event.message, kind)]

    def requests(self, operation_id: str) -> list[Sent]:
        return [event for event in self.sent(Request) if event.message.operation_id == operation_id]

    def published(self, queue: str) -> list[Any]:
        """The bodies of what Phraseanet published to a queue."""
        return [event.message.body.json for event in self.sent(Publish) if event.message.routing_key == queue]

    def deliveries(self, queue: str) -> list[Sent]:
        return [event for event in self.sent(Delivery) if event.message.queue == queue]

    def executions(self, queue: str) -> int:
        """How often work was done: a deployed message that was tried too often is delivered once more, and given up."""
        given_up = len(self.notes("work given up")) if self.profile == "deployed" else 0
        own = given_up if self.published(f"{queue}_failed") else 0
        return len(self.deliveries(queue)) - own

    # What must hold whatever the peers do.

    def judge(self) -> None:
        """Nothing is lost without a reason that has a name, and nothing is acknowledged that is not there."""
        self.judge_services()
        for commit_id in self.commits:
            assert self.acknowledged(commit_id) or self.explain(commit_id), f"{commit_id} is lost, and nothing is why"
        self.judge_contents()
        self.judge_bodies_in_the_failed_queue()

    def judge_services(self) -> None:
        failed = [note.details for note in self.notes("failed")]
        assert failed == [], f"a service failed over a request: {failed}"

    def judge_contents(self) -> None:
        """§4.6 step 3: the deployed worker has nothing to hold the bytes to that a peer sends with a 200."""
        told = self.peers.digests(("downloadFile",))
        taken: set[str] = set()
        state = self.bed.phraseanet
        for record in (*state.records, *getattr(state, "quarantine", ())):
            right = hashlib.sha256(self.contents[record.asset_id]).hexdigest()
            assert record.sha256 in {right, *told}, f"{record.asset_id} was recorded with the wrong bytes"
            taken.add(record.asset_id)
        concealed = self.concealed()
        for asset in self.bed.upload.assets:
            done = getattr(asset, "acknowledged", None)
            if asset.commit is not None and (asset.commit.acknowledged if done is None else done):
                assert asset.id in taken | concealed, f"{asset.id} is acknowledged, and not recorded"

    def concealed(self) -> set[str]:
        """The assets that a changed listing left out of a commit, so that nobody was ever told of them."""
        if not any(one.operation_id == "listCommits" and one.misbehaviour.spoilt for one in self.peers.misdeeds):
            return set()
        told = str(self.published("assetsIngest"))
        return {asset for asset in self.contents if asset not in told}

    def judge_bodies_in_the_failed_queue(self) -> None:
        """A34: the body is unchanged; H12: deployed, it is the payload, flattened."""
        for body in self.published("assetsIngest_failed"):
            if self.profile == "documented":
                assert body in self.published("assetsIngest"), "a failed message was changed"
            else:
                assert "message_type" not in body
                assert body["count"] == EXECUTIONS + 1

    def explain(self, commit_id: str) -> list[str]:
        """Why that commit may be not acknowledged."""
        assets = self.commits[commit_id]
        lies = [one for one in self.peers.misdeeds if self.is_a_lie(one.operation_id, one.misbehaviour)]
        given_up = {note.details["commit"] for note in self.notes("notification given up")}
        reasons = {
            "H17": self.bed.setting.mode == "push" and commit_id in given_up,
            "a failed queue": commit_id in self.failed(),
            "the peer said that it was told": self.bed.setting.mode == "push"
            and any(one.operation_id == "enqueueAssets" for one in lies),
            "the peer said that it was acknowledged": any(
                name in one.path.split("/")
                for one in lies
                for name in (commit_id, *assets)
                if one.operation_id in ("acknowledgeCommit", "acknowledgeAsset")
            ),
        }
        if self.profile == "deployed":
            stopped = {note.details["asset"] for note in self.notes("no collection_destination")}
            running = {row.asset_id for row in self.bed.phraseanet.jobs.rows if row.status == "running"}
            reasons |= {
                "H3, H6: the worker died": bool(self.notes("worker died") and running.intersection(assets)),
                "H4": bool(stopped.intersection(assets)),
            }
        return [reason for reason, applies in reasons.items() if applies]

    def is_a_lie(self, operation_id: str, misbehaviour: Misbehaviour) -> bool:
        """Whether a peer has said that it did what it did not: by 200, and deployed by whatever counts as that."""
        if misbehaviour.is_right or misbehaviour.status is None or misbehaviour.redirects:
            return False
        if self.profile == "documented":
            return misbehaviour.status == 200
        return misbehaviour.status < (300 if operation_id == "enqueueAssets" else 400)

    def failed(self) -> set[Any]:
        """The ids of the commits that lie in a failed queue."""
        documented = self.profile == "documented"
        bodies = [*self.published("assetsIngest_failed"), *self.published("createRecord_failed")]
        return {body[0].get("commit_id") if documented else body["commit_id"] for body in bodies}

    # What must hold of one operation that is struck.

    def hold_to(self, struck: Struck) -> None:
        """So often was it tried, in such intervals, and so it ended."""
        (commit_id,) = self.commits
        wanted = expected(struck)
        found = Expected(self.times_tried(struck), self.end(commit_id, wanted.end))
        assert found == wanted, f"{struck}: {found}, and not {wanted}"
        self.hold_to_intervals(struck)
        if self.profile == "deployed":
            self.hold_to_counts()

    def times_tried(self, struck: Struck) -> int:
        if struck.operation == "enqueueAssets":
            return len(self.requests("enqueueAssets"))
        if struck.mode == "pull":
            return len(self.notes("poll failed", "pull failed"))
        by_asset = self.profile == "deployed" and (struck.operation, struck.first) != ("getAsset", 1)
        return self.executions("createRecord" if by_asset else "assetsIngest")

    def end(self, commit_id: str, wanted: End) -> End | Literal["lost"]:
        """What became of the commit. One that its peer acknowledged in words only is not known to be so to anybody."""
        ends: list[tuple[End, bool]] = [
            ("acknowledged", self.acknowledged(commit_id)),
            ("failed queue", commit_id in self.failed()),
            ("H17", bool(self.notes("notification given up"))),
            ("H3", self.died_at("reading the metadata")),
            ("H6", self.died_at("acknowledging") and bool(self.bed.phraseanet.records)),
            ("lied to", wanted == "lied to" and not self.notes("worker died", "work failed", "work given up")),
        ]
        return next((end for end, reached in ends if reached), "lost")

    def died_at(self, step: str) -> bool:
        return any(note.details["reason"].startswith(step) for note in self.notes("worker died"))

    def hold_to_intervals(self, struck: Struck) -> None:
        """A34, §4.1: 10 s after the failure; §2.6: 1 s, 2 s and 4 s after it, where the failure took no time."""
        nanoseconds = 10**9
        failures = [note.at for note in self.notes("work failed")]
        redone = [event.at for queue in ("assetsIngest", "createRecord") for event in self.deliveries(queue)]
        for at in failures:
            assert any(abs(again - at - WORK_PAUSE * nanoseconds) < 1e6 for again in redone), "not tried after 10 s"
        told = [event.at / nanoseconds for event in self.requests("enqueueAssets")]
        pauses = [later - earlier for earlier, later in pairwise(told)]
        for pause, least in zip(pauses, NOTIFY_PAUSES, strict=False):
            exact = struck.misbehaviour.instant and struck.operation == "enqueueAssets"
            assert abs(pause - least) < 1e-3 if exact else pause >= least - 1e-3, f"told again after {pause} s"

    def hold_to_counts(self) -> None:
        """§4.3: the worker's own x-death says 2, then 3, then 4."""
        for base in ("assetsIngest", "createRecord"):
            again = [one.message for one in self.sent(Publish) if one.message.routing_key == f"{base}_retry"]
            counts = [message.properties["headers"]["x-death"][0]["count"] for message in again]
            assert counts == list(range(2, len(counts) + 2)), f"{base} counts {counts}"


def hand_over(struck: Struck) -> None:
    """A hand-off of one asset in which that is struck, and nothing else; it is held to what PROTOCOL says of it."""
    setting = Setting(profile=struck.profile, mode=struck.mode, poll_interval=POLL_INTERVAL)
    plan = (struck.operation, struck.misbehaviour, struck.first, struck.times)
    with playing_among_peers(setting, [plan]) as (played, peers):
        hand_off = HandOff(played, peers)
        hand_off.commit()
        played.wait(ENOUGH_AT_ONCE_SECONDS if struck.misbehaviour.instant else ENOUGH_SECONDS)
        assert peers.misdeeds, f"nothing was struck by {struck}"
        hand_off.judge()
        hand_off.hold_to(struck)


EACH = [(profile, *one) for profile in PROFILES for one in OPERATIONS[profile]]


@pytest.mark.parametrize(("profile", "operation", "first"), EACH)
def test_each_misbehaviour_has_the_outcome_that_the_protocol_names(
    profile: ProfileName, operation: str, first: int
) -> None:
    """A34, §2.6, §4.3 to §4.6; H3, H6, H17, H24."""
    for misbehaviour in MISBEHAVIOURS:
        hand_over(Struck(profile, operation, misbehaviour, first))


def struck(profile: ProfileName, misbehaviours: tuple[Misbehaviour, ...] = ALWAYS_WRONG) -> st.SearchStrategy[Struck]:
    return st.builds(
        lambda operation, misbehaviour, times: Struck(profile, operation[0], misbehaviour, operation[1], times),
        st.sampled_from(OPERATIONS[profile]),
        st.sampled_from(misbehaviours),
        st.integers(1, 5),
    )


@pytest.mark.parametrize("profile", PROFILES)
@given(data=st.data())
@budget(60)
def test_so_many_misbehaviours_one_after_the_other_end_as_the_protocol_says(
    profile: ProfileName, data: st.DataObject
) -> None:
    """A34: three failures and no more; §2.6: four notifications; H13: 2, 3, 4."""
    hand_over(data.draw(struck(profile, MISBEHAVIOURS)))


ANY = st.one_of(
    st.sampled_from(MISBEHAVIOURS),
    st.builds(spoiling, st.integers(0, 30), st.sampled_from(PUT_IN), drop=st.booleans()),
)

BETWEEN_SERVICES: Mapping[ProfileName, tuple[str, ...]] = {
    "documented": tuple(operation for operation, _ in OPERATIONS["documented"]),
    # The upload service hands the request for a token on to Auth (§5).
    "deployed": (*dict.fromkeys(operation for operation, _ in OPERATIONS["deployed"]), "issueToken"),
}


@pytest.mark.parametrize("profile", PROFILES)
@given(
    mode=st.sampled_from(["push", "pull", "both"]),
    commits=st.lists(st.integers(1, 2), min_size=1, max_size=2),
    data=st.data(),
)
@budget(60)
def test_nothing_is_lost_silently_among_peers_that_misbehave(
    profile: ProfileName, mode: Mode, commits: list[int], data: st.DataObject
) -> None:
    """Several operations go wrong at several calls, right answers with something changed among them.

    Once the peers do as they should and time has passed, each commit is acknowledged, or has a reason that has a name.
    """
    plan = st.tuples(st.sampled_from(BETWEEN_SERVICES[profile]), ANY, st.integers(1, 3), st.integers(1, 3))
    setting = Setting(profile=profile, mode=mode, poll_interval=POLL_INTERVAL)
    with playing_among_peers(setting, data.draw(st.lists(plan, min_size=1, max_size=4))) as (played, peers):
        hand_off = HandOff(played, peers)
        for assets in commits:
            hand_off.commit(assets)
            played.wait(1)
        played.wait(ENOUGH_AT_ONCE_SECONDS)
        peers.behave()
        played.wait(ENOUGH_SECONDS)
        hand_off.judge()


ASKS_AUTH: Mapping[ProfileName, str] = {"documented": "getTokenInfo", "deployed": "getKeys"}
"""What the upload service asks Auth about a caller (A33, §5)."""


def upload_while_auth_misbehaves(profile: ProfileName, misbehaviour: Misbehaviour) -> None:
    """A user is told that it is not the user's fault, and is served once Auth does as it should."""
    with playing_among_peers(Setting(profile=profile, mode="off"), []) as (played, peers):
        hand_off = HandOff(played, peers)
        slug = hand_off.bed.stage.targets[0]["slug"] if hand_off.bed.stage.targets else None
        peers.misbehave(ASKS_AUTH[profile], misbehaviour, 1, 1)
        # The user waits for longer than the service does.
        answer = played.ask("POST", "/assets", hand_off.bearer, timeout=90, **file_form(b"content", slug))
        unknown = profile == "documented" and misbehaviour.status == 401
        wanted = 201 if misbehaviour.is_right else 401 if unknown else 503
        assert answer.status_code == wanted, f"{misbehaviour} makes the upload service answer {answer.status_code}"
        assert len(peers.misdeeds) == 1
        played.wait(60)
        assert played.ask("POST", "/assets", hand_off.bearer, **file_form(b"content", slug)).status_code == 201
        hand_off.judge_services()


@pytest.mark.parametrize("profile", PROFILES)
def test_who_cannot_be_known_because_auth_misbehaves_is_answered_503(profile: ProfileName) -> None:
    """A33, §5; a 401 of Auth is about the token."""
    for misbehaviour in MISBEHAVIOURS:
        upload_while_auth_misbehaves(profile, misbehaviour)


# That the suite can fail: each lie is found.


def named(name: str) -> Misbehaviour:
    (found,) = (one for one in MISBEHAVIOURS if one.name == name)
    return found


def keep_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented worker is content with a download that breaks off."""
    download = Worker._download  # noqa: SLF001

    async def careless(self: Any, url: str, headers: Any, asset_id: str, told: int) -> tuple[int, str]:
        try:
            return await download(self, url, headers, asset_id, told)
        except httpx.HTTPError:
            return told, hashlib.sha256(b"what came").hexdigest()

    monkeypatch.setattr(Worker, "_download", careless)


def keep_what_came_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    download = Uploader.download

    async def careless(self: Any, url: Any, told: Any) -> Download:
        try:
            return await download(self, url, told)
        except RequestFailed:
            return Download(told, hashlib.sha256(b"what came").hexdigest())

    monkeypatch.setattr(Uploader, "download", careless)


def settle_after_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fail = Worker._fail  # noqa: SLF001

    async def impatient(self: Any, incoming: Any, reason: str) -> None:
        await (self._queue.done(incoming) if "Timeout" in reason else fail(self, incoming, reason))

    monkeypatch.setattr(Worker, "_fail", impatient)


def any_status_below_400(monkeypatch: pytest.MonkeyPatch, notifier: type[Any]) -> None:
    """A notification that is answered by a redirect counts as taken."""
    send = notifier._sent  # noqa: SLF001

    async def credulous(self: Any, told: Any) -> str | None:
        failure: str | None = await send(self, told)
        return None if failure is not None and " answered 3" in failure else failure

    monkeypatch.setattr(notifier, "_sent", credulous)


def read_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poller says nothing about a listing that it cannot read."""
    listed = Poller._listed  # noqa: SLF001

    def silent(self: Any, answer: httpx.Response) -> Any:
        try:
            return listed(self, answer)
        except PollFailed:
            return []

    monkeypatch.setattr(Poller, "_listed", silent)


def never_poll_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployed worker ends its loop at a failure."""

    async def once(self: Any, _payload: Any) -> None:
        try:
            await self.round()
        except PollFailed:
            self._state.targets = ()

    monkeypatch.setattr(PullAssets, "work", once)


def change_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    async def give_up(self: Any, incoming: Any) -> None:
        await self._publish(FAILED, incoming.body.replace(b'"id"', b'"was"', 1))
        await self._client.acknowledge(incoming)

    monkeypatch.setattr(IngestQueue, "give_up", give_up)


def survive_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployed worker tries again what the real one dies of (H3)."""
    asset = Uploader.asset

    async def forgiving(self: Any, *asked: str) -> dict[str, Any]:
        try:
            return await asset(self, *asked)
        except RequestFailed:
            return {}

    monkeypatch.setattr(Uploader, "asset", forgiving)


def acknowledge_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    acknowledge = Uploader.acknowledge

    async def unaware(self: Any, *asked: str) -> None:
        with suppress(RequestFailed):
            await acknowledge(self, *asked)

    monkeypatch.setattr(Uploader, "acknowledge", unaware)


def changed(module: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr(module, name, value)


CUT, LATE, REFUSED, ODD = map(named, ("broken off after 50%", "ReadTimeout", "503", "200 with HTML"))

LIES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], Struck, str]] = {
    "half a download is kept": (keep_what_came, Struck("documented", "downloadAsset", CUT), "the wrong bytes"),
    "half a download is kept, deployed": (
        keep_what_came_deployed,
        Struck("deployed", "downloadFile", CUT),
        "the wrong bytes",
    ),
    "a time-out settles the delivery": (
        settle_after_a_time_out,
        Struck("documented", "getAsset", LATE),
        "is lost, and nothing is why",
    ),
    "a redirect takes the notification": (
        lambda patch: any_status_below_400(patch, Notifier),
        Struck("documented", "enqueueAssets", named("302 to another path")),
        "is lost, and nothing is why",
    ),
    "a redirect takes the notification, deployed": (
        lambda patch: any_status_below_400(patch, deployed_outbound.Notifier),
        Struck("deployed", "enqueueAssets", named("307 without a Location")),
        "is lost, and nothing is why",
    ),
    "a listing that cannot be read is an empty one": (
        read_what_cannot_be_read,
        Struck("documented", "listCommits", ODD),
        "executions=0.*and not .*executions=1",
    ),
    "a poll that failed was the last one": (
        never_poll_again,
        Struck("deployed", "listCommits", REFUSED),
        "is lost, and nothing is why",
    ),
    "a failed message is changed": (
        change_the_body,
        Struck("documented", "downloadAsset", REFUSED, times=3),
        "a failed message was changed",
    ),
    "work is done twice": (
        changed(documented_testbed, "EXECUTIONS_MAX", 2),
        Struck("documented", "acknowledgeCommit", REFUSED, times=5),
        "executions=2.*and not .*executions=3",
    ),
    "work is done four times": (
        changed(documented_testbed, "EXECUTIONS_MAX", 4),
        Struck("documented", "acknowledgeCommit", REFUSED, times=5),
        "executions=4.*and not .*executions=3",
    ),
    "work is counted from one, deployed": (
        changed(creation, "next_count", lambda payload: payload.get("count", 0) + 1),
        Struck("deployed", "downloadFile", REFUSED, times=5),
        "executions=4.*and not .*executions=3",
    ),
    "work is counted from three, deployed": (
        changed(ingest, "next_count", lambda payload: payload.get("count", 2) + 1),
        Struck("deployed", "getAsset", REFUSED, times=5),
        "executions=2.*and not .*executions=3",
    ),
    "a notification is repeated twice": (
        changed(documented_testbed, "NOTIFY_RETRIES", (1, 2)),
        Struck("documented", "enqueueAssets", REFUSED, times=5),
        "executions=3.*and not .*executions=4",
    ),
    "a notification is repeated four times, deployed": (
        changed(deployed_outbound, "RETRIES", (1, 2, 4, 8)),
        Struck("deployed", "enqueueAssets", REFUSED, times=5),
        "executions=5.*and not .*executions=4",
    ),
    "a notification is repeated at once, deployed": (
        changed(deployed_outbound, "RETRIES", (0, 0, 0)),
        Struck("deployed", "enqueueAssets", REFUSED, times=2),
        "told again after 0.0 s",
    ),
    "metadata may be missing, deployed": (
        survive_without_metadata,
        Struck("deployed", "getAsset", REFUSED, first=2),
        "executions=2.*and not .*H3",
    ),
    "an acknowledgement may fail, deployed": (
        acknowledge_in_vain,
        Struck("deployed", "acknowledgeAsset", REFUSED),
        "is lost, and nothing is why",
    ),
    "an answer is read to an end that it has not": (
        changed(outbound, "ANSWER_BYTES_MAX", 10**12),
        Struck("documented", "getAsset", named("endless: as fast as can be")),
        "read for ever",
    ),
    "an answer may trickle": (
        changed(outbound, "_Bounded", lambda stream, _seconds: stream),
        Struck("deployed", "getAsset", named("endless: 100 bytes each second")),
        "is lost, and nothing is why|read for ever",
    ),
    "a token is kept that no header can hold": (
        changed(credentials, "fits_a_header", lambda _token: True),
        Struck("documented", "issueToken", named("200 with a token that no header can hold")),
        "failed queue.*and not .*acknowledged",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    tell, struck, what = LIES[lie]
    tell(monkeypatch)
    with pytest.raises(AssertionError, match=what):
        hand_over(struck)


def test_an_answer_of_auth_that_is_not_looked_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trusting(self: Any, bearer: Any, _schemes: Any) -> User:
        answer = await self._auth.get("/token-info", headers={"authorization": f"Bearer {bearer.token}"})
        user = answer.json()["user"]
        return User(user["id"], user["roles"])

    monkeypatch.setattr(Identity, "_asked", trusting)
    with pytest.raises(AssertionError, match="makes the upload service answer 500"):
        upload_while_auth_misbehaves("documented", ODD)
