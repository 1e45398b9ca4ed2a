"""Which contract is in force: what differs between the documented and the deployed services, as values.

No room asks for a profile's name; each takes the values that it needs from the profile it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from phrasim.documents import Operation, Specification, specification


@dataclass(frozen=True, slots=True)
class Profile:
    """The specifications of one contract and the numbers that the document leaves to each deployment.

    `specifications` gives the OpenAPI document of each participant. Times are in seconds.
    """

    name: str
    specifications: Mapping[str, str]
    poll_interval: float
    """Between two polls of pull mode (A14: 5 s in the sample configuration)."""
    executions_max: int
    """How often a message is worked on before it goes to the failed queue (A34: three times)."""
    notify_retries: tuple[float, ...]
    """The pauses before a failed notification is sent again (§2.6)."""
    notify_timeout: float
    """How long the upload service waits for the answer to a notification (§2.6: 20 s in 2019)."""
    token_lifetime: int
    """Seconds for which Auth's access tokens are good (§5: 90 days)."""

    def specification(self, participant: str) -> Specification:
        """The specification that `participant` answers by."""
        return specification(self.specifications[participant])

    def operation(self, participant: str, method: str, path: str) -> Operation | None:
        """The operation that a request to `participant` is; None if its specification has none, or it has no one."""
        if participant not in self.specifications:
            return None
        matched = self.specification(participant).match(method, path)
        return matched[0] if matched else None


DOCUMENTED = Profile(
    name="documented",
    specifications={"upload": "upload.yaml", "phraseanet": "phraseanet.yaml", "auth": "auth.yaml"},
    poll_interval=5,
    executions_max=3,
    notify_retries=(1, 2, 4),
    notify_timeout=20,
    token_lifetime=7_776_000,
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (DOCUMENTED,)}
