"""A profile, and where each is: what differs between them is what their files say, and nothing asks for a name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from phrasim.testbed.accounts import Accounts
from phrasim.testbed.network import Network
from phrasim.testbed.roles import Roles
from phrasim.testbed.services import Stage
from phrasim.testbed.setting import ProfileName, Setting


@dataclass(frozen=True, slots=True)
class Profile:
    """How the services of a contract are played, and who may be what in them.

    `drops_port` says that Phraseanet in pull mode leaves out the port of the upload service (H22).
    """

    roles: Roles
    stage: Callable[[Setting, Network, Accounts], Stage]
    drops_port: bool = False


@cache
def profile_of(name: ProfileName) -> Profile:
    """The profile of that name: `PROFILE` of the module of that name beside this one.

    It is imported when it is first asked for: what signs the tokens of one would keep the other waiting.
    """
    profile: Profile = import_module(f"phrasim.testbed.{name}").PROFILE
    return profile
