"""Which media type the first bytes of a file show."""

import codecs
from functools import cache, lru_cache

SNIFFED_BYTES = 4096
"""Bytes at the start of a file by which its media type is told."""


def sniffed(head: bytes, *, whole: bool) -> str:
    """The media type that a file's first bytes show; `whole` says that they are all of it.

    What puremagic does not know is `text/plain` if it reads as UTF-8, and `application/octet-stream` otherwise.
    """
    found = _by_signature(head) if _has_signature(head) else None
    if found is not None:
        return found
    try:
        # A character that is cut by the end of the head is no sign of binary content.
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if b"\0" in head else "text/plain"


@lru_cache(maxsize=64)
def _by_signature(head: bytes) -> str | None:
    """What puremagic says of it; None where it knows it not."""
    import puremagic

    try:
        return puremagic.from_string(head, mime=True) or "application/octet-stream"
    except (puremagic.PureError, ValueError):
        return None


def _has_signature(head: bytes) -> bool:
    """Whether any signature is where it would have to be: puremagic itself compares all of them, one by one."""
    return any(head[place] in signatures for place, signatures in _signatures())


@cache
def _signatures() -> tuple[tuple[slice, frozenset[bytes]], ...]:
    """Puremagic's signatures by their place from the begin or the end, read when the first file comes."""
    import puremagic

    by_place: dict[tuple[int, int | None], set[bytes]] = {}
    for row in (*puremagic.magic_header_array, *puremagic.magic_footer_array):
        end = row.offset + len(row.byte_match)
        # What is counted from the end may end with it.
        by_place.setdefault((row.offset, end if end or row.offset >= 0 else None), set()).add(row.byte_match)
    return tuple((slice(*place), frozenset(signatures)) for place, signatures in by_place.items())
