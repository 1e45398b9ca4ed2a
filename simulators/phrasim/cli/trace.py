"""What the verbs that read traces ask of the header."""

from collections.abc import Sequence

from phrasim.documents import Contract
from phrasim.journal.commits import commits_of
from phrasim.journal.events import Event
from phrasim.journal.sightings import Trace


def commit_ids(events: Sequence[Event], contract: Contract) -> list[str]:
    """The ids of the commits that a trace tells of, in its order."""
    return [commit.commit_id for commit in commits_of(Trace(events, contract)) if commit.commit_id]
