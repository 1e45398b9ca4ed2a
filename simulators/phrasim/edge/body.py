"""How much of a message's body the journal keeps, and in which form."""

import base64
import hashlib

import msgspec

from phrasim.journal.events import Body

JSON_BYTES_MAX = 1024 * 1024
"""Bytes of JSON that are kept whole: the protocol's own words, by which runs are judged."""

OPAQUE_BYTES_MAX = 4096
"""Bytes of any other body that are kept; a longer one is told by its length and digest."""


def journal_body(content: bytes, media_type: str | None) -> Body:
    """A body that is at hand: JSON as a value, other text as text, bytes in base64, each up to its limit."""
    length = len(content)
    if length == 0:
        return Body(length=0)
    if _is_json(media_type) and length <= JSON_BYTES_MAX:
        try:
            return Body(length=length, json=msgspec.json.decode(content))
        except (ValueError, RecursionError):
            pass  # It says that it is JSON, and a reader of the journal will want to see what it is.
    if length > OPAQUE_BYTES_MAX:
        return Body(length=length, sha256=hashlib.sha256(content).hexdigest(), digest="computed")
    try:
        return Body(length=length, text=content.decode())
    except UnicodeDecodeError:
        return Body(length=length, base64=base64.b64encode(content).decode())


def stored_body(length: int, sha256: str) -> Body:
    """A body that streams a file whose digest the sender's storage knows: nothing is hashed again."""
    return Body(length=length, sha256=sha256, digest="stored")


def _is_json(media_type: str | None) -> bool:
    essence = (media_type or "").partition(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


class BodyCollector:
    """A body that passes part by part: kept while it is within the limits, hashed and counted beyond them."""

    def __init__(self, media_type: str | None) -> None:
        self._media_type = media_type
        self._kept: list[bytes] = []
        self._hash: hashlib._Hash | None = None
        self._max = JSON_BYTES_MAX if _is_json(media_type) else OPAQUE_BYTES_MAX
        self.length = 0

    def add(self, part: bytes) -> None:
        """The next part."""
        self.length += len(part)
        if self._hash is not None:
            self._hash.update(part)
            return
        self._kept.append(part)
        if self.length > self._max:
            self._hash = hashlib.sha256(b"".join(self._kept))
            self._kept.clear()

    def body(self) -> Body:
        """What passed so far."""
        if self._hash is not None:
            return Body(length=self.length, sha256=self._hash.hexdigest(), digest="computed")
        return journal_body(b"".join(self._kept), self._media_type)
