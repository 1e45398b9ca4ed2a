"""The job rows of the workers: one for each asset of an ingested commit, by which pull mode knows what is at work."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal

Status = Literal["running", "finished", "error", "canceled"]

AUTO_CANCEL_SECONDS = 86_400.0
"""The age at which a row that is still running counts as dead (`workers.auto-cancelingJob`, §4.6)."""


@dataclass(slots=True)
class JobRow:
    """What is known of the work on one asset. `finished` is None until the work ended well, whatever the status.

    `published` is the time of the ingest message in unix seconds, `payload` the createRecord message once it was
    published, `info` tells the last attempt that failed.
    """

    id: int
    commit_id: str
    asset_id: str
    published: int
    work: str
    work_on: str
    created: datetime
    status: Status = "running"
    finished: datetime | None = None
    info: str | None = None
    payload: dict[str, Any] | None = None


class Jobs:
    """The rows, found by commit and asset; `now` gives the time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._rows: dict[str, dict[str, list[JobRow]]] = {}
        """By commit and asset; an asset has one for each time that its commit was ingested."""
        self._numbers = count(1)

    @property
    def rows(self) -> tuple[JobRow, ...]:
        """All rows, oldest first."""
        return tuple(sorted(self._all(), key=lambda row: row.id))

    def insert(self, commit_id: str, assets: Sequence[Any], published: int, work_on: str) -> None:
        """A running row for each asset (§4.5, step 1). One id that is no text and no number, and none is kept."""
        if not all(isinstance(asset, str | int | float) for asset in assets):
            return
        for asset in assets:
            row = JobRow(
                next(self._numbers), commit_id, str(asset), published, "assetsIngest", work_on, created=self._now()
            )
            self._rows.setdefault(commit_id, {}).setdefault(row.asset_id, []).append(row)

    def forget_finished(self, before: datetime) -> set[str]:
        """Forget the rows of the commits all of whose work ended well before that moment; the ids of these commits."""
        gone = {
            commit_id
            for commit_id in self._rows
            if all(row.finished is not None and row.finished < before for row in self._of(commit_id))
        }
        for commit_id in gone:
            del self._rows[commit_id]
        return gone

    def is_running(self, commit_id: Any) -> bool:
        """Whether a row of that commit is running: all that pull mode asks before it enqueues it (H8, H9).

        What a listing has as an id need not be text; then no row has it.
        """
        return isinstance(commit_id, str) and any(row.status == "running" for row in self._of(commit_id))

    def unfinished(self, commit_id: str, asset_id: str) -> JobRow | None:
        """The first row of that commit and asset that has no time of its end."""
        rows = self._rows.get(commit_id, {}).get(asset_id, ())
        return next((row for row in rows if row.finished is None), None)

    def attempt_failed(self, row: JobRow, attempt: int) -> None:
        """The download failed: the row says finished, but bears no time, and so is found again by the retry (H9)."""
        row.status = "finished"
        row.info = f"attempt {attempt}"

    def finish(self, row: JobRow) -> None:
        """The work on the asset ended well."""
        row.status = "finished"
        row.finished = self._now()

    def cancel_older_than(self, seconds: float) -> None:
        """Cancel the rows that have been running for longer."""
        limit = self._now() - timedelta(seconds=seconds)
        for row in self._all():
            if row.status == "running" and row.created < limit:
                row.status = "canceled"

    def _all(self) -> Iterator[JobRow]:
        return (row for commit_id in self._rows for row in self._of(commit_id))

    def _of(self, commit_id: str) -> Iterator[JobRow]:
        """The rows of a commit."""
        return (row for rows in self._rows.get(commit_id, {}).values() for row in rows)
