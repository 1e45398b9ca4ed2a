"""What the deployed upload service knows and decides: targets, assets, commits, and what an acknowledgement changes."""

import json
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from phrasim.upload.deployed.form import form_errors
from phrasim.upload.deployed.target import Target
from phrasim.upload.stored_file import StoredFile

TOKEN_BYTES = 21
"""Bytes of a commit's token; it is written in hexadecimal, 42 characters (§2.3)."""

DESTINATION = "collection_destination"
"""The form field that tells Phraseanet the collection (§4.6)."""

NOTIFY = "__notify"
"""The form field by which a user asks to be told of the acknowledgement (§2.3)."""


@dataclass(slots=True)
class Asset:
    """One uploaded file; `commit` is None until it is committed, and is another after another commit of it (H18)."""

    id: str
    user_id: str
    target: Target
    original_name: str
    file: StoredFile
    data: Mapping[str, str]
    created_at: datetime
    commit: "Commit | None" = None
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """A commit that was accepted and is not made yet; `form_data` is what the user filled in, without `__*`."""

    user_id: str
    target: Target
    files: tuple[str, ...]
    form_data: Mapping[str, Any]
    options: Mapping[str, Any]
    notify: bool
    locale: str


@dataclass(slots=True)
class Commit:
    """Assets handed over together; `assets`, by id, shrinks when another commit takes one, `total_size` does not."""

    id: str
    user_id: str
    target: Target
    token: str
    form_data: dict[str, Any]
    options: Mapping[str, Any]
    notify: bool
    locale: str
    total_size: int
    created_at: datetime
    assets: dict[str, Asset] = field(default_factory=dict)
    acknowledged: bool = False
    acknowledged_at: datetime | None = None

    @property
    def asset_ids(self) -> tuple[str, ...]:
        """The ids of its assets."""
        return tuple(self.assets)


class CommitRefused(ValueError):
    """A commit that is refused at once; the message is the service's own (§2.3)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one commit may hold; a limit is still allowed, None is no limit (§2.3)."""

    files_max: int | None = None
    bytes_max: int | None = None

    def check(self, files: int, size: int) -> None:
        """Raise `CommitRefused` above a limit."""
        if self.files_max is not None and files > self.files_max:
            raise CommitRefused(f"Number of files exceeded ({files} > {self.files_max})")
        if self.bytes_max is not None and size > self.bytes_max:
            raise CommitRefused(f"Max commit size exceeded ({size} > {self.bytes_max})")


