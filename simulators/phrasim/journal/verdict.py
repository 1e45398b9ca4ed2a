"""What is found when a trace is held to a drawn sequence, as values; `account.py` puts them into words."""

from dataclasses import dataclass
from typing import Literal

from phrasim.journal.sequence import Arrow
from phrasim.journal.sightings import Sighting

Mark = Literal["walked", "repeated", "out of order", "missing", "unreachable", "unobserved"]
"""What became of an arrow.

`unreachable`: nobody could walk it, since what it takes was never said. `unobserved`: it goes from one external
participant to another, where nobody looks; that is neither held nor broken.
"""


@dataclass(frozen=True, slots=True)
class ArrowVerdict:
    """One arrow and what became of it.

    `expected` is the line that its message has (a request line, a status, a queue), as far as the trace tells its ids.
    `message` walked it; `repeats` did so again, which is no fault where the mark is `walked` all the same: a redelivery
    that nobody saw may be why. `closest` is the message that came closest to a missing one. An arrow out of order came
    before `should_follow`, or after `should_precede`.
    """

    arrow: Arrow
    mark: Mark
    expected: str
    message: Sighting | None = None
    repeats: tuple[Sighting, ...] = ()
    closest: Sighting | None = None
    should_follow: Arrow | None = None
    should_precede: Arrow | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An execution that a later delivery took the place of: `delivery` opened it, `reached` are the arrows it walked.

    `stopped_by` are its requests that were refused and its messages that were lost. Of its sort there were `of`, the
    last one included; `asset` is the one that was worked on, where work is done asset by asset.
    """

    number: int
    of: int
    asset: str | None
    delivery: Sighting
    reached: tuple[Arrow, ...]
    stopped_by: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Apart:
    """Messages of one sort that the document does not draw: allowed, and listed. `first_at` is in nanoseconds."""

    what: str
    count: int
    first_at: int


@dataclass(frozen=True, slots=True)
class CommitVerdict:
    """How one commit walked the sequence of the section `title`; without any commit, `found` is False.

    `commit_id` is None where no message told it; `attempts` are the earlier ones, the last one being judged.
    """

    title: str
    found: bool
    commit_id: str | None
    assets: tuple[str, ...]
    arrows: tuple[ArrowVerdict, ...]
    attempts: tuple[Attempt, ...]
    apart: tuple[Apart, ...]

    @property
    def conforms(self) -> bool:
        """Whether every arrow that could be observed was walked in order, and none again."""
        return self.found and not self.broken

    @property
    def broken(self) -> tuple[ArrowVerdict, ...]:
        """The arrows that were not walked as drawn."""
        return tuple(one for one in self.arrows if one.mark not in ("walked", "unobserved"))

    @property
    def unobserved(self) -> tuple[ArrowVerdict, ...]:
        """The arrows of which the trace can say nothing."""
        return tuple(one for one in self.arrows if one.mark == "unobserved")
