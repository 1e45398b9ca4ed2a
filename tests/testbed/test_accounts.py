"""Who is registered with Auth when a landscape begins."""

import random
from dataclasses import replace

from phrasim.service.credentials import LIST_COMMITS
from phrasim.testbed import SeedData, Setting
from phrasim.testbed.accounts import Accounts, accounts_of
from phrasim.testbed.profiles import profile_of
from phrasim.testbed.seed import SeedClient, SeedUser
from phrasim.upload.documented.access import ADMINISTRATOR

ZOE, YAN = SeedUser("zoe@example.org"), SeedUser("yan@example.org", id="the-id", name="Yan", password="secret")
ROOT = SeedUser("root@example.org", roles=("ROLE_USER", ADMINISTRATOR))


def accounts(*users: SeedUser, clients: tuple[SeedClient, ...] = (), email: str = "publisher@example.org") -> Accounts:
    setting = replace(Setting(), publisher_email=email)
    return accounts_of(setting, SeedData(users, clients), profile_of("documented").roles, random.Random(7))


def test_without_seed_data_there_are_a_publisher_an_administrator_and_two_clients() -> None:
    found = accounts()
    assert [user.email for user in found.users] == ["publisher@example.org", "administrator@example.org"]
    assert [ADMINISTRATOR in user.roles for user in found.users] == [False, True]
    assert [(client.id, client.scopes, client.grants) for client in found.clients] == [
        ("phraseanet", (LIST_COMMITS,), ("client_credentials",)),
        ("front-end", (), ("password",)),
    ]


def test_the_first_ordinary_user_of_the_seed_is_the_publisher_and_its_administrator_the_administrator() -> None:
    found = accounts(ROOT, ZOE, YAN)
    assert (found.publisher.email, found.administrator.email) == (ZOE.email, ROOT.email)
    assert [user.email for user in found.other_users] == [YAN.email]


def test_a_seed_user_with_the_publishers_address_is_the_publisher() -> None:
    assert accounts(ZOE, YAN, email=YAN.email).publisher.email == YAN.email


def test_what_the_seed_gives_is_kept_and_the_rest_is_drawn() -> None:
    found = accounts(YAN, ZOE)
    yan, zoe = found.publisher, found.other_users[0]
    assert (yan.id, yan.name, yan.password) == ("the-id", "Yan", "secret")
    assert zoe.id
    assert zoe.password
    assert zoe.name == "zoe"


def test_a_seed_client_that_may_list_commits_is_phraseanets_and_first() -> None:
    other = SeedClient("other", "a")
    dam = SeedClient("dam", "b", scopes=(LIST_COMMITS,))
    form = SeedClient("form", "c", grants=("password",))
    found = accounts(clients=(other, form, dam))
    assert [client.id for client in found.clients] == ["dam", "form", "other"]
    assert found.phraseanet.secret == "b"


def test_no_account_is_there_twice_whatever_the_seed_calls_its_own() -> None:
    ordinary = SeedUser("administrator@example.org")
    clients = (SeedClient("front-end"), SeedClient("phraseanet"), SeedClient("another-phraseanet"))
    found = accounts(ZOE, ordinary, clients=clients)
    assert found.administrator.email == "another-administrator@example.org"
    assert found.phraseanet.id == "another-another-phraseanet"
    assert len({user.email for user in found.users}) == len(found.users)
    assert len({client.id for client in found.clients}) == len(found.clients)
