"""What the deployed services are set up with, as an operator sets them up; the documented ones have none of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from phrasim.phraseanet.deployed.queues import QueueSettings
from phrasim.phraseanet.deployed.state import Collection, User
from phrasim.upload.deployed.signing import URL_LIFETIME
from phrasim.upload.deployed.state import Limits

GRACE_SECONDS = 30.0
"""For how long the files of an acknowledged commit stay, at the least: what the services' own stack sets (§2.7)."""


@dataclass(frozen=True, slots=True)
class TargetSetting:
    """A target of the upload service; None lets the landscape choose: its Phraseanet, by that one's token."""

    slug: str
    url: str | None = None
    scheme: str = "OAuth"
    key: str | None = None
    default_destination: str | None = "1"
    params: Mapping[str, Any] = field(default_factory=dict)
    form_schema: Mapping[str, Any] | None = None
    enabled: bool = True
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class DeployedSetting:
    """Times are in seconds. The first of the `targets` is that of the scenario, and the one that Phraseanet pulls.

    `pull_uris` are what Phraseanet pulls in the place of that target's commits; `{upload}` stands for the upload
    service and `{target}` for the target's id. `queues` override the times and limits of §4.1.
    """

    targets: tuple[TargetSetting, ...] = (TargetSetting("phraseanet"),)
    limits: Limits = field(default_factory=Limits)
    grace: float = GRACE_SECONDS
    url_lifetime: int = URL_LIFETIME
    embed_assets: bool = False
    collections: tuple[Collection, ...] = (Collection(1),)
    users: tuple[User, ...] = ()
    processes_max: int = 1
    queues: Mapping[str, QueueSettings] = field(default_factory=dict)
    pull_uris: tuple[str, ...] = ("{upload}/commits?target={target}",)
