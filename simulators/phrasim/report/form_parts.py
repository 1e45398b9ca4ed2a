"""The parts of a form with files (`multipart/form-data`, RFC 7578), as far as they are written in the common way."""

import re
from dataclasses import dataclass

_BOUNDARY = re.compile(r'multipart/form-data;\s*boundary="?([^"\s;]+)"?', re.IGNORECASE)
_HEAD = re.compile(
    r'Content-Disposition: form-data; name="([^"\\\r\n]*)"(?:; filename="([^"\\\r\n]*)")?'
    r"(?:\r\nContent-Type: ([^\r\n]*))?\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class FormPart:
    """A part of a form: `content` begins at the character `start` of the whole; what it does not say is None."""

    name: str
    filename: str | None
    media_type: str | None
    content: str
    start: int


def form_parts(text: str, content_type: str) -> tuple[FormPart, ...] | None:
    """The parts of a body of that Content-Type; None if it is no such form, or is written in another way.

    The common way is that of browsers, httpx and curl: a part has the headers Content-Disposition and Content-Type, in
    this order, and nothing stands between the parts. From the parts and a boundary it can be written again.
    """
    boundary = _BOUNDARY.fullmatch(content_type.strip())
    if boundary is None:
        return None
    first, between, last = f"--{boundary[1]}\r\n", f"\r\n--{boundary[1]}\r\n", f"\r\n--{boundary[1]}--\r\n"
    if not (text.startswith(first) and text.endswith(last)):
        return None
    parts = []
    at = len(first)
    for written in text[at : -len(last)].split(between):
        head = _HEAD.match(written)
        if head is None:
            return None
        name, filename, media_type = head.groups()
        parts.append(FormPart(name, filename, media_type, written[head.end() :], at + head.end()))
        at += len(written) + len(between)
    return tuple(parts)
