"""The participants of a run, joined by a wire: in-process here, on real ports in `phrasim.serve`."""

from phrasim.testbed.accounts import Accounts, accounts_of
from phrasim.testbed.network import PLAYABLE, SERVICES, URLS, Addressing, Network, Role, seeded, unguessable
from phrasim.testbed.seed import SeedData
from phrasim.testbed.setting import Mode, Setting
from phrasim.testbed.testbed import Spawn, Testbed, open_testbed, spawning

__all__ = [
    "PLAYABLE",
    "SERVICES",
    "URLS",
    "Accounts",
    "Addressing",
    "Mode",
    "Network",
    "Role",
    "SeedData",
    "Setting",
    "Spawn",
    "Testbed",
    "accounts_of",
    "open_testbed",
    "seeded",
    "spawning",
    "unguessable",
]
