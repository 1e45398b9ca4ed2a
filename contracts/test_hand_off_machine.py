"""The hand-off under any order of events on simulated time, beside a model of plain dictionaries.

The model knows who uploaded and committed what, and reads the journal of the wire; it does not know how the services
work inside. At the end of a run all faults are lifted, time enough passes, and what became of each commit is judged.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import Any, ClassVar

import httpx
import pytest
from contracts.played import Played, budget, file_form, playing
from hypothesis import Phase, given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from phrasim.auth.accounts import User
from phrasim.broker import Broker
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Duplicate, Effect, Fault, Refuse
from phrasim.journal.events import Delivery, Event, Noted, Publish, Received, Request, Response, Sent
from phrasim.phraseanet.deployed.creation import CreateRecord
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.state import PhraseanetState as DeployedPhraseanetState
from phrasim.phraseanet.documented.credentials import TokenRefused
from phrasim.phraseanet.documented.queue import IngestQueue
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.phraseanet.documented.worker import Worker, WorkFailed
from phrasim.phraseanet.poll_failed import PollFailed
from phrasim.service.credentials import AssetToken
from phrasim.testbed import Mode, ProfileName, Setting
from phrasim.testbed.deployed_setting import DeployedSetting
from phrasim.upload.deployed import access as deployed_access
from phrasim.upload.deployed import routes as deployed_routes
from phrasim.upload.documented import access as documented_access
from phrasim.upload.documented import routes as documented_routes
from phrasim.upload.documented.state import UploadState

pytestmark = pytest.mark.unmeasured

EXAMPLES, EXAMPLES_TO_FIND_A_LIE, STEPS = 16, 60, 20
TOKEN_LIFETIME = 60
POLL_INTERVAL = 20.0
ENOUGH_SECONDS = 120
"""Longer than all takes that was begun, once no fault strikes: a time-out of 30 s, a delay of 40 s, pauses of 10 s."""
ASSETS_MAX, COMMITS_MAX, FAULTS_MAX = 8, 6, 2
NO_ID = "00000000-0000-4000-8000-000000000000"

USERS = st.sampled_from(["publisher", "other"])
MODES = st.sampled_from(["push", "pull", "both", "off"])
CONTENTS = st.sampled_from([b"same", b"same"]) | st.binary(min_size=1, max_size=8)
PATIENCE_ENDED = Delay(40)
"""Longer than anybody waits for an answer."""
EFFECTS = st.sampled_from(
    [Refuse(), Duplicate(), DropReply(), Answer(500), Answer(503), Answer(404), Delay(2), PATIENCE_ENDED]
)
UNREAD = (Refuse(), Answer(503))
"""Effects by which a request is not read by whom it is sent to."""
USER_EFFECTS = st.sampled_from([None, None, None, Duplicate(), DropReply(), Delay(2), *UNREAD])


def step(**drawn: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule of `HandOff`. One that fails ends the run, about which there is no more to judge."""

    def decorate(acting: Callable[..., None]) -> Callable[..., None]:
        @wraps(acting)
        def marked(self: "HandOff", **values: Any) -> None:
            self.going_well = False
            acting(self, **values)
            self.going_well = True

        return rule(**drawn)(marked)

    return decorate


