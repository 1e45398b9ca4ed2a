"""The user's side: uploads files, one request for each, and commits them together."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

ATTEMPTS_MAX = 3
PAUSE_SECONDS = 10.0
_PASSING = (502, 503, 504)
"""What a service answers that is not there for the moment: the request was not worked on, and may be sent again."""


class UploadError(Exception):
    """The upload service could not be reached, or cannot work now."""


class UploadRefused(UploadError):
    """The upload service refuses; asking again would change nothing."""


class Uploader:
    """Hands files over; `sleep` is how it pauses between two attempts."""

    def __init__(self, base_url: str, token: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self._http = httpx.Client(base_url=base_url, headers=_bearing(token))
        self._sleep = sleep

    def hand_over(self, files: Iterable[Path], form_data: Mapping[str, Any]) -> list[str]:
        """Upload the files and commit them; the ids of the assets."""
        ids = [self._send("/assets", files={"file": (file.name, file.read_bytes())}).json()["id"] for file in files]
        self._send("/commit", json={"files": ids, "formData": form_data})
        return ids

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, path: str, **body: Any) -> httpx.Response:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return _judged(self._http.post(path, **body))
            except (UploadError, httpx.TransportError) as error:
                _raise_the_last(error, attempt)
            self._sleep(PAUSE_SECONDS)
        raise AssertionError("the last attempt has returned or raised")


class AsyncUploader:
    """As `Uploader`; the files are uploaded side by side."""

    def __init__(self, base_url: str, token: str) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, headers=_bearing(token))

    async def hand_over(self, files: Iterable[Path], form_data: Mapping[str, Any]) -> list[str]:
        """Upload the files and commit them; the ids of the assets."""
        uploads = (self._send("/assets", files={"file": (file.name, file.read_bytes())}) for file in files)
        ids = [answer.json()["id"] for answer in await asyncio.gather(*uploads)]
        await self._send("/commit", json={"files": ids, "formData": form_data})
        return ids

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, path: str, **body: Any) -> httpx.Response:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return _judged(await self._http.post(path, **body))
            except (UploadError, httpx.TransportError) as error:
                _raise_the_last(error, attempt)
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError("the last attempt has returned or raised")


def _bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _judged(response: httpx.Response) -> httpx.Response:
    if response.status_code in _PASSING:
        raise UploadError(f"{response.url.path} was answered with {response.status_code}")
    if response.is_error:
        raise UploadRefused(f"{response.url.path} was refused with {response.status_code}: {response.json()['detail']}")
    return response


def _raise_the_last(error: Exception, attempt: int) -> None:
    if isinstance(error, UploadRefused):
        raise error
    if attempt == ATTEMPTS_MAX:
        raise UploadError(f"gave up after {ATTEMPTS_MAX} attempts: {error}") from error
