"""How two documents differ: what is compared, what is not, and that each change is told once and in its place."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from phrasim.documents import openapi_folder
from phrasim.documents.contract import CONTRACTS
from phrasim.documents.difference import Added, Changed, Compared, Difference, Removed, compared
from phrasim.documents.stated import entries
from phrasim.documents.store import Store, at_pointer

FILES = [file for files in CONTRACTS.values() for file in files.values()]
METHODS = ("get", "put", "post", "delete", "patch")
AS_A_WHOLE = ("oneOf", "anyOf", "allOf", "not", "if", "then", "else", "contains", "contentSchema", "propertyNames")

Path_ = tuple[str | int, ...]


class Held(Store):
    """Documents that are in no folder, by file name."""

    def __init__(self, documents: dict[str, Any]) -> None:
        super().__init__(Path("nowhere"))
        self.held = documents

    def document(self, name: str) -> Any:
        return self.held[name]


def differences(before: dict[str, Any], after: dict[str, Any], file: str = "a.yaml", **others: Any) -> list[Compared]:
    """What differs between two documents, without what is the same."""
    sides = [entries(Held({file: side, **others}), file) for side in (before, after)]
    return [entry for entry in compared(*sides) if not entry.same]


def openapi(**operation: Any) -> dict[str, Any]:
    """A document of one operation."""
    written = {"operationId": "act", "security": [], "responses": {"200": {"description": "Done."}}, **operation}
    return {
        "openapi": "3.1.0",
        "paths": {"/act": {"post": written}},
        "components": {
            "securitySchemes": {
                "Bearer": {"type": "http", "scheme": "bearer"},
                "Token": {"type": "apiKey", "in": "header", "name": "Authorization"},
            }
        },
    }


def of_operations(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    """In what one operation differs, written in two ways."""
    found = differences(openapi(**before), openapi(**after))
    return [difference for entry in found for difference in entry.differences]


def of_schemas(before: Any, after: Any) -> list[Difference]:
    """In what the answer of an operation differs, whose schema is written in two ways."""

    def answering(schema: Any) -> dict[str, Any]:
        return {"responses": {"200": {"content": {"a/b": {"schema": schema}}}}}

    return of_operations(answering(before), answering(after))


def said(difference: Difference) -> tuple[Any, ...]:
    """A difference as a tuple, its place without the two words that lead to the schema."""
    place = "".join(difference.place[2:])
    if isinstance(difference, Changed):
        return (place, difference.fact, difference.before, difference.after)
    return ("+" if isinstance(difference, Added) else "-", place, difference.part.whole())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"type": "string"}, {"type": "integer"}, [("", "type", ["string"], ["integer"])]),
        ({"format": "uuid"}, {}, [("", "format", "uuid", UNSET)]),
        ({}, {"pattern": "^a"}, [("", "pattern", UNSET, "^a")]),
        ({}, {"const": None}, [("", "const", UNSET, None)]),
        ({"const": 1}, {"const": True}, [("", "const", 1, True)]),
        ({"enum": ["a"]}, {"enum": ["b", "a"]}, [("", "enum", ["a"], ["a", "b"])]),
        (
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"a": {"type": "string"}}},
            [("/a", "required", True, False)],
        ),
        (
            {"properties": {"a": {}}},
            {"properties": {"a": {}, "b/c": {"type": "string"}}, "required": ["b/c"]},
            [("+", "/b~1c", {"required": True, "type": ["string"]})],
        ),
        (
            {"properties": {"a": {"properties": {"b": {"properties": {"c": {}}}}}}},
            {"properties": {"a": {"properties": {"b": {}}}}},
            [("-", "/a/b/c", {"required": False})],
        ),
        ({"required": ["a"]}, {}, [("-", "/a", {"required": True})]),
        ({"items": {"minimum": 1}}, {"items": {"minimum": 2}}, [("/*", "minimum", 1, 2)]),
        ({"items": False}, {"items": True}, [("", "items", False, UNSET)]),
        ({"prefixItems": [{}, {"type": "null"}]}, {"prefixItems": [{}, {}]}, [("/1", "type", ["null"], UNSET)]),
        (
            {"additionalProperties": {"type": "string"}},
            {"additionalProperties": {"type": "null"}},
            [("/{*}", "type", ["string"], ["null"])],
        ),
        ({}, {"additionalProperties": False}, [("", "additionalProperties", UNSET, False)]),
        ({"patternProperties": {"^x": {}}}, {}, [("-", "/{^x}", {})]),
        ({"properties": {"a": {}}}, {"properties": {"a": False}}, [("/a", "forbidden", UNSET, True)]),
        (
            {"oneOf": [{"required": ["a"]}]},
            {"oneOf": [{"required": ["b"]}]},
            [("", "oneOf", [{"/a": {"required": True}}], [{"/b": {"required": True}}])],
        ),
        ({"not": {"type": "null"}}, {}, [("", "not", {"type": ["null"]}, UNSET)]),
        (
            {"dependentSchemas": {"a": {"minProperties": 2}}},
            {},
            [("", "dependentSchemas", {"a": {"minProperties": 2}}, UNSET)],
        ),
        ({"allOf": [{"minimum": 1}], "minimum": 2}, {}, [("", "minimum", {"allOf": [1, 2]}, UNSET)]),
    ],
)
def test_a_change_of_a_schema_is_told_in_its_place(before: Any, after: Any, expected: list[Any]) -> None:
    assert [said(difference) for difference in of_schemas(before, after)] == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {"title": "A", "description": "b", "examples": [1], "x-source": ["H1"], "x-secret": True},
            {"example": 2, "x-assumed": ["A1"]},
        ),
        ({"type": "string"}, {"type": ["string"]}),
        ({"type": ["null", "string"]}, {"type": ["string", "null"]}),
        ({"enum": ["a", 1]}, {"enum": [1, "a"]}),
        ({"anyOf": [{"type": "null"}, {"minimum": 1}]}, {"anyOf": [{"minimum": 1, "title": "N"}, {"type": "null"}]}),
        ({}, True),
        ({"allOf": [{"type": "object"}, {"required": ["a"]}]}, {"type": "object", "required": ["a"]}),
        (
            {"allOf": [{"properties": {"a": {"type": "null"}}}], "required": ["a"]},
            {"properties": {"a": {"type": "null"}}, "required": ["a"]},
        ),
    ],
)
def test_what_says_the_same_in_another_way_is_no_difference(before: Any, after: Any) -> None:
    assert of_schemas(before, after) == []
    assert of_schemas({"properties": {"a": before}}, {"properties": {"a": after}}) == []


def test_a_property_may_bear_the_name_of_a_keyword() -> None:
    before = {"properties": {"title": {"type": "string"}, "description": {"type": "string"}}}
    after = {"properties": {"title": {"type": "null"}}}
    assert [said(difference) for difference in of_schemas(before, after)] == [
        ("/title", "type", ["string"], ["null"]),
        ("-", "/description", {"required": False, "type": ["string"]}),
    ]


def test_a_reference_is_followed_from_file_to_file_and_what_stands_beside_it_counts() -> None:
    shared = {"Id": {"$ref": "#/Text", "format": "uuid", "description": "An id."}, "Text": {"type": "string"}}
    answer = {"responses": {"200": {"$ref": "parts/answers.yaml#/Done"}}}
    answers = {"Done": {"content": {"a/b": {"schema": {"$ref": "../shared.yaml#/Id", "minLength": 1}}}}}
    schema = {"type": "string", "format": "uuid", "minLength": 2}
    (found,) = differences(
        openapi(**answer),
        openapi(responses={"200": {"content": {"a/b": {"schema": schema}}}}),
        **{"parts/answers.yaml": answers, "shared.yaml": shared},
    )
    assert [said(difference) for difference in found.differences] == [("", "minLength", 1, 2)]


def test_a_schema_that_leads_back_to_itself_is_compared_once_around() -> None:
    def tree(**leaf: Any) -> dict[str, Any]:
        node = {"properties": {"value": leaf, "next": {"$ref": "#/components/schemas/Node"}}}
        content = {"a/b": {"schema": {"$ref": "#/components/schemas/Node"}}}
        return openapi(responses={"200": {"content": content}}) | {"components": {"schemas": {"Node": node}}}

    assert differences(tree(type="string"), tree(type="string")) == []
    (found,) = differences(tree(type="string"), tree(type="null"))
    assert [said(difference) for difference in found.differences] == [("/value", "type", ["string"], ["null"])]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"security": [{"Bearer": []}]}, ["- security anybody", "+ security Bearer"]),
        ({"security": [{"Bearer": []}, {}]}, {"security": [{"Bearer": []}]}, ["- security anybody"]),
        ({"security": [{"Bearer": []}]}, {"security": [{"Bearer": ["b", "a"]}]}, ["~ security Bearer scopes"]),
        (
            {"security": [{"Bearer": []}]},
            {"security": [{"Bearer": [], "Token": []}]},
            [
                "- security Bearer",
                "+ security Bearer and Token",
            ],
        ),
        ({"x-caller": "user"}, {"x-caller": "upload"}, ["~  caller"]),
        ({"x-caller": "user"}, {}, ["~  caller"]),
        ({}, {"parameters": [{"name": "a", "in": "query"}]}, ["+ parameter query a"]),
        (
            {"parameters": [{"name": "a", "in": "query", "schema": {"type": "string"}}]},
            {"parameters": [{"name": "a", "in": "query", "required": True, "schema": {"type": "null"}}]},
            ["~ parameter query a required", "~ parameter query a type"],
        ),
        (
            {"parameters": [{"name": "a", "in": "query"}]},
            {"parameters": [{"name": "a", "in": "header"}]},
            ["- parameter query a", "+ parameter header a"],
        ),
        ({}, {"requestBody": {"content": {"a/b": {}}}}, ["+ request"]),
        (
            {"requestBody": {"content": {"a/b": {}}}},
            {"requestBody": {"required": True, "content": {"a/c": {}}}},
            ["~ request required", "- request a/b", "+ request a/c"],
        ),
        ({}, {"responses": {"200": {}, "404": {}}}, ["+ answer 404"]),
        ({}, {"responses": {"200": {"content": {"a/b": {}}}}}, ["+ answer 200 a/b"]),
        (
            {"responses": {"200": {"headers": {"X-A": {"schema": {"type": "string"}}}}}},
            {"responses": {"200": {"headers": {"x-a": {"required": True, "schema": {"type": "null"}}}}}},
            ["~ answer 200 header x-a required", "~ answer 200 header x-a type"],
        ),
        ({"summary": "a", "tags": ["b"], "x-source": ["c"]}, {"description": "d", "x-assumed": ["A1"]}, []),
    ],
)
def test_a_change_of_an_operation_is_told_in_its_place(
    before: dict[str, Any], after: dict[str, Any], expected: list[str]
) -> None:
    marks = {Added: "+", Removed: "-", Changed: "~"}
    told = [
        f"{marks[type(difference)]} {' '.join(difference.place)} {getattr(difference, 'fact', '')}".rstrip()
        for difference in of_operations(before, after)
    ]
    assert told == expected


def test_what_a_security_scheme_stands_for_is_compared_under_its_name() -> None:
    before, after = (openapi(security=[{"Bearer": []}]) for _ in range(2))
    after["components"]["securitySchemes"]["Bearer"] = {"type": "http", "scheme": "basic", "description": "Another."}
    (found,) = differences(before, after)
    assert found.differences == (Changed(("security Bearer",), "scheme", "bearer", "basic"),)


def test_the_security_of_the_document_is_that_of_an_operation_without_its_own() -> None:
    before = openapi(security=[{"Bearer": []}])
    after = openapi() | {"security": [{"Bearer": []}]}
    del after["paths"]["/act"]["post"]["security"]
    assert differences(before, after) == []


def test_an_operation_that_moved_is_known_by_its_id() -> None:
    before, after = openapi(), openapi()
    after["paths"] = {"/acts/": {"parameters": [], "put": before["paths"]["/act"]["post"]}}
    (found,) = differences(before, after)
    assert (found.name, found.before, found.after) == ("act", "POST /act", "PUT /acts/")
    assert found.differences == (Changed((), "method", "POST", "PUT"), Changed((), "path", "/act", "/acts/"))


def test_a_webhook_is_compared_as_an_operation() -> None:
    before, after = openapi(), openapi()
    before["webhooks"] = {"told": {"post": {"operationId": "tell", "responses": {"200": {}}}}}
    after["webhooks"] = {"told": {"post": {"operationId": "tell", "responses": {"204": {}}}}}
    (found,) = differences(before, after)
    assert (found.name, found.before) == ("tell", "POST webhook told")
    assert [difference.place for difference in found.differences] == [("answer 200",), ("answer 204",)]


def test_what_only_one_document_has_is_told_without_its_parts_and_in_its_place() -> None:
    def paths(*names: str) -> dict[str, Any]:
        return {"paths": {f"/{name}": {"get": {"operationId": name, "responses": {"200": {}}}} for name in names}}

    sides = [entries(Held({"a": paths(*names)}), "a") for names in ("abcd", "xbdy")]
    found = compared(*sides)
    assert [(entry.name, entry.before, entry.after) for entry in found] == [
        ("a", "GET /a", None),
        ("x", None, "GET /x"),
        ("b", "GET /b", "GET /b"),
        ("c", "GET /c", None),
        ("d", "GET /d", "GET /d"),
        ("y", None, "GET /y"),
    ]
    assert [entry.same for entry in found] == [False, False, True, False, True, False]
    assert all(entry.differences == () for entry in found)


def asyncapi(queue: dict[str, Any], payload: dict[str, Any], **operation: Any) -> dict[str, Any]:
    """A document of one channel and one operation on it."""
    exchange = {"name": "e", "type": "direct"}
    bindings = {"amqp": {"is": "routingKey", "exchange": exchange, "x-queue": queue, "bindingVersion": "0.3.0"}}
    return {
        "asyncapi": "3.0.0",
        "defaultContentType": "application/json",
        "channels": {"work": {"address": "key", "messages": {"one": {"payload": payload}}, "bindings": bindings}},
        "operations": {
            "work": {
                "action": "send",
                "channel": {"$ref": "#/channels/work"},
                "messages": [{"$ref": "#/channels/work/messages/one"}],
                **operation,
            }
        },
    }


def test_channels_and_the_operations_on_them_are_compared_each_under_its_name() -> None:
    before = asyncapi({"name": "q", "arguments": {"x-message-ttl": 1}}, {"properties": {"a": {}}})
    after = asyncapi(
        {"name": "r", "arguments": {"x-max-length": 5}},
        {"schemaFormat": "application/schema+json", "schema": {"properties": {"a": {"type": "string"}}}},
        action="receive",
        bindings={"amqp": {"deliveryMode": 2}},
    )
    after["channels"]["work"]["address"] = "other"
    channel, operation = differences(before, after)
    assert (channel.kind, channel.name, operation.kind, operation.name) == ("channel", "work", "operation", "work")
    assert channel.differences == (
        Changed((), "routing key", "key", "other"),
        Changed(("queue",), "name", "q", "r"),
        Changed(("queue", "arguments"), "x-message-ttl", 1, UNSET),
        Changed(("queue", "arguments"), "x-max-length", UNSET, 5),
        Changed(("message one", "payload", "/a"), "type", UNSET, ["string"]),
    )
    assert (operation.before, operation.after) == ("send to work", "receive from work")
    assert operation.differences == (
        Changed((), "action", "send", "receive"),
        Changed((), "deliveryMode", UNSET, 2),
    )


shipped = Store(openapi_folder())


def inlined(file: str, value: Any) -> Any:
    """A value of a document with every reference in it replaced by what it leads to, and without examples."""
    if isinstance(value, list):
        return [inlined(file, item) for item in value]
    if not isinstance(value, dict):
        return value
    rest = {key: inlined(file, inner) for key, inner in value.items() if key not in ("$ref", "examples", "example")}
    if not isinstance(value.get("$ref"), str):
        return rest
    name, _, pointer = value["$ref"].partition("#")
    found_in = posixpath.normpath(posixpath.join(posixpath.dirname(file), name)) if name else file
    target = inlined(found_in, at_pointer(shipped.document(found_in), pointer, value["$ref"]))
    only_for_people = all(key == "description" or key.startswith("x-") for key in rest)
    if only_for_people and isinstance(target, dict):
        return {**target, **rest}
    return {**rest, "allOf": [target, *rest.get("allOf", ())]}


def without_references(file: str) -> dict[str, Any]:
    """A shipped document in which each operation has all its parts to itself."""
    document = shipped.document(file)
    return {
        key: inner if key == "operations" else inlined(file, inner)  # what these refer to they name
        for key, inner in document.items()
    }


def removable(value: Any, place: Path_ = ()) -> Iterator[Path_]:
    """The operations, answers and properties of a document; but none of what is compared as a whole."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from removable(item, (*place, index))
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        inside = (*place, key)
        if place[:1] == ("paths",) and len(place) == 2 and key in METHODS:
            yield inside
        if place[:1] == ("paths",) and len(place) == 4 and place[3] == "responses":
            yield inside
        if key == "properties" and "allOf" not in value:
            yield from ((*inside, name) for name in inner)
        if key not in AS_A_WHOLE and (place or key in ("paths", "webhooks", "channels")):
            yield from removable(inner, inside)


