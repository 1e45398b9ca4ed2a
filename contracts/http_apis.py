"""Schemathesis as the judge of the HTTP APIs: it makes its own requests from the OpenAPI documents, and its own verdicts.

A landscape is served on real ports by a thread of its own, and schemathesis asks it over loopback HTTP: it would run an
ASGI application on a loop and thread of its own, and a simulator's asyncio objects belong to one loop. So it is judged
what a client sees, the HTTP server included.

What is judged here knows the simulators by their documents and by the accounts of a landscape only. `EXCLUSIONS` is all
that is not held against them.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import schemathesis
from schemathesis import AuthContext, BaseSchema, Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.engine import events, from_schema
from schemathesis.openapi.checks import (
    IgnoredAuth,
    RejectedPositiveData,
    UndefinedContentType,
    UndefinedStatusCode,
    UnsupportedMethodResponse,
)

from phrasim.documents import openapi_folder
from phrasim.pytest_plugin.marker import Asked
from phrasim.pytest_plugin.server import Server, open_server, open_server_thread

Profile = Literal["documented", "deployed"]
Api = Literal["upload", "phraseanet", "auth"]
Phase = Literal["examples", "coverage", "fuzzing", "stateful"]

PHASES: tuple[Phase, ...] = ("examples", "coverage", "fuzzing", "stateful")

EXAMPLES_MAX = int(os.environ.get("PHRASIM_HTTP_EXAMPLES", "8"))
"""Requests that are made up for each operation, and conversations in all; a long run sets the variable to a thousand."""

SEED = 1
"""Chance of the landscape, and of schemathesis."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A failure that schemathesis finds and the contract wants: `row` of the table of facts says that it is so.

    `when` narrows it to the answers that the row speaks of; all others count.
    """

    profile: Profile
    operations: tuple[str, ...]
    failure: type[Failure]
    row: str
    reason: str
    when: Callable[[Case, Response], bool] = lambda _case, _response: True

    def covers(self, profile: Profile, failure: Failure, case: Case, response: Response) -> bool:
        """Whether that failure is excluded."""
        return (
            self.profile == profile
            and operation_id(case) in self.operations
            and isinstance(failure, self.failure)
            and self.when(case, response)
        )


def _status(*statuses: int) -> Callable[[Case, Response], bool]:
    return lambda _case, response: response.status_code in statuses


def _without_target(case: Case, response: Response) -> bool:
    body = case.body if isinstance(case.body, Mapping) else {}
    return response.status_code == 500 and not {"target", "targetSlug"} & body.keys()


def _jsonp(case: Case, response: Response) -> bool:
    return response.status_code == 200 and "callback" in parse_qs(urlsplit(response.request.url).query)


EXCLUSIONS: tuple[Exclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Granted:
    """A request that was answered with success, to be sent again by others."""

    case: Case
    request: Any


@dataclass(slots=True)
class Judgement:
    """What schemathesis found: `answers` counts by phase, operation and status; `followed` are links that led on."""

    findings: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    followed: Counter[str] = field(default_factory=Counter)
    excluded: Counter[Exclusion] = field(default_factory=Counter)
    granted: dict[str, Granted] = field(default_factory=dict)

    def succeeded(self) -> set[tuple[str, int]]:
        """The operations with the 2xx that they were answered with."""
        return {(operation, status) for _, operation, status in self.answers if 200 <= status < 300}


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    """Take `callback` out where everything is enumerated: it would stand in each request, and JSONP hides the status."""
    if case.meta is not None and case.meta.phase.name.value == "coverage":
        case.query.pop("callback", None)


def operation_id(case: Case) -> str:
    """The `operationId` of what a request asks for."""
    return str(case.operation.definition.raw["operationId"])


class Judged:
    """A landscape and one of its APIs, with a document whose examples name what is in that landscape.

    It has a commit of two files: its assets, its token and its publisher stand where the document has its own.
    """

    def __init__(self, server: Server, profile: Profile, api: Api, documents: Path) -> None:
        self.server = server
        self.profile = profile
        self.api = api
        self._commit = server.add_commit({"a.txt": b"Hello.", "b.txt": b"Hello again."})
        self._asked = 0
        folder = documents / "openapi"
        shutil.copytree(openapi_folder(), folder)
        for path in folder.rglob("*.yaml"):
            path.write_text(_replaced(path.read_text(encoding="utf-8"), self._values()), encoding="utf-8")
        self._document = folder / ("deployed" if profile == "deployed" else "") / f"{api}.yaml"

    def judge(self, phases: Sequence[Phase] = PHASES, operations: Sequence[str] = ()) -> Judgement:
        """Let schemathesis judge the API, or only those operations."""
        judgement = Judgement()
        schema = self.schema(phases, judgement)
        if operations:
            schema = schema.include(operation_id=list(operations))
        for event in from_schema(schema).execute():
            _note(event, judgement)
        return judgement

    def schema(self, phases: Sequence[Phase], judgement: Judgement) -> BaseSchema:
        """The API as schemathesis knows it, with credentials and exclusions."""
        config = schemathesis.Config.from_dict(
            {
                "seed": SEED,
                "cache": {"enabled": False},
                "base-url": getattr(self.server, self.api).url,
                "continue-on-failure": True,
                "generation": {
                    "max-examples": EXAMPLES_MAX,
                    "deterministic": True,
                    "database": "none",
                    "no-shrink": True,
                },
                "phases": {
                    **{phase: {"enabled": phase in phases} for phase in PHASES},
                    "stateful": {"enabled": "stateful" in phases},
                },
            }
        )
        schema = schemathesis.openapi.from_path(self._document, config=config)
        schema.auth(refresh_interval=None)(self._provider())
        self._hook(schema, judgement)
        return schema

    def credentials(self, case: Case) -> str | None:
        """The header by which the caller whom an operation is meant for is let in; None where nobody is asked."""
        schemes = {name for choice in case.operation.definition.raw["security"] for name in choice}
        if "OAuth" in schemes:
            return f"OAuth {self._phraseanet_token()}"
        if "AssetToken" in schemes:
            self._asked += 1
            if self._asked % 4:
                return f"AssetToken {self._token(case)}"
            return self.server.administrator.headers["authorization"]
        if "Bearer" not in schemes:
            return None
        account = self.server.client if operation_id(case) in _FOR_CLIENTS else self.server.publisher
        return account.headers["authorization"]

    def strangers(self) -> dict[str, str | None]:
        """Credentials that nobody was given."""
        return {
            "nobody": None,
            "a Bearer that nobody issued": "Bearer stranger",
            "an AssetToken of no commit": "AssetToken stranger",
            "an OAuth token that nobody issued": "OAuth stranger",
        }

    def callers(self) -> dict[str, str | None]:
        """Credentials of all who are known."""
        return {
            "a user": self.server.publisher.headers["authorization"],
            "an administrator": self.server.administrator.headers["authorization"],
            "a client": self.server.client.headers["authorization"],
            "a commit": f"AssetToken {self._commit.token}",
        }

    def _provider(self) -> type:
        credentials = self.credentials

        class Credentials:
            def get(self, case: Case, _context: AuthContext) -> str | None:
                return credentials(case)

            def set(self, case: Case, data: str, _context: AuthContext) -> None:
                case.headers["Authorization"] = data

        return Credentials

    def _hook(self, schema: BaseSchema, judgement: Judgement) -> None:
        profile = self.profile

        @schema.hook
        def filter_failure(_context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
            for exclusion in EXCLUSIONS:
                if exclusion.covers(profile, failure, case, response):
                    judgement.excluded[exclusion] += 1
                    return False
            return True

    def _token(self, case: Case) -> str:
        """The token that opens the asset or commit of a request, as it is now; some commit's where there is none."""
        wanted = case.path_parameters.get("id")
        for commit in self.server.commits:
            if wanted == commit.id or wanted in commit.asset_ids:
                return commit.token
        return self._commit.token

    def _phraseanet_token(self) -> str:
        return self._commit.target.key  # type: ignore[attr-defined]  # a deployed commit has a target

    def _values(self) -> dict[str, str]:
        """What stands in the documents' examples, and what it is called in this landscape; longer names first."""
        server, (first, second) = self.server, self._commit.asset_ids
        values = {
            "phraseanet-client-secret": server.client.client_secret,
            "phraseanet-client": server.client.client_id,
            "upload-client-secret": server.front_end.client_secret,
            "upload-client": server.front_end.client_id,
            "correct horse battery staple": server.publisher.password,
            "publisher@example.org": server.publisher.email,
            "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856": server.publisher.id,
            "4c097077-a26b-4af4-9a5d-b13fd4c77b3d": first,
            "a134145e-9461-4f0a-8bd8-7025d31a6b8e": second,
            "8f6a1c52-3c0e-4f0b-9d0a-5b1a7c9d2e41": self._commit.id,
            "f87a1c3e5b7d9f0214365870a9cbed0f214700b7cd": self._commit.token,
            "https://upload.example": server.upload.url,
        }
        return values | (self._deployed_values(first) if self.profile == "deployed" else {})

    def _deployed_values(self, asset_id: str) -> dict[str, str]:
        (target, *_), url = self.server.targets, self.server.upload.url
        token = {"authorization": f"AssetToken {self._commit.token}"}
        signed = urlsplit(httpx.get(f"{url}/assets/{asset_id}", headers=token).json()["url"])
        query = parse_qs(signed.query)
        return {
            "targetSlug: press": f"targetSlug: {target['slug']}",
            "6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15": target["id"],
            "example: 4c097077.png": f"example: {signed.path.removeprefix('/files/')}",
            'example: "1557933234"': f'example: "{query["expires"][0]}"',
            "example: 2f1c9be07d": f'example: "{query["signature"][0]}"',
        }


