"""The work on a commit (§4.5): job rows, a story if the form asks for one, one createRecord message for each asset."""

from collections.abc import Callable
from typing import Any

from phrasim.phraseanet.deployed.payload import as_number, as_text, next_count, text
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.queues import ASSETS_INGEST, CREATE_RECORD
from phrasim.phraseanet.deployed.state import PhraseanetState, WorkerDied
from phrasim.phraseanet.deployed.uploader import RequestFailed, Uploader

PUSH, PULL = "uploader push", "uploader pull"
"""How Phraseanet learned of a commit: the `type` of its message."""


class AssetsIngest:
    """Works on the messages of `assetsIngest`."""

    def __init__(
        self, state: PhraseanetState, publisher: Publisher, uploader: Uploader, note: Callable[..., None]
    ) -> None:
        self._state = state
        self._publisher = publisher
        self._uploader = uploader
        self._note = note

    async def work(self, payload: dict[str, Any]) -> None:
        """One execution. Each inserts its own set of rows, and a failed one leaves them running (H10)."""
        commit_id, token, base_url = text(payload, "commit_id"), text(payload, "token"), text(payload, "base_url")
        assets = payload.get("assets")
        if not isinstance(assets, list):
            raise WorkerDied(f"the payload's assets are {assets!r}, not a list")
        self._state.jobs.insert(commit_id, assets, as_number(payload.get("published")), text(payload, "type"))
        first = as_text(assets[0]) if assets else ""
        try:
            metadata = await self._uploader.asset(base_url, first, token)
        except RequestFailed as failed:
            await self._fail(payload, str(failed))
            return
        story_id = self._state.create_story(metadata)
        for asset in assets:
            record = {
                "asset": asset,
                "publisher": payload.get("publisher"),
                "assetToken": token,
                "storyId": story_id,
                "base_url": base_url,
                "commit_id": commit_id,
                "verify_ssl": payload.get("verify_ssl", True),
            }
            # Looked for before others can work on the message, and finish the row.
            row = self._state.jobs.unfinished(commit_id, as_text(asset))
            message = await self._publisher.publish(CREATE_RECORD, record)
            if row is None:
                raise WorkerDied(f"asset {asset!r} of commit {commit_id} has no job row")
            row.payload = message

    async def _fail(self, payload: dict[str, Any], reason: str) -> None:
        count = next_count(payload)
        self._note("work failed", work=ASSETS_INGEST, execution=count - 1, reason=reason)
        await self._publisher.try_again(
            ASSETS_INGEST, payload, count, f"Error when getting assets information: {reason}"
        )
