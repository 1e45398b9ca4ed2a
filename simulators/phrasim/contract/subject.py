"""The participant that is held to the contract, among those that phrasim plays around it."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from phrasim.contract.finding import HttpExchange
from phrasim.documents import Contract
from phrasim.journal.events import Participant
from phrasim.scenario.model import WireName
from phrasim.testbed import SERVICES, ProfileName, Testbed

_Result = TypeVar("_Result")

PATIENCE_SECONDS = 10.0
"""How long a participant may take for an answer."""

BOUNDARY = "a-boundary-of-phrasim"
"""What parts the forms that are sent here; the same in every run."""


class Subject(ABC):
    """A participant and its landscape, as a suite asks them: an ordinary call at a time, on whichever wire.

    `is_real` tells whether the participant is a real one, whose inside nobody sees.
    """

    wire: WireName
    is_real: bool
    answers_without_end: bool = False
    """Whether an answer was left that had no end."""
    until: float = math.inf
    """When the time is over, by `time.monotonic`: no request is waited for any longer."""

    def __init__(self, participant: Participant) -> None:
        self.participant = participant

    @property
    @abstractmethod
    def bed(self) -> Testbed:
        """The participants; touch them within `look` or `run` only."""

    @abstractmethod
    def look(self, look: Callable[[], _Result]) -> _Result:
        """What `look` returns, called where nothing else happens meanwhile."""

    @abstractmethod
    def run(self, work: Coroutine[Any, Any, _Result], within: float = 0) -> _Result:
        """The result of a coroutine on the loop of the landscape, which may take `within` seconds and some more."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let so much protocol time pass."""

    @abstractmethod
    def exchange(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request.

        Raises `httpx.HTTPError` where none comes, and `Over` where the time was over before it could come.
        """

    @property
    def contract(self) -> Contract:
        """The contract that is in force."""
        return self.bed.network.contract

    @property
    def profile(self) -> ProfileName:
        """The profile that is in force."""
        return self.bed.setting.profile

    def url(self, participant: Participant) -> str:
        """The base URL of a service, as it is called from here."""
        return self.bed.network.addressing.url(participant)

    def operation(self, operation_id: str, parameters: Mapping[str, str] | None = None) -> tuple[str, str]:
        """The method and URL of an operation, its path parameters filled in."""
        operation = self.contract.operations[operation_id]
        path = operation.path.format_map(parameters or {})
        return operation.method, self.url(operation.participant) + path  # type: ignore[arg-type]

    def send(
        self,
        sender: Participant,
        method: str,
        url: str,
        authorization: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **parts: Any,
    ) -> HttpExchange:
        """Send a request and wait for its answer; `parts` are `httpx.Request`'s: json, content, data, files.

        A request without an answer is an exchange, too, which says what happened.
        """
        shown = {"accept": "application/json", **(headers or {})}
        if authorization is not None:
            shown["authorization"] = authorization
        request = httpx.Request(method, url, headers=shown, **parts)
        body = request.read()
        began, began_at = time.monotonic(), time.time()
        try:
            response, failure = self.exchange(request), ""
        except httpx.HTTPError as error:
            response, failure = None, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return HttpExchange(
            sender=sender,
            receiver=self.receiver(url),
            operation_id=self.operation_of(method, url),
            method=method,
            url=url,
            request_headers=_pairs(request.headers),
            request_body=body,
            status=None if response is None else response.status_code,
            response_headers=() if response is None else _pairs(response.headers),
            response_body=b"" if response is None else response.content,
            began_at=began_at,
            seconds=time.monotonic() - began,
            failure=failure,
        )

    def call(
        self,
        sender: Participant,
        operation_id: str,
        authorization: str | None = None,
        parameters: Mapping[str, str] | None = None,
        **parts: Any,
    ) -> HttpExchange:
        """Call an operation."""
        method, url = self.operation(operation_id, parameters)
        return self.send(sender, method, url, authorization, **parts)

    def receiver(self, url: str) -> Participant:
        """Whose a URL is; one that is nobody's leads to the files of the upload service."""
        for name in SERVICES:
            base = self.url(name)
            if url == base or url.startswith((f"{base}/", f"{base}?")):
                return name
        return "upload"

    def operation_of(self, method: str, url: str) -> str | None:
        """The operation that a request is, by its operationId; None where it is none."""
        receiver = self.receiver(url)
        base = self.url(receiver)
        path = url[len(base) :].partition("?")[0] if url.startswith(base) else urlsplit(url).path
        found = self.contract.operation(receiver, method, path)
        return None if found is None else found.operation_id


def file_form(content: bytes, target_slug: str | None = None) -> dict[str, Any]:
    """The parts of a request that uploads a file (§2.2); the deployed service wants a target."""
    return {
        "headers": {"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        "files": {"file": ("asset.bin", content)},
        "data": {} if target_slug is None else {"targetSlug": target_slug},
    }


def _pairs(headers: httpx.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers.multi_items())
