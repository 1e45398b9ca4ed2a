"""What a user may be in a profile."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of an ordinary user, and those of which each makes an administrator, the usual one first."""

    ordinary: tuple[str, ...]
    administrator: tuple[str, ...]

    def administrates(self, roles: tuple[str, ...]) -> bool:
        """Whether one with these roles is an administrator."""
        return any(role in self.administrator for role in roles)
