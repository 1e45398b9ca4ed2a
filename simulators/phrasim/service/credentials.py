"""What an `Authorization` header says."""

from dataclasses import dataclass

LIST_COMMITS = "commit:list"
"""The scope by which a client may list commits, in every profile (§2.4)."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """An access token of Auth (RFC 6750); not yet known to be good."""

    token: str


@dataclass(frozen=True, slots=True)
class AssetToken:
    """The token of a commit, sent by a scheme of the document's own ("relates to an asset", A17)."""

    token: str


def fits_a_header(token: str) -> bool:
    """Whether a header can hold a token that somebody gave: one that none can would never be refused, nor renewed."""
    return token.isascii() and token.isprintable()


def credentials(authorization: str | None) -> Bearer | AssetToken | None:
    """What a caller presents; None for nothing, an unknown scheme, an empty token or one that is not printable ASCII.

    `Bearer` is compared without case (RFC 9110, §11.1), `AssetToken` with it, as the deployed services do (§2.4).
    """
    scheme, _, token = (authorization or "").partition(" ")
    if not token or not fits_a_header(token):
        return None
    if scheme == "AssetToken":
        return AssetToken(token)
    return Bearer(token) if scheme.lower() == "bearer" else None
