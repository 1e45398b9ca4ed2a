"""What all users have in common: requests by operation, with streamed bodies, and tokens that are asked for in time."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import gevent.ssl
from locust import FastHttpUser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment

from hand_off.run import Run, decoded, run_of
from phrasim.load.contents import BLOCK_BYTES, Content
from phrasim.load.landscape import Landscape

FRESH = 0.8
"""The share of its lifetime for which a token is used."""


class Failed(Exception):
    """A request that Locust has counted as failed: what was to follow is left."""


class MultipartBody:
    """The form of an upload, which is read from as it is sent: fields, then the file."""

    def __init__(self, content: Content, boundary: str, fields: Mapping[str, str]) -> None:
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="load.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head, self._tail = "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()
        self._content = content
        self._at = 0
        self._size = len(self._head) + content.size + len(self._tail)
        self.digest = hashlib.sha256()

    def __len__(self) -> int:
        return self._size

    def read(self, length: int = BLOCK_BYTES) -> bytes:
        """The next bytes; none at the end."""
        start = self._at
        if start < len(self._head):
            part = self._head[start : start + length]
        elif start < len(self._head) + self._content.size:
            part = self._content.part(start - len(self._head), length)
            self.digest.update(part)
        else:
            begun = start - len(self._head) - self._content.size
            part = self._tail[begun : begun + length]
        self._at += len(part)
        return part


class Caller(FastHttpUser):
    """A user that calls operations; the addresses come with the landscape, and not as Locust's host."""

    abstract = True
    host = "http://landscape"
    insecure = False

    def __init__(self, environment: Environment) -> None:
        self.load: Run = run_of(environment)
        settings = self.load.settings
        if settings.insecure:
            self.insecure = True
        elif settings.ca is not None:
            self.ssl_context_factory = lambda: gevent.ssl.create_default_context(cafile=str(settings.ca))
        super().__init__(environment)
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    @contextmanager
    def asked(self, operation_id: str, url: str, expected: int = 200, **parts: Any) -> Iterator[ResponseContextManager]:
        """The answer to a request; one with another status fails, and raises `Failed` behind the block."""
        method = self.load.protocol.method(operation_id)
        with self.client.request(
            method, url, name=operation_id, catch_response=True, allow_redirects=False, **parts
        ) as answer:
            if answer.status_code != expected:
                why = getattr(answer, "error", None) if answer.status_code == 0 else None
                answer.failure(str(why) if why else f"the status is {answer.status_code}, not {expected}")
                raise Failed(operation_id)
            yield answer

    def asked_for_json(self, operation_id: str, url: str, expected: int = 200, **parts: Any) -> Any:
        """The JSON of an answer. Raises `Failed`, also for what is no JSON."""
        headers = {"accept": "application/json"} | parts.pop("headers", {})
        with self.asked(operation_id, url, expected, headers=headers, **parts) as answer:
            value = decoded(answer.content)
            if value is None:
                answer.failure("the answer is no JSON")
                raise Failed(operation_id)
            return value

    def uploaded(self, landscape: Landscape, content: Content, bearer: str) -> tuple[str, str]:
        """Upload a file; the id of the asset, and the SHA-256 of what was sent. Raises `Failed`."""
        boundary = f"phrasim-{hashlib.md5(content.name.encode(), usedforsecurity=False).hexdigest()}"
        body = MultipartBody(content, boundary, self.load.protocol.upload_fields(landscape))
        headers = {
            "authorization": f"Bearer {bearer}",
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(len(body)),
        }
        url = address_of(landscape.upload) + self.load.protocol.path("uploadAsset")
        asset = self.asked_for_json("uploadAsset", url, 201, headers=headers, data=body)
        return str(asset["id"]), body.digest.hexdigest()

    def downloaded(self, url: str, headers: Mapping[str, str]) -> str:
        """Download a file, which is hashed as it comes; its SHA-256. Raises `Failed`, also for one that breaks off."""
        digest, size = hashlib.sha256(), 0
        operation_id = self.load.protocol.download_operation
        begin = time.perf_counter()
        with self.asked(
            operation_id, url, stream=True, headers={"accept-encoding": "identity"} | dict(headers)
        ) as answer:
            for part in answer.iter_content(BLOCK_BYTES, decode_content=False):
                digest.update(part)
                size += len(part)
            # Locust's own time is that of the headers.
            answer.request_meta["response_time"] = (time.perf_counter() - begin) * 1000
            told = answer.headers.get("content-length") if answer.headers else None
            if told is not None and int(told) != size:
                answer.failure(f"the file breaks off after {size} of {told} bytes")
                raise Failed(operation_id)
        self.load.downloaded_bytes += size
        return digest.hexdigest()

    def listed(self, landscape: Landscape) -> list[dict[str, Any]]:
        """The new commits, as `{id, token, assets}`. Raises `Failed`."""
        protocol = self.load.protocol
        url = address_of(landscape.upload) + protocol.path("listCommits") + protocol.listing_query(landscape)
        headers = {"authorization": f"Bearer {self.client_token(landscape)}"}
        return protocol.listed(self.asked_for_json("listCommits", url, headers=headers))

    def bearer(self, landscape: Landscape) -> str:
        """The token of the user who uploads: as it was given, or one that Auth gives for the password."""
        user = landscape.users[0]
        if user.token is not None:
            return user.token
        client = landscape.clients[1] if len(landscape.clients) > 1 else landscape.clients[0]
        fields = {
            "grant_type": "password",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "username": user.email,
            "password": user.password,
        }
        url = address_of(landscape.auth) + self.load.protocol.path("issueToken")
        return self._fresh(url, "publisher", lambda: self._token("issueToken", url, fields))

    def client_token(self, landscape: Landscape) -> str:
        """The token by which Phraseanet lists commits."""
        protocol = self.load.protocol
        client = landscape.clients[0]
        fields = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "scope": "commit:list",
        }
        service = landscape.auth if protocol.client_token_service == "auth" else landscape.upload
        url = address_of(service) + protocol.path(protocol.client_token_operation)
        return self._fresh(url, "client", lambda: self._token(protocol.client_token_operation, url, fields))

    def _fresh(self, url: str, whose: str, ask: Callable[[], tuple[str, float]]) -> str:
        token, until = self._tokens.get((url, whose), ("", 0.0))
        if time.time() >= until:
            token, lifetime = ask()
            self._tokens[url, whose] = token, time.time() + lifetime * FRESH
        return token

    def _token(self, operation_id: str, url: str, fields: Mapping[str, str]) -> tuple[str, float]:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        told = self.asked_for_json(operation_id, url, headers=headers, data=urlencode(fields))
        return str(told["access_token"]), float(told.get("expires_in", 60))


def address_of(service: Any) -> str:
    """The URL of a service, to which paths are appended."""
    assert service is not None, "the landscape names every service that this user calls"
    return str(service.url).rstrip("/")
