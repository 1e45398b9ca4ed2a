"""An OpenAPI document as what the rooms ask of it: which operation a request is, and what is wrong with a message.

The schemas stay in openapi/; nothing here knows a field of any service.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from phrasim.documents.store import Store, installed_store
from phrasim.documents.violations import Schemas, Violation, pointer_of

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True)
class Arrow:
    """The arrow of the request-flow document that a message is: its label, and that of which it is drawn one each."""

    label: str
    each: Literal["asset", "commit"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a request, or a header of a response; `file` and `pointer` lead to its schema."""

    name: str
    location: str
    required: bool
    file: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Body:
    """One media type that a message may have; `file` and `pointer` lead to its schema, if it has one."""

    media_type: str
    file: str
    pointer: str | None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that an operation declares: bodies by media type, headers by lower-case name.

    `body_required` is false where `x-body: optional` says that it has none in some cases.
    """

    status: int
    bodies: Mapping[str, Body]
    body_required: bool
    headers: Mapping[str, Parameter]
    sequence: Arrow | None


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of a specification.

    `security` lists the names of the schemes of which one is asked for, and is empty where anybody may call.
    `participant` is who answers it, `caller` (`x-caller`) for whom it is meant, where the document says so. `file` is
    the document, by its path from openapi/.
    """

    file: str
    participant: str
    caller: Literal["user", "upload", "phraseanet"] | None
    operation_id: str
    method: str
    path: str
    security: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    request_required: bool
    requests: Mapping[str, Body]
    answers: Mapping[int, Response]
    sequences: tuple[Arrow, ...]
    schemas: Schemas

    @property
    def sequence(self) -> Arrow | None:
        """The arrow that a request is: of several, which are told apart by what the request is for, the last."""
        return self.sequences[-1] if self.sequences else None

    @property
    def request_media_types(self) -> tuple[str, ...]:
        """The media types that a request may have, in the order of the document; empty when it has no body."""
        return tuple(self.requests)

    @property
    def responses(self) -> dict[int, tuple[str, ...]]:
        """The media types of each status that is declared; a status without a body has none."""
        return {status: tuple(answer.bodies) for status, answer in self.answers.items()}

    @property
    def response_sequences(self) -> dict[int, Arrow]:
        """The arrows that answers of this operation are, by status."""
        return {status: answer.sequence for status, answer in self.answers.items() if answer.sequence}

    def request_violations(self, media_type: str | None, value: Any) -> list[Violation]:
        """What is wrong with a request's body.

        `media_type` may carry parameters (`; charset=utf-8`) and is None when there was no body. A multipart
        value is a mapping of part names to their text, a file part's to its file name. A body where none is
        declared is no violation: RFC 9110 §9.3.1 lets a client send one.
        """
        if not self.requests:
            return []
        taken = " or ".join(self.requests)
        if media_type is None:
            missing = f"the request has no body; {self.operation_id} takes {taken}"
            return [Violation("", missing)] if self.request_required else []
        body = self.requests.get(essence(media_type))
        if body is None:
            return [Violation("", f"the media type {media_type!r} is not taken; {self.operation_id} takes {taken}")]
        return [] if body.pointer is None else self.schemas.violations(body.file, body.pointer, value)

    def parameter_violations(self, path: Mapping[str, Any], query: Mapping[str, Any] | None = None) -> list[Violation]:
        """What is wrong with a request's path and query parameters; a pointer starts with `/path` or `/query`.

        A query parameter that is not declared is no violation.
        """
        values = {"path": path, "query": query or {}}
        return [
            violation
            for parameter in self.parameters
            if parameter.location in values
            for violation in self._parameter(parameter, values[parameter.location])
        ]

    def response_violations(self, status: int, media_type: str | None, value: Any) -> list[Violation]:
        """What is wrong with an answer's status, media type and body.

        A body whose declaration has no schema, as the bytes of a file, passes whatever it is; so does one of another
        form than JSON that nobody has read, which is None here.
        """
        answer = self.answers.get(status)
        if answer is None:
            declared = ", ".join(map(str, self.answers))
            return [Violation("", f"the status {status} is not declared; {self.operation_id} answers {declared}")]
        if not answer.bodies:
            return []
        declared = " or ".join(answer.bodies)
        if media_type is None:
            if not answer.body_required:
                return []
            return [Violation("", f"the {status} answer has no body; {self.operation_id} gives {declared}")]
        body = answer.bodies.get(essence(media_type)) or answer.bodies.get("*/*")
        if body is None:
            said = f"the media type {media_type!r} is not declared for {status}"
            return [Violation("", f"{said}; {self.operation_id} gives {declared}")]
        if body.pointer is None or (value is None and "json" not in body.media_type):
            return []
        return self.schemas.violations(body.file, body.pointer, value)

    def header_violations(self, status: int, headers: Mapping[str, str]) -> list[Violation]:
        """What is wrong with the headers of an answer of a declared status; names are compared in lower case."""
        answer = self.answers.get(status)
        if answer is None:
            return []
        given = {name.lower(): value for name, value in headers.items()}
        return [violation for header in answer.headers.values() for violation in self._parameter(header, given)]

    def _parameter(self, parameter: Parameter, values: Mapping[str, Any]) -> list[Violation]:
        place = (parameter.location, parameter.name)
        if parameter.name not in values:
            kind = "header" if parameter.location == "header" else f"{parameter.location} parameter"
            return [Violation(pointer_of(place), f"this {kind} is missing")] if parameter.required else []
        return self.schemas.violations(parameter.file, parameter.pointer, values[parameter.name], place)


