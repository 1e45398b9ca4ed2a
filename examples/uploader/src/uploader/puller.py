"""Phraseanet's side in pull mode: lists new commits, downloads their files, acknowledges them."""

from pathlib import Path
from typing import Any

import httpx


class PullError(Exception):
    """A commit could not be fetched whole; it is not acknowledged, and the next pull finds it again."""


class Puller:
    """Fetches what was handed over into `folder`, a folder for each commit. `token` is that of a client."""

    def __init__(self, upload_url: str, auth_url: str, token: str, folder: Path) -> None:
        self._http = httpx.Client()
        self._upload = upload_url
        self._auth = auth_url
        self._headers = {"authorization": f"Bearer {token}"}
        self._folder = folder

    def pull(self) -> list[str]:
        """Fetch all new commits; their ids."""
        try:
            commits = self._get(f"{self._upload}/commits", self._headers).json()
            return [self._fetch(commit) for commit in commits]
        except httpx.HTTPError as error:
            raise PullError(str(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _fetch(self, commit: dict[str, Any]) -> str:
        publisher = self._get(f"{self._auth}/users/info/{commit['userId']}", self._headers).json()
        secret = {"authorization": f"AssetToken {commit['token']}"}
        folder = self._folder / commit["id"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "publisher.txt").write_text(publisher["email"])
        for asset in commit["assets"]:
            self._download(f"{self._upload}/assets/{asset}/download", secret, folder / asset)
        self._http.post(f"{self._upload}/commits/{commit['id']}/ack", headers=secret).raise_for_status()
        return commit["id"]

    def _get(self, url: str, headers: dict[str, str]) -> httpx.Response:
        return self._http.get(url, headers=headers).raise_for_status()

    def _download(self, url: str, headers: dict[str, str], target: Path) -> None:
        with self._http.stream("GET", url, headers=headers) as response, target.open("wb") as file:
            for part in response.raise_for_status().iter_bytes():
                file.write(part)