class HandOff(RuleBasedStateMachine):
    """What both profiles have in common.

    The model: `assets` by id are content and the commits that they were put into, `commits` by id are token and assets
    as they were asked for. What the wire showed: `downloaded` ids, and `acknowledged`, by the id of an asset
    or commit, the times of each acknowledgement that was sent.
    """

    profile: ClassVar[ProfileName]
    consumer_operations: ClassVar[tuple[str, ...]]
    """Which meet faults: the download, the metadata, the acknowledgement, and whatever else."""
    consumer_tasks: ClassVar[tuple[str, ...]]
    queues: ClassVar[tuple[str, ...]]
    """The base queues, each before its retry queue."""
    file_needs_token: ClassVar[bool]
    deletes_files: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.played: Played
        self.open = ExitStack()
        self.going_well = False
        self.assets: dict[str, dict[str, Any]] = {}
        self.commits: dict[str, dict[str, Any]] = {}
        self.downloaded: dict[str, None] = {}
        self.acknowledged: dict[str, list[float]] = {}
        self.acknowledged_by_others: set[str] = set()
        self.killed: list[str] = []
        """The ids of commits that were being worked on when the worker was killed."""
        self.read = 0
        self.requests: dict[str, Request] = {}
        self.answers: dict[str, Response] = {}
        self.kills = 0

    @initialize(mode=MODES, grace=st.sampled_from([0.0, 30.0]))
    def begin(self, mode: Mode, grace: float) -> None:
        """`grace` is for how long the deployed service keeps the files of an acknowledged commit (§2.7)."""
        setting = Setting(
            profile=self.profile,
            mode=mode,
            poll_interval=POLL_INTERVAL,
            token_lifetime=TOKEN_LIFETIME,
            deployed=DeployedSetting(grace=grace),
        )
        self.played = self.open.enter_context(playing(setting))
        self.bed = self.played.bed
        self.other = User(NO_ID, "other@example.org", "Another User", "secret", self.bed.accounts.publisher.roles)
        self.bed.auth.add_user(self.other)
        self.target = self.bed.stage.targets[0]["slug"] if self.bed.stage.targets else None
        self.going_well = True

    def teardown(self) -> None:
        with self.open:
            if self.going_well:
                self.judge()

    # What the events are made of.

    def bearer(self, who: str) -> str:
        users = {"publisher": self.bed.accounts.publisher, "other": self.other}
        return f"Bearer {self.bed.auth.user_token(users.get(who, self.bed.accounts.administrator))}"

    def now(self) -> float:
        return self.bed.clock.now_ns() / 1e9

    def struck(self) -> int:
        return sum(account.struck for account in self.bed.faults.all())

    @property
    def core(self) -> Broker:
        """The rules of the broker."""
        assert self.bed.broker.core is not None
        return self.bed.broker.core

    def home(self, asset: str) -> str | None:
        """The commit that an asset is in: the one that it was put into last (H18)."""
        homes = self.assets[asset]["commits"]
        return homes[-1] if homes else None

    # What users do.

    @precondition(lambda self: len(self.assets) < ASSETS_MAX)
    @step(contents=st.lists(CONTENTS, min_size=1, max_size=3), who=USERS)
    def upload(self, contents: list[bytes], who: str) -> None:
        self.new_assets(contents, who)

    def new_assets(self, contents: list[bytes], who: str) -> list[str]:
        """The ids of files that a user uploads."""
        ids = []
        for content in contents:
            answer = self.played.ask_as_user("POST", "/assets", self.bearer(who), **file_form(content, self.target))
            assert answer.status_code == 201, answer.text
            ids.append(answer.json()["id"])
            self.assets[ids[-1]] = {"content": content, "commits": []}
        return ids

    @precondition(lambda self: len(self.commits) < COMMITS_MAX)
    @step(contents=st.lists(CONTENTS, min_size=1, max_size=3), who=USERS, effect=USER_EFFECTS)
    def upload_and_commit(self, contents: list[bytes], who: str, effect: Effect | None) -> None:
        self.ask_to_commit(self.new_assets(contents, who), who, effect, self.made_by(effect))

    @precondition(lambda self: self.committable() and len(self.commits) < COMMITS_MAX)
    @step(data=st.data(), who=USERS, effect=USER_EFFECTS)
    def commit(self, data: st.DataObject, who: str, effect: Effect | None) -> None:
        """A user whose request is lost, or whose answer is, does not ask again; one that is doubled asked twice."""
        assets = data.draw(st.lists(st.sampled_from(sorted(self.committable())), min_size=1, max_size=4, unique=True))
        self.ask_to_commit(assets, who, effect, self.made_by(effect))

    def committable(self) -> list[str]:
        """What nobody committed yet."""
        return [asset for asset in self.assets if not self.assets[asset]["commits"]]

    def committed(self) -> list[str]:
        """What somebody committed."""
        return [asset for asset in self.assets if self.assets[asset]["commits"]]

    def made_by(self, effect: Effect | None) -> int:
        """How many commits a request makes that meets this effect."""
        return 0 if effect in UNREAD else 1

    def ask_to_commit(self, assets: list[str], who: str, effect: Effect | None, made: int) -> httpx.Response | None:
        """The answer to a request, which makes so many commits; None for no answer."""
        fault = None if effect is None else self.bed.faults.add(Fault("commitAssets", effect, (1,)))
        body = {"files": assets} | ({} if self.target is None else {"targetSlug": self.target})
        user = self.bed.accounts.publisher if who == "publisher" else self.other
        try:
            answer = self.played.ask_as_user("POST", "/commit", self.bearer(who), json=body)
        except httpx.HTTPError:
            answer = None
        if fault is not None:
            self.bed.faults.remove(fault)
        self.played.turn(lambda: len(self.held_commits()) >= len(self.commits) + made, turns=1000 if made else 20)
        new = [commit for commit in self.bed.upload.commits if commit.id not in self.commits]
        assert len(new) == made, f"{len(new)} commits were made of {assets}, and not {made}"
        for commit in new:
            assert commit.user_id == user.id
            self.commits[commit.id] = {"token": commit.token, "assets": assets, "at": self.now()}
            for asset in assets:
                if asset in self.assets:
                    self.assets[asset]["commits"].append(commit.id)
        return answer

    def held_commits(self) -> set[str]:
        """The ids of all commits that the service ever had."""
        return {commit.id for commit in self.bed.upload.commits} | self.commits.keys()

    # What the consumer and the wire do.

    @precondition(lambda self: len(self.bed.faults.idle()) < FAULTS_MAX)
    @step(data=st.data(), effect=EFFECTS, calls=st.integers(1, 4))
    def set_a_fault(self, data: st.DataObject, effect: Effect, calls: int) -> None:
        """The next calls of an operation of the consumer's, or the next notifications, meet a fault."""
        operation = data.draw(st.sampled_from(self.consumer_operations))
        self.bed.faults.add(Fault(operation, effect, tuple(range(1, calls + 1))))

    @precondition(lambda self: len(self.bed.faults.idle()) < FAULTS_MAX)
    @step(after_bytes=st.integers(0, 3), calls=st.integers(1, 3))
    def cut_a_download(self, after_bytes: int, calls: int) -> None:
        operation = self.consumer_operations[0]
        self.bed.faults.add(Fault(operation, CutBody(after_bytes), tuple(range(1, calls + 1))))

    @precondition(lambda self: self.bed.faults.idle())
    @step()
    def lift_the_faults(self) -> None:
        self.bed.faults.clear()

    @step()
    def poll(self) -> None:
        self.poll_now()

    def poll_now(self) -> None:
        """A poll fails for no other reason than a fault."""
        struck, gone = self.struck(), self.queue_is_gone()
        reason = None
        try:
            self.played.run(self.bed.services.poll())
        except PollFailed as failed:
            reason = str(failed)
        assert reason is None or gone or self.struck() > struck, f"the poll failed: {reason}"

    @precondition(lambda self: self.commits)
    @step(data=st.data())
    def notify_again(self, data: st.DataObject) -> None:
        """Somebody repeats a notification, whether there was one or not (A30, H7)."""
        commit_id = data.draw(st.sampled_from(sorted(self.commits)))
        commit = self.commits[commit_id]
        held = {
            "assets": commit["assets"],
            "publisher": self.bed.accounts.publisher.id,
            "token": commit["token"],
            "commit_id": commit_id,
            "base_url": "https://upload.test",
        }
        path = self.bed.network.contract.operations["enqueueAssets"].path
        token = f"OAuth {self.bed.stage.phraseanet_token}"
        gone = self.queue_is_gone()
        answer = self.played.ask("POST", f"https://phraseanet.test{path}", token, json=held)
        assert answer.status_code == 200 or (gone and answer.status_code == 503), answer.text

    @step(seconds=st.sampled_from([0, 0.5, 1, 5, 11, 31]))
    def time_passes(self, seconds: float) -> None:
        self.played.wait(seconds)

    @step()
    def tokens_expire(self) -> None:
        """A Bearer is good until its time is over, and to nobody afterwards; the consumer asks for a new one."""
        bearer = self.bearer("administrator")
        assert self.played.ask("GET", "/commits", bearer).status_code == 200
        self.played.wait(TOKEN_LIFETIME)
        assert self.played.ask("GET", "/commits", bearer).status_code == 401

    @precondition(lambda self: len(self.commits) < COMMITS_MAX)
    @step(
        contents=st.lists(CONTENTS, min_size=1, max_size=3),
        waits_at=st.integers(0, 2),
        effect=st.sampled_from([Delay(2), DropReply()]),
        pause=st.sampled_from([0, 3]),
    )
    def the_consumer_is_killed_over_a_commit_and_started_anew(
        self, contents: list[bytes], waits_at: int, effect: Effect, pause: float
    ) -> None:
        """It waits for an answer when its tasks end; its connections close, and what it had not settled comes again."""
        self.bed.faults.add(Fault(self.consumer_operations[waits_at], effect, (1,)))
        self.ask_to_commit(self.new_assets(contents, "publisher"), "publisher", None, made=1)
        self.poll_now()
        self.played.wait(1)
        self.played.run(self.kill())
        self.played.wait(pause)
        self.played.run(self.bed.services.start())

    async def kill(self) -> None:
        """Time has just passed, so that each task has begun; a process that has not would keep its place for ever."""
        self.kills += 1
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith(self.consumer_tasks)]
        for task in tasks:
            self.remember(task.get_name().rpartition(" ")[2])
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in self.core.connections:
            for channel in tuple(connection.channels.values()):
                if channel.consumers:
                    channel.close()
        self.bed.broker.pump()

    def remember(self, message_id: str) -> None:
        """The commit of the message that a killed process was working on, if it was a process."""
        for event in self.bed.journal.events:
            if isinstance(event, Sent) and isinstance(event.message, Delivery) and event.message.id == message_id:
                self.killed.append(event.message.body.json["payload"].get("commit_id", ""))

    @precondition(lambda self: self.commits and not self.queue_is_gone())
    @step(data=st.data())
    def an_idle_queue_is_deleted(self, data: st.DataObject) -> None:
        """Its consumer is told, and declares all anew; nothing was in it that could be lost."""
        if not any(map(self.depth, self.queues)):
            connection = self.core.open_connection()
            connection.open_channel().queue_delete(data.draw(st.sampled_from(self.queues[::2])))
            connection.close()
            self.bed.broker.pump()

    def queue_is_gone(self) -> bool:
        """Whether Phraseanet has not yet declared its queue anew, for which it waits a second."""
        return "assetsIngest" not in self.core.queues

    def depth(self, queue: str) -> int:
        found = self.core.queues.get(queue)
        return 0 if found is None else found.ready_count + found.unacked_count

    # What is asked of the upload service by others, once all is done that is to be done at this moment.

    @precondition(lambda self: self.commits)
    @step(data=st.data(), who=st.sampled_from(["its token", "another token", "administrator", "publisher", "nobody"]))
    def acknowledge(self, data: st.DataObject, who: str) -> None:
        """§2.4: by the commit's own token or an administrator, again and again; by nobody else."""
        self.played.wait(0)
        commit_id = data.draw(st.sampled_from(sorted(self.commits)))
        own, others = self.commits[commit_id]["token"], {one["token"] for one in self.commits.values()}
        wrong = data.draw(st.sampled_from(sorted(others - {own} | {own.upper()})))
        authorization, expected = {
            "its token": (f"AssetToken {own}", 200),
            "another token": (f"AssetToken {wrong}", 403),
            "administrator": (self.bearer("administrator"), 200),
            "publisher": (self.bearer("publisher"), 403),
            "nobody": (None, 401),
        }[who]
        if commit_id not in {commit.id for commit in self.bed.upload.commits}:
            assert self.may_be_gone(commit_id), "a commit is gone that nobody acknowledged"
            expected = 401 if expected == 401 else 404
        before = self.held()
        answer = self.played.ask("POST", f"/commits/{commit_id}/ack", authorization, json={"acknowledged": True})
        assert answer.status_code == expected
        self.played.turn(lambda: False, 20)
        if expected == 200:
            assert answer.json() is True
            self.acknowledged.setdefault(commit_id, []).append(self.now())
            self.acknowledged_by_others.add(commit_id)
            assert self.held()[commit_id]["acknowledged"], "an acknowledgement was answered with 200, and did nothing"
            if before[commit_id]["acknowledged"]:
                assert self.held()[commit_id] == before[commit_id], "acknowledging again changed the commit"

    def held(self) -> dict[str, dict[str, Any]]:
        """What of each commit an acknowledgement may change."""
        return {
            commit.id: {
                "acknowledged": commit.acknowledged,
                "at": getattr(commit, "acknowledged_at", None),
                "assets": commit.asset_ids,
            }
            for commit in self.bed.upload.commits
        }

    @precondition(lambda self: self.assets and self.commits)
    @step(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """An asset is asked for by the token of a commit, any one."""
        self.played.wait(0)
        asset = data.draw(st.sampled_from(sorted(self.assets)))
        commit = data.draw(st.sampled_from([*sorted(self.commits), None]))
        self.look_at(asset, commit)

    def look_at(self, asset: str, commit: str | None) -> None:
        """§2.4: its own commit's token opens an asset, and nothing else does; None is the owner's Bearer."""
        own = commit is not None and commit == self.home(asset)
        authorization = self.bearer("publisher") if commit is None else f"AssetToken {self.commits[commit]['token']}"
        answer = self.played.ask("GET", f"/assets/{asset}", authorization)
        if own:
            self.hold_to_contents(asset, commit, authorization, answer)
        elif asset in {one.id for one in self.bed.upload.assets}:
            assert answer.status_code == 403, f"an asset of {self.home(asset)} is shown to who holds {commit}"
        else:
            assert answer.status_code == 404

    def hold_to_contents(self, asset: str, commit: str | None, authorization: str, answer: httpx.Response) -> None:
        """The metadata and the file are there, unless the commit's may be gone."""
        if answer.status_code == 200:
            bearing = authorization if self.file_needs_token else None
            answer = self.played.ask("GET", self.file_address(answer.json()), bearing)
        if answer.status_code == 404 and commit is not None:
            assert self.may_be_gone(*self.assets[asset]["commits"]), f"{asset} is gone, and should not be"
        else:
            assert (answer.status_code, answer.content) == (200, self.assets[asset]["content"])

    def file_address(self, metadata: dict[str, Any]) -> str:
        """Where the file of an asset is."""
        raise NotImplementedError

    def may_be_gone(self, *commit_ids: str) -> bool:
        """§2.7: files go with an acknowledgement, without grace; else with a later one than the grace after it.

        An asset may have gone with any commit that it was in, and been moved since without its file (H18).
        """
        self.keep_up()
        names = [name for commit_id in commit_ids for name in (commit_id, *self.commits[commit_id]["assets"])]
        seen = [at for name in names for at in self.acknowledged.get(name, [])]
        return self.deletes_files and bool(seen) and self.now() >= min(seen) + self.bed.setting.deployed.grace

    # What must hold at any time.

    @invariant()
    def the_consumer_acknowledges_only_what_it_has(self) -> None:
        """A19; §4.6, steps 3 to 9."""
        self.going_well = False
        self.keep_up()
        self.going_well = True

    def keep_up(self) -> None:
        """Read on in the journal."""
        for event in self.bed.journal.since(self.read):
            self.follow(event)
        self.read = self.bed.journal.next

    def follow(self, event: Event) -> None:
        """Note what the wire showed."""
        if isinstance(event, Sent) and isinstance(event.message, Request):
            request = event.message
            self.requests[request.id] = request
            if request.operation_id in ("acknowledgeCommit", "acknowledgeAsset"):
                acknowledged = request.target.split("/")[2]
                if request.sender == "phraseanet":
                    self.hold_acknowledgement(acknowledged)
                self.acknowledged.setdefault(acknowledged, []).append(event.at / 1e9)
        elif isinstance(event, Sent) and isinstance(event.message, Response):
            self.answers[event.message.id] = event.message
        elif isinstance(event, Received) and isinstance(event.message, str) and event.message in self.answers:
            self.arrived(self.answers[event.message])

    def arrived(self, answer: Response) -> None:
        if answer.operation_id == self.consumer_operations[0] and answer.status == 200:
            path = self.requests[answer.reply_to].target.partition("?")[0]
            self.downloaded.update(dict.fromkeys(asset for asset in self.assets if asset in path.split("/")))

    def hold_acknowledgement(self, acknowledged: str) -> None:
        assets = self.commits[acknowledged]["assets"] if acknowledged in self.commits else [acknowledged]
        missing = [asset for asset in assets if asset not in self.downloaded]
        assert not missing, f"Phraseanet acknowledges {acknowledged} and has not downloaded {missing}"

    @invariant()
    def records_are_of_what_was_committed(self) -> None:
        for record in self.bed.phraseanet.records:
            asset = self.assets[record.asset_id]
            assert asset["commits"], "what nobody committed was recorded"
            assert record.commit_id in asset["commits"]
            assert record.sha256 == hashlib.sha256(asset["content"]).hexdigest()

    # What must hold at the end.

    def judge(self) -> None:
        self.bed.faults.clear()
        self.played.wait(ENOUGH_SECONDS)
        self.poll_now()
        self.played.wait(ENOUGH_SECONDS)
        self.keep_up()
        self.records_are_of_what_was_committed()
        for asset in self.assets:
            for commit in (None, *self.commits):
                self.look_at(asset, commit)
        assert self.notes("failed") == [], "a service failed over a request"
        for commit_id in self.commits:
            self.judge_commit(commit_id)

    def judge_commit(self, commit_id: str) -> None:
        raise NotImplementedError

    def is_acknowledged(self, commit_id: str) -> bool:
        """Whether the service says so; one that it removed was acknowledged before."""
        return self.held().get(commit_id, {"acknowledged": True})["acknowledged"]

    def notes(self, note: str) -> list[dict[str, Any]]:
        return [event.details for event in self.bed.journal.events if isinstance(event, Noted) and event.note == note]

    def published(self, queue: str) -> list[Any]:
        """The bodies that Phraseanet published to a queue."""
        return [
            event.message.body.json
            for event in self.bed.journal.events
            if isinstance(event, Sent)
            and isinstance(event.message, Publish)
            and event.message.sender == "phraseanet"
            and event.message.routing_key == queue
        ]


class DocumentedHandOff(HandOff):
    """The request-flow document's services: no commit is lost, and none is recorded twice."""

    profile = "documented"
    consumer_operations = (
        "downloadAsset",
        "getAsset",
        "acknowledgeCommit",
        "enqueueAssets",
        "listCommits",
        "getPublisherInfo",
        "issueToken",
    )
    consumer_tasks = ("phraseanet's worker",)
    queues = ("assetsIngest", "assetsIngest_retry")
    file_needs_token = True
    deletes_files = False  # A31

    @precondition(lambda self: self.commits)
    @step(data=st.data())
    def commit_what_cannot_be_committed(self, data: st.DataObject) -> None:
        """A24: no asset, an unknown one, one that is committed already; then nothing is committed.

        So it is with the second of two equal requests.
        """
        spoilt = data.draw(st.sampled_from([NO_ID, *sorted(self.committed())]))
        others = data.draw(st.lists(st.sampled_from(sorted(self.assets)), max_size=2, unique=True))
        wrong = data.draw(st.sampled_from([[], [*others, spoilt]]))
        answer = self.ask_to_commit(wrong, "publisher", None, made=0)
        assert answer is not None
        assert answer.status_code == 400

    def file_address(self, metadata: dict[str, Any]) -> str:
        return f"/assets/{metadata['id']}/download"

    def judge_commit(self, commit_id: str) -> None:
        """A30, A34: handed on once, and worked on until it is acknowledged or lies in the failed queue."""
        commit = self.commits[commit_id]
        handed_on = self.delivered(commit_id)
        given_up = [body for body in self.published("assetsIngest_failed") if body[0].get("commit_id") == commit_id]
        done = self.works_that_were_acknowledged(commit_id)
        assert len(handed_on) <= 1, f"{commit_id} was handed on {len(handed_on)} times"
        assert len(given_up) <= 1
        assert len(done) <= 1 + self.kills, f"{commit_id} was recorded {len(done)} times"
        assert self.is_acknowledged(commit_id) or given_up, f"{commit_id} is lost"
        if not given_up and commit_id not in self.acknowledged_by_others:
            recorded = {record.asset_id for record in self.bed.phraseanet.records}
            assert recorded >= set(commit["assets"]), f"{commit_id} is acknowledged, and not recorded"

    def delivered(self, commit_id: str) -> set[str | None]:
        """The messages of that commit that were worked on, by the ids under which they were published."""
        sent = [event.message for event in self.bed.journal.events if isinstance(event, Sent)]
        deliveries = [message for message in sent if isinstance(message, Delivery) and message.queue == "assetsIngest"]
        return {one.publish for one in deliveries if one.body.json[0].get("commit_id") == commit_id}

    def works_that_were_acknowledged(self, commit_id: str) -> set[str | None]:
        """The deliveries in whose work an acknowledgement was answered with 200, and the answer arrived."""
        arrived = {event.message for event in self.bed.journal.events if isinstance(event, Received)}
        return {
            self.requests[answer.reply_to].cause
            for answer in self.answers.values()
            if answer.id in arrived
            and (answer.operation_id, answer.status) == ("acknowledgeCommit", 200)
            and self.requests[answer.reply_to].target == f"/commits/{commit_id}/ack"
        }


class DeployedHandOff(HandOff):
    """The services as they are: what is not handed over in the end fell to one of the known hazards (§6)."""

    profile = "deployed"
    consumer_operations = (
        "downloadFile",
        "getAsset",
        "acknowledgeAsset",
        "enqueueAssets",
        "listCommits",
        "issueClientToken",
        "issueToken",
    )
    consumer_tasks = ("phraseanet's consumer of", "phraseanet's assetsIngest of", "phraseanet's createRecord of")
    queues = ("assetsIngest", "assetsIngest_retry", "createRecord", "createRecord_retry")
    file_needs_token = False
    deletes_files = True

    def made_by(self, effect: Effect | None) -> int:
        """A request that goes out twice makes two commits, of which the second takes the assets (H18)."""
        return 2 if effect == Duplicate() else super().made_by(effect)

    @precondition(lambda self: self.committed() and all(len(one["commits"]) < 2 for one in self.assets.values()))
    @step(data=st.data(), who=USERS)
    def commit_again(self, data: st.DataObject, who: str) -> None:
        """H18: the assets of any commit may be committed by anybody, and are moved."""
        assets = data.draw(st.lists(st.sampled_from(sorted(self.committed())), min_size=1, max_size=2, unique=True))
        self.ask_to_commit(assets, who, None, made=1)

    @precondition(lambda self: self.commits and all(commit["assets"] for commit in self.commits.values()))
    @step(unknown=st.booleans())
    def commit_nothing(self, unknown: bool) -> None:
        """An empty commit is accepted, and one of unknown ids (§2.3); H16 tells what becomes of it."""
        self.ask_to_commit([NO_ID] * unknown, "publisher", None, made=1)

    @precondition(lambda self: self.committed())
    @step(data=st.data(), right=st.booleans())
    def acknowledge_an_asset(self, data: st.DataObject, right: bool) -> None:
        """§2.4: by the token of its commit, and by no other."""
        self.played.wait(0)
        asset = data.draw(st.sampled_from(sorted(self.committed())))
        commit_id = self.assets[asset]["commits"][-1]
        token = self.commits[commit_id]["token"]
        answer = self.played.ask("POST", f"/assets/{asset}/ack", f"AssetToken {token if right else token[::-1]}")
        if asset in {one.id for one in self.bed.upload.assets}:
            assert answer.status_code == (200 if right else 403)
        else:
            assert answer.status_code == 404
        if answer.status_code == 200:
            self.acknowledged.setdefault(asset, []).append(self.now())

    def file_address(self, metadata: dict[str, Any]) -> str:
        """It bears its own right (§2.4)."""
        address: str = metadata["url"]
        return address

    def hold_acknowledgement(self, acknowledged: str) -> None:
        super().hold_acknowledgement(acknowledged)
        state = self.bed.phraseanet
        made = [*state.records, *state.quarantine]
        assert acknowledged in {one.asset_id for one in made}, f"{acknowledged} is acknowledged before it is recorded"

    @invariant()
    def no_two_records_are_of_the_same_bytes(self) -> None:
        """§4.6, step 7: the second goes into quarantine."""
        digests = [record.sha256 for record in self.bed.phraseanet.records]
        assert len(digests) == len(set(digests)), "two records hold the same bytes"

    def judge_commit(self, commit_id: str) -> None:
        done = self.is_acknowledged(commit_id)
        assert done or self.hazards(commit_id), f"{commit_id} is lost, and no hazard of §6 is why"

    def hazards(self, commit_id: str) -> list[str]:
        """Why this commit may be stranded for good."""
        assets = [asset for asset in self.commits[commit_id]["assets"] if asset in self.assets]
        died = [note["reason"] for note in self.notes("worker died")]
        failed = [*self.published("assetsIngest_failed"), *self.published("createRecord_failed")]
        reasons = {
            "H2: the worker was killed": commit_id in self.killed,
            "H3, H6: the worker died": any(name in reason for reason in died for name in (commit_id, *assets)),
            "H9, H10, H11: it lies in a failed queue": any(body.get("commit_id") == commit_id for body in failed),
            "H16: it has no assets": not assets,
            "H18: it shares assets with another commit": any(len(self.assets[one]["commits"]) > 1 for one in assets),
        }
        return [reason for reason, applies in reasons.items() if applies]


@pytest.mark.parametrize("machine", [DocumentedHandOff, DeployedHandOff])
def test_the_hand_off_keeps_its_promises_in_any_order_of_events(machine: type[HandOff]) -> None:
    """§2.3 to §2.7, §4.3 to §4.6; A19, A24, A30, A34; H2, H3, H6, H7, H9 to H11, H16, H18."""
    run_state_machine_as_test(machine, settings=budget(EXAMPLES, stateful_step_count=STEPS))


# Push and pull.


def end_state(
    profile: ProfileName, mode: Mode, commits: list[list[bytes]], faults: tuple[Fault, ...]
) -> tuple[list[bool], set[tuple[int, int]], set[str]]:
    """Which commits are acknowledged in the end, which assets, by their places, Phraseanet has, and which bytes.

    Of assets with the same bytes the deployed Phraseanet records the first, and has the others in quarantine.
    """
    setting = Setting(
        profile=profile,
        mode=mode,
        poll_interval=POLL_INTERVAL,
        faults=faults,
        deployed=DeployedSetting(grace=10 * ENOUGH_SECONDS),
    )
    with playing(setting) as played:
        bed = played.bed
        slug = bed.stage.targets[0]["slug"] if bed.stage.targets else None
        bearer = f"Bearer {bed.auth.user_token(bed.accounts.publisher)}"
        places: dict[str, tuple[int, int]] = {}
        for number, contents in enumerate(commits):
            ids = [
                played.ask_as_user("POST", "/assets", bearer, **file_form(content, slug)).json()["id"]
                for content in contents
            ]
            places |= {asset: (number, place) for place, asset in enumerate(ids)}
            body = {"files": ids} | ({} if slug is None else {"targetSlug": slug})
            assert played.ask_as_user("POST", "/commit", bearer, json=body).status_code == 200
            played.wait(1)
        played.wait(ENOUGH_SECONDS)
        state = bed.phraseanet
        taken = {places[one.asset_id] for one in (*state.records, *getattr(state, "quarantine", ()))}
        return [one.acknowledged for one in bed.upload.commits], taken, {one.sha256 for one in state.records}


@pytest.mark.parametrize("profile", ["documented", "deployed"])
@given(
    commits=st.lists(st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=3), min_size=1, max_size=3),
    effect=st.sampled_from([None, Duplicate(), DropReply(), Answer(500), Delay(2)]),
)
@budget(10)
def test_push_and_pull_end_in_the_same_state(
    profile: ProfileName, commits: list[list[bytes]], effect: Effect | None
) -> None:
    """§1.2: the only difference is who starts the hand-off. The first notification and the first poll meet a fault."""
    faults = () if effect is None else (Fault("enqueueAssets", effect, (1,)), Fault("listCommits", effect, (1,)))
    pushed = end_state(profile, "push", commits, faults)
    assert pushed == end_state(profile, "pull", commits, faults)
    assert all(pushed[0])
    assert len(pushed[1]) == sum(map(len, commits))


