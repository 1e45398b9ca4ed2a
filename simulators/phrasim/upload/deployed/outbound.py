"""The notification of push mode: what a target is told of a commit (§2.6)."""

from collections.abc import Callable
from typing import Any

import httpx

from phrasim.clock import Clock
from phrasim.upload.deployed.state import Commit

NOTIFY_TIMEOUT = 30
"""Seconds for which an answer is waited for (§2.6)."""

RETRIES = (1, 2, 4)
"""Seconds before each repetition (§2.6)."""


class Notifier:
    """Tells a commit's target of it, and again after each pause of `RETRIES` while that fails.

    `base_url` is what consumers are told to resolve `assets/{id}` against. `note` is told when it is given up.
    """

    def __init__(self, http: httpx.AsyncClient, base_url: str, *, clock: Clock, note: Callable[..., None]) -> None:
        self._http = http
        self._base_url = base_url
        self._clock = clock
        self._note = note

    async def notify(self, commit: Commit) -> None:
        """Send the notification until a 2xx answers it, or set it aside, which is noted (H17).

        A target that is not notified (A21) is passed over. A commit without assets fails before it is sent (H16).
        """
        if not commit.target.is_notified:
            return
        for pause in (*RETRIES, None):
            # The commit is read anew each time: another one may have taken its assets meanwhile (H18).
            failure = await self._sent(commit) if commit.assets else "the commit has no assets"
            if failure is None:
                return
            if pause is not None:
                await self._clock.sleep(pause)
        self._note("notification given up", commit=commit.id, reason=failure)

    async def _sent(self, commit: Commit) -> str | None:
        """None if the notification was taken, else why it was not."""
        target = commit.target
        headers = {"authorization": f"{target.scheme} {target.key}"}
        body = notification(commit, self._base_url)
        try:
            taken = await self._http.post(str(target.url), headers=headers, json=body, timeout=NOTIFY_TIMEOUT)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        # A redirect, which is not followed, has told nobody (assumed: §2.6 speaks of 4xx and 5xx alone).
        return None if taken.is_success else f"the target answered {taken.status_code}"


def notification(commit: Commit, base_url: str) -> dict[str, Any]:
    """The body of the notification."""
    return {
        "assets": list(commit.assets),
        "publisher": commit.user_id,
        "commit_id": commit.id,
        "token": commit.token,
        "base_url": base_url,
    }
