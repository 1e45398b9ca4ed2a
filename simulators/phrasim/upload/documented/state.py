"""What the upload service knows and decides: assets, commits, their tokens, and what it wants to tell Phraseanet."""

import random
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from phrasim.upload.stored_file import StoredFile

TOKEN_BYTES = 21
"""Bytes of a commit's token; it is written in hexadecimal, 42 characters (A17)."""


@dataclass(slots=True)
class Asset:
    """One uploaded file; `commit` is None until it is committed."""

    id: str
    user_id: str
    original_name: str
    file: StoredFile
    created_at: datetime
    commit: "Commit | None" = None


@dataclass(slots=True)
class Commit:
    """Assets handed over together, with their form data and one secret token for all of them (A17)."""

    id: str
    user_id: str
    token: str
    form_data: dict[str, Any]
    assets: tuple[Asset, ...]
    created_at: datetime
    locale: str | None
    acknowledged: bool = field(default=False)

    @property
    def asset_ids(self) -> tuple[str, ...]:
        """The ids of its assets."""
        return tuple(asset.id for asset in self.assets)

    @property
    def total_size(self) -> int:
        """Bytes of all the files."""
        return sum(asset.file.size for asset in self.assets)


class CommitRefused(ValueError):
    """A commit of ids that cannot be committed; the message names them (A24)."""


class UploadState:
    """Assets and commits. `chance` makes ids and tokens, `now` tells the date in UTC."""

    def __init__(self, chance: random.Random, now: Callable[[], datetime]) -> None:
        self._chance = chance
        self._now = now
        self._assets: dict[str, Asset] = {}
        self._commits: dict[str, Commit] = {}
        self._open: dict[str, Commit] = {}
        """The commits that nobody acknowledged yet."""
        self._done: deque[tuple[datetime, Commit]] = deque()
        """The commits that are acknowledged, and when they were."""

    def new_id(self) -> str:
        """A fresh UUID."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def add_asset(self, user_id: str, original_name: str, file: StoredFile) -> Asset:
        """Take a stored file as a new asset of that user."""
        asset = Asset(self.new_id(), user_id, original_name, file, self._now())
        self._assets[asset.id] = asset
        return asset

    def commit(self, user_id: str, asset_ids: Sequence[str], form_data: dict[str, Any]) -> Commit:
        """Commit those assets; another user's uncommitted asset is accepted (A24).

        Keys of the form data that start with `__` are instructions of the client and are not kept (§2.3). Raises
        `CommitRefused` for no ids, a repeated, an unknown or an already committed one, and then changes nothing.
        """
        if not asset_ids:
            raise CommitRefused("files: a commit needs at least one asset")
        repeated = [asset_id for asset_id, times in Counter(asset_ids).items() if times > 1]
        unknown = [asset_id for asset_id in asset_ids if asset_id not in self._assets]
        taken = [asset.id for asset in map(self.asset, asset_ids) if asset is not None and asset.commit is not None]
        for found, ids in (("repeated", repeated), ("unknown", unknown), ("already committed", taken)):
            if ids:
                raise CommitRefused(f"files: {found}: {', '.join(ids)}")
        commit = Commit(
            id=self.new_id(),
            user_id=user_id,
            token=self._chance.randbytes(TOKEN_BYTES).hex(),
            form_data={key: value for key, value in form_data.items() if not key.startswith("__")},
            assets=tuple(self._assets[asset_id] for asset_id in asset_ids),
            created_at=self._now(),
            locale=None,
        )
        for asset in commit.assets:
            asset.commit = commit
        self._commits[commit.id] = self._open[commit.id] = commit
        return commit

    def asset(self, asset_id: str) -> Asset | None:
        """The asset of that id."""
        return self._assets.get(asset_id)

    def find_commit(self, commit_id: str) -> Commit | None:
        """The commit of that id."""
        return self._commits.get(commit_id)

    @property
    def assets(self) -> tuple[Asset, ...]:
        """All assets, oldest first."""
        return tuple(self._assets.values())

    @property
    def commits(self) -> tuple[Commit, ...]:
        """All commits, oldest first."""
        return tuple(self._commits.values())

    def unacknowledged(self) -> list[Commit]:
        """The commits that nobody acknowledged yet, oldest first (A12)."""
        return list(self._open.values())

    def acknowledge(self, commit: Commit) -> bool:
        """The consumer has the commit; whether that is new. Doing so again changes nothing (A16)."""
        new = self._open.pop(commit.id, None) is not None
        commit.acknowledged = True
        if new:
            self._done.append((self._now(), commit))
        return new

    def forget(self, before: datetime) -> list[StoredFile]:
        """Forget the commits that were acknowledged before that moment, with their assets; the files that are to go."""
        gone: list[StoredFile] = []
        while self._done and self._done[0][0] < before:
            _, commit = self._done.popleft()
            del self._commits[commit.id]
            for asset in commit.assets:
                del self._assets[asset.id]
                asset.commit = None  # each would keep the other until the collector came for both
                gone.append(asset.file)
        if gone:
            # A dict to which entries come while others go would take twice the room in time.
            self._commits, self._assets = dict(self._commits), dict(self._assets)
        return gone
