"""Mutants of what a service answers, generated from openapi/: fields, statuses and headers."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mutation.mutant import Applied, Mutant, mutated_services
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.documents import Contract, contract
from phrasim.documents.schema_parts import Part, schema_part
from phrasim.documents.specification import Operation, installed_schemas
from phrasim.documents.store import at_pointer
from phrasim.testbed import ProfileName

DEPTH_MAX = 4

WRONG = 7
"""What stands for a text, an object or a list that is mistyped; a number becomes a text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a service; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Told = Callable[[Answer], Answer | None]
"""What is answered in the place of an answer; None leaves it as it is."""


def answer_mutants(profile: ProfileName) -> Iterator[Mutant]:
    """A mutant for each field, status and header of each operation that a service of the profile answers."""
    known = contract(profile)
    for operation in known.operations.values():
        yield from _fields(profile, operation)
        yield from _statuses(profile, operation)
        yield from _headers(profile, operation)


def _fields(profile: ProfileName, operation: Operation) -> Iterator[Mutant]:
    for status, response in operation.answers.items():
        seen = set()
        for body in response.bodies.values():
            if body.pointer is None or "json" not in body.media_type:
                continue
            store = installed_schemas().store
            written = at_pointer(store.document(body.file), body.pointer, body.pointer)
            for path, required in field_paths(schema_part(store, body.file, written)):
                if path in seen:
                    continue
                seen.add(path)
                name = ".".join(path)
                if required:
                    yield _mutant(profile, "field dropped", operation, f"{status} {name}", _dropping(status, path))
                yield _mutant(profile, "field mistyped", operation, f"{status} {name}", _mistyping(status, path))


def field_paths(part: Part, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The fields of a schema, with whether they are required; `*` is each item of a list."""
    if len(above) >= DEPTH_MAX:
        return
    for name, inner in part.parts.items():
        if inner.facts.get("forbidden") or name == "/{*}":
            continue
        if name == "/*":
            yield from field_paths(inner, (*above, "*"))
            continue
        path = (*above, name[1:].replace("~1", "/").replace("~0", "~"))
        yield path, bool(inner.facts.get("required"))
        yield from field_paths(inner, path)


def _statuses(profile: ProfileName, operation: Operation) -> Iterator[Mutant]:
    """Each status becomes another one that the operation declares, the one that is least like it last."""
    declared = sorted(operation.answers)
    for status in declared:
        others = [other for other in declared if other != status and other // 100 == status // 100]
        other = others[0] if others else 200 + (status == 200) if status < 300 else 418

        def told(answer: Answer, status: int = status, other: int = other) -> Answer | None:
            if answer.status != status:
                return None
            body = answer.body
            value = _json(answer)
            if isinstance(value, dict) and value.get("status") == status:
                body = json.dumps({**value, "status": other}).encode()
            return replace(answer, status=other, body=body)

        yield _mutant(profile, "status changed", operation, f"{status} to {other}", told)


def _headers(profile: ProfileName, operation: Operation) -> Iterator[Mutant]:
    for status, response in operation.answers.items():
        names = [name for name, header in response.headers.items() if header.required]
        if response.bodies and response.body_required:
            names.append("content-type")
        for name in names:

            def told(answer: Answer, status: int = status, name: str = name) -> Answer | None:
                if answer.status != status or name not in answer.headers:
                    return None
                return replace(answer, headers={key: value for key, value in answer.headers.items() if key != name})

            yield _mutant(profile, "header lost", operation, f"{status} {name}", told)


def _mutant(profile: ProfileName, family: str, operation: Operation, name: str, told: Told) -> Mutant:
    def apply(applied: Applied) -> Any:
        return mutated_services(
            profile,
            lambda apps, _: (
                apps | {operation.participant: lying(apps[operation.participant], operation, told, applied)}
            ),
        )

    return Mutant(profile, family, operation.participant, operation.operation_id, name, apply)  # type: ignore[arg-type]


def _dropping(status: int, path: tuple[str, ...]) -> Told:
    def drop(holder: dict[str, Any], name: str) -> None:
        del holder[name]

    return _changing(status, path, drop)


def _mistyping(status: int, path: tuple[str, ...]) -> Told:
    def mistype(holder: dict[str, Any], name: str) -> None:
        value = holder[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        holder[name] = "seven" if number else WRONG

    return _changing(status, path, mistype)


def _changing(status: int, path: tuple[str, ...], change: Callable[[dict[str, Any], str], None]) -> Told:
    def told(answer: Answer) -> Answer | None:
        value = _json(answer)
        if answer.status != status or value is None or not _change(value, path, change):
            return None
        return replace(answer, body=json.dumps(value).encode())

    return told


def _change(value: Any, path: tuple[str, ...], change: Callable[[dict[str, Any], str], None]) -> bool:
    """Whether the field was there, in any item of the lists on the way."""
    name, *rest = path
    if name == "*":
        items = value if isinstance(value, list) else []
        changed = [_change(item, tuple(rest), change) for item in items]
        return any(changed)
    if not isinstance(value, dict) or name not in value:
        return False
    if rest:
        return _change(value[name], tuple(rest), change)
    change(value, name)
    return True


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def lying(app: ASGIApp, operation: Operation, told: Told, applied: Applied) -> ASGIApp:
    """That service, with other answers to one operation than it gives itself."""
    documents: Contract = contract("deployed" if operation.file.startswith("deployed/") else "documented")

    async def lying_app(scope: Scope, receive: Receive, send: Send) -> None:
        asked = documents.operation(operation.participant, operation.method, _as_declared(scope, operation))
        if asked is not operation:
            await app(scope, receive, send)
            return
        usual = scope["method"] == operation.method and scope["path"] == _as_declared(scope, operation)
        start: Message = {}
        parts: list[bytes] = []

        async def hold_back(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                headers = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
                truth = Answer(start["status"], headers, b"".join(parts))
                lie = told(truth) if usual or truth.status in (404, 405) else None
                if lie is not None:
                    applied.times += 1
                for sent in _messages(truth if lie is None else lie):
                    await send(sent)

        await app(scope, receive, hold_back)

    return lying_app


def _as_declared(scope: Scope, operation: Operation) -> str:
    """The path that is asked for, with the slash at its end that the operation's has (A3)."""
    path: str = scope.get("path", "")
    return path if path.endswith("/") or not operation.path.endswith("/") else f"{path}/"


def _messages(answer: Answer) -> Iterator[Message]:
    headers = dict(answer.headers)
    if "content-length" in headers and answer.status not in (204, 304):
        headers["content-length"] = str(len(answer.body))
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    yield {"type": "http.response.start", "status": answer.status, "headers": raw}
    yield {"type": "http.response.body", "body": answer.body}
