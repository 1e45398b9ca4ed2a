"""The notification of push mode: `POST /api/v1/upload/enqueue` on Phraseanet (P4)."""

from collections.abc import Callable
from typing import Any

import httpx

from phrasim.clock import Clock
from phrasim.upload.documented.state import Commit

NOTIFY_PATH = "/api/v1/upload/enqueue"
DOCUMENTED_FIELDS = ("assets", "publisher", "token")
"""What the document's example holds, and no more (A28)."""
ALL_FIELDS = (*DOCUMENTED_FIELDS, "commit_id", "base_url", "hashes")


class Notifier:
    """Tells Phraseanet of each commit, and again after each pause of `retries` (seconds) when it is not told.

    `fields` are those that the body holds: `ALL_FIELDS`, or `DOCUMENTED_FIELDS` for the document's literal example.
    A `token` is shown by the scheme `OAuth`, as the services of 2019 and 2021 did (A4).
    """

    def __init__(
        self,
        phraseanet: httpx.AsyncClient,
        base_url: str,
        *,
        clock: Clock,
        retries: tuple[float, ...],
        fields: tuple[str, ...],
        token: str | None,
        note: Callable[..., None],
    ) -> None:
        self._phraseanet = phraseanet
        self._base_url = base_url
        self._clock = clock
        self._retries = retries
        self._fields = fields
        self._headers = {} if token is None else {"authorization": f"OAuth {token}"}
        self._note = note

    async def notify(self, commit: Commit) -> None:
        """Send the notification until it is answered with 200, or the retries are used up, which is noted (H17)."""
        body = notification(commit, self._base_url, self._fields)
        for pause in (*self._retries, None):
            failure = await self._sent(body)
            if failure is None:
                return
            if pause is not None:
                await self._clock.sleep(pause)
        self._note("notification given up", commit=commit.id, reason=failure)

    async def _sent(self, body: dict[str, Any]) -> str | None:
        """None if the notification was taken, else why it was not."""
        try:
            answer = await self._phraseanet.post(NOTIFY_PATH, headers=self._headers, json=body)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return None if answer.status_code == 200 else f"Phraseanet answered {answer.status_code}"


def notification(commit: Commit, base_url: str, fields: tuple[str, ...]) -> dict[str, Any]:
    """The body of the notification of `commit`, with those of its fields that are asked for."""
    whole = {
        "assets": [asset.id for asset in commit.assets],
        "publisher": commit.user_id,
        "token": commit.token,
        "commit_id": commit.id,
        "base_url": base_url,
        "hashes": hashes(commit),
    }
    return {name: whole[name] for name in fields}


def hashes(commit: Commit) -> dict[str, str]:
    """The SHA-256 of each asset's file by the asset's id, which the message to RabbitMQ repeats (A5)."""
    return {asset.id: asset.file.sha256 for asset in commit.assets}
