"""What the verbs that read traces ask of the header."""

from collections.abc import Sequence
from typing import Any

from phrasim.documents import Contract, DocumentError, load
from phrasim.journal.commits import commits_of
from phrasim.journal.events import Event, Header
from phrasim.journal.sightings import Trace


def scenario_of(header: Header) -> dict[str, Any]:
    """The scenario that a trace was made of, as plain values; empty if there was none, or none that can be read."""
    try:
        value = load(header.scenario, "the trace's scenario")
    except DocumentError:
        return {}
    return value if isinstance(value, dict) else {}


def commit_ids(events: Sequence[Event], contract: Contract) -> list[str]:
    """The ids of the commits that a trace tells of, in its order."""
    return [commit.commit_id for commit in commits_of(Trace(events, contract)) if commit.commit_id]
