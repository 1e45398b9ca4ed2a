"""What every JUnit file of phrasim needs: text that XML can hold, the counts of a suite, the bytes of a file."""

import re
from xml.etree import ElementTree as ET

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can hold, not even escaped (XML 1.0 §2.2)."""


def legal(text: str) -> str:
    """`text` with what XML cannot hold written as an escape, as Python writes it."""
    return _NO_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def counts(tests: int, failures: int, skipped: int) -> dict[str, str]:
    """How many cases there are, and of which kind, as attributes of a suite."""
    return {"tests": str(tests), "failures": str(failures), "skipped": str(skipped), "errors": "0"}


def document(root: ET.Element) -> bytes:
    """The file, indented for people."""
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"
