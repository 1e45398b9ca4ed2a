"""The traces that verbs read."""

from collections.abc import Sequence
from pathlib import Path

from phrasim.cli.output import fail, warn
from phrasim.documents import Contract
from phrasim.journal.commits import commits_of
from phrasim.journal.events import Event, Header
from phrasim.journal.lines import TraceCut, TraceError, read_trace
from phrasim.journal.sightings import Trace


def told_by(trace: Path) -> tuple[Header, list[Event]]:
    """Header and events of a trace; ends the command where it is none.

    What was written until a server was killed, or its disk was full, tells most of those who want to know why.
    """
    try:
        return read_trace(trace)
    except TraceCut as cut:
        warn(f"{cut}; it is left out")
        return cut.header, cut.events
    except TraceError as error:
        fail(str(error))


def commit_ids(events: Sequence[Event], contract: Contract) -> list[str]:
    """The ids of the commits that a trace tells of, in its order."""
    return [commit.commit_id for commit in commits_of(Trace(events, contract)) if commit.commit_id]
