"""The section of a document to which a scenario holds its run."""

from pathlib import Path

from phrasim.documents import DocumentError, documents_root
from phrasim.documents.yaml_text import read_text
from phrasim.journal.document import Section, section


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
