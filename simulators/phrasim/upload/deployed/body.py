"""JSON bodies as the deployed service reads them, and its words for one that it cannot read."""

from collections.abc import Mapping
from typing import Any

import msgspec

from phrasim.service.refusal import Refusal

_TEXT = (str, type(None))

FIELDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "files": ((list,), "array"),
    "formData": ((dict,), "array"),
    "options": ((dict,), "array"),
    "target": (_TEXT, "string"),
    "targetSlug": (_TEXT, "string"),
    "notify": ((bool,), "bool"),
}
"""The fields of a request to commit that count, with their Python types and PHP's word for them."""

_PHP_TYPES: Mapping[type, str] = {
    type(None): "NULL",
    bool: "boolean",
    int: "integer",
    float: "double",
    str: "string",
    list: "array",
    dict: "array",
}


def json_object(content: bytes) -> dict[str, Any]:
    """A JSON object, or 400 (the text is not verified)."""
    try:
        value = msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "Syntax error") from error
    if not isinstance(value, dict):
        raise Refusal(400, f"The body should be an object, {_php_type(value)} given.")
    return value


def commit_fields(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a request to commit, once those of its fields that count have their types, or 400 (not verified).

    An empty list is as good as an empty map: PHP has one type for both.
    """
    for name, (kinds, called) in FIELDS.items():
        value = body.get(name)
        if name in body and not isinstance(value, kinds) and not (called == "array" and value == []):
            said = f'The type of the "{name}" attribute must be "{called}", "{_php_type(value)}" given.'
            raise Refusal(400, said)
    return body


def _php_type(value: Any) -> str:
    return _PHP_TYPES[type(value)]
