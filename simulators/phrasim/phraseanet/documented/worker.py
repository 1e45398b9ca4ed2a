"""Phraseanet's worker: consume, ask for the publisher, read and download the assets, record them, acknowledge."""

import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from phrasim.broker.client import BrokerError, Incoming
from phrasim.clock import Clock
from phrasim.documents import Messages
from phrasim.edge.context import handled
from phrasim.edge.outbound import FILE_ASKED_FOR
from phrasim.phraseanet.documented.credentials import ClientToken, TokenRefused
from phrasim.phraseanet.documented.queue import MAIN, IngestQueue
from phrasim.phraseanet.documented.state import PhraseanetState, Record
from phrasim.phraseanet.documented.wire import Handover, from_message

RECONNECT_SECONDS = 1.0
"""How long the worker waits for a broker that is gone, before it tries again."""


class WorkFailed(Exception):
    """One execution of the work on a commit came to nothing; the message says at which request and why."""


class Worker:
    """Works on the commits of the ingest queue, one after the other, each at most `executions_max` times (A34).

    `upload_url` is asked where a message names no other address (A2).
    """

    def __init__(
        self,
        state: PhraseanetState,
        queue: IngestQueue,
        messages: Messages,
        *,
        upload: httpx.AsyncClient,
        upload_url: str,
        auth: httpx.AsyncClient,
        token: ClientToken,
        executions_max: int,
        clock: Clock,
        note: Callable[..., None],
    ) -> None:
        self._state = state
        self._queue = queue
        self._messages = messages
        self._upload = upload
        self._upload_url = upload_url
        self._auth = auth
        self._token = token
        self._executions_max = executions_max
        self._clock = clock
        self._note = note
        self._form_data: tuple[bytes, dict[str, Any]] = b"{}", {}
        """The form data of the last record, as JSON and as they are."""

    async def run(self) -> None:
        """Work until it is stopped. Where the broker or the queue is gone it declares all anew, and goes on.

        A delivery is acknowledged only when its work is done or handed on (A34).
        """
        declared = True
        while True:
            try:
                if not declared:
                    await self._queue.declare()
                    declared = True
                async for incoming in await self._queue.consume():
                    await self._take(incoming)
            except BrokerError as error:
                if declared:
                    # Why the broker is gone is noted; that it still is, need not be.
                    self._note("consuming failed", reason=str(error))
                declared = False
            else:
                return
            await self._clock.sleep(RECONNECT_SECONDS)

    async def _take(self, incoming: Incoming) -> None:
        """One execution of the work, and what becomes of its delivery."""
        handled.set(incoming.handled)
        try:
            await self._work(incoming)
        except (WorkFailed, TokenRefused, httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # The last two: a base URL or a token of the notification's that no request can hold.
            await self._fail(incoming, f"{type(error).__name__}: {error}")
        else:
            await self._queue.done(incoming)

    async def _fail(self, incoming: Incoming, reason: str) -> None:
        execution = self._queue.executions(incoming)
        last = execution >= self._executions_max
        self._note("work given up" if last else "work failed", execution=execution, reason=reason)
        if not last:
            await self._queue.try_again(incoming)
            return
        try:
            await self._queue.give_up(incoming)
        except BrokerError as error:
            # Not taken by the failed queue: another round is better than a lost commit.
            self._note("giving up failed", reason=str(error))
            await self._queue.try_again(incoming)

    async def _work(self, incoming: Incoming) -> None:
        handover = self._read(incoming)
        await self._publisher(handover)
        base_url = (handover.base_url or self._upload_url).rstrip("/")
        headers = {"authorization": f"AssetToken {handover.token}"} if handover.token else {}
        self._state.keep([await self._record(handover, base_url, headers, asset_id) for asset_id in handover.assets])
        if handover.commit_id is None:
            # A1: nothing that Phraseanet was given names the commit, so P12 has no address.
            self._note("acknowledgement unreachable", reason="the notification carried no commit_id")
            return
        answer = await self._upload.post(
            f"{base_url}/commits/{handover.commit_id}/ack", headers=headers, json={"acknowledged": True}
        )
        _expect(answer, 200, "acknowledging the commit")
        self._state.done(handover)

    def _read(self, incoming: Incoming) -> Handover:
        try:
            message = msgspec.json.decode(incoming.body)
        except (ValueError, RecursionError) as error:
            raise WorkFailed(f"reading the message: it is not JSON: {error}") from error
        violations = self._messages.message_violations(MAIN, message)
        if violations:
            raise WorkFailed(f"reading the message: {'; '.join(map(str, violations))}")
        return from_message(message)

    async def _publisher(self, handover: Handover) -> None:
        """Ask Auth who the publisher is (P7); the record keeps the id, as no ruling says what else it is for."""
        answer = await self._token.get(self._auth, f"/users/info/{handover.publisher}")
        _expect(answer, 200, "asking for the publisher")

    async def _record(self, handover: Handover, base_url: str, headers: dict[str, str], asset_id: str) -> Record:
        """Read the metadata (A18) and download the file (P8, P9) of one asset."""
        answer = await self._upload.get(f"{base_url}/assets/{asset_id}", headers=headers)
        _expect(answer, 200, f"reading the metadata of asset {asset_id}")
        metadata = _json_object(answer)
        size, sha256 = await self._download(
            f"{base_url}/assets/{asset_id}/download", headers, asset_id, metadata["size"]
        )
        if size != metadata["size"]:
            raise WorkFailed(f"downloading asset {asset_id}: {size} bytes came, its metadata says {metadata['size']}")
        return Record(
            asset_id=asset_id,
            commit_id=handover.commit_id,
            publisher=handover.publisher,
            original_name=metadata["originalName"],
            mime_type=metadata["mimeType"],
            form_data=self._kept_once(metadata["formData"] or {}),
            size=size,
            sha256=sha256,
        )

    def _kept_once(self, form_data: dict[str, Any]) -> dict[str, Any]:
        """The form data, or those of the last record where they are the same: all assets of a commit have its own."""
        written = msgspec.json.encode(form_data)
        if written != self._form_data[0]:
            self._form_data = written, form_data
        return self._form_data[1]

    async def _download(self, url: str, headers: dict[str, str], asset_id: str, told: Any) -> tuple[int, str]:
        """Size and SHA-256 of the file, which is hashed as it comes and not kept.

        It is left where it is longer than its metadata have `told`: it might have no end.
        """
        size, digest = 0, hashlib.sha256()
        extensions = {FILE_ASKED_FOR: True}
        async with self._upload.stream("GET", url, headers=headers, extensions=extensions) as answer:
            if answer.status_code != 200:
                await answer.aread()
            _expect(answer, 200, f"downloading asset {asset_id}")
            async for part in answer.aiter_bytes():
                size += len(part)
                digest.update(part)
                if size > told:
                    break
        return size, digest.hexdigest()


def _expect(answer: httpx.Response, status: int, doing: str) -> None:
    if answer.status_code != status:
        raise WorkFailed(f"{doing}: the answer was {answer.status_code}, not {status}")


def _json_object(answer: httpx.Response) -> dict[str, Any]:
    try:
        metadata = msgspec.json.decode(answer.content)
    except (ValueError, RecursionError) as error:
        raise WorkFailed(f"reading {answer.url.path}: the answer is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise WorkFailed(f"reading {answer.url.path}: the answer is no JSON object")
    missing = [name for name in ("size", "originalName", "mimeType", "formData") if name not in metadata]
    if missing:
        raise WorkFailed(f"reading {answer.url.path}: the answer lacks {', '.join(missing)}")
    if not isinstance(metadata["size"], int):
        raise WorkFailed(f"reading {answer.url.path}: the size is {metadata['size']!r}, and no number of bytes")
    return metadata
