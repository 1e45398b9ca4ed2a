"""The documents that phrasim reads: specifications, scenarios, the request-flow document, and the YAML they are in.

This room only reads. It holds no schema of its own and does nothing at import.
"""

from phrasim.documents.locations import documents_root, openapi_folder, request_flow_document, scenarios_folder
from phrasim.documents.messages import Channel, MessageOperation, Messages, messages
from phrasim.documents.specification import (
    SPECIFICATION_FILES,
    Arrow,
    Operation,
    Specification,
    operations,
    secret_fields,
    specification,
)
from phrasim.documents.violations import Violation
from phrasim.documents.yaml_text import DocumentError, Location, load, load_file, load_with_lines

__all__ = [
    "SPECIFICATION_FILES",
    "Arrow",
    "Channel",
    "DocumentError",
    "Location",
    "MessageOperation",
    "Messages",
    "Operation",
    "Specification",
    "Violation",
    "documents_root",
    "load",
    "load_file",
    "load_with_lines",
    "messages",
    "openapi_folder",
    "operations",
    "request_flow_document",
    "scenarios_folder",
    "secret_fields",
    "specification",
]