class UploadState:
    """Targets, assets and commits. `chance` makes ids and tokens, `now` tells the date in UTC."""

    def __init__(
        self,
        targets: Iterable[Target],
        chance: random.Random,
        now: Callable[[], datetime],
        limits: Limits | None = None,
    ) -> None:
        self._chance = chance
        self._now = now
        self._limits = limits or Limits()
        self._targets = {target.id: target for target in targets}
        self._assets: dict[str, Asset] = {}
        self._commits: dict[str, Commit] = {}
        self._open: dict[str, Commit] = {}
        """The commits that are not acknowledged."""
        self._done: deque[tuple[datetime, Commit]] = deque()
        """Those that are, and when they were."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, in the order in which they were given."""
        return tuple(self._targets.values())

    @property
    def assets(self) -> tuple[Asset, ...]:
        """All assets, oldest first."""
        return tuple(self._assets.values())

    @property
    def commits(self) -> tuple[Commit, ...]:
        """All commits, oldest first."""
        return tuple(self._commits.values())

    def target(self, target_id: str) -> Target | None:
        """The target of that id."""
        return self._targets.get(target_id)

    def target_of_slug(self, slug: str) -> Target | None:
        """The target of that slug."""
        return next((target for target in self._targets.values() if target.slug == slug), None)

    def asset(self, asset_id: str) -> Asset | None:
        """The asset of that id."""
        return self._assets.get(asset_id)

    def find_commit(self, commit_id: str) -> Commit | None:
        """The commit of that id."""
        return self._commits.get(commit_id)

    def add_asset(
        self, user_id: str, target: Target, original_name: str, file: StoredFile, data: Mapping[str, str]
    ) -> Asset:
        """Take a stored file as a new asset of that user."""
        asset = Asset(self._new_id(), user_id, target, original_name, file, data, self._now())
        self._assets[asset.id] = asset
        return asset

    def check(self, target: Target, files: Sequence[str], form_data: Mapping[str, Any]) -> None:
        """Judge a request to commit: its form (`kept_fields`), then the limits; `CommitRefused` says what is wrong.

        Unknown, foreign and already committed ids are accepted, and so are none (H18, H16).
        """
        if target.form_schema is not None and (errors := form_errors(target.form_schema, form_data)):
            raise CommitRefused(f"Form errors: {json.dumps(errors, separators=(',', ':'))}")
        self._limits.check(len(files), self._size_of(files))

    def commit(self, request: CommitRequest) -> Commit:
        """Make the commit, and attach to it every file that there is, whoever's it is and wherever it was (H18)."""
        form_data = {**request.form_data, **request.target.params}
        if form_data.get(DESTINATION) is None and request.target.default_destination is not None:
            form_data[DESTINATION] = request.target.default_destination
        commit = Commit(
            id=self._new_id(),
            user_id=request.user_id,
            target=request.target,
            token=self._chance.randbytes(TOKEN_BYTES).hex(),
            form_data=form_data,
            options=request.options,
            notify=request.notify,
            locale=request.locale,
            total_size=self._size_of(request.files),
            created_at=self._now(),
        )
        for asset in self._known(request.files):
            if asset.commit is not None:
                del asset.commit.assets[asset.id]
            asset.commit = commit
            commit.assets[asset.id] = asset
        self._commits[commit.id] = self._open[commit.id] = commit
        return commit

    def acknowledge(self, commit: Commit) -> bool:
        """The consumer has the whole commit; whether that is new. Doing so again changes nothing (§2.4)."""
        if commit.acknowledged:
            return False
        commit.acknowledged, commit.acknowledged_at = True, self._now()
        self._done.append((commit.acknowledged_at, self._open.pop(commit.id)))
        for asset in commit.assets.values():
            asset.acknowledged = True
        return True

    def acknowledge_asset(self, asset: Asset) -> Commit | None:
        """The consumer has that asset; its commit where it is the last one that was missing (§2.4).

        The last one is not marked here: the commit's acknowledgement, which is now due, marks them all.
        """
        if asset.acknowledged or asset.commit is None:
            return None
        if sum(not one.acknowledged for one in asset.commit.assets.values()) == 1:
            return asset.commit
        asset.acknowledged = True
        return None

    def listed(self, *, acknowledged: bool | None = None, target_id: str | None = None) -> list[Commit]:
        """The commits that a listing has: those not acknowledged first, then oldest first (§2.5); None filters not."""
        among = self._open if acknowledged is False else self._commits
        found = [
            commit
            for commit in among.values()
            if acknowledged in (None, commit.acknowledged) and target_id in (None, commit.target.id)
        ]
        return sorted(found, key=lambda commit: (commit.acknowledged, commit.created_at))

    def remove_acknowledged(self, before: datetime) -> list[StoredFile]:
        """Forget the commits acknowledged before that moment, with their assets; the files that are to go (§2.7)."""
        gone: list[Asset] = []
        while self._done and self._done[0][0] < before:
            _, commit = self._done.popleft()
            del self._commits[commit.id]
            gone.extend(commit.assets.values())
        return self._forget(gone)

    def remove_older(self, than: datetime) -> list[StoredFile]:
        """Forget every asset uploaded before that moment, handed over or not; the files that are to go (§2.7, H19)."""
        old = [asset for asset in self._assets.values() if asset.created_at < than]
        for asset in old:
            if asset.commit is not None:
                del asset.commit.assets[asset.id]
        return self._forget(old)

    def _forget(self, assets: list[Asset]) -> list[StoredFile]:
        for asset in assets:
            del self._assets[asset.id]
            asset.commit = None  # each would keep the other until the collector came for both
        return [asset.file for asset in assets]

    def _size_of(self, files: Sequence[str]) -> int:
        return sum(asset.file.size for asset in self._known(files))

    def _known(self, files: Sequence[str]) -> list[Asset]:
        """The assets among those ids, each once."""
        return [self._assets[asset_id] for asset_id in dict.fromkeys(files) if asset_id in self._assets]

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))


def kept_fields(form_data: Mapping[str, Any]) -> dict[str, Any]:
    """The form without the keys that are instructions to the service: those that begin with `__` (§2.3)."""
    return {key: value for key, value in form_data.items() if not key.startswith("__")}


def asks_for_notice(form_data: Mapping[str, Any]) -> bool:
    """Whether the user asks to be told of the acknowledgement; the text "0" is false in PHP, as is "" (§2.3)."""
    return bool(form_data.get(NOTIFY)) and form_data[NOTIFY] != "0"
