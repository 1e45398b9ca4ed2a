"""The specification files as Python values, read once each, and the references between them followed.

Nothing is read at import: a file is read when something in it is first asked for.
"""

import posixpath
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from phrasim.documents.locations import openapi_folder
from phrasim.documents.yaml_text import load_file

Document = dict[str, Any]


class Store:
    """The documents of one folder and the folders in it, by their path from there (`deployed/upload.yaml`).

    A reference may lead from one to another of them. It may also lead out of the folder, to a file beside it
    (`../scenarios/scenario.schema.json`), which is known by that relative path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._documents: dict[str, Document] = {}
        self._secret_fields: frozenset[str] | None = None

    def document(self, name: str) -> Document:
        """The document of that file name, read at the first call."""
        if name not in self._documents:
            path = self.folder / name
            is_json = path.suffix == ".json"
            self._documents[name] = msgspec.json.decode(path.read_bytes()) if is_json else load_file(path)
        return self._documents[name]

    def reached_from(self, name: str) -> dict[str, Document]:
        """The document of that name and every one that its references lead to, by file name."""
        reached = {name: self.document(name)}
        waiting = [name]
        while waiting:
            name = waiting.pop()
            for reference in _references(reached[name]):
                file, _ = target(reference, name)
                if file not in reached:
                    reached[file] = self.document(file)
                    waiting.append(file)
        return reached

    def secret_fields(self) -> frozenset[str]:
        """The names of the properties and parameters that any document of the folder marks `x-secret`.

        So are the query parameters of security schemes. What is marked `x-secret: query` is a URL of which the query
        alone is secret: its name ends in `?` here.
        Reads every file.
        """
        if self._secret_fields is None:
            files = sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.yaml"))
            self._secret_fields = frozenset(name for file in files for name in self._secrets(file))
        return self._secret_fields

    def _secrets(self, file: str) -> Iterator[str]:
        for name, schema in _named_schemas(self.document(file)):
            if isinstance(schema, dict):
                reference = schema.get("$ref", "")
                if reference.startswith("#"):
                    schema = at_pointer(self.document(file), reference[1:], reference)
                marked = schema.get("x-secret")
                if marked:
                    yield f"{name}?" if marked == "query" else name

    def resolve(self, name: str, value: Any) -> tuple[str, str, Any]:
        """Follow `$ref` from a value of the document `name`, as often as it takes.

        Returns the file that the value was found in, its JSON pointer there ("" when there was no reference)
        and the value. Raises LookupError for a reference that leads nowhere.
        """
        pointer = ""
        while isinstance(value, dict) and "$ref" in value:
            reference: str = value["$ref"]
            name, pointer = target(reference, name)
            value = at_pointer(self.document(name), pointer, f"{name}: {reference}")
        return name, pointer, value


def at_pointer(document: Any, pointer: str, reference: str) -> Any:
    """The value at a JSON pointer (RFC 6901); `reference` names it in the LookupError when there is none."""
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise LookupError(f"following the reference {reference!r}: there is no {key!r}") from None
    return value


def target(reference: str, name: str) -> tuple[str, str]:
    """The document, and the JSON pointer in it, that a reference in the document `name` leads to."""
    file, _, pointer = reference.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name, pointer


def _references(value: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)


def _named_schemas(value: Any) -> Iterator[tuple[str, Any]]:
    """The properties and parameters anywhere in a document, by name."""
    if isinstance(value, list):
        for item in value:
            yield from _named_schemas(item)
    elif isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield from value["properties"].items()
        if "in" in value and isinstance(value.get("name"), str):
            is_credential = (value.get("type"), value["in"]) == ("apiKey", "query")
            yield value["name"], {"x-secret": True} if is_credential else value.get("schema")
        for item in value.values():
            yield from _named_schemas(item)


@cache
def installed_store() -> Store:
    """The documents that this installation holds."""
    return Store(openapi_folder())
