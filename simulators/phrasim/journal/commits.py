"""The commits of a trace, and which of its messages is about which commit.

A commit is known by what messages say of it: its id, else its token, else the set of its assets. In a trace on disk
tokens are fingerprints, which are equal where the tokens are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from phrasim.journal.events import Delivery, Publish, Request, Response
from phrasim.journal.sequence import ABOUT_AN_ASSET, Part
from phrasim.journal.sightings import Sighting, Trace

Subject = tuple[str, Part, str | None]
"""What a message can be about within a commit: the operation, which part of it, and which asset if it is about one."""


@dataclass(slots=True, eq=False)
class Commit:
    """What a trace tells of a commit; `assets` are in the order in which they were first named.

    `id_was_told` says whether anything that Phraseanet had carried the commit's id, without which nobody can
    acknowledge it (A1).
    """

    commit_id: str | None = None
    token: str | None = field(default=None, repr=False)
    publisher: str | None = None
    assets: dict[str, None] = field(default_factory=dict)
    id_was_told: bool = False
    messages: dict[Subject, list[Sighting]] = field(default_factory=dict, repr=False)

    def about(self, subject: Subject) -> list[Sighting]:
        """The messages on that subject, in the order of the trace, refused and lost ones included."""
        return self.messages.get(subject, [])

    def add(self, operation_id: str, part: Part, asset: str | None, sighting: Sighting) -> None:
        """Take a message for one about this commit."""
        self.messages.setdefault((operation_id, part, asset), []).append(sighting)

    def same(self, facts: "Facts") -> bool:
        """Whether the facts are about this commit."""
        if self.commit_id and facts.commit_id:
            return self.commit_id == facts.commit_id
        if self.token and facts.token:
            return self.token == facts.token
        return bool(facts.assets) and set(self.assets) == set(facts.assets)

    def learn(self, facts: "Facts") -> None:
        """Add what the facts say."""
        self.commit_id = self.commit_id or facts.commit_id
        self.token = self.token or facts.token
        self.publisher = self.publisher or facts.publisher
        self.assets.update(dict.fromkeys(facts.assets))
        self.id_was_told = self.id_was_told or facts.commit_id is not None


@dataclass(frozen=True, slots=True)
class Facts:
    """What one message says of one commit."""

    commit_id: str | None
    token: str | None
    publisher: str | None
    assets: tuple[str, ...]
    asset: str | None = None
    """The one asset that the message is about, if it is about one."""

    def names(self) -> Iterator[tuple[str, str]]:
        """What the commit can be found by, the surest first."""
        if self.commit_id:
            yield "commit", self.commit_id
        if self.token:
            yield "token", self.token
        for asset in self.assets:
            yield "asset", asset


class Commits:
    """The commits of a trace, in the order in which it names them, found by any of the names that they have."""

    def __init__(self) -> None:
        self.all: list[Commit] = []
        self._by_name: dict[tuple[str, str], list[Commit]] = {}

    def learn(self, facts: Facts) -> Commit | None:
        """Add what the facts say to the commit that they are about, or make it one; None if they name none."""
        if not any(facts.names()):
            return None
        commit = self.find(facts)
        if commit is None:
            commit = Commit()
            self.all.append(commit)
        self.extend(commit, facts)
        return commit

    def extend(self, commit: Commit, facts: Facts) -> None:
        """Add what the facts say to this commit."""
        commit.learn(facts)
        for name in facts.names():
            named = self._by_name.setdefault(name, [])
            if commit not in named:
                named.append(commit)

    def find(self, facts: Facts) -> Commit | None:
        """The commit that the facts are about."""
        return next((one for name in facts.names() for one in self._by_name.get(name, ()) if one.same(facts)), None)

    def of_id(self, commit_id: str) -> list[Commit]:
        """The commits with that id."""
        return self._by_name.get(("commit", commit_id), [])

    def of_asset(self, asset: str | None) -> list[Commit]:
        """The commits that hold an asset."""
        return self._by_name.get(("asset", asset), []) if asset else []

    def of_token(self, token: str | None) -> list[Commit]:
        """The commits with that token."""
        return self._by_name.get(("token", token), []) if token else []

    def of_publisher(self, publisher: str) -> list[Commit]:
        """The commits of a publisher."""
        return [commit for commit in self.all if commit.publisher == publisher]


def commits_of(trace: Trace) -> list[Commit]:
    """The commits of a trace, in the order in which it names them, each with the messages about it."""
    commits = _named_commits(trace)
    _attribute_commit_requests(trace, commits)
    _enrich(trace, commits)
    for sighting in trace.sightings:
        _attribute(sighting, trace, commits)
    _attribute_publisher_requests(trace, commits)
    for commit in commits.all:
        for about in commit.messages.values():
            about.sort(key=lambda sighting: sighting.line)
    return commits.all


def owners(commits: list[Commit], trace: Trace) -> dict[str, list[Commit]]:
    """The commits that each message, by its id, is about; an answer is about what its request is about."""
    table: dict[str, list[Commit]] = {}
    for commit in commits:
        for sightings in commit.messages.values():
            for sighting in sightings:
                table.setdefault(sighting.message.id, []).append(commit)
    for sighting in trace.sightings:
        if sighting.request is not None and sighting.request.id in table:
            table.setdefault(sighting.message.id, table[sighting.request.id])
    return table


def _named_commits(trace: Trace) -> Commits:
    """What accepted notifications, listings and messages name; a refused one may hold anything."""
    commits = Commits()
    for sighting in trace.sightings:
        if not sighting.refused and not sighting.lost:
            for facts in _facts(sighting):
                commits.learn(facts)
    return commits


def _attribute_commit_requests(trace: Trace, commits: Commits) -> None:
    """Join each request that commits files with the commit that came of it, or make it one that nobody named.

    The answer does not tell the commit's id, so the files do: the same set, else one that shares a file with a commit
    whose request is still missing.
    """
    subject: Subject = ("commitAssets", "request", None)
    unmatched = []
    for request in trace.sightings:
        if not _is_request(request, "commitAssets") or request.refused or request.lost:
            continue
        files = dict.fromkeys(_files(request))
        possible = (
            dict.fromkeys(commit for asset in files for commit in commits.of_asset(asset)) if files else commits.all
        )
        equal = [commit for commit in possible if commit.assets.keys() == files.keys()]
        if equal:
            next((one for one in equal if not one.about(subject)), equal[-1]).add(*subject, request)
        else:
            unmatched.append(request)
    for request in unmatched:
        facts = Facts(None, None, None, _files(request))
        sharing = dict.fromkeys(commit for asset in facts.assets for commit in commits.of_asset(asset))
        commit = next((one for one in sharing if not one.about(subject)), None)
        if commit is not None:
            commits.extend(commit, facts)
        else:
            commit = commits.learn(facts)
        if commit is not None:
            commit.add(*subject, request)


def _enrich(trace: Trace, commits: Commits) -> None:
    """Take over what refused notifications and acknowledgements tell of the commits that are known otherwise."""
    for sighting in trace.sightings:
        if sighting.refused or sighting.lost:
            for facts in _facts(sighting):
                commit = commits.find(facts)
                if commit is not None:
                    told = commit.id_was_told
                    commits.extend(commit, facts)
                    commit.id_was_told = told
        elif _is_request(sighting, "acknowledgeCommit"):
            acknowledged = sighting.parameters["id"]
            for commit in commits.of_token(_asset_token(sighting)) if not commits.of_id(acknowledged) else ():
                if commit.commit_id is None:
                    told = commit.id_was_told
                    commits.extend(commit, Facts(acknowledged, None, None, ()))
                    commit.id_was_told = told


def _attribute(sighting: Sighting, trace: Trace, commits: Commits) -> None:
    operation_id, message = sighting.operation_id, sighting.message
    if operation_id is None:
        return
    if isinstance(message, Request):
        if operation_id == "uploadAsset":
            created = sighting.answer_content
            asset = _text(created, "id") if isinstance(created, dict) and not sighting.refused else None
            for commit in commits.of_asset(asset):
                commit.add(operation_id, "request", asset, sighting)
        elif operation_id in ABOUT_AN_ASSET:
            for commit in _of_asset(sighting, trace, commits):
                commit.add(operation_id, "request", _subject(sighting, commit, trace), sighting)
        elif operation_id == "acknowledgeCommit":
            for commit in commits.of_id(sighting.parameters["id"]):
                commit.add(operation_id, "request", None, sighting)
        elif operation_id in ("enqueueAssets", "listCommits"):
            _attribute_facts(sighting, "request", commits)
    elif isinstance(message, Response):
        if sighting.request is not None and operation_id in ABOUT_AN_ASSET:
            for commit in _of_asset(trace.by_id[sighting.request.id], trace, commits):
                commit.add(operation_id, "response", _asset_named(sighting), sighting)
    else:
        _attribute_facts(sighting, "publish" if isinstance(message, Publish) else "delivery", commits)


def _attribute_facts(sighting: Sighting, part: Part, commits: Commits) -> None:
    assert sighting.operation_id is not None
    for facts in _facts(sighting):
        commit = commits.find(facts)
        if commit is not None:
            commit.add(sighting.operation_id, part, facts.asset, sighting)


def _asset_named(sighting: Sighting) -> str | None:
    """The asset that stands in the path of a request."""
    return sighting.parameters.get("id") or sighting.parameters.get("path")


def _subject(sighting: Sighting, commit: Commit, trace: Trace) -> str | None:
    """The asset that a request is about; None where it is made for the whole commit, of which it asks for one asset.

    The delivery that is worked on tells the two apart. Where nobody saw one, the first such request is the commit's.
    """
    operation_id, asset = sighting.operation_id, _asset_named(sighting)
    operation = None if operation_id is None else trace.contract.operations.get(operation_id)
    if operation_id is None or operation is None or all(arrow.each != "commit" for arrow in operation.sequences):
        return asset
    delivery = trace.delivery_behind(sighting)
    if delivery is not None:
        return asset if any(facts.asset is not None for facts in _facts(delivery)) else None
    return asset if any(not one.refused for one in commit.about((operation_id, "request", None))) else None


def _of_asset(sighting: Sighting, trace: Trace, commits: Commits) -> list[Commit]:
    """The commit that a request for an asset is about: where several hold the asset, cause or token decides."""
    holding = commits.of_asset(_asset_named(sighting))
    if len(holding) > 1:
        delivery = trace.delivery_behind(sighting)
        if delivery is not None:
            handled = [commits.find(facts) for facts in _facts(delivery)]
            holding = [commit for commit in holding if commit in handled] or holding
        bearing = commits.of_token(_asset_token(sighting))
        holding = [commit for commit in holding if commit in bearing] or holding
    return holding[:1]


def _attribute_publisher_requests(trace: Trace, commits: Commits) -> None:
    """Join each request for a publisher with a commit of that publisher.

    Where a publisher has several, the cause decides; without one, a request is for the commit that was delivered first
    and whose publisher nobody asked for since. Where nothing names any publisher, as between an external upload service
    and an external Phraseanet, a request is for the first commit for which there was none.
    """
    nameless = all(commit.publisher is None for commit in commits.all)
    waiting: dict[Commit, None] = {}
    left: list[Sighting] = []
    for sighting in trace.sightings:
        if isinstance(sighting.message, Delivery):
            waiting |= dict.fromkeys(_named(sighting, commits))
        if not _is_request(sighting, "getPublisherInfo"):
            continue
        delivery = trace.delivery_behind(sighting)
        caused = [] if delivery is None else _named(delivery, commits)
        publisher = sighting.parameters["id"]
        chosen = next((commit for commit in (*caused, *waiting) if commit.publisher == publisher), None)
        if chosen is None:
            left.append(sighting)
            continue
        chosen.add("getPublisherInfo", "request", None, sighting)
        if not sighting.refused and not sighting.lost:
            waiting.pop(chosen, None)
    for sighting in left:
        of_publisher = commits.all if nameless else commits.of_publisher(sighting.parameters["id"])
        lacking = [commit for commit in of_publisher if not commit.about(("getPublisherInfo", "request", None))]
        before = [commit for commit in of_publisher if _delivered_before(commit, sighting)]
        for commit in lacking[:1] or before[-1:] or of_publisher[:1]:
            commit.add("getPublisherInfo", "request", None, sighting)


def _named(sighting: Sighting, commits: Commits) -> list[Commit]:
    """The commits of which a message says something."""
    return [commit for facts in _facts(sighting) if (commit := commits.find(facts)) is not None]


def _delivered_before(commit: Commit, sighting: Sighting) -> bool:
    return any(delivery.line < sighting.line for delivery in commit.about(("consumeMessage", "delivery", None)))


def _facts(sighting: Sighting) -> Iterator[Facts]:
    """What a message says of commits, in whichever of the shapes that the services use."""
    message = sighting.message
    if isinstance(message, Publish | Delivery):
        match sighting.content:
            case [dict(first), *others]:
                yield Facts(
                    commit_id=_text(first, "commit_id"),
                    token=_text(first, "token"),
                    publisher=_text(first, "publisher") or _text(first, "publisher_id") or _text(first, "id"),
                    assets=_asset_ids(others),
                )
            case dict(content):
                yield _of_work(content)
    elif _is_request(sighting, "enqueueAssets"):
        if isinstance(content := sighting.content, dict):
            yield Facts(
                commit_id=_text(content, "commit_id"),
                token=_text(content, "token"),
                publisher=_text(content, "publisher"),
                assets=_asset_ids(content.get("assets")),
            )
    elif _is_request(sighting, "listCommits") and not sighting.refused:
        listing = sighting.answer_content
        items = listing.get("hydra:member") if isinstance(listing, dict) else listing
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                yield Facts(
                    _text(item, "id"), _text(item, "token"), _text(item, "userId"), _asset_ids(item.get("assets"))
                )


def _of_work(content: dict[str, Any]) -> Facts:
    """What a message of the deployed profile says; given up, its payload lies bare in it (§4.2)."""
    payload = content.get("payload") if "message_type" in content else content
    told: dict[str, Any] = payload if isinstance(payload, dict) else {}
    asset = _text(told, "asset")
    return Facts(
        commit_id=_text(told, "commit_id"),
        token=_text(told, "token") or _text(told, "assetToken"),
        publisher=_text(told, "publisher"),
        assets=_asset_ids(told.get("assets")) if asset is None else (asset,),
        asset=asset,
    )


def _text(values: dict[str, Any], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) and value else None


def _asset_ids(written: Any) -> tuple[str, ...]:
    """Asset ids that are given as ids, as paths (`/assets/…`) or as objects with an `id`."""
    found = []
    for one in written if isinstance(written, list) else ():
        asset = one.get("id") if isinstance(one, dict) else one
        if isinstance(asset, str):
            found.append(asset.rpartition("/")[2])
    return tuple(found)


def _files(sighting: Sighting) -> tuple[str, ...]:
    content = sighting.content
    return _asset_ids(content.get("files")) if isinstance(content, dict) else ()


def _is_request(sighting: Sighting, operation_id: str) -> bool:
    return isinstance(sighting.message, Request) and sighting.operation_id == operation_id


def _asset_token(sighting: Sighting) -> str | None:
    if isinstance(sighting.message, Request):
        for name, value in sighting.message.headers:
            if name == "authorization" and value.startswith("AssetToken "):
                return value.removeprefix("AssetToken ")
    return None
