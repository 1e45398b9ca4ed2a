"""The participants of a run, joined by a wire: in-process here, on real ports in `phrasim.serve`."""

from phrasim.testbed.accounts import Accounts
from phrasim.testbed.network import PLAYABLE, SERVICES, URLS, Addressing, Network, Role, seeded, unguessable
from phrasim.testbed.seed import SeedData
from phrasim.testbed.setting import Mode, ProfileName, Setting
from phrasim.testbed.spawn import Spawn, spawning
from phrasim.testbed.testbed import Testbed, new_stage, open_testbed, registered

__all__ = [
    "PLAYABLE",
    "SERVICES",
    "URLS",
    "Accounts",
    "Addressing",
    "Mode",
    "Network",
    "ProfileName",
    "Role",
    "SeedData",
    "Setting",
    "Spawn",
    "Testbed",
    "new_stage",
    "open_testbed",
    "registered",
    "seeded",
    "spawning",
    "unguessable",
]