# That the machines can fail: each lie is found.


def open_to_any_token(_principal: Any, commit: Any) -> bool:
    return commit is not None


def open_before_the_commit(principal: Any, commit: Any) -> bool:
    return commit is None or documented_access.may_use(principal, commit)


def acknowledge_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented worker acknowledges a commit before it downloads anything."""
    work = Worker._work  # noqa: SLF001

    async def hasty(self: Any, incoming: Any) -> None:
        handover = self._read(incoming)
        headers = {"authorization": f"AssetToken {handover.token}"}
        await self._upload.post(f"/commits/{handover.commit_id}/ack", headers=headers, json={})
        await work(self, incoming)

    monkeypatch.setattr(Worker, "_work", hasty)


def is_odd(name: str) -> bool:
    """Of some ids so, of others not, and of one id the same in every run: a found lie is found again."""
    return int(name[-1], 16) % 2 == 1


def forget_some_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    put = IngestQueue.put

    async def forgetful(self: Any, handover: Any) -> None:
        if not is_odd(handover.commit_id):
            await put(self, handover)

    monkeypatch.setattr(IngestQueue, "put", forgetful)


def settle_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the deployed consumer does (H2): a commit over which it is killed is lost, and no other."""

    async def hasty(self: Any, incoming: Any) -> None:
        await self._queue.done(incoming)
        while True:
            try:
                await self._work(incoming)
            except (WorkFailed, TokenRefused, httpx.HTTPError):
                await self._clock.sleep(1)
            else:
                return

    monkeypatch.setattr(Worker, "_take", hasty)


