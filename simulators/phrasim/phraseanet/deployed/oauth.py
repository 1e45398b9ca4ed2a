"""Which OAuth token a request bears, and how the OAuth library refuses, which knows nothing of envelopes (§3)."""

from collections.abc import Callable, Mapping
from typing import Literal

PARAMETER = "oauth_token"
_SCHEME = "OAuth "

Error = Literal["invalid_request", "invalid_token", "expired_token"]


class OAuthRefusal(Exception):
    """400 or 401 for a token that is missing or no good: no body, and a header `WWW-Authenticate`."""

    def __init__(self, error: Error) -> None:
        super().__init__(error)
        self.status = 400 if error == "invalid_request" else 401
        self.challenge = f"OAuth realm='Service', error='{error}'"


class MalformedOAuth(Exception):
    """400 for a header of another scheme, or more than one token: a JSON body, and no header of OAuth's."""


def token_of(authorization: str | None, query: Mapping[str, str], form: Mapping[str, str]) -> str:
    """The token of a request, from its header or else from the parameter of its query or form.

    The scheme is `OAuth` and nothing else: `Bearer` and `ApiKey` are malformed (H34). Raises `OAuthRefusal` where there
    is no token, `MalformedOAuth` where there are two or the header is another's.
    """
    given = [parameters[PARAMETER] for parameters in (query, form) if PARAMETER in parameters]
    if authorization is not None:
        credentials = authorization.strip()
        if given or not credentials.startswith(_SCHEME):
            raise MalformedOAuth
        return credentials.removeprefix(_SCHEME).lstrip()
    if len(given) > 1:
        raise MalformedOAuth
    if not given:
        raise OAuthRefusal("invalid_request")
    return given[0]


def check(token: str, token_error: Callable[[str], Literal["invalid_token", "expired_token"] | None]) -> None:
    """Raise `OAuthRefusal` for a token of which `token_error` finds something wrong."""
    error = token_error(token)
    if error is not None:
        raise OAuthRefusal(error)
