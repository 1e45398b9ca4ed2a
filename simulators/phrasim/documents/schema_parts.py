"""A JSON schema (2020-12) as a tree of facts, one part for each field: what can be compared field by field.

References are followed. `allOf`, and keywords beside a `$ref`, say more of the same value, and are joined with what
they stand beside. `oneOf`, `anyOf`, `not`, `if` and the like are one fact each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from phrasim.documents.store import Store, at_pointer, target

_FOR_PEOPLE = frozenset(("$comment", "$defs", "$id", "$schema", "description", "example", "examples", "title"))
"""The keywords that say nothing of the value on the wire."""
_READ_APART = frozenset(("properties", "patternProperties", "prefixItems", "required"))
_A_SCHEMA = frozenset(("not", "if", "then", "else", "contains", "contentSchema", "propertyNames"))
_OF_WHAT_IS_NOT_NAMED = {"additionalProperties": "/{*}", "items": "/*"}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a document states: facts about it, which are JSON values, and the parts that it is made of."""

    facts: Mapping[str, Any]
    parts: "Mapping[str, Part]"

    def whole(self) -> dict[str, Any]:
        """All of it as one JSON value: the facts, and each part under its name."""
        return {**self.facts, **{name: part.whole() for name, part in self.parts.items()}}


@dataclass(frozen=True, slots=True)
class _Layer:
    """One of the schemas that a value must fit.

    `above` tells the places (file and pointer) to which references led on the way here, and how deep each was.
    """

    file: str
    written: Any
    above: Mapping[tuple[str, str], int]


def schema_part(store: Store, file: str, written: Any) -> Part:
    """What the schema `written` in `file` says of a value. Raises LookupError for a reference that leads nowhere.

    A field says whether it is `required`; a value that must not be there is `forbidden`. Where a schema leads back to
    one that it is a part of, it says `recursion`: how many levels further up that is.
    """
    return _part(store, [_Layer(file, written, {})], 0)


def _part(store: Store, given: list[_Layer], depth: int) -> Part:
    """What the layers say together of a value that lies `depth` levels inside the schema."""
    facts: dict[str, Any] = {}
    fields: dict[str, list[_Layer]] = {}
    others: dict[str, list[_Layer]] = {}
    layers = [one for layer in given for one in _followed(store, layer, depth)]
    for layer in layers:
        for keyword, said in _facts(store, layer, depth):
            before = facts.setdefault(keyword, said)
            if before != said:
                facts[keyword] = {"allOf": [before, said]}
        for name, inner in layer.written.get("properties", {}).items():
            fields.setdefault(name, []).append(replace(layer, written=inner))
        for name, inner in _unnamed(layer.written):
            others.setdefault(name, []).append(replace(layer, written=inner))
    required = dict.fromkeys(name for layer in layers for name in layer.written.get("required", ()))
    parts = {}
    for name in dict.fromkeys((*fields, *required)):
        part = _part(store, fields.get(name, []), depth + 1)
        parts[f"/{name.replace('~', '~0').replace('/', '~1')}"] = replace(
            part, facts={"required": name in required, **part.facts}
        )
    return Part(facts, parts | {name: _part(store, inner, depth + 1) for name, inner in others.items()})


def _followed(store: Store, layer: _Layer, depth: int) -> Iterator[_Layer]:
    """The layers that a schema is made of, each without reference and `allOf`; all of them are objects."""
    written = layer.written
    if isinstance(written, bool):
        yield replace(layer, written={} if written else {"forbidden": True})
        return
    if "$ref" in written:
        file, pointer = place = target(written["$ref"], layer.file)
        if place in layer.above:
            yield replace(layer, written={"recursion": depth - layer.above[place]})
        else:
            found = at_pointer(store.document(file), pointer, f"{layer.file}: {written['$ref']}")
            yield from _followed(store, _Layer(file, found, {**layer.above, place: depth}), depth)
    for one in written.get("allOf", ()):
        yield from _followed(store, replace(layer, written=one), depth)
    yield replace(layer, written={key: said for key, said in written.items() if key not in ("$ref", "allOf")})


def _facts(store: Store, layer: _Layer, depth: int) -> Iterator[tuple[str, Any]]:
    """What a layer says of the value itself. The order in which alternatives are written says nothing."""

    def whole(written: Any) -> Any:
        return _part(store, [replace(layer, written=written)], depth).whole()

    for keyword, said in layer.written.items():
        if keyword in _FOR_PEOPLE or keyword in _READ_APART or keyword.startswith("x-"):
            continue
        if keyword in _OF_WHAT_IS_NOT_NAMED:
            if said is False:
                yield keyword, said
        elif keyword in _A_SCHEMA or keyword.startswith("unevaluated"):
            yield keyword, whole(said)
        elif keyword == "dependentSchemas":
            yield keyword, {name: whole(one) for name, one in said.items()}
        elif keyword in ("oneOf", "anyOf"):
            yield keyword, sorted(map(whole, said), key=encoded)
        elif keyword == "enum":
            yield keyword, sorted(said, key=encoded)
        elif keyword == "type":
            types = [said] if isinstance(said, str) else said
            yield keyword, sorted(types, key=lambda name: (name == "null", name))
        else:
            yield keyword, said


def _unnamed(written: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas of the items of an array, and of the fields of an object that have no name."""
    for pattern, inner in written.get("patternProperties", {}).items():
        yield f"/{{{pattern}}}", inner
    for index, inner in enumerate(written.get("prefixItems", ())):
        yield f"/{index}", inner
    for keyword, name in _OF_WHAT_IS_NOT_NAMED.items():
        if isinstance(written.get(keyword), dict):
            yield name, written[keyword]


def encoded(value: Any) -> bytes:
    """A JSON value as text, by which values are compared: 1 and true differ, the order of keys does not count."""
    return msgspec.json.encode(value, order="deterministic")
