"""Mutants of the documented services' rules: transitions of their states, messages, headers of requests, and lies."""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from mutation.answers import Answer, lying
from mutation.mutant import Applied, Mutant, mutated_services
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.auth.documented.state import AuthState
from phrasim.documents import contract
from phrasim.journal.events import Participant
from phrasim.phraseanet.documented import poller, queue, worker
from phrasim.phraseanet.documented.state import PhraseanetState
from phrasim.service.operations import json_answer
from phrasim.testbed import ProfileName
from phrasim.upload.documented import outbound, routes
from phrasim.upload.documented.identity import Identity
from phrasim.upload.documented.state import UploadState
from phrasim.upload.file_answer import FileAnswer, content_disposition
from phrasim.upload.storage import IncomingFile

CONTRACT = contract("documented")


def rewritten(owner: Any, name: str, old: str, new: str) -> Callable[[Applied], Any]:
    """A mutant in which one piece of a function's source is another one. Raises ValueError where it is not there."""

    def apply(applied: Applied) -> Any:
        function = inspect.unwrap(inspect.getattr_static(owner, name))
        is_property = isinstance(function, property)
        function = function.fget if is_property else function
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(old) != 1:
            raise ValueError(f"{owner.__name__}.{name}: {old!r} stands there {source.count(old)} times, not once")
        scope = dict(function.__globals__)
        exec(compile(source.replace(old, new), function.__code__.co_filename, "exec"), scope)
        made = scope[name]
        applied.times += 1
        return mock.patch.object(owner, name, made)

    return apply


def instead(owner: Any, name: str, other: Any) -> Callable[[Applied], Any]:
    """A mutant in which a function is another one."""

    def apply(applied: Applied) -> Any:
        applied.times += 1
        return mock.patch.object(owner, name, other)

    return apply


def rule_mutants() -> Iterator[Mutant]:
    """Those of the documented profile."""
    for participant, operation, name, apply in _TRANSITIONS:
        yield Mutant("documented", "transition removed", participant, operation, name, apply)
    for participant, operation, name, apply in _MESSAGES:
        yield Mutant("documented", "message field dropped", participant, operation, name, apply)
    for participant, operation, name, apply in _LIES:
        yield Mutant("documented", "lie", participant, operation, name, apply)
    yield from request_header_mutants("documented")


def request_header_mutants(profile: ProfileName) -> Iterator[Mutant]:
    """The headers that a simulated service sends and that the receiver needs."""
    known = contract(profile)
    for operation in known.operations.values():
        if operation.caller not in ("upload", "phraseanet"):
            continue
        names = []
        if "OAuth" in operation.security or "AssetToken" in operation.security or "Bearer" in operation.security:
            names.append("authorization")
        if operation.request_required and operation.answers.get(415):
            names.append("content-type")
        for name in names:
            yield Mutant(
                profile,
                "header lost",
                operation.caller,
                operation.operation_id,
                f"request {name}",
                _without_request_header(profile, operation.operation_id, name),
            )


def _without_request_header(profile: ProfileName, operation_id: str, name: str) -> Callable[[Applied], Any]:
    """What is sent without it arrives without it: the header is taken away where it arrives from a service."""
    operation = contract(profile).operations[operation_id]

    def apply(applied: Applied) -> Any:
        def around(app: ASGIApp) -> ASGIApp:
            async def without(scope: Scope, receive: Receive, send: Send) -> None:
                asked = contract(profile).operation(
                    operation.participant, scope.get("method", ""), scope.get("path", "")
                )
                if asked is operation and _is_from_a_service(scope):
                    applied.times += 1
                    headers = [(key, value) for key, value in scope["headers"] if key.lower() != name.encode()]
                    scope = {**scope, "headers": headers}
                await app(scope, receive, send)

            return without

        return mutated_services(
            profile,
            lambda apps, _: apps | {operation.participant: around(apps[operation.participant])},
        )

    return apply


def _is_from_a_service(scope: Scope) -> bool:
    """Whether a request came over the wire: such a one has a `traceparent` of an edge."""
    return any(key.lower() == b"traceparent" for key, _ in scope["headers"])


def _without_field(function: Any, *path: Any) -> Callable[..., Any]:
    """The function whose value lacks a field, which may lie in an element of a list."""

    def lacking(*args: Any, **named: Any) -> Any:
        value = function(*args, **named)
        for holder in _holders(value, path[:-1]):
            holder.pop(path[-1], None)
        return value

    return lacking


def _with_field(function: Any, other: Any, *path: Any) -> Callable[..., Any]:
    def having(*args: Any, **named: Any) -> Any:
        value = function(*args, **named)
        for holder in _holders(value, path[:-1]):
            if path[-1] in holder:
                holder[path[-1]] = other
        return value

    return having


