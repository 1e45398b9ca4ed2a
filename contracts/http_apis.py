"""Schemathesis as the judge of the HTTP APIs: it makes requests of its own from the OpenAPI documents, and verdicts.

A landscape is served on real ports by a thread of its own, and schemathesis asks it over loopback HTTP: it would run an
ASGI application on a loop and thread of its own, and a simulator's asyncio objects belong to one loop. So it is judged
what a client sees, the HTTP server included.

What is judged here knows the simulators by their documents and by the accounts of a landscape only. `EXCLUSIONS` is all
that is not held against them.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import hypothesis
import schemathesis
from schemathesis import AuthContext, BaseSchema, Case, HookContext, Response
from schemathesis.core.errors import NoLinksFound
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup, MalformedJson, ServerError
from schemathesis.engine import events, from_schema
from schemathesis.generation.stateful.state_machine import StepInput, StepOutput
from schemathesis.openapi.checks import (
    IgnoredAuth,
    MissingContentType,
    RejectedPositiveData,
    UndefinedContentType,
    UndefinedStatusCode,
)
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from phrasim.documents import load_file, openapi_folder
from phrasim.pytest_plugin.marker import Asked
from phrasim.pytest_plugin.server import Server, open_server, open_server_thread
from phrasim.testbed.services import HeldCommit

Profile = Literal["documented", "deployed"]
Api = Literal["upload", "phraseanet", "auth"]
Phase = Literal["examples", "coverage", "fuzzing", "stateful"]

PROFILES: tuple[Profile, ...] = ("documented", "deployed")
PHASES: tuple[Phase, ...] = ("examples", "coverage", "fuzzing", "stateful")

EXAMPLES_MAX = int(os.environ.get("PHRASIM_HTTP_EXAMPLES", "6"))
"""Requests that are made up for each operation, and twice as many conversations; a long run asks for some hundreds."""

STEPS_MAX = 6
"""Requests of one conversation."""

_SHOWN_BYTES = 300
"""How much of an answer's body a finding shows."""

SEED = 1
"""Chance of the landscape, and of schemathesis."""


Answer = Response | httpx.Response