def without(value: Any, place: Path_) -> Any:
    """A copy of a document without what stands at `place`; a property is not required any more either."""
    key, *rest = place
    copy = value.copy()
    if not rest:
        del copy[key]
    else:
        copy[key] = without(value[key], tuple(rest))
    if key == "properties" and len(rest) == 1 and "required" in value:
        copy["required"] = [name for name in value["required"] if name != rest[0]]
    return copy


WHOLE = {file: without_references(file) for file in FILES if (openapi_folder() / file).is_file()}
REMOVABLE = [(file, place) for file, document in WHOLE.items() for place in removable(document)]


def test_there_is_much_to_remove() -> None:
    kinds = [place[-2] if place[-2] in ("properties", "responses") else place[0] for _, place in REMOVABLE]
    assert all(kinds.count(kind) > 10 for kind in ("paths", "responses", "properties"))


@pytest.mark.parametrize("file", WHOLE)
def test_a_document_does_not_differ_from_itself_nor_from_itself_without_references(file: str) -> None:
    whole = entries(Held({file: WHOLE[file]}), file)
    assert whole
    for other in (entries(shipped, file), whole):
        assert [entry for entry in compared(other, whole) if not entry.same] == []


@given(st.sampled_from(REMOVABLE), st.booleans())
def test_what_is_removed_or_added_anywhere_is_the_one_difference(removed: tuple[str, Path_], swapped: bool) -> None:
    file, place = removed
    sides = [WHOLE[file], without(WHOLE[file], place)]
    before, after = (entries(Held({file: side}), file) for side in (reversed(sides) if swapped else sides))
    (found,) = [entry for entry in compared(before, after) if not entry.same]
    if len(place) == 3:
        assert found.differences == ()
        assert (found.before is None, found.after is None) == (swapped, not swapped)
        return
    (difference,) = found.differences
    assert isinstance(difference, Added if swapped else Removed)
    name = str(place[-1]).replace("~", "~0").replace("/", "~1")
    assert difference.place[-1] == (f"/{name}" if place[-2] == "properties" else f"answer {name}")
