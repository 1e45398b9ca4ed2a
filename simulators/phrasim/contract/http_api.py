"""Schemathesis as the judge of an HTTP API: it makes requests of its own from the OpenAPI document, and verdicts.

What it judges it knows by the document and by the accounts of the landscape only. `EXCLUSIONS` is all that is not held
against it.
"""

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import hypothesis
import schemathesis
from schemathesis import AuthContext, BaseSchema, Case, HookContext, Response
from schemathesis.core.errors import NoLinksFound
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.engine import events, from_schema
from schemathesis.generation.stateful.state_machine import StepInput, StepOutput

from phrasim.contract.asgi import bridge
from phrasim.contract.drawn import run_drawn
from phrasim.contract.exclusions import EXCLUSIONS, Answer, Exclusion, operation_id
from phrasim.contract.finding import HttpExchange
from phrasim.contract.inquiry import Commit, Inquiry, Over, place_of, said
from phrasim.contract.principals import Principals
from phrasim.contract.subject import PATIENCE_SECONDS, Subject
from phrasim.contract.uploads import Uploads
from phrasim.documents import load_file, openapi_folder
from phrasim.documents.contract import CONTRACTS
from phrasim.testbed import ProfileName

ApiPhase = Literal["examples", "coverage", "fuzzing", "stateful"]

PHASES: tuple[ApiPhase, ...] = ("examples", "coverage", "fuzzing", "stateful")

EXAMPLES_MAX = 6
"""Requests that are made up for each operation, where no time is given to fill."""

STEPS_MAX = 6
"""Requests of one conversation."""

CONVERSATIONS, CONVERSATIONS_MAX = 40, 100_000
"""Conversations, where no time is given to fill, and where that ends them."""

_CONVERSING = 0.3
"""The part of the time that is for conversations."""

