"""A document of openapi/ with what its references lead to in their place, so that it can be read alone."""

from collections.abc import Mapping
from typing import Any

from phrasim.documents.store import Document, Store, target


def whole(store: Store, file: str) -> Document:
    """The document of that name without a reference in it.

    What stands beside a reference is kept, and counts more than the same key where the reference leads. A schema
    that was referred to gets the last word of the reference for its title, unless it has one. One that leads back into
    itself is left empty there. Raises LookupError for a reference that leads nowhere.
    """
    document: Document = _whole(store, file, store.document(file), frozenset())
    return document


def _whole(store: Store, file: str, value: Any, above: frozenset[tuple[str, str]]) -> Any:
    if isinstance(value, list):
        return [_whole(store, file, item, above) for item in value]
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get("$ref"), str):
        return {key: _whole(store, file, item, above) for key, item in value.items()}
    place = target(value["$ref"], file)
    found_in, _, found = store.resolve(file, {"$ref": value["$ref"]})
    name = place[1].rpartition("/")[2]
    if place in above:
        return {"title": name, "description": "As further up."}
    beside = _whole(store, file, {key: item for key, item in value.items() if key != "$ref"}, above)
    led_to = _whole(store, found_in, found, above | {place})
    if not isinstance(led_to, dict):
        return led_to
    titled = {"title": name} if "/schemas/" in place[1] and _is_schema(led_to) else {}
    return {**titled, **led_to, **beside}


def _is_schema(value: Mapping[str, Any]) -> bool:
    return any(key in value for key in ("type", "properties", "allOf", "anyOf", "oneOf", "enum", "const"))
