"""What a URL is in a request line."""

import re

_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


def target_of(url: str) -> str:
    """The target of a request for an absolute URL (RFC 9112, §3.2.1): its path and query."""
    found = _ORIGIN.match(url)
    target = url[found.end() :] if found else url
    return target.partition("#")[0] or "/"
