"""The upload service's side of the hand-off in any order of events, beside a model of plain dictionaries (PROTOCOL §2).

Only HTTP is spoken, as users and Phraseanet do, so that a real service can be held to it as well as a simulated one.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from phrasim.contract.drawn import run_drawn
from phrasim.contract.finding import HttpExchange
from phrasim.contract.inquiry import Commit, Inquiry, json_body
from phrasim.contract.principals import Principals
from phrasim.contract.subject import Subject
from phrasim.contract.uploads import EFFECT_SECONDS, NO_ID, Stopped, Uploads, asset_id, items_of

ASSETS_MAX, COMMITS_MAX = 8, 6

CONTENTS = st.sampled_from([b"same", b"same"]) | st.binary(min_size=1, max_size=200)
FORM_DATA = st.dictionaries(
    st.sampled_from(["title", "description", "__instruction"]), st.text(max_size=20) | st.integers(0, 9), max_size=2
)
"""A key that begins with `__` is an instruction of the client's, and is not kept as deployed (§2.3)."""
WHO = st.sampled_from(["owner", "another user"])


def step(**drawn: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule of `HandOff`. Once the contract is broken the run has ended, and its further steps do nothing."""

    def decorate(acting: Callable[..., None]) -> Callable[..., None]:
        @wraps(acting)
        def marked(self: "HandOff", **values: Any) -> None:
            if self.over:
                return
            self.inquiry.case()
            try:
                acting(self, **values)
            except Stopped:
                self.over = True

        made: Callable[..., None] = rule(**drawn)(marked)  # type: ignore[no-untyped-call]
        return made

    return decorate


class HandOff(RuleBasedStateMachine):
    """The model: `assets` by id are their contents and the commits that they were put into, in order.

    `commits` by id are what was asked for; `acknowledged` are the ids of those whose acknowledgement was answered.
    """

    subject: ClassVar[Subject]
    inquiry: ClassVar[Inquiry]
    callers: ClassVar[Principals]

    def __init__(self) -> None:
        super().__init__()
        self.over = False
        self.uploads = Uploads(self.subject, self.inquiry, self.callers)
        self.assets: dict[str, dict[str, Any]] = {}
        self.commits: dict[str, dict[str, Any]] = {}
        self.acknowledged: set[str] = set()

    def home(self, asset: str) -> str | None:
        """The commit that an asset is in: the one that it was put into last (H18)."""
        homes = self.assets[asset]["commits"]
        return homes[-1] if homes else None

    def committable(self) -> list[str]:
        """What nobody committed yet."""
        return [asset for asset, held in self.assets.items() if not held["commits"]]

    @precondition(lambda self: len(self.assets) < ASSETS_MAX)
    @step(content=CONTENTS, who=WHO)
    def upload(self, content: bytes, who: str) -> None:
        """A user uploads a file."""
        self.new_asset(content, self.there(who))

    def new_asset(self, content: bytes, who: str) -> str:
        """The id of a new asset, which nobody had before."""
        asset = self.uploads.upload(content, who)
        if asset in self.assets:
            exchange = self.uploads.metadata(asset, None)
            self.uploads.broken("id", exchange, f"the id {asset} a second time", "an id of its own for each asset")
        self.assets[asset] = {"content": content, "commits": []}
        return asset

    def there(self, who: str) -> str:
        """That user, where there is one."""
        return who if who in self.callers else "owner"

    @precondition(lambda self: len(self.commits) < COMMITS_MAX)
    @step(contents=st.lists(CONTENTS, min_size=1, max_size=3), who=WHO, form_data=FORM_DATA)
    def upload_and_commit(self, contents: list[bytes], who: str, form_data: dict[str, Any]) -> None:
        """A user uploads files and commits them."""
        who = self.there(who)
        self.ask_to_commit([self.new_asset(content, who) for content in contents], who, form_data)

    @precondition(lambda self: self.committable() and len(self.commits) < COMMITS_MAX)
    @step(data=st.data(), who=WHO, form_data=FORM_DATA)
    def commit(self, data: st.DataObject, who: str, form_data: dict[str, Any]) -> None:
        """A user commits what is there, another user's as well (A24)."""
        assets = data.draw(st.lists(st.sampled_from(sorted(self.committable())), min_size=1, max_size=4, unique=True))
        self.ask_to_commit(assets, self.there(who), form_data)

    def ask_to_commit(self, assets: list[str], who: str, form_data: dict[str, Any]) -> None:
        """One request makes one commit, of exactly these assets, with a token that no other commit has."""
        made = self.uploads.commit(assets, who, form_data)
        taken = [one["commit"].token for one in self.commits.values()]
        if made.token in taken:
            exchange = self.uploads.listing()
            self.uploads.broken("token", exchange, "the token of another commit", "a token of its own (A17)")
        self.commits[made.id] = {"commit": made, "form_data": form_data, "content": assets}
        for asset in assets:
            self.assets[asset]["commits"].append(made.id)
        self.hold_listed(made, form_data)
        if self.subject.bed.setting.mode == "push":
            self.uploads.hold_to_notification(made, self.subject.bed.accounts.publisher.id if who == "owner" else "")

    def hold_listed(self, made: Commit, form_data: dict[str, Any]) -> None:
        """What a listing says of a commit agrees with what was committed (A12, §2.5)."""
        exchange, item = self.find_listed(made)
        if item is None:
            return
        size = sum(len(self.assets[one]["content"]) for one in made.assets)
        if item.get("totalSize") != size:
            self.uploads.broken("listing", exchange, f"totalSize {item.get('totalSize')!r}", f"{size}")
        self.hold_form_data(exchange, item.get("formData"), form_data)
        if item.get("acknowledged") is not False:
            self.uploads.broken("listing", exchange, f"acknowledged {item.get('acknowledged')!r}", "false")

    def hold_form_data(self, exchange: HttpExchange, found: Any, form_data: dict[str, Any]) -> None:
        """Every field of the form is there as it was committed; an operator may add others (§2.3)."""
        for name, value in form_data.items():
            told = found.get(name) if isinstance(found, dict) else None
            if name.startswith("__"):
                if told is not None and self.subject.profile == "deployed":
                    self.uploads.broken("form data", exchange, f"formData.{name}", "no instruction of the client's")
            elif told != value:
                self.uploads.broken(
                    "form data", exchange, f"formData.{name} {told!r}", f"{value!r}, as it was committed"
                )

    def find_listed(self, wanted: Commit) -> tuple[HttpExchange, dict[str, Any] | None]:
        """The first page of the listing, and what it says of a commit."""
        exchange = self.uploads.listing()
        items = items_of(json_body(exchange))
        found = [one for one in items if isinstance(one, dict) and one.get("id") == wanted.id]
        return exchange, found[0] if found else None

    @precondition(lambda self: self.subject.profile == "documented" and self.commits)
    @step(data=st.data())
    def commit_what_cannot_be_committed(self, data: st.DataObject) -> None:
        """A24: no asset, an unknown one, one that is committed already, one twice; then nothing is committed."""
        committed = [asset for asset in self.assets if self.assets[asset]["commits"]]
        spoilt = data.draw(st.sampled_from([NO_ID, *sorted(committed)]))
        others = data.draw(st.lists(st.sampled_from(sorted(self.assets)), max_size=2, unique=True))
        twice = [self.new_asset(b"twice", "owner")] * 2
        wrong = data.draw(st.sampled_from([[], [*others, spoilt], twice]))
        before = {one.id for one in self.uploads.listed()}
        exchange = self.uploads.call("user", "commitAssets", self.callers["owner"], json={"files": wrong})
        if exchange.status != 400:
            self.uploads.broken("commit", exchange, str(exchange.status), "400, which names the ids (A24)", 400)
            raise Stopped
        if {one.id for one in self.uploads.listed()} != before:
            self.uploads.broken("commit", exchange, "400, and another listing", "a refusal that does nothing (A24)")

    @precondition(lambda self: self.subject.profile == "deployed" and self.commits and len(self.commits) < COMMITS_MAX)
    @step(data=st.data(), who=WHO)
    def commit_again(self, data: st.DataObject, who: str) -> None:
        """H18: the assets of any commit may be committed by anybody, and are moved."""
        committed = [asset for asset in self.assets if len(self.assets[asset]["commits"]) == 1]
        if committed:
            assets = data.draw(st.lists(st.sampled_from(sorted(committed)), min_size=1, max_size=2, unique=True))
            self.ask_to_commit(assets, self.there(who), {})

    @precondition(lambda self: self.assets and self.commits)
    @step(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """An asset is asked for by the token of a commit, any one, or by its owner."""
        asset = data.draw(st.sampled_from(sorted(self.assets)))
        commit = data.draw(st.sampled_from([*sorted(self.commits), None]))
        self.look_at(asset, commit)

    def look_at(self, asset: str, commit: str | None) -> None:
        """§2.4: its own commit's token opens an asset, and nothing else does; None is the owner's Bearer."""
        token = None if commit is None else self.commits[commit]["commit"].token
        authorization = self.callers["owner"] if token is None else f"AssetToken {token}"
        exchange = self.uploads.metadata(asset, authorization)
        own = commit is not None and commit == self.home(asset)
        if not own:
            self.hold_status(exchange, (403, 404) if self.may_be_gone(asset) else (403,))
        elif exchange.status == 404 and self.may_be_gone(asset):
            return
        else:
            self.hold_contents(asset, exchange, authorization)

    def hold_status(self, exchange: HttpExchange, expected: tuple[int, ...]) -> None:
        """An answer has one of these statuses. Raises `Stopped` where it has not."""
        if exchange.status not in expected:
            right = " or ".join(map(str, expected))
            self.uploads.broken("access", exchange, str(exchange.status), f"{right}", expected[0])
            raise Stopped

    def hold_contents(self, asset: str, exchange: HttpExchange, authorization: str) -> None:
        """The metadata are those of the asset, and the file is what was uploaded, byte for byte."""
        told, content = self.uploads.success(exchange, 200), self.assets[asset]["content"]
        if not isinstance(told, dict):
            self.uploads.broken("metadata", exchange, "no JSON object", "the metadata of the asset")
            raise Stopped
        if told.get("id") != asset:
            self.uploads.broken("metadata", exchange, f"the asset {told.get('id')!r}", f"the asset {asset}")
        if told.get("size") != len(content):
            self.uploads.broken("metadata", exchange, f"size {told.get('size')!r}", f"{len(content)}")
        home = self.home(asset)
        if home is not None:
            self.hold_form_data(exchange, told.get("formData"), self.commits[home]["form_data"])
        file = self.uploads.file(asset, exchange, authorization)
        if file.status in (403, 404) and self.may_be_gone(asset):
            return
        if file.status != 200:
            self.uploads.broken("file", file, str(file.status), "200: the file of a committed asset", 200)
            raise Stopped
        if file.response_body != content:
            found = hashlib.sha256(file.response_body).hexdigest()
            self.uploads.broken(
                "file",
                file,
                f"{len(file.response_body)} bytes with the SHA-256 {found}",
                f"the {len(content)} bytes that were uploaded, {hashlib.sha256(content).hexdigest()}",
            )

    def may_be_gone(self, asset: str) -> bool:
        """§2.7: where files are deleted, they go with the acknowledgement of a commit that the asset was in."""
        return self.subject.profile == "deployed" and bool(
            self.acknowledged.intersection(self.assets[asset]["commits"])
        )

    @precondition(lambda self: self.commits)
    @step(data=st.data(), who=st.sampled_from(["its token", "another token", "administrator 0", "owner", "nobody"]))
    def acknowledge(self, data: st.DataObject, who: str) -> None:
        """§2.4: by the commit's own token or an administrator, again and again; by nobody else."""
        commit = self.commits[data.draw(st.sampled_from(sorted(self.commits)))]["commit"]
        others = {one["commit"].token for one in self.commits.values()} - {commit.token} | {commit.token.swapcase()}
        authorization, expected = {
            "its token": (f"AssetToken {commit.token}", 200),
            "another token": (f"AssetToken {data.draw(st.sampled_from(sorted(others)))}", 403),
            "administrator 0": (self.callers.headers.get("administrator 0"), 200),
            "owner": (self.callers["owner"], 403),
            "nobody": (None, 401),
        }[who]
        if authorization is None and who != "nobody":
            return
        if authorization is not None and authorization.removeprefix("AssetToken ") == commit.token:
            expected = 200
        exchange = self.uploads.acknowledge(commit, authorization)
        gone = commit.id in self.acknowledged and self.subject.profile == "deployed" and exchange.status == 404
        self.hold_status(exchange, (404,) if gone else (expected,))
        if expected == 200 and not gone:
            if json_body(exchange) is not True:
                self.uploads.broken("answer", exchange, "another body", "true (A16)")
            self.acknowledged.add(commit.id)
            self.hold_gone_from_the_listing(exchange, commit)
        else:
            self.hold_listing(exchange)

    def hold_gone_from_the_listing(self, exchange: HttpExchange, commit: Commit) -> None:
        """An acknowledged commit is listed no more, soon after (A12, A16)."""
        for _ in self.uploads.tries():
            self.subject.wait(0)
            if commit.id not in {one.id for one in self.uploads.listed()}:
                return
        self.uploads.broken(
            "acknowledgement",
            exchange,
            f"the commit is listed {EFFECT_SECONDS:g} s after its acknowledgement was answered",
            "a listing without it (A12)",
        )
        raise Stopped

    @step()
    def list_commits(self) -> None:
        """The listing has each commit that nobody acknowledged, once, and no other of them."""
        self.hold_listing(None)

    def hold_listing(self, refused: HttpExchange | None) -> None:
        """So it is also after a refusal."""
        self.subject.wait(0)
        listed = self.uploads.listed()
        ids = [one.id for one in listed]
        for commit_id, held in self.commits.items():
            expected = 0 if commit_id in self.acknowledged else 1
            if ids.count(commit_id) != expected and self.still_whole(commit_id):
                exchange = refused or self.uploads.listing()
                self.uploads.broken(
                    "listing",
                    exchange,
                    f"the commit {commit_id} is listed {ids.count(commit_id)} times",
                    "each commit that nobody acknowledged once, and no acknowledged one (A12)",
                )
                raise Stopped
            told = next((one for one in listed if one.id == commit_id), None)
            if told is not None and told.token != held["commit"].token:
                exchange = refused or self.uploads.listing()
                self.uploads.broken("token", exchange, "another token than before", "one token for a commit (A17)")

    def still_whole(self, commit_id: str) -> bool:
        """Whether none of its assets was moved since: what becomes of one that shrinks is not told (H18)."""
        return all(self.home(asset_id(one)) == commit_id for one in self.commits[commit_id]["content"])

    def teardown(self) -> None:
        """In the end every asset is looked at with every token."""
        if self.over or self.inquiry.ended:
            return
        try:
            self.hold_listing(None)
            for asset in self.assets:
                for commit in (None, *self.commits):
                    self.inquiry.case()
                    self.look_at(asset, commit)
        except Stopped:
            self.over = True


def hold_hand_off(subject: Subject, inquiry: Inquiry, callers: Principals, runs: int, steps: int = 12) -> None:
    """Let users and Phraseanet do what they do in any order; `runs` times at most."""

    class Machine(HandOff):
        pass

    Machine.subject, Machine.inquiry, Machine.callers = subject, inquiry, callers

    def run(chance: int, known: settings) -> None:
        seed(chance)(Machine)
        run_state_machine_as_test(Machine, settings=known)

    run_drawn(inquiry, run, runs, steps)
