"""The HTTP APIs keep their OpenAPI documents in either profile, as schemathesis judges, which would find a lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Any, get_args

import hypothesis.internal.conjecture.providers as hypothesis_providers
import msgspec
import pytest
from http_apis import EXCLUSIONS, PROFILES, STRANGERS, Api, Judgement, Phase, Profile, judged
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.documents import contract

pytestmark = pytest.mark.unmeasured

APIS = [(profile, api) for profile in PROFILES for api in get_args(Api)]

OPENED: dict[Profile, dict[str, set[str]]] = {
    "documented": {
        "uploadAsset": {"a user", "an administrator"},
        "commitAssets": {"a user", "an administrator"},
        "listCommits": {"an administrator", "a client"},
        "getAsset": {"an administrator", "the commit"},
        "downloadAsset": {"an administrator", "the commit"},
        "acknowledgeCommit": {"an administrator", "the commit"},
        "getTokenInfo": {"a user", "an administrator", "a client"},
        "getPublisherInfo": {"a client"},
    },
    "deployed": {
        "uploadAsset": {"a user", "an administrator"},
        "commitAssets": {"a user", "an administrator"},
        "listCommits": {"an administrator", "a client"},
        "getCommit": {"an administrator", "a client", "the commit"},
        "getAsset": {"an administrator", "the commit"},
        "acknowledgeAsset": {"an administrator", "the commit"},
        "acknowledgeCommit": {"an administrator", "the commit"},
        "enqueueAssets": {"a target"},
        "getMe": {"a user", "an administrator"},
        "listTargets": {"a user", "an administrator", "a client", "the commit", "who has the AssetToken of no commit"},
    },
}
"""Who is let in (A11, A16, A32, §2.1, §2.4, §3); whoever has any AssetToken is known in the deployed profile."""

ONCE: set[tuple[Profile, str]] = {("documented", "commitAssets")}
"""What is granted once only: assets are committed to one commit (A24)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of an API, whom it lets in by operation, and the links that its document has."""

    judgement: Judgement
    let_in: dict[str, set[str]]
    links: set[str]


class Verdicts:
    """What was judged so far: each API once, since it takes seconds."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._found: dict[tuple[Profile, Api], Verdict] = {}

    def of(self, profile: Profile, api: Api) -> Verdict:
        if (profile, api) not in self._found:
            with judged(profile, api, self._folders.mktemp("documents")) as one:
                judgement = one.judge()
                self._found[profile, api] = Verdict(judgement, one.let_in(judgement), one.links)
        return self._found[profile, api]


@pytest.fixture(scope="module", autouse=True)
def _the_same_words_whatever_is_loaded() -> Iterator[None]:
    """Hypothesis takes words for its texts from all modules that are loaded: others in a run of all tests than here."""
    nothing = hypothesis_providers.Constants()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hypothesis_providers, "_get_local_constants", lambda: nothing)
        yield


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    return Verdicts(tmp_path_factory)


@pytest.mark.parametrize(("profile", "api"), APIS)
def test_nothing_is_found_against_an_api(profile: Profile, api: Api, verdicts: Verdicts) -> None:
    assert "\n\n".join(verdicts.of(profile, api).judgement.findings) == ""


@pytest.mark.parametrize(("profile", "api"), APIS)
def test_each_operation_was_answered_with_each_success_that_it_declares(
    profile: Profile, api: Api, verdicts: Verdicts
) -> None:
    """Else nothing would have been judged but refusals."""
    operations = contract(profile).specification(api).operations.values()
    declared = {(one.operation_id, status) for one in operations for status in one.responses if 200 <= status < 300}
    assert verdicts.of(profile, api).judgement.succeeded() == declared


@pytest.mark.parametrize(("profile", "api"), APIS)
def test_each_caller_is_let_in_where_the_contract_says_so_and_nowhere_else(
    profile: Profile, api: Api, verdicts: Verdicts
) -> None:
    """Of schemathesis's own requests none has a wrong AssetToken, or the good token of somebody else."""
    let_in = verdicts.of(profile, api).let_in
    for operation in contract(profile).specification(api).operations.values():
        name = operation.operation_id
        if not operation.security:
            assert let_in[name] >= STRANGERS.keys(), name
        elif (profile, name) in ONCE:
            assert let_in[name] <= OPENED[profile][name], name
        else:
            assert let_in[name] == OPENED[profile][name], name


@pytest.mark.parametrize("profile", PROFILES)
def test_each_link_leads_on(profile: Profile, verdicts: Verdicts) -> None:
    """From an upload to its commit, and from a listed commit to its metadata, its file and its acknowledgement."""
    verdict = verdicts.of(profile, "upload")
    assert verdict.links
    assert verdict.judgement.followed.keys() == verdict.links


def test_each_exclusion_is_needed(verdicts: Verdicts) -> None:
    """What nobody meets any more is to be taken out, so that the simulators are held to it again."""
    met = {exclusion for profile, api in APIS for exclusion in verdicts.of(profile, api).judgement.excluded}
    assert [one for one in EXCLUSIONS if one not in met and not one.seldom] == []


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a service; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Lie:
    """What a service does that its document does not say, and the check of schemathesis that finds it."""

    profile: Profile
    operation: str
    phase: Phase
    check: str
    told: Callable[[Answer], Answer] = lambda answer: answer
    credulous: bool = False
    """Whether it takes the first credentials that it saw for those of each later caller."""

    @property
    def api(self) -> Api:
        return contract(self.profile).operations[self.operation].participant  # type: ignore[return-value]