class Specification:
    """One OpenAPI document: the participant that it describes and the operations that this answers."""

    def __init__(self, store: Store, schemas: Schemas, file: str) -> None:
        self.file = file
        self.document = store.document(file)
        self.title: str = self.document["info"]["title"]
        self.participant: str = self.document["info"]["x-participant"]
        reader = _Reader(store, schemas, file, self.participant)
        self.operations: dict[str, Operation] = {one.operation_id: one for one in reader.operations()}
        self._literal: dict[tuple[str, str], Operation] = {}
        self._templates: dict[tuple[str, int], list[_Template]] = {}
        for operation in self.operations.values():
            self._index(operation)

    def _index(self, operation: Operation) -> None:
        if "{" not in operation.path:
            self._literal[operation.method, operation.path] = operation
            return
        candidates = self._templates.setdefault((operation.method, operation.path.count("/")), [])
        candidates.append(_Template(operation))
        candidates.sort(key=lambda candidate: candidate.parameter_places)

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation that a request is, with its path parameters as they stand in the path; None if there is none.

        `path` has no query. A literal segment wins over a parameter, from left to right; a parameter is one
        segment that is not empty.
        """
        operation = self._literal.get((method, path))
        if operation is not None:
            return operation, {}
        for template in self._templates.get((method, path.count("/")), ()):
            matched = template.pattern.fullmatch(path)
            if matched is not None:
                return template.operation, matched.groupdict()
        return None


class _Template:
    """A path with parameters: its `pattern`, in which each has a group of its name, and which segments they are."""

    __slots__ = ("operation", "parameter_places", "pattern")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        segments = operation.path.split("/")
        self.parameter_places = [segment.startswith("{") for segment in segments]
        self.pattern = re.compile(
            "/".join(f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part) for part in segments)
        )


class _Reader:
    """Reads the operations out of one document, following references."""

    def __init__(self, store: Store, schemas: Schemas, file: str, participant: str) -> None:
        self.store = store
        self.schemas = schemas
        self.file = file
        self.participant = participant

    def operations(self) -> Iterator[Operation]:
        for path, item in self.store.document(self.file).get("paths", {}).items():
            for method in item:
                if method in _METHODS:
                    yield self.operation(path, method, item)

    def operation(self, path: str, method: str, item: Mapping[str, Any]) -> Operation:
        written = item[method]
        base = ("paths", path, method)
        parameters = [
            self.parameter((*place, "parameters", index), parameter)
            for place, owner in ((base[:2], item), (base, written))
            for index, parameter in enumerate(owner.get("parameters", ()))
        ]
        file, place, request = self.found((*base, "requestBody"), written.get("requestBody", {}))
        return Operation(
            file=self.file,
            participant=self.participant,
            caller=written.get("x-caller"),
            operation_id=written["operationId"],
            method=method.upper(),
            path=path,
            security=tuple(name for choice in written["security"] for name in choice),
            parameters=tuple(parameters),
            request_required=request.get("required", False),
            requests=bodies(file, place, request),
            answers={
                int(status): self.response(int(status), (*base, "responses", status), response)
                for status, response in written["responses"].items()
            },
            sequences=arrows(written),
            schemas=self.schemas,
        )

    def parameter(self, place: tuple[str | int, ...], written: Mapping[str, Any]) -> Parameter:
        file, pointer, found = self.found(place, written)
        return Parameter(found["name"], found["in"], found.get("required", False), file, f"{pointer}/schema")

    def response(self, status: int, place: tuple[str | int, ...], written: Mapping[str, Any]) -> Response:
        file, pointer, found = self.found(place, written)
        headers = {
            name.lower(): self.header(file, f"{pointer}/headers/{name}", name, header)
            for name, header in found.get("headers", {}).items()
        }
        sequence = arrow(written) or arrow(found)
        required = found.get("x-body") != "optional"
        return Response(status, bodies(file, pointer, found), required, headers, sequence)

    def header(self, file: str, pointer: str, name: str, written: Mapping[str, Any]) -> Parameter:
        found_in, reference, found = self.store.resolve(file, written)
        required = found.get("required", False)
        return Parameter(name.lower(), "header", required, found_in, f"{reference or pointer}/schema")

    def found(self, place: tuple[str | int, ...], written: Mapping[str, Any]) -> tuple[str, str, Any]:
        """Where a value of this document really lies once references are followed, and the value."""
        file, pointer, found = self.store.resolve(self.file, written)
        return file, pointer or pointer_of(place), found


def arrows(written: Mapping[str, Any]) -> tuple[Arrow, ...]:
    """The arrows that `x-sequence`, one or a list, binds an operation, a response or a message to."""
    sequence = written.get("x-sequence", [])
    several = sequence if isinstance(sequence, list) else [sequence]
    return tuple(Arrow(one["label"], one["for"].removeprefix("each ")) for one in several)


def arrow(written: Mapping[str, Any]) -> Arrow | None:
    """The one arrow that `x-sequence` binds a response or a message to."""
    found = arrows(written)
    return found[0] if found else None


def bodies(file: str, pointer: str, written: Mapping[str, Any]) -> dict[str, Body]:
    """The bodies of a request or response that stands at `pointer` in `file`."""
    return {
        media_type: Body(
            media_type,
            file,
            pointer + pointer_of(("content", media_type, "schema")) if "schema" in content else None,
        )
        for media_type, content in written.get("content", {}).items()
    }


def essence(media_type: str) -> str:
    """A media type without its parameters, in lower case (RFC 9110 §8.3.1)."""
    return media_type.partition(";")[0].strip().lower()


@cache
def installed_schemas() -> Schemas:
    """The compiled schemas of the documents that this installation holds."""
    return Schemas(installed_store())


@cache
def specification(file: str) -> Specification:
    """The specification of that file name, as `upload.yaml` or `deployed/upload.yaml`."""
    return Specification(installed_store(), installed_schemas(), file)


def secret_fields() -> frozenset[str]:
    """The names of the fields that carry secrets, to be hidden wherever a message is shown."""
    return installed_store().secret_fields()
