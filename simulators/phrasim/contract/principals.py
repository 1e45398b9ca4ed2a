"""Everybody who may ask the upload service or Auth for something, and what they show (PROTOCOL §2.4, A11, A32)."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from phrasim.auth.accounts import Client, User
from phrasim.contract.subject import Subject
from phrasim.scenario.user import StepFailed
from phrasim.scenario.user import User as LoggedIn
from phrasim.service.credentials import LIST_COMMITS
from phrasim.testbed import ProfileName
from phrasim.testbed.profiles import profile_of

SHORT_LIFETIME = 1
"""Seconds for which a Bearer is good that is to be shown after its time."""

OTHER_ORDINARY: Mapping[ProfileName, tuple[str, ...]] = {
    "documented": ("ROLE_USER",),
    "deployed": ("user", "expose-admin"),
}
"""The roles of a second user, who administrates another application, if any."""


@dataclass(frozen=True, slots=True)
class Principals:
    """The `Authorization` of each caller by name; those whom nobody can make here are not among them.

    Names are “owner”, “another user”, “administrator 0” and “administrator 1”, by the first and the last role that
    makes one, “client with commit:list”, “client without”, and “expired …” before some of them.
    """

    headers: Mapping[str, str]
    missing: tuple[str, ...] = ()
    """Why some are not there, as lines for people."""

    def __getitem__(self, name: str) -> str:
        """The header of that caller."""
        return self.headers[name]

    def __contains__(self, name: object) -> bool:
        """Whether that caller is there."""
        return name in self.headers


def principals(subject: Subject) -> Principals:
    """The callers of a landscape. Where Auth is a real one they are those who can log in."""
    if "auth" in subject.bed.network.external:
        return _logged_in(subject)
    expired = _expired(subject)
    return Principals(_registered(subject) | expired)


def _registered(subject: Subject) -> dict[str, str]:
    bed, roles = subject.bed, profile_of(subject.profile).roles

    def registered() -> dict[str, str]:
        auth = bed.auth
        administrators = (roles.administrator[0], roles.administrator[-1])
        others = [OTHER_ORDINARY[subject.profile], *((role,) for role in administrators)]
        users = [
            User(f"00000000-0000-4000-8000-{number:012}", f"{number}@example.org", "Somebody", "secret", given)
            for number, given in enumerate(others, start=1)
        ]
        clients = [Client("lister", "secret", (LIST_COMMITS,)), Client("other", "secret", ("asset:list",))]
        for user in users:
            auth.add_user(user)
        for client in clients:
            auth.add_client(client)
        tokens = {"owner": auth.user_token(bed.accounts.publisher), "another user": auth.user_token(users[0])}
        tokens |= {f"administrator {number}": auth.user_token(user) for number, user in enumerate(users[1:])}
        tokens |= {
            "client with commit:list": auth.client_token(clients[0]),
            "client without": auth.client_token(clients[1]),
        }
        return {name: f"Bearer {token}" for name, token in tokens.items()}

    return subject.look(registered)


def _expired(subject: Subject) -> dict[str, str]:
    """Bearers that were good, and used, until their time was over (A33)."""

    def issued() -> dict[str, str]:
        auth, accounts = subject.bed.auth, subject.bed.accounts
        with _short_lived(auth):
            return {
                "expired Bearer of the owner": f"Bearer {auth.user_token(accounts.publisher)}",
                "expired Bearer of an administrator": f"Bearer {auth.user_token(accounts.administrator)}",
                "expired Bearer of a client with commit:list": f"Bearer {auth.client_token(accounts.phraseanet)}",
            }

    tokens = subject.look(issued)
    if "listCommits" in subject.contract.operations:
        for header in tokens.values():
            if subject.call("phraseanet", "listCommits", header).status is None:
                break
    subject.wait(SHORT_LIFETIME)
    return tokens


@contextmanager
def _short_lived(auth: Any) -> Iterator[None]:
    usual, auth.token_lifetime = auth.token_lifetime, SHORT_LIFETIME
    try:
        yield
    finally:
        auth.token_lifetime = usual


def _logged_in(subject: Subject) -> Principals:
    user = LoggedIn(subject.bed)
    found, missing = {}, []
    names = {"publisher": "owner", "administrator": "administrator 0", "client": "client with commit:list"}
    for account, name in names.items():
        try:
            found[name] = subject.run(user.authorization(account), 30)["authorization"]  # type: ignore[arg-type]
        except StepFailed as failed:
            missing.append(f"{failed}: what only {name} sees is not judged")
    missing.append("Auth is a real one: expired tokens, and callers without an account there, are not judged")
    return Principals(found, tuple(missing))


def forged(bearer: str) -> str:
    """The same claims without a signature, as a JWT of the algorithm `none`; of an opaque token its beginning."""
    if bearer.count(".") != 2:
        return bearer[:-1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{head}.{bearer.split('.')[1]}."
