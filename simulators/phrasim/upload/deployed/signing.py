"""URLs that bear their own permission: an asset's `url` opens its file without a header, for a while (§2.4, H31)."""

import hashlib
import hmac
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlencode

URL_LIFETIME = 3600
"""Seconds for which a URL is good (§2.4)."""

KEY_BYTES = 32
"""Bytes of the key with which URLs are signed."""


class UrlRefused(Exception):
    """A URL that opens nothing; `code` is the file store's word for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SignedUrls:
    """Gives out URLs under `base_url` and checks those that come back. `chance` makes the key, `now` tells the date.

    `path` is the template of the file route, with `{path}` for the file. The form of the URL is assumed: the deployed
    service gives out its file store's.
    """

    def __init__(
        self,
        base_url: str,
        path: str,
        chance: random.Random,
        now: Callable[[], datetime],
        lifetime: int = URL_LIFETIME,
    ) -> None:
        self._prefix = base_url.rstrip("/") + path
        self._key = chance.randbytes(KEY_BYTES)
        self._now = now
        self._lifetime = lifetime

    def url(self, name: str) -> str:
        """A URL for the file of that name, good from now for the lifetime."""
        expires = str(int(self._now().timestamp()) + self._lifetime)
        query = urlencode({"expires": expires, "signature": self._signed(name, expires)})
        return f"{self._prefix.format(path=name)}?{query}"

    def check(self, name: str, query: Mapping[str, str]) -> None:
        """Raise `UrlRefused` for a query that was not given out for the file of that name, or has expired."""
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not hmac.compare_digest(self._signed(name, expires).encode(), signature.encode()):
            raise UrlRefused("SignatureDoesNotMatch", "The signature is not the one that was given out for this file")
        if self._now().timestamp() >= int(expires):
            raise UrlRefused("AccessDenied", "Request has expired")

    def _signed(self, name: str, expires: str) -> str:
        return hmac.new(self._key, f"{name}\n{expires}".encode(), hashlib.sha256).hexdigest()
