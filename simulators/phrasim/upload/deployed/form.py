"""What is wrong with a commit's form, in Symfony's words (§2.3)."""

from collections.abc import Mapping
from typing import Any

BLANK = "This value should not be blank."
EXTRA = "This form should not contain extra fields."
WHOLE_FORM = "_form"
"""The key of what concerns no single field."""


def form_errors(schema: Mapping[str, Any], form_data: Mapping[str, Any]) -> dict[str, list[str]]:
    """The messages by field: a required one that is blank, and fields that the schema has not (not verified).

    Of a LiForm schema `required` and the names of `properties` are read. A false boolean is blank, the number 0 is not.
    """
    errors: dict[str, list[str]] = {}
    known = schema.get("properties", {})
    if any(name not in known for name in form_data):
        errors[WHOLE_FORM] = [EXTRA]
    for name in known:
        if name in schema.get("required", ()) and _is_blank(form_data.get(name)):
            errors[name] = [BLANK]
    return errors


def _is_blank(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})