When = Callable[[Failure, Case, Answer], bool]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A failure that schemathesis finds and the contract wants: `row` of the table of facts says that it is so.

    No `operations` are all of them. `when` narrows it to the answers that the row speaks of; all others count.
    """

    profile: Profile
    operations: tuple[str, ...]
    failure: type[Failure]
    row: str
    reason: str
    when: When
    seldom: bool = False
    """Whether only long runs meet it."""

    def covers(self, profile: Profile, failure: Failure, case: Case, response: Answer) -> bool:
        """Whether that failure is excluded."""
        return (
            self.profile == profile
            and (not self.operations or operation_id(case) in self.operations)
            and isinstance(failure, self.failure)
            and self.when(failure, case, response)
        )


def _answered(status: int, *texts: str) -> When:
    """Answered with that status, and with one of the texts in the body, where some are given."""

    def answered(_failure: Failure, _case: Case, response: Answer) -> bool:
        body = response.content.decode("utf-8", "replace")
        return response.status_code == status and (not texts or any(text in body for text in texts))

    return answered


def _told(*texts: str) -> When:
    """Schemathesis says one of the texts of it: which part of the request was wrong, or what else it tried."""
    return lambda failure, _case, _response: any(text in failure.message for text in texts)


def _names_no_target(_failure: Failure, case: Case, response: Answer) -> bool:
    fields = case.body.keys() if isinstance(case.body, Mapping) else ()
    return response.status_code == 500 and not {"target", "targetSlug"} & set(fields)


def _jsonp(_failure: Failure, _case: Case, response: Answer) -> bool:
    return response.status_code == 200 and "callback" in parse_qs(urlsplit(str(response.request.url)).query)


def _no_json(_failure: Failure, case: Case, response: Answer) -> bool:
    return response.status_code == 422 and case.media_type != "application/json"


def _no_body(failure: Failure, _case: Case, response: Answer) -> bool:
    without_body = isinstance(failure, (MalformedJson, MissingContentType))
    return without_body and response.status_code in (400, 401) and not response.content


# fmt: off
EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(
        "documented",
        ("commitAssets",),
        RejectedPositiveData,
        "A24",
        "what the schema cannot say: ids have to be those of assets that are not committed, each once",
        _answered(400, "files: "),
    ),
    Exclusion(
        "documented",
        ("uploadAsset",),
        RejectedPositiveData,
        "A29",
        "what the schema does not say: a file has at least one byte",
        _answered(400, "Empty file"),
        seldom=True,
    ),
    Exclusion(
        "documented",
        ("issueToken",),
        RejectedPositiveData,
        "§5",
        "made-up credentials are 400, as with the former Auth, where schemathesis expects 401",
        _answered(400, "invalid_client", "invalid_grant", "invalid_scope", "unauthorized_client"),
    ),
    Exclusion(
        "deployed", ("uploadAsset",), RejectedPositiveData, "§2.2",
        "what the schema cannot say: the target has to exist, and a file has at least one byte",
        _answered(400, "does not exist", "Empty file"),
    ),
    Exclusion(
        "deployed", ("uploadAsset",), AcceptedNegativeData, "§2.2",
        "of two targets one is not looked at",
        _told("in body - targetId: ", "in body - targetSlug: "),
    ),
    Exclusion(
        "deployed", ("commitAssets",), RejectedPositiveData, "§2.3",
        "what the schema cannot say: the target has to exist, and the form has to be its form",
        _answered(400, "does not exist", "Item not found for ", "Form errors: "),
    ),
    Exclusion(
        "deployed", ("commitAssets",), ServerError, "§2.3",
        "without a target the program fails, and the document declares that",
        _names_no_target,
    ),
    Exclusion(
        "deployed", ("commitAssets",), AcceptedNegativeData, "§2.3",
        "fields that the server overwrites, or keeps without a look",
        _told("in body - userId", "in body - locale", "in body - schemaId"),
    ),
    Exclusion(
        "deployed", ("commitAssets",), AcceptedNegativeData, "§2.3",
        "of two targets one is not looked at",
        _told("in body - target: ", "in body - targetSlug: "),
    ),
    Exclusion(
        "deployed", ("commitAssets",), AcceptedNegativeData, "§2.3, H18",
        "ids are not checked at all; what no ids are is not known, and is taken for an empty list",
        _told("in body - files", "Missing required property: files"),
    ),
    Exclusion(
        "deployed", ("listCommits",), AcceptedNegativeData, "§2.5",
        "a filter is not held to a form: one that is no boolean filters nothing, no target has no commits",
        _told("parameter `acknowledged`", "parameter `target`"),
    ),
    Exclusion(
        "deployed", ("listCommits",), UndefinedStatusCode, "§2.5",
        "pages are the framework's, and so is its refusal of what is no page; no fact tells of it",
        _answered(400, "Page should not be less than 1"),
    ),
    Exclusion(
        "deployed", ("listCommits",), RejectedPositiveData, "§2.5",
        "the same, for a number of a page that no machine integer can hold",
        _answered(400, "Page should not be less than 1"),
        seldom=True,
    ),
    Exclusion(
        "deployed", ("uploadAsset", "commitAssets", "issueClientToken", "issueToken"), UndefinedStatusCode, "§2.10",
        "no fact tells of 415, and the documents say that it may come nevertheless",
        _answered(415),
    ),
    Exclusion(
        "deployed", ("issueClientToken",), UndefinedContentType, "§2.10",
        "the answers of Keycloak are declared; a body that cannot be forwarded is refused by the upload service itself",
        _answered(400, "hydra:Error"),
    ),
    Exclusion(
        "deployed", ("issueClientToken", "issueToken"), RejectedPositiveData, "§5",
        "what the schema cannot say: which scopes and grants a client has, and that OAuth allows no field twice",
        _answered(400, "invalid_scope", "unauthorized_client", "duplicated parameter"),
        seldom=True,
    ),
    Exclusion(
        "deployed", ("enqueueAssets",), IgnoredAuth, "§3, H34",
        "a request without a token, or with another scheme than OAuth, is 400; see the strangers for wrong tokens",
        _told("got `400 Bad Request`"),
    ),
    Exclusion(
        "deployed", ("enqueueAssets",), Failure, "§3",
        "a refusal of OAuth has no body; `x-body: optional` says so, which is no word of OpenAPI",
        _no_body,
    ),
    Exclusion(
        "deployed", ("getMe",), UndefinedStatusCode, "§2.1",
        "what an AssetToken is answered here is not known, and 500 is what the program does where a user id is missing",
        _answered(500),
    ),
    Exclusion(
        "deployed", ("enqueueAssets",), RejectedPositiveData, "§3",
        "the Content-Type is not looked at, and a body that is no JSON is 422 whatever it calls itself",
        _no_json,
        seldom=True,
    ),
    Exclusion(
        "deployed", ("enqueueAssets",), AcceptedNegativeData, "§3",
        "JSONP is 200, also around a refusal",
        _jsonp,
        seldom=True,
    ),
    *(
        Exclusion(
            profile, (), Failure, "RFC 9112 §6.1",
            "the HTTP server refuses a made-up Transfer-Encoding in its own words, and no service sees the request",
            _answered(400, "Invalid HTTP request received."),
            seldom=True,
        )
        for profile in PROFILES
    ),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Shown:
    """The credentials of a request: its headers for them, and its parameters."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


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

    def note(self, phase: str, case: Case, response: Response) -> None:
        """A request was answered."""
        operation = operation_id(case)
        self.answers[phase, operation, response.status_code] += 1
        if 200 <= response.status_code < 300:
            self.granted.setdefault(operation, Granted(case, response.request))

    def find(self, phase: str, check: str, case: Case, failure: Failure, response: Response | None) -> None:
        """A check has objected to an answer."""
        answer = "none" if response is None else f"{response.status_code} {response.content[:_SHOWN_BYTES]!r}"
        asked = case.as_curl_command()
        told = f"{failure.title}: {failure.message}\n{asked}\nanswer: {answer}"
        self.findings.append(f"{phase}: {check}: {operation_id(case)}: {told}")


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    """Take `callback` out where all is enumerated: it would stand in each request, and JSONP hides the status."""
    if case.meta is not None and case.meta.phase.name.value == "coverage":
        case.query.pop("callback", None)


