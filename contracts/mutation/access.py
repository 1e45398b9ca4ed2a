"""Mutants of who may do what: one cell of the table each, which is answered as if somebody else had asked."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mutation.mutant import Applied, Mutant, mutated_services
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.contract.access import OPERATIONS, TABLES, cell
from phrasim.documents import contract
from phrasim.journal.events import Participant
from phrasim.service.credentials import LIST_COMMITS
from phrasim.testbed import ProfileName

_ABOUT_A_COMMIT = ("asset committed", "commit ack", "GET /commits/{id}")


def access_mutants(profile: ProfileName) -> Iterator[Mutant]:
    """Each cell of which the protocol speaks, for each operation of its column."""
    operations = contract(profile).operations
    for name, states in OPERATIONS[profile].items():
        if name not in operations:
            continue
        participant: Participant = operations[name].participant  # type: ignore[assignment]
        for column in dict.fromkeys(states.values()):
            for row in TABLES[profile]:
                expected = cell(profile, row, column)
                # The token of a commit is any other one where it is not about that commit.
                known = row != "AssetToken of the commit" or column in _ABOUT_A_COMMIT
                if expected is None or not known:
                    continue
                yield Mutant(
                    profile,
                    "access cell flipped",
                    participant,
                    name,
                    f"{row}, {column}",
                    _flipping(profile, name, row, column, expected),
                )


def _flipping(profile: ProfileName, name: str, row: str, column: str, expected: int) -> Callable[[Applied], Any]:
    def apply(applied: Applied) -> Any:
        participant = contract(profile).operations[name].participant
        return mutated_services(
            profile,
            lambda apps, services: (
                apps
                | {participant: flipped(apps[participant], services, profile, name, (row, column, expected), applied)}
            ),
        )

    return apply


def flipped(
    app: ASGIApp,
    services: Any,
    profile: ProfileName,
    name: str,
    turned: tuple[str, str, int],
    applied: Applied,
) -> ASGIApp:
    """The service that takes callers of one row, in one column, for somebody who is answered otherwise."""
    documents = contract(profile)
    row, column, expected = turned

    async def flipped_app(scope: Scope, receive: Receive, send: Send) -> None:
        participant = documents.operations[name].participant
        matched = documents.match(participant, scope.get("method", ""), scope.get("path", ""))
        if matched is None or matched[0].operation_id != name:
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        shown = headers.get(b"authorization")
        about = matched[1].get("id", "")
        commit = _commit_of(services, about)
        found = OPERATIONS[profile][name][_state(services, about, commit)]
        if found == column and row_of(services, profile, shown, commit) == row:
            applied.times += 1
            other = _somebody_else(services, profile, commit, column, expected)
            headers.pop(b"authorization", None)
            if other is not None:
                headers[b"authorization"] = other.encode()
            scope = {**scope, "headers": list(headers.items())}
        await app(scope, receive, send)

    return flipped_app


def _commit_of(services: Any, about: str) -> Any:
    for commit in services.upload.commits:
        if commit.id == about:
            return commit
    for asset in services.upload.assets:
        if asset.id == about:
            return asset.commit
    return None


def _state(services: Any, about: str, commit: Any) -> str:
    if commit is not None:
        return "acknowledged" if commit.acknowledged else "committed"
    return "uploaded" if about in {asset.id for asset in services.upload.assets} else "unknown"


def row_of(services: Any, profile: ProfileName, shown: bytes | None, commit: Any) -> str:
    """Which row of the table a caller is."""
    scheme, _, token = (shown or b"").decode("latin-1").partition(" ")
    if scheme == "AssetToken" and token:
        return "AssetToken of the commit" if commit is not None and token == commit.token else "any other AssetToken"
    if scheme.lower() != "bearer" or not token:
        return "nobody"
    return _bearer(services, profile, token)


def _bearer(services: Any, profile: ProfileName, token: str) -> str:
    if profile == "documented":
        known = services.auth.token(token)
        if known is None:
            return "invalid Bearer"
        if known.user is None:
            return "client with commit:list" if LIST_COMMITS in known.scopes else "client without"
        return "administrator" if "ROLE_SUPER_ADMIN" in known.user.roles else "ordinary user"
    import jwt

    clock = services._network.clock  # noqa: SLF001 - nobody else needs it
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return "invalid Bearer"
    if jwt.get_unverified_header(token).get("alg") == "none" or claims["exp"] <= clock.now().timestamp():
        return "invalid Bearer"
    if "client_id" in claims:
        return "client with commit:list" if LIST_COMMITS in claims.get("scope", "").split() else "client without"
    roles = set(claims.get("roles", ()))
    return "administrator" if roles & {"admin", "uploader-admin"} else "ordinary user"


def _somebody_else(services: Any, profile: ProfileName, commit: Any, column: str, expected: int) -> str | None:
    """What a caller shows who is answered with another status than `expected` in this column."""
    for row in _PREFERRED:
        other = cell(profile, row, column)
        if other is not None and other != expected and (header := _header(services, row, commit)) is not False:
            return header
    raise LookupError(f"everybody is answered with {expected} in the column {column}")


_PREFERRED = (
    "AssetToken of the commit",
    "client with commit:list",
    "ordinary user",
    "administrator",
    "any other AssetToken",
    "nobody",
)


def _header(services: Any, row: str, commit: Any) -> Any:
    """What somebody of that row shows; False where nobody of it is there."""
    if row == "AssetToken of the commit":
        return False if commit is None else f"AssetToken {commit.token}"
    known: Mapping[str, Callable[[], str | None]] = {
        "client with commit:list": lambda: f"Bearer {services.auth.client_token(_client(services))}",
        "ordinary user": lambda: f"Bearer {services.auth.user_token(_user(services, administrator=False))}",
        "administrator": lambda: f"Bearer {services.auth.user_token(_user(services, administrator=True))}",
        "any other AssetToken": lambda: "AssetToken of-nothing",
        "nobody": lambda: None,
    }
    return known[row]()


def _user(services: Any, *, administrator: bool) -> Any:
    from phrasim.testbed.profiles import profile_of

    roles = profile_of(services._setting.profile).roles  # noqa: SLF001 - nobody else needs it
    for user in services.auth.users:
        if roles.administrates(user.roles) == administrator:
            return user
    raise LookupError("there is no such user")


def _client(services: Any) -> Any:
    from phrasim.auth.accounts import Client

    client = Client("somebody-else", "secret", (LIST_COMMITS,))
    services.auth.add_client(client)
    return client
