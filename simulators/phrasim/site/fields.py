"""A JSON schema as a table of the fields of its value, for people."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from phrasim.site.page import table

_DEPTH_MAX = 6
"""How deep fields are listed; what lies deeper is told by its type alone."""


def fields_table(schema: Mapping[str, Any]) -> str:
    """The fields of a value that the schema describes; the schema holds no references. Empty where it has none."""
    return table(("Field", "Type", "", "What it is"), _rows(schema, "", 0))


def _rows(schema: Mapping[str, Any], name: str, depth: int) -> Iterator[tuple[str, str, str, str]]:
    if depth > _DEPTH_MAX:
        return
    required = _required(schema)
    for key, field in _properties(schema).items():
        path = f"{name}.{key}" if name else key
        needed = "required" if key in required else ""
        yield f"`{path}`", type_of(field), needed, field.get("description", "") if isinstance(field, dict) else ""
        if isinstance(field, dict):
            yield from _rows(field, path, depth + 1)
    for number, item in enumerate(schema.get("prefixItems", ())):
        path = f"{name}[{number}]"
        yield f"`{path}`", type_of(item), "", item.get("description", "")
        yield from _rows(item, path, depth + 1)
    items = schema.get("items")
    if isinstance(items, dict):
        path = f"{name}[…]"
        if "properties" in items or "allOf" in items:
            yield f"`{path}`", type_of(items), "", items.get("description", "")
        yield from _rows(items, path, depth + 1)


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a schema names itself or in `allOf`."""
    found: dict[str, Any] = {}
    for part in (*schema.get("allOf", ()), schema):
        if isinstance(part, dict):
            found |= part.get("properties", {}) if part is schema else _properties(part)
    return found


def _required(schema: Mapping[str, Any]) -> set[str]:
    names = set(schema.get("required", ()))
    return names.union(*(_required(part) for part in schema.get("allOf", ()) if isinstance(part, dict)))


def type_of(schema: Any) -> str:
    """What a value may be, in a few words."""
    if not isinstance(schema, dict):
        return "anything" if schema else "nothing"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    for key in ("oneOf", "anyOf"):
        kinds = [type_of(one) for one in schema.get(key, ()) if isinstance(one, dict) and _says_type(one)]
        if kinds and not _says_type({**schema, key: ()}):
            return " or ".join(dict.fromkeys(kinds))
    written = schema.get("type", "object" if "properties" in schema or "allOf" in schema else "")
    kinds = written if isinstance(written, list) else [written] if written else []
    words = " or ".join(kinds) or "anything"
    return f"{words}, {schema['format']}" if "format" in schema else words


def _says_type(schema: Mapping[str, Any]) -> bool:
    return any(schema.get(key) for key in ("type", "const", "enum", "properties", "allOf", "oneOf", "anyOf"))
