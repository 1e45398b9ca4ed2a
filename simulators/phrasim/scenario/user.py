"""The user: logs in, and calls operations as a step says."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call sends: a JSON value, a form, a `content` of any media type, a file with a form's fields, or nothing.

    `url` is called in the place of the operation's own path.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    json: Any = None
    has_json: bool = False
    form: Mapping[str, str] | None = None
    content: tuple[str, str] | None = None
    file: RunFile | None = None


class StepFailed(Exception):
    """A step did not succeed; the message says what was expected and what was found."""


PATIENCE_SECONDS = 30.0
"""How long a user waits for an answer, unless it is said."""


class User:
    """Plays the user's client against the services of a testbed."""

    def __init__(self, testbed: Testbed, patience: float = PATIENCE_SECONDS) -> None:
        self._testbed = testbed
        self._patience = patience
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
        asked: Asked,
    ) -> tuple[httpx.Response, ExchangeValues]:
        """Call an operation; the body of the answer is kept if it is JSON, and only counted otherwise."""
        operation = self._testbed.network.contract.operations[operation_id]
        client = self._client_of(operation.participant)
        url = asked.url
        if url is None:
            url = re.sub(r"\{(\w+)\}", lambda match: quote(asked.parameters[match[1]], safe=""), operation.path)
        if asked.query:
            url += f"{'&' if '?' in url else '?'}{urlencode(asked.query)}"
        request = self._request(client, operation.method, url, asked)
        response = await client.send(request, stream=True)
        body = await _kept(response)
        return response, ExchangeValues(
            status=response.status_code,
            request_path=asked.parameters,
            request_body=asked.json,
            response_headers=response.headers,
            response_body=body,
        )

    def _request(self, client: httpx.AsyncClient, method: str, url: str, asked: Asked) -> httpx.Request:
        headers = dict(asked.headers)
        if asked.file is not None:
            return self._upload(client, method, url, headers, asked.file, asked.form or {})
        if asked.content is not None:
            headers["content-type"], text = asked.content
            return client.build_request(method, url, headers=headers, content=text.encode())
        if asked.form is not None:
            return client.build_request(method, url, headers=headers, data=dict(asked.form))
        return client.build_request(method, url, headers=headers, json=asked.json if asked.has_json else None)

    def _client_of(self, participant: str) -> httpx.AsyncClient:
        named: Participant = msgspec.convert(participant, Participant)
        if named not in self._clients:
            self._clients[named] = self._testbed.network.client("user", named, self._patience)
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
        stage, operation = self._testbed.stage, self._testbed.network.contract.operations["issueToken"]
        if account == "client" and stage.client_scope is not None:
            fields["scope"] = stage.client_scope
        takes_json = "application/json" in operation.request_media_types
        said = Asked(json=fields, has_json=True) if takes_json else Asked(form=fields)
        response, values = await self.call("issueToken", replace(said, parameters=stage.log_in_parameters))
        if response.status_code != 200:
            raise StepFailed(f"logging in as the {account}: Auth answered {response.status_code}, not 200")
        token: str = values.lookup("$response.body#/access_token")
        return token

    def _upload(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        headers: Mapping[str, str],
        file: RunFile,
        fields: Mapping[str, str],
    ) -> httpx.Request:
        """A multipart request with the fields, then the file in its part `file`; streamed if it is large."""
        boundary = f"phrasim-{self._chance.getrandbits(128):032x}"
        before = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head = (
            f"{before}--{boundary}\r\n"
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
