"""The user: logs in, and calls operations as a step says."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from phrasim.edge.outbound import FILE_DIGEST
from phrasim.journal.events import Participant
from phrasim.scenario.expression import ExchangeValues
from phrasim.scenario.files import RunFile
from phrasim.scenario.model import Account
from phrasim.testbed import Testbed

IN_MEMORY_BYTES_MAX = 64 * 1024
"""Bytes of a file that are sent from memory; a longer one streams from its place."""


class StepFailed(Exception):
    """A step did not succeed; the message says what was expected and what was found."""


class User:
    """Plays the user's client against the services of a testbed."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._chance = testbed.chance("user")
        self._clients: dict[Participant, httpx.AsyncClient] = {}
        self._tokens: dict[Account, str] = {}

    async def authorization(self, account: Account) -> dict[str, str]:
        """The header by which that account is known; it logs in on first use, and never again."""
        if account == "nobody":
            return {}
        if account not in self._tokens:
            self._tokens[account] = await self._log_in(account)
        return {"authorization": f"Bearer {self._tokens[account]}"}

    async def call(
        self,
        operation_id: str,
        *,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        json: Any = None,
        has_json: bool = False,
        file: RunFile | None = None,
    ) -> tuple[httpx.Response, ExchangeValues]:
        """Call an operation; the body of the answer is kept if it is JSON, and only counted otherwise."""
        operation = next(
            specification.operations[operation_id]
            for specification in map(self._testbed.setting.profile.specification, ("upload", "phraseanet", "auth"))
            if operation_id in specification.operations
        )
        client = self._client_of(operation.participant)
        path = re.sub(r"\{(\w+)\}", lambda match: quote(parameters[match[1]], safe=""), operation.path)
        request = client.build_request(operation.method, path, headers=dict(headers), json=json if has_json else None)
        if file is not None:
            request = self._upload(client, operation.method, path, headers, file)
        response = await client.send(request, stream=True)
        body = await _kept(response)
        return response, ExchangeValues(
            status=response.status_code,
            request_path=parameters,
            request_body=json,
            response_headers=response.headers,
            response_body=body,
        )

    def _client_of(self, participant: str) -> httpx.AsyncClient:
        named: Participant = msgspec.convert(participant, Participant)
        if named not in self._clients:
            self._clients[named] = self._testbed.client("user", named)
        return self._clients[named]

    async def _log_in(self, account: Account) -> str:
        accounts = self._testbed.accounts
        if account == "client":
            client = accounts.phraseanet
            fields = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret}
        else:
            user = accounts.administrator if account == "administrator" else accounts.publisher
            fields = {
                "grant_type": "password",
                "client_id": accounts.front_end.id,
                "client_secret": accounts.front_end.secret,
                "username": user.email,
                "password": user.password,
            }
        response, values = await self.call("issueToken", parameters={}, headers={}, json=fields, has_json=True)
        if response.status_code != 200:
            raise StepFailed(f"logging in as the {account}: Auth answered {response.status_code}, not 200")
        token: str = values.lookup("$response.body#/access_token")
        return token

    def _upload(
        self, client: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str], file: RunFile
    ) -> httpx.Request:
        """A multipart request with the file in its part `file`, streamed if it is large."""
        boundary = f"phrasim-{self._chance.getrandbits(128):032x}"
        head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{_quoted(file.name)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        length = len(head) + file.size + len(tail)
        sent = {
            **headers,
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(length),
        }
        small = file.size <= IN_MEMORY_BYTES_MAX
        return client.build_request(
            method,
            path,
            headers=sent,
            content=b"".join((head, *file.parts(), tail)) if small else _streamed(head, file, tail),
            extensions={FILE_DIGEST: file.sha256},
        )


async def _streamed(head: bytes, file: RunFile, tail: bytes) -> AsyncIterator[bytes]:
    yield head
    for part in file.parts():
        yield part
    yield tail


async def _kept(response: httpx.Response) -> Any:
    """The JSON body of a response; None for any other, which is read to its end."""
    if "json" in response.headers.get("content-type", ""):
        content = await response.aread()
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
    async for _ in response.aiter_raw():
        pass
    await response.aclose()
    return None


def _quoted(name: str) -> str:
    """A file name as browsers write it in a multipart head (HTML, multipart/form-data encoding algorithm)."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
