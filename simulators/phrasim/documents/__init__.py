"""The documents that phrasim reads: specifications, scenarios, the request-flow document, and the YAML they are in.

This room only reads. It holds no schema of its own and does nothing at import.
"""

from phrasim.documents.contract import CONTRACTS, Contract, contract
from phrasim.documents.locations import (
    broker_programs_folder,
    documents_root,
    flow_document,
    openapi_folder,
    scenarios_folder,
    scenarios_of,
)
from phrasim.documents.messages import Channel, MessageOperation, Messages
from phrasim.documents.specification import (
    Arrow,
    Operation,
    Specification,
    secret_fields,
    specification,
)
from phrasim.documents.violations import Violation
from phrasim.documents.yaml_text import DocumentError, Location, load, load_file, load_with_lines

__all__ = [
    "CONTRACTS",
    "Arrow",
    "Channel",
    "Contract",
    "DocumentError",
    "Location",
    "MessageOperation",
    "Messages",
    "Operation",
    "Specification",
    "Violation",
    "broker_programs_folder",
    "contract",
    "documents_root",
    "flow_document",
    "load",
    "load_file",
    "load_with_lines",
    "openapi_folder",
    "scenarios_folder",
    "scenarios_of",
    "secret_fields",
    "specification",
]