def acknowledge_the_other_way_round(_state: Any, commit: Any) -> bool:
    commit.acknowledged = not commit.acknowledged
    return commit.acknowledged


DOCUMENTED_LIES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "another commit's token is accepted": (
        lambda patch: patch.setattr(documented_routes, "may_use", open_to_any_token),
        "200 == 403|is shown to",
    ),
    "what is not committed is open": (
        lambda patch: patch.setattr(documented_routes, "may_use", open_before_the_commit),
        "an asset of None is shown to",
    ),
    "a commit is acknowledged before it is downloaded": (acknowledge_first, "has not downloaded"),
    "a commit is handed on again": (
        lambda patch: patch.setattr(PhraseanetState, "accept", lambda *_: True),
        "was handed on [0-9]+ times",
    ),
    "a commit is forgotten": (forget_some_commits, "is lost"),
    "a delivery is settled before the work": (settle_before_the_work, "is lost"),
    "an acknowledgement does nothing": (
        lambda patch: patch.setattr(UploadState, "acknowledge", lambda *_: False),
        "did nothing|is lost",
    ),
    "a second acknowledgement takes back the first": (
        lambda patch: patch.setattr(UploadState, "acknowledge", acknowledge_the_other_way_round),
        "did nothing|is lost",
    ),
}


