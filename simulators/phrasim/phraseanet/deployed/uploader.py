"""How the workers ask the upload service: as Guzzle does, with relative paths, redirects, and errors from 400 on."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from phrasim.edge.outbound import ANSWER_BYTES_MAX, FILE_ASKED_FOR
from phrasim.phraseanet.deployed.state import Download

HEAD_BYTES = 65_536
"""How much of a file is searched for a UUID in its XMP packet."""

_UUID = re.compile(
    rb"""(?:ImageUniqueID|DocumentID)\s*(?:=\s*["']|>\s*)(?:uuid:)?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"""
)


class RequestFailed(Exception):
    """A request had no answer, or one of 400 and more; the message says which and why."""


class Uploader:
    """Asks by `http`, a client without a base URL of its own, which would complete what has to fail here."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def asset(self, base_url: str, asset_id: str, token: str) -> dict[str, Any]:
        """`GET assets/{id}`; an answer that is no JSON object counts as an empty one, as PHP reads it."""
        answer = await self._exchange("GET", _joined(base_url, f"assets/{asset_id}"), {"authorization": _asset(token)})
        try:
            metadata = msgspec.json.decode(answer.content)
        except (ValueError, RecursionError):
            return {}
        return metadata if isinstance(metadata, dict) else {}

    async def acknowledge(self, base_url: str, asset_id: str, token: str) -> None:
        """`POST assets/{id}/ack` (§4.6, step 9)."""
        address = _joined(base_url, f"assets/{asset_id}/ack")
        await self._exchange("POST", address, {"authorization": _asset(token)}, {"acknowledged": True})

    async def download(self, url: Any, told: Any) -> Download:
        """`GET` the signed address of a file, which bears its own right: no header is sent (§4.6, step 3).

        The file is hashed as it comes, and not kept. Any status but 200 has failed. So has a file that is longer than
        its metadata have `told`, since it might have no end (assumed: a shorter one is not looked at).
        """
        if not isinstance(url, str):
            raise RequestFailed(f"the metadata give no url, but {url!r}")
        longest = told if isinstance(told, int) else ANSWER_BYTES_MAX
        size, digest, head = 0, hashlib.sha256(), b""
        try:
            answer = await self._sent("GET", url, {}, None, {FILE_ASKED_FOR: True})
            try:
                if answer.status_code != 200:
                    raise RequestFailed(f"{shown('GET', url)} was answered {answer.status_code}, not 200")
                async for part in answer.aiter_bytes():
                    size += len(part)
                    if size > longest:
                        raise RequestFailed(f"{shown('GET', url)} gave more than {longest} bytes")
                    digest.update(part)
                    head += part[: HEAD_BYTES - len(head)]
            finally:
                await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise RequestFailed(f"{shown('GET', url)}: {type(error).__name__}: {error}") from error
        found = _UUID.search(head)
        return Download(size, digest.hexdigest(), found[1].decode().lower() if found else None)

    async def commits(self, address: str, token: str) -> httpx.Response:
        """`GET` a list of commits, whatever it answers."""
        return await self._answer("GET", address, {"authorization": f"Bearer {token}"}, None)

    async def token(self, address: str, fields: Mapping[str, str]) -> httpx.Response:
        """`POST` a request for a token, whatever it is answered."""
        return await self._answer("POST", address, {}, fields)

    async def _exchange(self, method: str, address: str, headers: dict[str, str], json: Any = None) -> httpx.Response:
        answer = await self._answer(method, address, headers, json)
        if answer.status_code >= 400:
            raise RequestFailed(f"{shown(method, address)} was answered {answer.status_code}")
        return answer

    async def _answer(self, method: str, address: str, headers: dict[str, str], json: Any) -> httpx.Response:
        try:
            answer = await self._sent(method, address, headers, json)
            await answer.aread()
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # The last two: an address or a token of somebody else's that no request can hold.
            raise RequestFailed(f"{shown(method, address)}: {type(error).__name__}: {error}") from error
        return answer

    async def _sent(
        self, method: str, address: str, headers: dict[str, str], json: Any, extensions: dict[str, Any] | None = None
    ) -> httpx.Response:
        url = httpx.URL(address)
        request = self._http.build_request(method, url, headers=headers, json=json, extensions=extensions)
        # Guzzle sends none, and the upload service answers JSON-LD to that (§4.4).
        request.headers.pop("accept", None)
        return await self._http.send(request, follow_redirects=True, stream=True)


def shown(method: str, address: str) -> str:
    """A request as a message names it, without its query: that of a signed address is a secret."""
    return f"{method} {address.partition('?')[0]}"


def _joined(base_url: str, path: str) -> str:
    """A path below a base URL, resolved as RFC 3986 has it: the base loses what follows its last slash (H29)."""
    try:
        return str(httpx.URL(base_url).join(path))
    except (httpx.InvalidURL, UnicodeError) as error:
        raise RequestFailed(f"the base_url {base_url!r} is no URL: {error}") from error


def _asset(token: str) -> str:
    return f"AssetToken {token}"
