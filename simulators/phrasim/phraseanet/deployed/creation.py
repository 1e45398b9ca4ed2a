"""The work on an asset (§4.6): metadata, file, record or quarantine, story, acknowledgement; step by step."""

from collections.abc import Callable
from typing import Any

from phrasim.phraseanet.deployed.form_data import form_data
from phrasim.phraseanet.deployed.jobs import JobRow
from phrasim.phraseanet.deployed.payload import next_count, text
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.queues import CREATE_RECORD
from phrasim.phraseanet.deployed.state import Download, PhraseanetState, Record, WorkerDied
from phrasim.phraseanet.deployed.uploader import RequestFailed, Uploader


class CreateRecord:
    """Works on the messages of `createRecord`."""

    def __init__(
        self, state: PhraseanetState, publisher: Publisher, uploader: Uploader, note: Callable[..., None]
    ) -> None:
        self._state = state
        self._publisher = publisher
        self._uploader = uploader
        self._note = note

    async def work(self, payload: dict[str, Any]) -> None:
        """One execution. Only a failed download is tried again; whatever else goes wrong is the end of it.

        Raises `WorkerDied` where the metadata cannot be had (H3), no job row is there, the form data name something
        unknown, the story takes no child, or the acknowledgement fails, when the record exists already (H6).
        """
        commit_id, asset_id, token = text(payload, "commit_id"), text(payload, "asset"), text(payload, "assetToken")
        base_url = text(payload, "base_url")
        try:
            metadata = await self._uploader.asset(base_url, asset_id, token)
        except RequestFailed as failed:
            raise WorkerDied(f"reading the metadata of asset {asset_id}: {failed}") from failed
        row = self._state.jobs.unfinished(commit_id, asset_id)
        if row is None:
            raise WorkerDied(f"asset {asset_id} of commit {commit_id} has no job row that is not finished")
        row.status = "running"
        try:
            download = await self._uploader.download(metadata.get("url"), metadata.get("size"))
        except RequestFailed as failed:
            await self._fail(payload, row, str(failed))
            return
        if form_data(metadata).get("collection_destination") is None:
            # Nobody hears of it: no acknowledgement follows, and the row runs until it is cancelled (H4).
            self._note("no collection_destination", asset=asset_id)
            return
        self._make(payload, commit_id, asset_id, metadata, download)
        try:
            await self._uploader.acknowledge(base_url, asset_id, token)
        except RequestFailed as failed:
            raise WorkerDied(f"acknowledging asset {asset_id}: {failed}") from failed
        self._state.jobs.finish(row)

    def _make(
        self, payload: dict[str, Any], commit_id: str, asset_id: str, metadata: dict[str, Any], download: Download
    ) -> None:
        """Steps 4 to 8: the record, as a child of its story if there is one, or the file in quarantine."""
        made = self._state.add(asset_id, commit_id, text(payload, "publisher"), metadata, download)
        story_id = payload.get("storyId")
        if not isinstance(made, Record):
            self._note("quarantined", asset=asset_id, reasons=list(made.reasons))
        elif isinstance(story_id, int):
            self._state.append_to_story(story_id, made)

    async def _fail(self, payload: dict[str, Any], row: JobRow, reason: str) -> None:
        count = next_count(payload)
        self._state.jobs.attempt_failed(row, count - 1)
        self._note("work failed", work=CREATE_RECORD, execution=count - 1, reason=reason)
        await self._publisher.try_again(CREATE_RECORD, payload, count, f"Error when downloading assets: {reason}")