def _holders(value: Any, path: tuple[Any, ...]) -> list[Any]:
    found = [value]
    for key in path:
        found = [inner for one in found for inner in (one[key] if isinstance(key, slice) else [one[key]])]
    return found


def _patched_fields(
    owner: Any, name: str, paths: list[tuple[Any, ...]], participant: Participant, operation: str | None
) -> Iterator[tuple[Participant, str | None, str, Callable[[Applied], Any]]]:
    function = getattr(owner, name)
    for path in paths:
        told = ".".join("*" if isinstance(part, slice) else str(part) for part in path)
        yield participant, operation, f"{name} without {told}", instead(owner, name, _without_field(function, *path))
        yield (
            participant,
            operation,
            f"{name} with another {told}",
            instead(owner, name, _with_field(function, 7, *path)),
        )


_MESSAGES = [
    *_patched_fields(
        outbound,
        "notification",
        [("assets",), ("publisher",), ("token",), ("commit_id",), ("base_url",), ("hashes",)],
        "upload",
        "enqueueAssets",
    ),
    *_patched_fields(
        queue,
        "to_message",
        [
            *((0, name) for name in ("publisher", "id", "commit_id", "token", "base_url")),
            *((slice(1, None), name) for name in ("id", "hash")),
        ],
        "phraseanet",
        None,
    ),
]


def _answers(operation_id: str, told: Callable[[Answer], Answer | None]) -> Callable[[Applied], Any]:
    operation = CONTRACT.operations[operation_id]

    def apply(applied: Applied) -> Any:
        return mutated_services(
            "documented",
            lambda apps, _: (
                apps | {operation.participant: lying(apps[operation.participant], operation, told, applied)}
            ),  # type: ignore[index]
        )

    return apply


def _body(change: Callable[[bytes], bytes]) -> Callable[[Answer], Answer | None]:
    def told(answer: Answer) -> Answer | None:
        if answer.status != 200:
            return None
        body = change(answer.body)
        headers = {**answer.headers, "content-size": str(len(body))}
        return None if body == answer.body else replace(answer, body=body, headers=headers)

    return told


def _flipped(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1])


def _reencoded(body: bytes) -> bytes:
    return body.decode("latin-1").encode()


async def _another_file(self: Any, call: Any) -> Any:
    """The file of an asset of another commit, if there is one, as if it were the one that was asked for."""
    asset = self._asset(call, await self._principal(call))
    others = [one for one in self._state.assets if one.commit not in (None, asset.commit)]
    file = (others[0] if others else asset).file
    headers = {
        "content-type": file.mime_type,
        "content-length": str(file.size),
        "content-size": str(file.size),
        "content-disposition": content_disposition(asset.original_name),
    }
    return FileAnswer(self._storage, file, headers, lambda: json_answer(None, 404))


@contextmanager
def _neighbours(applied: Applied) -> Iterator[None]:
    """A token opens the assets of each commit of the same user."""
    made: list[Any] = []
    commit, may_use = UploadState.commit, routes.may_use

    def remembered(self: Any, *args: Any) -> Any:
        one = commit(self, *args)
        made.append(one)
        return one

    def lax(principal: Any, one: Any) -> bool:
        if may_use(principal, one):
            return True
        if one is None:
            return False
        tokens = {other.token for other in made if other.user_id == one.user_id}
        opened = getattr(principal, "token", None) in tokens
        applied.times += opened
        return opened

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(UploadState, "commit", remembered))
        stack.enter_context(mock.patch.object(routes, "may_use", lax))
        yield


