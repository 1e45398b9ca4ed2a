"""What the deployed service does after it has answered, each step a message of its own (§2.6)."""

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

from phrasim.upload.deployed.outbound import Notifier
from phrasim.upload.deployed.state import Asset, Commit, CommitRequest, UploadState
from phrasim.upload.storage import Storage
from phrasim.upload.stored_file import StoredFile

RETENTION_DAYS = 31
"""The age at which assets are removed (§2.7)."""


class Spawn(Protocol):
    """Starts work beside the requests."""

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work`; `name` says what it is."""
        ...


class Work:
    """The messages between the service's requests and their effects, in the order in which they were sent.

    `grace` is in seconds: 0 deletes the files of an acknowledged commit at once, more lets a later acknowledgement
    sweep it (§2.7). The double acknowledgement that loses the commit's (H15) is not imitated: no step here is torn.
    """

    def __init__(
        self,
        state: UploadState,
        storage: Storage,
        notifier: Notifier,
        *,
        grace: float,
        now: Callable[[], datetime],
        spawn: Spawn,
        note: Callable[..., None],
    ) -> None:
        self._state = state
        self._storage = storage
        self._notifier = notifier
        self._grace = grace
        self._now = now
        self._spawn = spawn
        self._note = note

    def commit(self, request: CommitRequest) -> None:
        """Make the commit, and then notify its target."""
        self._spawn(self._commit(request), "commit")

    def acknowledge(self, commit: Commit) -> None:
        """Mark the commit and its assets, delete what is due, and notify the user."""
        self._spawn(self._acknowledge(commit), f"acknowledgement of commit {commit.id}")

    def acknowledge_asset(self, asset: Asset) -> None:
        """Mark the asset, or acknowledge its commit if it is the last one (§2.4)."""
        self._spawn(self._acknowledge_asset(asset), f"acknowledgement of asset {asset.id}")

    def remove_old_assets(self, days: float = RETENTION_DAYS) -> None:
        """Remove every asset that is older, handed over or not: the command that operators run daily (§2.7, H19)."""
        self._delete(self._state.remove_older(self._now() - timedelta(days=days)))

    def forget(self, before: datetime) -> None:
        """Forget the commits acknowledged before that moment, with their assets and files."""
        self._delete(self._state.remove_acknowledged(before))

    async def _commit(self, request: CommitRequest) -> None:
        commit = self._state.commit(request)
        self._spawn(self._notifier.notify(commit), f"notification of {commit.id}")

    async def _acknowledge(self, commit: Commit) -> None:
        if not self._state.acknowledge(commit):
            return
        if self._grace <= 0:
            self._delete(asset.file for asset in commit.assets.values())
        else:
            self._delete(self._state.remove_acknowledged(self._now() - timedelta(seconds=self._grace)))
        if commit.notify:
            self._note(
                "user notified",
                user=commit.user_id,
                notification="uploader-commit-acknowledged",
                assetCount=len(commit.assets),
            )

    async def _acknowledge_asset(self, asset: Asset) -> None:
        last = self._state.acknowledge_asset(asset)
        if last is not None:
            self.acknowledge(last)

    def _delete(self, files: Iterable[StoredFile]) -> None:
        for file in files:
            self._spawn(self._delete_file(file), f"deletion of {file.key}")

    async def _delete_file(self, file: StoredFile) -> None:
        self._storage.delete(file)
