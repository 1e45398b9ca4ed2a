"""What a user may be in a profile."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of an ordinary user, and those of which each makes an administrator, the usual one first."""

    ordinary: tuple[str, ...]
    administrator: tuple[str, ...]

    def problem(self, role: str) -> str | None:
        """What is wrong with a role, as the end of a sentence; None if nothing is: others than these may be made up.

        The profiles write them in their own ways: one that is written as those of another profile is a slip.
        """
        shouted = self.ordinary[0].isupper()
        if role.isupper() == shouted:
            return None
        return f"is none of this profile; write {' or '.join((*self.ordinary, *self.administrator))}"

    def administrates(self, roles: tuple[str, ...]) -> bool:
        """Whether one with these roles is an administrator."""
        return any(role in self.administrator for role in roles)
