"""Who is registered with Auth when a landscape begins."""

import random
import uuid
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TypeVar

from phrasim.auth.accounts import Client, User
from phrasim.service.credentials import LIST_COMMITS
from phrasim.testbed.roles import Roles
from phrasim.testbed.seed import SeedClient, SeedData, SeedUser
from phrasim.testbed.setting import Setting

_Seed = TypeVar("_Seed")

_ADMINISTRATOR = SeedUser("administrator@example.org", name="An Administrator")
_PHRASEANET = SeedClient("phraseanet", scopes=(LIST_COMMITS,))
_FRONT_END = SeedClient("front-end", grants=("password",))


@dataclass(frozen=True, slots=True)
class Accounts:
    """The publisher, an administrator, Phraseanet's client and the users' front end, and whoever else there is."""

    publisher: User
    administrator: User
    phraseanet: Client
    front_end: Client
    other_users: tuple[User, ...] = ()
    other_clients: tuple[Client, ...] = ()

    @property
    def users(self) -> tuple[User, ...]:
        """All users, the publisher first."""
        return (self.publisher, self.administrator, *self.other_users)

    @property
    def clients(self) -> tuple[Client, ...]:
        """All clients, Phraseanet's, which may list commits, first."""
        return (self.phraseanet, self.front_end, *self.other_clients)


def accounts_of(setting: Setting, seed: SeedData, roles: Roles, chance: random.Random) -> Accounts:
    """The accounts that `seed` gives, and those that are needed besides; ids and secrets that are not given are drawn.

    `roles` are those of the profile.

    The seed's first user with the publisher's e-mail address, else its first ordinary one, is the publisher; its first
    administrator is the administrator; its first clients with the grant and the scope for it are Phraseanet's and the
    front end's. Who is not there is made.
    """
    users, clients = list(seed.users), list(seed.clients)
    ordinary = [user for user in users if not roles.administrates(user.roles)]
    named = [user for user in ordinary if user.email == setting.publisher_email]
    publisher = _taken(users, named or ordinary)
    administrator = _taken(users, [user for user in users if roles.administrates(user.roles)])
    emails = {user.email for user in seed.users}
    if publisher is None:
        publisher = SeedUser(_free(setting.publisher_email, emails), name=setting.publisher_name)
    if administrator is None:
        administrator = replace(
            _ADMINISTRATOR,
            email=_free(_ADMINISTRATOR.email, emails),
            roles=(*roles.ordinary, roles.administrator[0]),
        )
    lists = [client for client in clients if "client_credentials" in client.grants and LIST_COMMITS in client.scopes]
    phraseanet = _taken(clients, lists)
    front_end = _taken(clients, [client for client in clients if "password" in client.grants])
    ids = {client.client_id for client in seed.clients}
    if phraseanet is None:
        phraseanet = replace(_PHRASEANET, client_id=_free(_PHRASEANET.client_id, ids))
    if front_end is None:
        front_end = replace(_FRONT_END, client_id=_free(_FRONT_END.client_id, ids))
    return Accounts(
        publisher=new_user(publisher, roles, chance),
        administrator=new_user(administrator, roles, chance),
        phraseanet=new_client(phraseanet, chance),
        front_end=new_client(front_end, chance),
        other_users=tuple(new_user(user, roles, chance) for user in users),
        other_clients=tuple(new_client(client, chance) for client in clients),
    )


def new_user(seed: SeedUser, roles: Roles, chance: random.Random) -> User:
    """The user that `seed` describes."""
    return User(
        id=seed.id or str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        email=seed.email,
        name=seed.name or seed.email.partition("@")[0],
        password=seed.password or chance.randbytes(8).hex(),
        roles=seed.roles or roles.ordinary,
    )


def new_client(seed: SeedClient, chance: random.Random) -> Client:
    """The client that `seed` describes."""
    return Client(seed.client_id, seed.client_secret or chance.randbytes(16).hex(), seed.scopes, seed.grants)


def _taken(seeds: list[_Seed], fitting: list[_Seed]) -> _Seed | None:
    """The first that fits, taken out of the seeds."""
    if not fitting:
        return None
    seeds.remove(fitting[0])
    return fitting[0]


def _free(name: str, taken: AbstractSet[str]) -> str:
    """`name`, with something before it where the seed has given that name to somebody else."""
    while name in taken:
        name = f"another-{name}"
    return name
