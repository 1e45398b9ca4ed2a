"""Where the lifelines of a drawing stand, in percent of its width."""

from collections.abc import Iterable
from dataclasses import dataclass

from phrasim.journal.diagram import LIFELINES
from phrasim.journal.events import PARTICIPANTS, Participant

_LOST_AT = 0.6
"""How far the arrow of a message gets that is lost, as part of its way."""

_GAP = 0.6
"""Percent that an arrow ends before its lifeline, so that its head is seen."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lifelines, from left to right."""

    participants: tuple[Participant, ...]

    @classmethod
    def of(cls, ends: Iterable[Participant]) -> "Lanes":
        """Those participants, in the order of the document's diagrams."""
        used = frozenset(ends)
        return cls(tuple(one for one in PARTICIPANTS if one in used))

    @property
    def names(self) -> list[str]:
        """The names of the lifelines, as the document has them."""
        return [LIFELINES[one].replace("_", " ") for one in self.participants]

    @property
    def places(self) -> list[float]:
        """Where the lifelines are."""
        return [self.at(one) for one in self.participants]

    def at(self, participant: Participant) -> float:
        """Where the lifeline of a participant is."""
        return round((self.participants.index(participant) + 0.5) * 100 / len(self.participants), 2)

    def end(self, sender: Participant, receiver: Participant, *, lost: bool = False) -> float:
        """Where the arrow from one to the other ends."""
        start, goal = self.at(sender), self.at(receiver)
        if lost:
            return round(start + (goal - start) * _LOST_AT, 2)
        return round(goal - _GAP if goal > start else goal + _GAP, 2)


ALL_LANES = Lanes(PARTICIPANTS)
