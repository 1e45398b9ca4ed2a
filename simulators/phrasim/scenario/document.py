"""The section of a document to which a scenario holds its run, and the scenario that a trace names."""

from pathlib import Path
from typing import Any

from phrasim.documents import DocumentError, documents_root, load
from phrasim.documents.yaml_text import read_text
from phrasim.journal.document import Section, section
from phrasim.journal.events import Header


def drawn_section(document: str, folder: Path) -> Section:
    """The section that `document` names as `FILE#ANCHOR`; `folder` is the scenario's.

    The file lies there or one folder above, else it is phrasim's own. Raises `DocumentError` where it is not there,
    cannot be read or draws nothing under that anchor.
    """
    file, _, anchor = document.partition("#")
    here = folder.resolve()
    places = [place / file for place in (here, here.parent, documents_root())]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DocumentError(file, 1, f"there is no such document; looked for {', '.join(map(str, places))}")
    return section(read_text(found), anchor, file)


def scenario_of(header: Header) -> dict[str, Any]:
    """The scenario that a trace was made of, as plain values; empty if there was none, or none that can be read."""
    try:
        value = load(header.scenario, "the trace's scenario")
    except DocumentError:
        return {}
    return value if isinstance(value, dict) else {}
