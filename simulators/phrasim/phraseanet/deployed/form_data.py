"""What Phraseanet reads of a commit's form data (§4.6, steps 4 to 6), with PHP's ideas of what is true or empty."""

from collections.abc import Mapping
from typing import Any

STATUS_BITS = 32

DIGITS_MAX = 300
"""Digits beyond which a text is no number here; Python reads no more than 4300."""


def form_data(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The form data of an asset's metadata; empty where they are null, or the list that PHP makes of an empty map."""
    found = metadata.get("formData")
    return found if isinstance(found, dict) else {}


def is_truthy(value: Any) -> bool:
    """PHP's truth of a JSON value: the text "0" is false as well."""
    return bool(value) and value != "0"


def metadata_fields(form: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of each field by its name: `metadata-<field>` holds one, or a list.

    Any key that contains `metadata` counts, and the field is what stands behind its first hyphen, "" if it has none.
    """
    return {
        _behind_hyphen(key): value if isinstance(value, list) else [value]
        for key, value in form.items()
        if "metadata" in key
    }


def status_bits(form: Mapping[str, Any]) -> int:
    """The status of a record: a truthy `statusbit-<n>` sets bit n of 32; another n sets nothing."""
    bits = 0
    for key, value in form.items():
        number = _behind_hyphen(key)
        bit = int(number) if number.isdecimal() and len(number) <= DIGITS_MAX else STATUS_BITS
        if "statusbit" in key and bit < STATUS_BITS and is_truthy(value):
            bits |= 1 << bit
    return bits


def _behind_hyphen(key: str) -> str:
    return key.split("-")[1] if "-" in key else ""
