"""What a document of openapi/ states of each operation, as a tree of facts that can be compared.

References are followed, and what only people read is left out: descriptions, summaries, titles, examples, and the
`x-` keys except `x-caller`. A part is named by words (`answer 200`, `application/json`); inside a schema the names
are those of a JSON pointer into the value (`/files`, `/*` for each item, `/{*}` for any other key).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from phrasim.documents.schema_parts import Part, schema_part
from phrasim.documents.store import Document, Store

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SCHEME_FACTS = ("type", "scheme", "in", "name", "bearerFormat", "openIdConnectUrl")


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation or webhook (both are `operation`) or channel; `title` is what it is in a few words."""

    kind: Literal["operation", "channel"]
    name: str
    title: str
    part: Part


def entries(store: Store, file: str) -> list[Entry]:
    """What an OpenAPI or AsyncAPI document states, in its order.

    Of OpenAPI these are its operations, then its webhooks; of AsyncAPI its channels, then its operations. Raises
    LookupError for a reference that leads nowhere.
    """
    document = store.document(file)
    reader = _Reader(store, file, document)
    return list(reader.messages() if "asyncapi" in document else reader.operations())


class _Reader:
    """Reads the entries out of one document."""

    def __init__(self, store: Store, file: str, document: Document) -> None:
        self.store = store
        self.file = file
        self.document = document

    def operations(self) -> Iterator[Entry]:
        for path, item in self.document.get("paths", {}).items():
            yield from self.path_item(path, item)
        for name, item in self.document.get("webhooks", {}).items():
            yield from self.path_item(f"webhook {name}", item)

    def path_item(self, path: str, written: Any) -> Iterator[Entry]:
        file, _, item = self.store.resolve(self.file, written)
        for method in item:
            if method in _METHODS:
                part = self.operation(file, path, method, item)
                yield Entry("operation", item[method]["operationId"], f"{method.upper()} {path}", part)

    def operation(self, file: str, path: str, method: str, item: Mapping[str, Any]) -> Part:
        written = item[method]
        facts = {"method": method.upper(), "path": path}
        if "x-caller" in written:
            facts["caller"] = written["x-caller"]
        parts = dict(self.security(written))
        for owner in (item, written):
            parts |= dict(self.parameter(file, one) for one in owner.get("parameters", ()))
        if "requestBody" in written:
            found_in, _, request = self.store.resolve(file, written["requestBody"])
            required = {"required": request.get("required", False)}
            parts["request"] = Part(required, dict(self.content(found_in, request)))
        for status, answer in written["responses"].items():
            parts[f"answer {status}"] = self.answer(file, answer)
        return Part(facts, parts)

    def security(self, written: Mapping[str, Any]) -> Iterator[tuple[str, Part]]:
        """The credentials of which one is asked for; where none is needed, that anybody may call."""
        alternatives: list[dict[str, list[str]]] = written.get("security", self.document.get("security", []))
        for alternative in alternatives or [{}]:
            schemes = {name: self.scheme(name, scopes) for name, scopes in alternative.items()}
            name = f"security {' and '.join(schemes) or 'anybody'}"
            yield name, next(iter(schemes.values())) if len(schemes) == 1 else Part({}, schemes)

    def scheme(self, name: str, scopes: list[str]) -> Part:
        """A security scheme; its name means nothing on the wire, so that what it stands for is stated, too."""
        _, _, scheme = self.store.resolve(self.file, self.document["components"]["securitySchemes"][name])
        facts = {fact: scheme[fact] for fact in _SCHEME_FACTS if fact in scheme}
        return Part(facts | ({"scopes": sorted(scopes)} if scopes else {}), {})

    def parameter(self, file: str, written: Any) -> tuple[str, Part]:
        file, _, found = self.store.resolve(file, written)
        return f"parameter {found['in']} {found['name']}", self.valued(file, found)

    def valued(self, file: str, found: Mapping[str, Any]) -> Part:
        """A parameter or header: whether it is required, and the schema of its value."""
        schema = schema_part(self.store, file, found.get("schema", True))
        facts = {"required": found.get("required", False), **schema.facts}
        return Part(facts, {**schema.parts, **dict(self.content(file, found))})

    def answer(self, file: str, written: Any) -> Part:
        file, _, found = self.store.resolve(file, written)
        parts = {}
        for name, header in found.get("headers", {}).items():
            found_in, _, header = self.store.resolve(file, header)
            parts[f"header {name.lower()}"] = self.valued(found_in, header)
        return Part({}, parts | dict(self.content(file, found)))

    def content(self, file: str, owner: Mapping[str, Any]) -> Iterator[tuple[str, Part]]:
        """The media types of a request, an answer or a parameter, each with its schema."""
        for media_type, content in owner.get("content", {}).items():
            yield media_type, schema_part(self.store, file, content.get("schema", True))

    def messages(self) -> Iterator[Entry]:
        for name, written in self.document["channels"].items():
            part = self.bound({"routing key": written["address"]}, written)
            messages = {f"message {key}": self.message(message) for key, message in written["messages"].items()}
            yield Entry("channel", name, "channel", Part(part.facts, {**part.parts, **messages}))
        for name, written in self.document["operations"].items():
            channel = written["channel"]["$ref"].rpartition("/")[2]
            title = f"send to {channel}" if written["action"] == "send" else f"receive from {channel}"
            names = sorted(message["$ref"].rpartition("/")[2] for message in written.get("messages", ()))
            facts = {"action": written["action"], "channel": channel, "messages": names}
            yield Entry("operation", name, title, self.bound(facts, written))

    def message(self, written: Any) -> Part:
        """A message: its content type, its headers, and the schema of its body."""
        file, _, found = self.store.resolve(self.file, written)
        facts = {"content type": found.get("contentType", self.document.get("defaultContentType"))}
        parts = {}
        for name in ("headers", "payload"):
            if name in found:
                found_in, _, formatted = self.store.resolve(file, found[name])
                in_format = "schemaFormat" in formatted
                schema = (found_in, formatted["schema"]) if in_format else (file, found[name])
                parts[name] = schema_part(self.store, *schema)
        return Part(facts, parts)

    def bound(self, facts: Mapping[str, Any], written: Mapping[str, Any]) -> Part:
        """The facts, and those that the AMQP binding adds to them; its parts are the exchange and the queue."""
        _, _, bindings = self.store.resolve(self.file, written.get("bindings", {}))
        binding = _tree(bindings.get("amqp", {}))
        return Part({**facts, **binding.facts}, binding.parts)


def _tree(value: Mapping[str, Any]) -> Part:
    """Nested mappings as parts; `x-queue`, for which AsyncAPI has no word beside an exchange, is the queue."""
    parts = {name: _tree(inner) for name, inner in value.items() if isinstance(inner, dict)}
    facts = {name: inner for name, inner in value.items() if name not in parts and name != "bindingVersion"}
    return Part(facts, {"queue" if name == "x-queue" else name: part for name, part in parts.items()})
