"""The job rows of the workers: one for each asset of an ingested commit, by which pull mode knows what is at work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    """The rows, oldest first; `now` gives the time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._rows: list[JobRow] = []

    @property
    def rows(self) -> tuple[JobRow, ...]:
        """All rows."""
        return tuple(self._rows)

    def insert(self, commit_id: str, assets: Sequence[Any], published: int, work_on: str) -> None:
        """A running row for each asset (§4.5, step 1). One id that is no text and no number, and none is kept."""
        if not all(isinstance(asset, str | int | float) for asset in assets):
            return
        for asset in assets:
            number = len(self._rows) + 1
            row = JobRow(number, commit_id, str(asset), published, "assetsIngest", work_on, created=self._now())
            self._rows.append(row)

    def is_running(self, commit_id: str) -> bool:
        """Whether a row of that commit is running: all that pull mode asks before it enqueues it (H8, H9)."""
        return any(row.commit_id == commit_id and row.status == "running" for row in self._rows)

    def unfinished(self, commit_id: str, asset_id: str) -> JobRow | None:
        """The first row of that commit and asset that has no time of its end."""
        for row in self._rows:
            if (row.commit_id, row.asset_id, row.finished) == (commit_id, asset_id, None):
                return row
        return None

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
        for row in self._rows:
            if row.status == "running" and row.created < limit:
                row.status = "canceled"
