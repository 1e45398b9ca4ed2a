"""Who may do what: the table of PROTOCOL §2.4 and ruling A32, one function a column.

Nobody and a caller with an invalid Bearer get 401 before these are asked; a caller who may not gets 403.
"""

import hmac
from dataclasses import dataclass

from phrasim.service.credentials import LIST_COMMITS, AssetToken
from phrasim.upload.documented.state import Commit

ADMINISTRATOR = "ROLE_SUPER_ADMIN"


@dataclass(frozen=True, slots=True)
class User:
    """The person behind a user's access token."""

    id: str
    roles: tuple[str, ...]

    @property
    def is_administrator(self) -> bool:
        """Whether the person may do what only administrators may."""
        return ADMINISTRATOR in self.roles


@dataclass(frozen=True, slots=True)
class Client:
    """An application with an access token of its own."""

    scopes: tuple[str, ...]


Principal = User | Client | AssetToken


def may_upload(principal: Principal) -> bool:
    """Upload an asset or commit: a user or an administrator (A32)."""
    return isinstance(principal, User)


def may_use(principal: Principal, commit: Commit | None) -> bool:
    """Read or download an asset of `commit`, or acknowledge it: an administrator, or the commit's own token.

    An asset that is not committed (None) is nobody's, not even an administrator's (§2.4).
    """
    if commit is None:
        return False
    if isinstance(principal, AssetToken):
        return hmac.compare_digest(principal.token.encode(), commit.token.encode())
    return isinstance(principal, User) and principal.is_administrator


def may_list_commits(principal: Principal) -> bool:
    """List commits: an administrator, or a client with the scope `commit:list` (A11)."""
    if isinstance(principal, Client):
        return LIST_COMMITS in principal.scopes
    return isinstance(principal, User) and principal.is_administrator
