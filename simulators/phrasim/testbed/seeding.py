"""Seed data into a running testbed."""

from collections.abc import Iterable

from phrasim.auth.accounts import User
from phrasim.testbed.content import MadeContent, parts_of
from phrasim.testbed.profiles import profile_of
from phrasim.testbed.seed import SeedCommit, SeedData, SeedFile, SeedUser
from phrasim.testbed.services import HeldCommit
from phrasim.testbed.testbed import Testbed
from phrasim.upload.stored_file import StoredFile


class SeedError(ValueError):
    """Seed data that does not fit the landscape; the message says what, and what would be right."""


def hold_to_landscape(testbed: Testbed, seed: SeedData) -> None:
    """Raise `SeedError` where the seed data cannot be put into this testbed."""
    played = testbed.network.played
    if (seed.users or seed.clients) and "auth" not in played:
        raise SeedError("users, clients: Auth is not played here, so that it takes nobody new")
    if seed.commits and "upload" not in played:
        raise SeedError("commits: the upload service is not played here, so that it takes no commit")
    taken = {user.email for user in testbed.auth.users}
    for one in seed.users:
        if one.email in taken:
            raise SeedError(f"users: there is a user {one.email!r} already")
    known = taken | {user.email for user in seed.users}
    for commit in seed.commits:
        if commit.publisher not in known:
            raise SeedError(
                f"commits: there is no user {commit.publisher!r}, the publisher; users are {', '.join(sorted(known))}"
            )


def hold_to_profile(testbed: Testbed, users: Iterable[SeedUser]) -> None:
    """Raise `SeedError` where the profile has no such roles, or gives nobody such a token. No message shows a token."""
    roles = profile_of(testbed.setting.profile).roles
    for one in users:
        for role in one.roles:
            wrong = roles.problem(role)
            if wrong is not None:
                raise SeedError(f"users: the role {role!r} of {one.email!r} {wrong}")
        problem = None if one.token is None else testbed.auth.token_problem(one.token)
        if problem is not None:
            raise SeedError(f"users: the token of {one.email!r} {problem}")


def seed_commits(testbed: Testbed, commits: Iterable[SeedCommit]) -> tuple[HeldCommit, ...]:
    """Make those commits, as their publishers would have; nobody is notified of them.

    Raises OSError where a file cannot be read.
    """
    made = []
    for commit in commits:
        publisher = _user(testbed, commit.publisher)
        files = [(file.name, _stored(testbed, file)) for file in commit.files]
        made.append(testbed.services.add_commit(publisher.id, files, commit.form_data))
    return tuple(made)


def _user(testbed: Testbed, email: str) -> User:
    return next(user for user in testbed.auth.users if user.email == email)


def _stored(testbed: Testbed, file: SeedFile) -> StoredFile:
    with testbed.storage.incoming() as incoming:
        for part in _parts(file):
            incoming.write(part)
        return testbed.storage.store(incoming)


def _parts(file: SeedFile) -> Iterable[bytes]:
    if file.content is not None:
        return (file.content,)
    if file.path is None:
        return MadeContent(f"seed/file/{file.name}", file.size, file.mime_type).parts()
    return parts_of(file.path)