def without_field(name: str) -> Callable[[Answer], Answer]:
    return changed(lambda value: value.pop(name))


def with_field(name: str, other: Any) -> Callable[[Answer], Answer]:
    return changed(lambda value: value.update({name: other}))


def changed(change: Callable[[Any], Any]) -> Callable[[Answer], Answer]:
    """The lie that changes the JSON object of a success."""

    def told(answer: Answer) -> Answer:
        if not 200 <= answer.status < 300:
            return answer
        value = msgspec.json.decode(answer.body)
        change(value)
        return replace(answer, body=msgspec.json.encode(value))

    return told


def with_status(status: int, instead_of: int) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, status=status) if answer.status == instead_of else answer


def without_header(name: str) -> Callable[[Answer], Answer]:
    def told(answer: Answer) -> Answer:
        return replace(answer, headers={other: value for other, value in answer.headers.items() if other != name})

    return told


def with_type(media_type: str) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, headers={**answer.headers, "content-type": media_type})


LIES = [
    Lie("documented", "uploadAsset", "examples", "status_code_conformance", with_status(200, instead_of=201)),
    Lie("documented", "getAsset", "examples", "response_schema_conformance", without_field("size")),
    Lie("documented", "getPublisherInfo", "examples", "response_schema_conformance", with_field("email", 7)),
    Lie("documented", "downloadAsset", "examples", "response_headers_conformance", without_header("content-size")),
    Lie("documented", "issueToken", "examples", "response_headers_conformance", without_header("cache-control")),
    Lie("documented", "enqueueAssets", "examples", "content_type_conformance", with_type("text/plain")),
    Lie("documented", "enqueueAssets", "coverage", "negative_data_rejection", with_status(200, instead_of=400)),
    Lie("documented", "listCommits", "coverage", "unsupported_method", with_status(200, instead_of=405)),
    Lie("documented", "acknowledgeCommit", "examples", "ignored_auth", credulous=True),
    Lie("documented", "getTokenInfo", "coverage", "ignored_auth", credulous=True),
    Lie("deployed", "uploadAsset", "examples", "status_code_conformance", with_status(202, instead_of=201)),
    Lie("deployed", "getCommit", "examples", "response_schema_conformance", with_field("token", "f87a")),
    Lie("deployed", "getAsset", "examples", "response_schema_conformance", without_field("acknowledged")),
    Lie("deployed", "getKeys", "examples", "response_schema_conformance", without_field("keys")),
    Lie("deployed", "issueToken", "examples", "content_type_conformance", with_type("text/html")),
    Lie("deployed", "enqueueAssets", "coverage", "response_schema_conformance", without_field("meta")),
    Lie("deployed", "enqueueAssets", "coverage", "negative_data_rejection", with_status(200, instead_of=422)),
    Lie("deployed", "getHealth", "coverage", "not_a_server_error", with_status(500, instead_of=200)),
    Lie("deployed", "listCommits", "examples", "ignored_auth", credulous=True),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: f"{lie.profile}-{lie.operation}-{lie.check}")
def test_a_lie_is_found(lie: Lie, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same requests to a service that lies about one thing: the check whose business that is objects."""
    tell(lie, monkeypatch)
    with judged(lie.profile, lie.api, tmp_path_factory.mktemp("documents")) as one:
        findings = one.judge([lie.phase], [lie.operation]).findings
    assert any(finding.startswith(f"{lie.phase}: {lie.check}: {lie.operation}: ") for finding in findings), findings


@pytest.mark.parametrize(("profile", "operation"), [("documented", "getAsset"), ("deployed", "enqueueAssets")])
def test_a_stranger_who_is_let_in_is_found(
    profile: Profile,
    operation: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lie = Lie(profile, operation, "examples", "", credulous=True)
    tell(lie, monkeypatch)
    with judged(profile, lie.api, tmp_path_factory.mktemp("documents")) as one:
        judgement = one.judge([lie.phase], [operation])
        assert one.let_in(judgement)[operation] >= STRANGERS.keys()


def tell(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the service of each new landscape lies so, about whatever it is asked."""
    factory = f"phrasim.testbed.{lie.profile}.{lie.api}_app"
    truthful = resolve_name(factory)
    trusted: dict[str, bytes] = {}
    monkeypatch.setattr(factory, lambda *args, **named: lying(truthful(*args, **named), lie, trusted))


def lying(app: ASGIApp, lie: Lie, trusted: dict[str, bytes]) -> ASGIApp:
    """That service, with other answers than it gives itself; `trusted` is the first `Authorization`, by path."""

    async def lying_app(scope: Scope, receive: Receive, send: Send) -> None:
        if lie.credulous:
            scope = _as_the_first_caller(scope, trusted)
        start: Message = {}
        body = b""

        async def hold_back(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                headers = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
                for sent in _messages(lie.told(Answer(start["status"], headers, body))):
                    await send(sent)

        await app(scope, receive, hold_back)

    return lying_app


def _messages(answer: Answer) -> Iterator[Message]:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    yield {"type": "http.response.start", "status": answer.status, "headers": raw}
    yield {"type": "http.response.body", "body": answer.body}


def _as_the_first_caller(scope: Scope, trusted: dict[str, bytes]) -> Scope:
    """The request as if it had the first `Authorization` that came for its path, whatever it has itself."""
    headers = dict(scope["headers"])
    shown = headers.pop(b"authorization", None)
    first = trusted.setdefault(scope["path"], shown) if shown is not None else trusted.get(scope["path"])
    if first is not None:
        headers[b"authorization"] = first
    return {**scope, "headers": list(headers.items())}