_LIES: list[tuple[Participant, str | None, str, Callable[[Applied], Any]]] = [
    ("upload", "downloadAsset", "another commit's file", instead(routes.UploadRoutes, "download_asset", _another_file)),
    ("upload", "downloadAsset", "a re-encoded body", _answers("downloadAsset", _body(_reencoded))),
    ("upload", "downloadAsset", "one flipped byte", _answers("downloadAsset", _body(_flipped))),
    ("upload", "downloadAsset", "a last byte less", _answers("downloadAsset", _body(lambda body: body[:-1]))),
    ("upload", "downloadAsset", "a newline more", _answers("downloadAsset", _body(lambda body: body + b"\n"))),
    (
        "upload",
        "uploadAsset",
        "other bytes are kept than came",
        rewritten(IncomingFile, "write", "self._held.append(part)", "self._held.append(part.swapcase())"),
    ),
    ("upload", "getAsset", "a token good for a neighbour's asset", _neighbours),
    (
        "upload",
        "listCommits",
        "a commit listed twice",
        rewritten(UploadState, "unacknowledged", "list(self._open.values())", "[*self._open.values()] * 2"),
    ),
    (
        "upload",
        "listCommits",
        "a commit never listed",
        rewritten(
            UploadState,
            "unacknowledged",
            "list(self._open.values())",
            "[commit for commit in self._open.values() if commit.id[-1] < '8']",
        ),
    ),
    (
        "upload",
        "listCommits",
        "acknowledged commits listed, too",
        rewritten(UploadState, "unacknowledged", "self._open", "self._commits"),
    ),
    (
        "upload",
        "acknowledgeCommit",
        "an acknowledgement that forgets",
        rewritten(
            UploadState, "acknowledge", "commit.acknowledged = True", "new or self._open.update({commit.id: commit})"
        ),
    ),
    (
        "upload",
        None,
        "a stale token accepted",
        rewritten(Identity, "_remembered", "if until_ns > self._now_ns() else None", ""),
    ),
    (
        "upload",
        "getAsset",
        "the form data of another commit",
        rewritten(
            routes,
            "asset_object",
            "asset.commit.form_data if asset.commit else None",
            "{'title': 'Another'} if asset.commit else None",
        ),
    ),
    (
        "upload",
        "getAsset",
        "a size that is one too many",
        rewritten(routes, "asset_object", "asset.file.size", "asset.file.size + 1"),
    ),
    (
        "upload",
        "listCommits",
        "a token of another commit",
        rewritten(UploadState, "commit", "token=self._chance.randbytes(TOKEN_BYTES).hex()", "token='a' * 42"),
    ),
    (
        "upload",
        "uploadAsset",
        "an id that was given before",
        rewritten(UploadState, "add_asset", "self.new_id()", "next(iter(self._assets), None) or self.new_id()"),
    ),
    (
        "auth",
        "getTokenInfo",
        "a stale token accepted",
        rewritten(AuthState, "token", "token.expires_ns <= self._now_ns()", "False"),
    ),
    (
        "auth",
        "getPublisherInfo",
        "another user",
        rewritten(AuthState, "user", "self._users.get(user_id)", "next(iter(reversed(self._users.values())), None)"),
    ),
    (
        "phraseanet",
        "acknowledgeCommit",
        "an acknowledgement before the download",
        rewritten(
            worker.Worker,
            "_work",
            "self._state.keep(",
            "await self._upload.post(f'{base_url}/commits/{handover.commit_id}/ack', headers=headers);"
            " self._state.keep(",
        ),
    ),
    (
        "phraseanet",
        "acknowledgeCommit",
        "a second acknowledgement",
        rewritten(
            worker.Worker,
            "_work",
            '_expect(answer, 200, "acknowledging the commit")',
            "await self._upload.post(f'{base_url}/commits/{handover.commit_id}/ack', headers=headers)",
        ),
    ),
]


_LIES += [
    ("upload", "listCommits", name, rewritten(routes, "commit_object", old, new))
    for name, old, new in (
        ("a total size that is one too many", "commit.total_size", "commit.total_size + 1"),
        ("a token that is not the commit's", "commit.token", "commit.id"),
        ("the assets of all commits", "[asset.id for asset in commit.assets]", "['0' * 8 + commit.id[8:]]"),
        ("another user", "commit.user_id", "commit.id"),
    )
]
_LIES += [
    ("upload", "getAsset", name, rewritten(routes, "asset_object", old, new))
    for name, old, new in (
        ("the id of another asset", "asset.id", "'0' * 8 + asset.id[8:]"),
        ("a name that nobody gave", "asset.original_name", "asset.id"),
    )
]


