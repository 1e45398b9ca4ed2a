"""What a testbed is made of, as a value."""

from dataclasses import dataclass
from typing import Literal

from phrasim.edge.faults import Fault
from phrasim.profile import DOCUMENTED, Profile
from phrasim.upload.documented.outbound import ALL_FIELDS

Mode = Literal["push", "pull", "both", "off"]
"""Who starts the hand-off: the upload service notifies, Phraseanet polls, both, or nobody (A21)."""

BrokerVersion = Literal["3", "4"]
"""Which RabbitMQ the simulated broker is; 4 takes no notice of an `x-death` that a publisher sends (§4.3)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made of. Times are in seconds, sizes in bytes; None takes the profile's value or means no limit."""

    profile: Profile = DOCUMENTED
    seed: int = 1
    mode: Mode = "push"
    publisher_email: str = "publisher@example.org"
    publisher_name: str = "A Publisher"
    poll_interval: float | None = None
    token_lifetime: int | None = None
    upload_size_max: int | None = None
    retention: float | None = None
    """How long files are kept after the acknowledgement (A31); None keeps them for ever."""
    notification_fields: tuple[str, ...] = ALL_FIELDS
    phraseanet_token: str | None = None
    """What the upload service shows Phraseanet, as `Authorization: OAuth <token>`; None shows nothing (A4)."""
    broker_version: BrokerVersion = "3"
    faults: tuple[Fault, ...] = ()