def operation_id(case: Case) -> str:
    """The `operationId` of what a request asks for."""
    return str(case.operation.definition.raw["operationId"])


STRANGERS: Mapping[str, str | None] = {
    "nobody": None,
    "who has a Bearer that nobody issued": "Bearer stranger",
    "who has the AssetToken of no commit": "AssetToken stranger",
    "who has an OAuth token that nobody issued": "OAuth stranger",
}
"""Callers whom nobody has given what they show, and that."""

DECLARED = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
"""What holds of an answer whoever has asked."""


LINKS: Mapping[tuple[Profile, str, str], Mapping[str, Any]] = {
    ("deployed", "listCommits", "200"): {
        "commit": {"operationId": "getCommit", "parameters": {"id": "$response.body#/hydra:member/0/id"}},
        "acknowledge": {"operationId": "acknowledgeCommit", "parameters": {"id": "$response.body#/hydra:member/0/id"}},
    },
    ("deployed", "getCommit", "200"): {
        "asset": {"operationId": "getAsset", "parameters": {"id": "$response.body#/assets/0#regex:/assets/(.+)"}},
    },
    ("deployed", "getAsset", "200"): {
        "acknowledge": {"operationId": "acknowledgeAsset", "parameters": {"id": "$response.body#/id"}},
    },
}
"""Links that documents lack, by profile, operation and status: how the deployed hand-off goes on from an answer."""