_TRANSITIONS: list[tuple[Participant, str | None, str, Callable[[Applied], Any]]] = [
    (
        "upload",
        "uploadAsset",
        "an asset is not kept",
        rewritten(UploadState, "add_asset", "self._assets[asset.id] = asset", "pass"),
    ),
    (
        "upload",
        "commitAssets",
        "assets are not committed",
        rewritten(UploadState, "commit", "asset.commit = commit", "pass"),
    ),
    (
        "upload",
        "commitAssets",
        "a commit is not kept",
        rewritten(UploadState, "commit", "self._commits[commit.id] = self._open[commit.id] = commit", "pass"),
    ),
    (
        "upload",
        "commitAssets",
        "no asset is no reason to refuse",
        rewritten(UploadState, "commit", "if not asset_ids:", "if False:"),
    ),
    (
        "upload",
        "commitAssets",
        "a repeated asset is no reason to refuse",
        rewritten(UploadState, "commit", '("repeated", repeated), ', ""),
    ),
    (
        "upload",
        "commitAssets",
        "an unknown asset is no reason to refuse",
        rewritten(
            UploadState,
            "commit",
            '("unknown", unknown), ("already committed", taken)',
            '("already committed", taken)',
        ),
    ),
    (
        "upload",
        "commitAssets",
        "a committed asset is no reason to refuse",
        rewritten(UploadState, "commit", ', ("already committed", taken)', ""),
    ),
    (
        "upload",
        "commitAssets",
        "instructions of the client are kept",
        rewritten(UploadState, "commit", 'if not key.startswith("__")', "if key"),
    ),
    (
        "upload",
        "commitAssets",
        "the form data are not kept",
        rewritten(UploadState, "commit", "in form_data.items()", "in {}.items()"),
    ),
    (
        "upload",
        "acknowledgeCommit",
        "an acknowledgement does nothing",
        rewritten(
            UploadState,
            "acknowledge",
            "self._open.pop(commit.id, None) is not None\n    commit.acknowledged = True",
            "not commit.acknowledged",
        ),
    ),
    (
        "upload",
        "enqueueAssets",
        "nobody is notified",
        rewritten(
            outbound.Notifier, "notify", "for pause in (*self._retries, None):", "return\n    for pause in (None,):"
        ),
    ),
    (
        "upload",
        "enqueueAssets",
        "a notification is not repeated",
        rewritten(outbound.Notifier, "notify", "(*self._retries, None)", "(None,)"),
    ),
    (
        "upload",
        "enqueueAssets",
        "a notification that was taken is repeated",
        rewritten(
            outbound.Notifier, "notify", "if failure is None:\n            return", "if False:\n            return"
        ),
    ),
    (
        "phraseanet",
        "enqueueAssets",
        "each notification is new",
        rewritten(PhraseanetState, "accept", "if key in self._accepted:", "if False:"),
    ),
    (
        "phraseanet",
        "enqueueAssets",
        "no notification is new",
        rewritten(PhraseanetState, "accept", "if key in self._accepted:", "if True:"),
    ),
    (
        "phraseanet",
        None,
        "a commit is not handed on",
        rewritten(
            queue.IngestQueue, "put", "await self._publish(MAIN, msgspec.json.encode(to_message(handover)))", "pass"
        ),
    ),
    (
        "phraseanet",
        None,
        "a delivery is not settled",
        rewritten(queue.IngestQueue, "done", "await self._client.acknowledge(incoming)", "pass"),
    ),
    (
        "phraseanet",
        None,
        "failed work is not tried again",
        rewritten(worker.Worker, "_fail", "last = execution >= self._executions_max", "last = True"),
    ),
    (
        "phraseanet",
        None,
        "failed work is tried again for ever",
        rewritten(worker.Worker, "_fail", "last = execution >= self._executions_max", "last = False"),
    ),
    (
        "phraseanet",
        None,
        "work is given up without a trace",
        rewritten(queue.IngestQueue, "give_up", "await self._publish(FAILED, incoming.body)", "pass"),
    ),
    (
        "phraseanet",
        None,
        "executions are not counted",
        rewritten(queue.IngestQueue, "executions", "return 1 + sum(", "return 1 + 0 * sum("),
    ),
    (
        "phraseanet",
        "getPublisherInfo",
        "nobody asks who published",
        rewritten(worker.Worker, "_work", "await self._publisher(handover)", "pass"),
    ),
    (
        "phraseanet",
        "downloadAsset",
        "an asset is not downloaded",
        rewritten(worker.Worker, "_work", "for asset_id in handover.assets])", "for asset_id in handover.assets[1:]])"),
    ),
    (
        "phraseanet",
        "acknowledgeCommit",
        "nothing is acknowledged",
        rewritten(worker.Worker, "_work", "if handover.commit_id is None:", "if True:"),
    ),
    (
        "phraseanet",
        None,
        "no record is kept",
        rewritten(PhraseanetState, "keep", "self._records[record.asset_id] = record", "pass"),
    ),
    (
        "phraseanet",
        "listCommits",
        "what a poll finds is not handed on",
        rewritten(poller.Poller, "poll", "if not self._state.accept(handover):", "if True:"),
    ),
    ("phraseanet", "listCommits", "nobody polls", rewritten(poller.Poller, "run", "await self.poll()", "pass")),
    (
        "auth",
        "issueToken",
        "any client secret is right",
        rewritten(
            AuthState,
            "_client",
            'not hmac.compare_digest(client.secret.encode(), fields["client_secret"].encode())',
            "False",
        ),
    ),
    (
        "auth",
        "issueToken",
        "any password is right",
        rewritten(
            AuthState, "_user", 'not hmac.compare_digest(user.password.encode(), fields["password"].encode())', "False"
        ),
    ),
    (
        "auth",
        "issueToken",
        "each client has each grant",
        rewritten(AuthState, "grant", "if grant_type not in client.grants:", "if False:"),
    ),
    ("auth", "issueToken", "each client has each scope", rewritten(AuthState, "grant", "if beyond:", "if False:")),
    (
        "auth",
        "issueToken",
        "a token is not kept",
        rewritten(AuthState, "issue", "self._tokens[token.value] = token", "pass"),
    ),
]