_FOR_CLIENTS = ("listCommits", "getPublisherInfo")
"""Operations that take a Bearer and are meant for Phraseanet's client."""


@contextmanager
def judged(profile: Profile, api: Api, documents: Path) -> Iterator[Judged]:
    """A landscape of that profile, in which nobody but schemathesis does anything, and one of its APIs."""
    with open_server_thread() as thread, open_server(thread, Asked(profile=profile, mode="off", seed=SEED)) as server:
        yield Judged(server, profile, api, documents)


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], text)


def _note(event: events.EngineEvent, judgement: Judgement) -> None:
    match event:
        case events.ScenarioFinished():
            _note_scenario(event, judgement)
        case events.NonFatalError():
            judgement.findings.append(f"{event.label}: {event.info.format()}")
        case events.FatalError():
            raise event.exception


def _note_scenario(event: events.ScenarioFinished, judgement: Judgement) -> None:
    recorder = event.recorder
    for case_id, node in recorder.cases.items():
        interaction = recorder.interactions.get(case_id)
        if interaction is None or interaction.response is None:
            continue
        response, operation = interaction.response, operation_id(node.value)
        judgement.answers[event.phase.value, operation, response.status_code] += 1
        if 200 <= response.status_code < 300:
            judgement.granted.setdefault(operation, Granted(node.value, response.request))
            if node.transition is not None and node.is_transition_applied:
                judgement.followed[node.transition.id] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure, response = check.failure_info.failure, recorder.interactions[case_id].response
                found = f"{event.phase.value}: {check.name}: {operation_id(recorder.cases[case_id].value)}"
                answer = "none" if response is None else f"{response.status_code} {response.content[:300]!r}"
                told = f"{failure.title}: {failure.message}\n{check.failure_info.code_sample}\nanswer: {answer}"
                judgement.findings.append(f"{found}: {told}")