class Judged:
    """A landscape and one of its APIs, with a document whose examples name what is in that landscape.

    It has a commit of two files: its assets, its token and its publisher stand where the document has its own.
    """

    def __init__(self, server: Server, profile: Profile, api: Api, documents: Path) -> None:
        self.server = server
        self.profile = profile
        self.api = api
        self._client = httpx.Client(trust_env=False)
        self._commit = self._made()
        self._asked = 0
        folder = documents / "openapi"
        shutil.copytree(openapi_folder(), folder)
        for path in folder.rglob("*.yaml"):
            path.write_text(_replaced(path.read_text(encoding="utf-8"), self._values()), encoding="utf-8")
        self._document = folder / ("deployed" if profile == "deployed" else "") / f"{api}.yaml"
        self.links = self._linked()
        """The links of the document."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _linked(self) -> set[str]:
        """Write into the document the links that it lacks; those that it has then, as `GET /commits -> [200] asset`."""
        document = load_file(self._document)
        found = set()
        for path, item in document["paths"].items():
            for method in item.keys() & {"get", "post"}:
                for status, response in item[method]["responses"].items():
                    added = LINKS.get((self.profile, item[method]["operationId"], status), {})
                    links = {**response.get("links", {}), **added}
                    # Else what a link says of a body is mixed with what is made up, and ids with ids of nothing.
                    marked = {name: {**link, "x-schemathesis": {"merge_body": False}} for name, link in links.items()}
                    response |= {"links": marked} if marked else {}
                    found |= {f"{method.upper()} {path} -> [{status}] {name}" for name in marked}
        self._document.write_text(json.dumps(document), encoding="utf-8")
        return found

    def judge(self, phases: Sequence[Phase] = PHASES, operations: Sequence[str] = ()) -> Judgement:
        """Let schemathesis judge the API, or only those operations."""
        judgement = Judgement()
        for event in from_schema(self._schema({*phases} - {"stateful"}, operations, judgement)).execute():
            _note(event, judgement)
        if "stateful" in phases:
            self._converse(self._schema({"stateful"}, operations, judgement), judgement)
        return judgement

    def _converse(self, schema: BaseSchema, judgement: Judgement) -> None:
        """Ask one thing after another along the links, with requests that are right.

        Each conversation has a landscape that begins anew. Schemathesis's own phase has one landscape for all, which
        remembers: Hypothesis then sees that the same choices lead elsewhere, and schemathesis gives up without a word.
        """
        begin_anew, counts = self._begin_anew, self._counts

        class Conversation(schema.as_state_machine()):  # type: ignore[misc]  # it is made for this document
            def setup(self) -> None:
                begin_anew()

            def step(self, input: StepInput) -> StepOutput:  # noqa: A002 - the name is schemathesis's
                output = super().step(input)
                if input.transition is not None and input.is_applied and 200 <= output.response.status_code < 300:
                    judgement.followed[input.transition.id.rpartition(" -> ")[0]] += 1
                return output

            def after_call(self, response: Response, case: Case) -> None:
                super().after_call(response, case)
                judgement.note("stateful", case, response)

            def validate_response(self, response: Response, case: Case, *others: Any, **named: Any) -> None:
                try:
                    super().validate_response(response, case, *others, **named)
                except FailureGroup as found:
                    for failure in found.exceptions:
                        if counts(failure, case, response, judgement):
                            judgement.find("stateful", type(failure).__name__, case, failure, response)

        # Where no answer of a document leads on to another request there is no conversation.
        with suppress(NoLinksFound):
            Conversation.run(
                settings=hypothesis.settings(
                    max_examples=2 * EXAMPLES_MAX,
                    stateful_step_count=STEPS_MAX,
                    derandomize=True,
                    database=None,
                    deadline=None,
                    phases=[hypothesis.Phase.generate],
                    suppress_health_check=list(hypothesis.HealthCheck),
                )
            )

    def _begin_anew(self) -> None:
        self.server.reset()
        self._commit = self._made()

    def _made(self) -> HeldCommit:
        return self.server.add_commit({"a.txt": b"Hello.", "b.txt": b"Hello again."})

    def _schema(self, phases: AbstractSet[Phase], operations: Sequence[str], judgement: Judgement) -> BaseSchema:
        """The API, or only those operations, as schemathesis knows it: with credentials and exclusions."""
        conversations = {
            "enabled": "stateful" in phases,
            "generation": {"mode": "positive"},
            "inference": {"algorithms": []},
            # It asks three times more at each step, and the other phases have asked already.
            "checks": {"ignored_auth": {"enabled": False}},
        }
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
                "phases": {phase: {"enabled": phase in phases} for phase in PHASES} | {"stateful": conversations},
                # It would take words from the modules that happen to be loaded, and so make other requests each time.
                "analysis": {"constants": {"enabled": False}},
            }
        )
        schema = schemathesis.openapi.from_path(self._document, config=config)
        schema.auth(refresh_interval=None)(self._provider())
        self._hook(schema, judgement)
        return schema.include(operation_id=list(operations)) if operations else schema

    def _shown(self, case: Case) -> Shown | None:
        """How the caller whom an operation is meant for is let in; None where nobody is asked.

        One in four that need an AssetToken comes from an administrator, and of OAuth tokens one in four as a parameter.
        """
        schemes = {name for choice in case.operation.definition.raw["security"] for name in choice}
        if not schemes:
            return None
        self._asked += 1
        other = self._asked % 4 == 0
        if "OAuth" in schemes:
            token = self._phraseanet_token()
            return Shown(query={"oauth_token": token}) if other else Shown({"Authorization": f"OAuth {token}"})
        if "AssetToken" in schemes:
            administrator = self.server.administrator.headers
            return Shown(administrator if other else {"authorization": f"AssetToken {self._token(case)}"})
        account = self.server.client if operation_id(case) in _FOR_CLIENTS else self.server.publisher
        return Shown(account.headers)

    def let_in(self, judgement: Judgement) -> dict[str, set[str]]:
        """Who else is answered with success, by operation; what is found against that goes into `judgement`."""
        self._begin_anew()
        return {
            operation: {caller for caller, header in self._callers(one.case) if self._ask(one, header, judgement)}
            for operation, one in judgement.granted.items()
        }

    def _ask(self, granted: Granted, header: str | None, judgement: Judgement) -> bool:
        """Send a request again with that `Authorization`; whether it succeeds."""
        sent = granted.request
        headers = {name: value for name, value in sent.headers.items() if name.lower() != "authorization"}
        if header is not None:
            headers["Authorization"] = header
        url = httpx.URL(sent.url).copy_remove_param("oauth_token")
        response = self._client.request(sent.method, url, headers=headers, content=sent.body)
        try:
            granted.case.validate_response(response, checks=DECLARED)
        except FailureGroup as found:
            for failure in found.exceptions:
                if self._counts(failure, granted.case, response, judgement):
                    judgement.findings.append(f"{operation_id(granted.case)}, asked with {header!r}: {failure}")
        return response.is_success

    def _callers(self, case: Case) -> Iterator[tuple[str, str | None]]:
        """Everybody, with what they show."""
        yield from STRANGERS.items()
        yield "a user", self.server.publisher.headers["authorization"]
        yield "an administrator", self.server.administrator.headers["authorization"]
        yield "a client", self.server.client.headers["authorization"]
        yield "the commit", f"AssetToken {self._token(case)}"
        if self.profile == "deployed":
            yield "a target", f"OAuth {self._phraseanet_token()}"

    def _provider(self) -> type:
        shown = self._shown

        class Credentials:
            def get(self, case: Case, _context: AuthContext) -> Shown | None:
                return shown(case)

            def set(self, case: Case, shown: Shown, _context: AuthContext) -> None:
                case.headers.update(shown.headers)
                case.query.update(shown.query)

        return Credentials

    def _hook(self, schema: BaseSchema, judgement: Judgement) -> None:
        @schema.hook
        def filter_failure(_context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
            return self._counts(failure, case, response, judgement)

    def _counts(self, failure: Failure, case: Case, response: Answer, judgement: Judgement) -> bool:
        """Whether a failure counts, as it does where no exclusion covers it."""
        covering = [one for one in EXCLUSIONS if one.covers(self.profile, failure, case, response)]
        judgement.excluded.update(covering)
        return not covering

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
        signed = urlsplit(self._client.get(f"{url}/assets/{asset_id}", headers=token).json()["url"])
        query = parse_qs(signed.query)
        return {
            _REFERRED: _WRITTEN_OUT,
            "targetSlug: press": f"targetSlug: {target.slug}",
            "6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15": target.id,
            "example: 4c097077.png": f"example: {signed.path.removeprefix('/files/')}",
            'example: "1557933234"': f'example: "{query["expires"][0]}"',
            "example: 2f1c9be07d": f'example: "{query["signature"][0]}"',
        }


_REFERRED = """
      $ref: "../upload.yaml#/components/schemas/Upload"
      properties:
"""
_WRITTEN_OUT = """
      type: object
      required: [file]
      properties:
        file: {type: string, format: binary}
"""
"""The deployed schema of an upload without its `$ref`: schemathesis looks into `properties` only for what is a file."""

_FOR_CLIENTS = ("listCommits", "getPublisherInfo")
"""Operations that take a Bearer and are meant for Phraseanet's client."""


@contextmanager
def judged(profile: Profile, api: Api, documents: Path) -> Iterator[Judged]:
    """A landscape of that profile, in which nobody but schemathesis does anything, and one of its APIs."""
    asked = Asked(profile=profile, mode="off", seed=SEED)
    with (
        open_server_thread() as thread,
        open_server(thread, asked) as server,
        closing(Judged(server, profile, api, documents)) as one,
    ):
        yield one


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
    responses = {case_id: one.response for case_id, one in recorder.interactions.items()}
    for case_id, node in recorder.cases.items():
        if (response := responses.get(case_id)) is not None:
            judgement.note(event.phase.value, node.value, response)
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                case, failure = recorder.cases[case_id].value, check.failure_info.failure
                judgement.find(event.phase.value, check.name, case, failure, responses.get(case_id))
