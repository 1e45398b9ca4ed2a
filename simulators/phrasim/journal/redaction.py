"""Secrets do not leave a run in the clear: a token becomes its fingerprint, a password nothing at all.

A fingerprint (the first 8 hexadecimal digits of the SHA-256) shows whether two messages bear the same token, which is
what a reader of a trace asks, and gives nobody the token. Which fields are secret is said by `x-secret` in openapi/; a
name among them that ends in `?` is that of a URL whose query is secret.
"""

import hashlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import parse_qsl, urlencode

FINGERPRINT_DIGITS = 8
"""Hexadecimal digits of a fingerprint."""

REDACTED = "‹redacted›"
"""What stands for a secret of which not even a fingerprint may be known."""

_GUESSABLE = frozenset({"password", "client_secret"})
"""Secrets that people choose: a fingerprint would let them be guessed."""


def mentions(content: bytes, secret_fields: AbstractSet[str]) -> bool:
    """Whether the name of a secret field stands somewhere in content of which nobody knows the form."""
    return any(field.encode() in content for field in secret_fields)


def fingerprint(token: str) -> str:
    """What stands for a token where it may be read by others: `‹5f3c0a91›`."""
    return f"‹{hashlib.sha256(token.encode()).hexdigest()[:FINGERPRINT_DIGITS]}›"


def redacted_field(name: str, value: Any) -> str | None:
    """What stands for the secret in the field `name`; a field that holds nothing (null) says so."""
    if value is None:
        return None
    return fingerprint(value) if isinstance(value, str) and name not in _GUESSABLE else REDACTED


def redacted_json(value: Any, secret_fields: AbstractSet[str]) -> Any:
    """`value` with the text of each secret field replaced, at any depth."""
    if isinstance(value, dict):
        return {
            key: redacted_field(key, inner)
            if key in secret_fields
            else redacted_url(inner)
            if f"{key}?" in secret_fields and isinstance(inner, str)
            else redacted_json(inner, secret_fields)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redacted_json(inner, secret_fields) for inner in value]
    return value


def redacted_url(url: str) -> str:
    """A URL that bears its own permission, or a request's target: of its query nothing but the fingerprint is left."""
    address, mark, query = url.partition("?")
    return f"{address}?{fingerprint(query)}" if mark else url


def urls_in(value: Any, secret_fields: AbstractSet[str]) -> Iterator[str]:
    """The URLs in a JSON value that bear their own permission, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str):
                if f"{key}?" in secret_fields:
                    yield inner
            else:
                yield from urls_in(inner, secret_fields)
    elif isinstance(value, list):
        for inner in value:
            yield from urls_in(inner, secret_fields)


def redacted_form(text: str, secret_fields: AbstractSet[str]) -> str:
    """A form (`application/x-www-form-urlencoded`) or a query with its secret fields replaced."""
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode([(name, redacted_field(name, value) if name in secret_fields else value) for name, value in pairs])


def redacted_headers(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """`headers` with the credentials of `authorization` replaced; its scheme stays."""
    return tuple((name, _credentials(value) if name == "authorization" else value) for name, value in headers)


def _credentials(value: str) -> str:
    scheme, space, token = value.partition(" ")
    return f"{scheme} {fingerprint(token)}" if space else fingerprint(value)
