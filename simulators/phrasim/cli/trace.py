"""What the verbs that read traces ask of the header."""

from typing import Any

from phrasim.documents import DocumentError, load
from phrasim.journal.events import Header


def scenario_of(header: Header) -> dict[str, Any]:
    """The scenario that a trace was made of, as plain values; empty where it cannot be read any more."""
    try:
        value = load(header.scenario, "the trace's scenario")
    except DocumentError:
        return {}
    return value if isinstance(value, dict) else {}
