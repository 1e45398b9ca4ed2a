"""The body of a refusal: `application/problem+json` (RFC 9457), as ruled in A29."""

from http import HTTPStatus

import msgspec

MEDIA_TYPE = "application/problem+json"

_PHRASES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""RFC 9110's phrases where Python had older ones before 3.13: the same answer is the same bytes under each."""


def problem_json(status: int, detail: str) -> bytes:
    """A problem document; its title is the status's phrase, as RFC 9457 asks where the type is about:blank."""
    known = status in HTTPStatus._value2member_map_
    title = _PHRASES.get(status) or (HTTPStatus(status).phrase if known else "Unknown Status")
    return msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail})