def to_whoever_has_a_token(act: Any, caller: Any, commit: Any = None) -> bool:
    if act == "open an asset" and commit is not None and isinstance(caller, AssetToken):
        return True
    return deployed_access.may(act, caller, commit)


def acknowledge_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    work = CreateRecord.work

    async def hasty(self: Any, payload: Any) -> None:
        await self._uploader.acknowledge(payload["base_url"], payload["asset"], payload["assetToken"])
        await work(self, payload)

    monkeypatch.setattr(CreateRecord, "work", hasty)


def forget_some_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Publisher.publish

    async def forgetful(self: Any, message_type: str, payload: Any) -> Any:
        forgotten = message_type == "createRecord" and is_odd(payload["asset"])
        return {} if forgotten else await publish(self, message_type, payload)

    monkeypatch.setattr(Publisher, "publish", forgetful)


DEPLOYED_LIES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "another commit's token is accepted": (
        lambda patch: patch.setattr(deployed_routes, "may", to_whoever_has_a_token),
        "200 == 403|is shown to",
    ),
    "an asset is acknowledged before it is downloaded": (acknowledge_before_the_download, "has not downloaded"),
    "an asset is forgotten": (forget_some_assets, "is lost, and no hazard"),
    "the same bytes are recorded twice": (
        lambda patch: patch.setattr(DeployedPhraseanetState, "_kept_back", lambda *_: ()),
        "records hold the same bytes",
    ),
}


def hold_to_find(machine: type[HandOff], what: str) -> None:
    """The machine finds a lie, and says what is wrong."""
    settings = budget(EXAMPLES_TO_FIND_A_LIE, stateful_step_count=STEPS, phases=[Phase.generate])
    with pytest.raises(AssertionError, match=what):
        run_state_machine_as_test(machine, settings=settings)


@pytest.mark.parametrize("lie", DOCUMENTED_LIES)
def test_a_lie_of_the_documented_services_is_found(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    tell, what = DOCUMENTED_LIES[lie]
    tell(monkeypatch)
    hold_to_find(DocumentedHandOff, what)


@pytest.mark.parametrize("lie", DEPLOYED_LIES)
def test_a_lie_of_the_deployed_services_is_found(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    tell, what = DEPLOYED_LIES[lie]
    tell(monkeypatch)
    hold_to_find(DeployedHandOff, what)