LINKS: Mapping[tuple[ProfileName, str, str], Mapping[str, Any]] = {
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

_FOR_CLIENTS = ("listCommits", "getPublisherInfo")
"""Operations that take a Bearer and are meant for Phraseanet's client."""

_WRITING = ("post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Shown:
    """The credentials of a request: its headers for them, and its parameters."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Take `callback` out where all is enumerated: it would stand in each request, and JSONP hides the status."""
    if case.meta is not None and case.meta.phase.name.value == "coverage":
        case.query.pop("callback", None)


class ApiJudge:
    """An API, with a document whose examples name what is in that landscape.

    `answers` counts by phase, operation and status; `followed` are the links that led on, of all `links`;
    `excluded` are the exclusions that were needed.
    """

    def __init__(self, subject: Subject, inquiry: Inquiry, callers: Principals, documents: Path) -> None:
        self.subject = subject
        self.inquiry = inquiry
        self.callers = callers
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self.followed: Counter[str] = Counter()
        self.excluded: Counter[Exclusion] = Counter()
        self._uploads = Uploads(subject, inquiry, callers)
        self._asked = 0
        self._commits: list[Commit] = []
        if subject.participant == "upload" and not inquiry.asked.read_only:
            self._commits.append(self._uploads.commit([self._uploads.upload(b"Hello."), self._uploads.upload(b"Hi.")]))
        folder = documents / "openapi"
        shutil.copytree(openapi_folder(), folder)
        for path in folder.rglob("*.yaml"):
            path.write_text(_replaced(path.read_text(encoding="utf-8"), self._values()), encoding="utf-8")
        self._document = folder / CONTRACTS[subject.profile][subject.participant]
        self.links = self._linked()
        """The links of the document, as `GET /commits -> [200] asset`."""

    def judge(
        self,
        phases: Sequence[ApiPhase] = PHASES,
        operations: Sequence[str] = (),
        examples: int = EXAMPLES_MAX,
        conversations: int = CONVERSATIONS,
        seconds: int | None = None,
    ) -> None:
        """Judge the API, or only those operations; with `seconds` requests are made up until they are over."""
        until = self.inquiry.until if seconds is None else self.inquiry.clock() + seconds * _CONVERSING
        if "stateful" in phases:
            # First, while nobody has made commits of nothing, from which no link leads on.
            rounds = conversations if seconds is None else CONVERSATIONS_MAX
            self._converse(self._schema({"stateful"}, operations, examples), rounds, until)
        if self.inquiry.over:  # to get ready takes a second, and longer on a busy machine
            return
        schema = self._schema({*phases} - {"stateful"}, operations, examples, fills_time=seconds is not None)
        stream = from_schema(schema).execute()
        for event in stream:
            self._note(event)
            if self.inquiry.ended:
                stream.stop()

    def _converse(self, schema: BaseSchema, conversations: int, until: float) -> None:
        """Ask one thing after another along the links, with requests that are right, until that time."""
        judge = self

        class Conversation(schema.as_state_machine()):  # type: ignore[misc]  # it is made for this document
            def step(self, input: StepInput) -> StepOutput:  # noqa: A002 - the name is schemathesis's
                output: StepOutput = super().step(input)
                if input.transition is not None and input.is_applied and 200 <= output.response.status_code < 300:
                    judge.followed[input.transition.id.rpartition(" -> ")[0]] += 1
                return output

            def before_call(self, case: Case[Any]) -> None:
                if judge.inquiry.ended or judge.inquiry.clock() >= until:
                    raise Over
                super().before_call(case)

            def after_call(self, response: Response, case: Case[Any]) -> None:
                super().after_call(response, case)
                judge.answered("stateful", case, response)

            def validate_response(self, response: Response, case: Case[Any], *others: Any, **named: Any) -> None:
                try:
                    super().validate_response(response, case, *others, **named)
                except FailureGroup as found:
                    for failure in found.exceptions:
                        if judge.counts(failure, case, response):
                            judge.find(type(failure).__name__, case, failure, response)

        def run(chance: int, known: hypothesis.settings) -> None:
            hypothesis.seed(chance)(Conversation)
            Conversation.run(settings=known)

        # Where no answer of a document leads on to another request there is no conversation.
        with suppress(NoLinksFound, Over):
            run_drawn(self.inquiry, run, conversations, STEPS_MAX)

    def answered(self, phase: str, case: Case[Any], response: Response) -> None:
        """A request was answered."""
        operation = operation_id(case)
        self.inquiry.cases += 1
        self.inquiry.answers[operation] += 1
        self.answers[phase, operation, response.status_code] += 1
        succeeded = 200 <= response.status_code < 300
        if succeeded and operation == "uploadAsset" and isinstance(told := _json(response), dict):
            self.inquiry.assets.add(str(told.get("id")))

    def find(self, check: str, case: Case[Any], failure: Failure, response: Response | None) -> None:
        """A check has objected to an answer."""
        operation = self.inquiry.contract.operations[operation_id(case)]
        exchange = None if response is None else self._exchange(case, response)
        status = None if response is None else response.status_code
        came = f"{'no answer' if status is None else status}: {failure.title}"
        with suppress(Over):
            self.inquiry.find(
                check,
                operation.operation_id,
                asked=f"{operation.method} {operation.path}" if exchange is None else said(exchange),
                came=came,
                expected=failure.message.strip() or "what is declared there",
                place=place_of(operation, status),
                exchange=exchange,
            )

    def counts(self, failure: Failure, case: Case[Any], response: Answer) -> bool:
        """Whether a failure counts, as it does where no exclusion covers it."""
        covering = [one for one in EXCLUSIONS if one.covers(self.subject.profile, failure, case, response)]
        self.excluded.update(covering)
        return not covering

    def token(self, case: Case[Any]) -> str:
        """The token that opens the asset or commit of a request, as it is now; some commit's where there is none.

        Never that of a commit which somebody else has made: what is there already is left alone.
        """
        commit = self._ours(case)
        return commit.token if commit else self._commits[0].token if self._commits else "a" * 42

    def _ours(self, case: Case[Any]) -> Commit | None:
        """The commit of this verification that a request is about."""
        wanted = case.path_parameters.get("id")
        for commit in (*self._commits, *self._told()):
            if wanted == commit.id or wanted in commit.assets:
                return commit
        return None

    def _told(self) -> list[Commit]:
        """The commits of ours that the listing tells of now: a live token for what a conversation has committed."""
        if self.subject.participant != "upload" or "client with commit:list" not in self.callers:
            return []
        method, url = self.subject.operation("listCommits")
        client = self.callers["client with commit:list"]
        try:
            listed = self._uploads.read(self.subject.send("phraseanet", method, url, client))
        except Over:  # schemathesis has to go on until it is stopped
            return []
        known = {one.id for one in self._commits}
        new = [
            one for one in listed if one.id not in known and one.assets and self.inquiry.assets.issuperset(one.assets)
        ]
        self._commits += new
        self.inquiry.commits |= {one.id: one for one in new}
        return new

    def _exchange(self, case: Case[Any], response: Response) -> HttpExchange:
        request = response.request
        body = request.body.encode() if isinstance(request.body, str) else request.body
        url = str(request.url)
        return HttpExchange(
            sender="user",
            receiver=self.subject.participant,
            operation_id=operation_id(case),
            method=str(request.method),
            url=url,
            request_headers=tuple((str(name).lower(), _text(value)) for name, value in request.headers.items()),
            request_body=body if isinstance(body, bytes) else b"",
            status=response.status_code,
            response_headers=tuple((name, value) for name, values in response.headers.items() for value in values),
            response_body=response.content or b"",
            began_at=0.0,
            seconds=response.elapsed,
        )

    def _note(self, event: events.EngineEvent) -> None:
        match event:
            case events.ScenarioFinished():
                self._note_scenario(event)
            case events.NonFatalError():
                self.inquiry.remark(
                    f"schemathesis could not try all of {event.label}: {_first_line(event.info.format())}"
                )
            case events.FatalError():
                raise event.exception

    def _note_scenario(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        responses = {case_id: one.response for case_id, one in recorder.interactions.items()}
        for case_id, node in recorder.cases.items():
            if (response := responses.get(case_id)) is not None:
                self.answered(event.phase.value, node.value, response)
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    case, failure = recorder.cases[case_id].value, check.failure_info.failure
                    self.find(check.name, case, failure, responses.get(case_id))

    def _schema(
        self, phases: AbstractSet[ApiPhase], operations: Sequence[str], examples: int, *, fills_time: bool = False
    ) -> BaseSchema:
        """The API, or only those operations, as schemathesis knows it: with credentials and exclusions.

        With `fills_time` it goes on making up requests from now until the time of the inquiry is over.
        """
        conversations = {
            "enabled": "stateful" in phases,
            "generation": {"mode": "positive"},
            "inference": {"algorithms": []},
            # It asks three times more at each step, and the other phases have asked already.
            "checks": {"ignored_auth": {"enabled": False}},
        }
        config = schemathesis.Config.from_dict(
            {
                "seed": self.inquiry.asked.seed,
                "cache": {"enabled": False},
                "base-url": self.subject.url(self.subject.participant),
                "request-timeout": max(1.0, min(PATIENCE_SECONDS, self.inquiry.until - self.inquiry.clock())),
                "continue-on-failure": True,
                "generation": {
                    "max-examples": examples,
                    "deterministic": not fills_time,
                    "database": "none",
                    "no-shrink": True,
                },
                "phases": {phase: {"enabled": phase in phases} for phase in PHASES}
                | {"stateful": conversations, "coverage": {"enabled": "coverage" in phases, **self._methods()}},
                # It would take words from the modules that happen to be loaded, and so make other requests each time.
                "analysis": {"constants": {"enabled": False}},
            }
        )
        schema = schemathesis.openapi.from_path(self._document, config=config)
        if self.subject.wire == "in-process":
            schema.app = bridge(self.subject)
        schema.auth(refresh_interval=None)(self._provider())
        self._hook(schema)
        if fills_time:  # set last, since what is above takes some of it; in whole seconds, which do not reach too far
            config.max_time = max(1, int(self.inquiry.until - self.inquiry.clock()))
        return schema.include(operation_id=list(operations)) if operations else schema

    def _methods(self) -> dict[str, Any]:
        """Which methods are tried of paths that do not know them: where nothing may be written none that could."""
        return {"unexpected-methods": ["OPTIONS"]} if self.inquiry.asked.read_only else {}

    def _shown(self, case: Case[Any]) -> Shown | None:
        """How the caller whom an operation is meant for is let in; None where nobody is asked.

        One in four that need an AssetToken comes from an administrator, and of OAuth tokens one in four as a parameter.
        """
        schemes = {name for choice in case.operation.definition.raw["security"] for name in choice}
        if not schemes:
            return None
        self._asked += 1
        other = self._asked % 4 == 0
        if "OAuth" in schemes:
            token = self.subject.bed.stage.phraseanet_token
            return Shown(query={"oauth_token": token}) if other else Shown({"Authorization": f"OAuth {token}"})
        if "AssetToken" in schemes:
            administrator = self.callers.headers.get("administrator 0")
            ours = other and (not self.subject.is_real or self._ours(case) is not None)
            shown = administrator if ours and administrator else f"AssetToken {self.token(case)}"
            return Shown({"Authorization": shown})
        caller = "client with commit:list" if operation_id(case) in _FOR_CLIENTS else "owner"
        return Shown({"Authorization": self.callers[caller]}) if caller in self.callers else None

    def _provider(self) -> type:
        shown = self._shown

        class Credentials:
            def get(self, case: Case[Any], _context: AuthContext) -> Shown | None:
                return shown(case)

            def set(self, case: Case[Any], shown: Shown, _context: AuthContext) -> None:
                case.headers.update(shown.headers)
                case.query.update(shown.query)

        return Credentials

    def _hook(self, schema: BaseSchema) -> None:
        counts = self.counts

        @schema.hook
        def filter_failure(_context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
            return counts(failure, case, response)

    def _linked(self) -> set[str]:
        """Write into the document the links that it lacks; those that it has then."""
        document = load_file(self._document)
        found = set()
        for path, item in document["paths"].items():
            if self.inquiry.asked.read_only:
                for method in item.keys() & set(_WRITING):
                    del item[method]
            for method in item.keys() & {"get", "post"}:
                for status, response in item[method]["responses"].items():
                    added = LINKS.get((self.subject.profile, item[method]["operationId"], status), {})
                    links = {**response.get("links", {}), **added}
                    if self.inquiry.asked.read_only:
                        links = {}
                        response.pop("links", None)
                    # Else what a link says of a body is mixed with what is made up, and ids with ids of nothing.
                    marked = {name: {**link, "x-schemathesis": {"merge_body": False}} for name, link in links.items()}
                    response |= {"links": marked} if marked else {}
                    found |= {f"{method.upper()} {path} -> [{status}] {name}" for name in marked}
        self._document.write_text(json.dumps(document), encoding="utf-8")
        return found

    def _values(self) -> dict[str, str]:
        """What stands in the documents' examples, and what it is called in this landscape; longer names first."""
        accounts = self.subject.bed.accounts
        values = {
            "phraseanet-client-secret": accounts.phraseanet.secret,
            "phraseanet-client": accounts.phraseanet.id,
            "upload-client-secret": accounts.front_end.secret,
            "upload-client": accounts.front_end.id,
            "correct horse battery staple": accounts.publisher.password,
            "publisher@example.org": accounts.publisher.email,
            "https://upload.example": self.subject.url("upload"),
        }
        if accounts.publisher.id:
            values["d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"] = accounts.publisher.id
        for commit in self._commits[:1]:
            first, second = commit.assets[:2]
            values |= {
                "4c097077-a26b-4af4-9a5d-b13fd4c77b3d": first,
                "a134145e-9461-4f0a-8bd8-7025d31a6b8e": second,
                "8f6a1c52-3c0e-4f0b-9d0a-5b1a7c9d2e41": commit.id,
                "f87a1c3e5b7d9f0214365870a9cbed0f214700b7cd": commit.token,
            }
        return values | self._deployed_values()

    def _deployed_values(self) -> dict[str, str]:
        targets = self.subject.bed.stage.targets
        if not targets:
            return {}
        values = {
            _REFERRED: _WRITTEN_OUT,
            "targetSlug: press": f"targetSlug: {targets[0]['slug']}",
            "6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15": targets[0]["id"],
        }
        for commit in self._commits[:1]:
            metadata = self._uploads.metadata(commit.assets[0], f"AssetToken {commit.token}")
            told = self._uploads.success(metadata, 200)
            signed = urlsplit(str(told.get("url")) if isinstance(told, dict) else "")
            query = parse_qs(signed.query)
            if signed.path.startswith("/files/") and {"expires", "signature"} <= query.keys():
                values |= {
                    "example: 4c097077.png": f"example: {signed.path.removeprefix('/files/')}",
                    'example: "1557933234"': f'example: "{query["expires"][0]}"',
                    "example: 2f1c9be07d": f'example: "{query["signature"][0]}"',
                }
        return values


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


def hold_api(subject: Subject, inquiry: Inquiry, callers: Principals, seconds: int | None = None) -> None:
    """Let schemathesis judge the API of the participant; with `seconds` until they are over."""
    with tempfile.TemporaryDirectory(prefix="phrasim-") as documents:
        ApiJudge(subject, inquiry, callers, Path(documents)).judge(seconds=seconds)


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], text)


def _json(response: Response) -> Any:
    try:
        return json.loads(response.content or b"")
    except ValueError:
        return None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
