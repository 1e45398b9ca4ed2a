"""What a testbed is made of, as a value."""

from dataclasses import dataclass, field
from typing import Literal

from phrasim.edge.faults import Fault
from phrasim.testbed.deployed_setting import DeployedSetting
from phrasim.upload.documented.outbound import ALL_FIELDS

ProfileName = Literal["documented", "deployed"]
"""Which contract is in force: the request-flow document's (PROTOCOL §1), or the deployed services' (§2 to §5)."""

Mode = Literal["push", "pull", "both", "off"]
"""Who starts the hand-off: the upload service notifies, Phraseanet polls, both, or nobody (A21)."""

BrokerVersion = Literal["3", "4"]
"""Which RabbitMQ the simulated broker is; 4 takes no notice of an `x-death` that a publisher sends (§4.3)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made of. Times are in seconds, sizes in bytes; None takes the profile's value or means no limit."""

    profile: ProfileName = "documented"
    seed: int = 1
    mode: Mode = "push"
    publisher_email: str = "publisher@example.org"
    publisher_name: str = "A Publisher"
    poll_interval: float | None = None
    token_lifetime: int | None = None
    upload_size_max: int | None = None
    retention: float | None = None
    """How long files are kept after the acknowledgement (A31), deployed: after the upload (§2.7); None is for ever."""
    retain: float | None = None
    """For how long all is remembered that was acknowledged: commits, assets, files, records; None is for ever."""
    notification_fields: tuple[str, ...] = ALL_FIELDS
    phraseanet_token: str | None = None
    """What the upload service shows Phraseanet, as `Authorization: OAuth <token>`; None shows nothing (A4)."""
    target_id: str | None = None
    """The id of the first target, where others know it already; None draws one."""
    target_slug: str | None = None
    """The slug of the first target of a real upload service; None takes the setting's own."""
    broker_version: BrokerVersion = "3"
    faults: tuple[Fault, ...] = ()
    deployed: DeployedSetting = field(default_factory=DeployedSetting)
    """What only the deployed services can be set to."""
