"""Which documents are the contract of which profile."""

from collections.abc import Mapping

CONTRACTS: Mapping[str, Mapping[str, str]] = {
    "documented": {
        "upload": "upload.yaml",
        "phraseanet": "phraseanet.yaml",
        "auth": "auth.yaml",
        "messages": "messages.yaml",
    },
    "deployed": {
        "upload": "deployed/upload.yaml",
        "phraseanet": "deployed/phraseanet.yaml",
        "auth": "deployed/auth.yaml",
        "messages": "deployed/messages.yaml",
    },
}
"""The files in openapi/ by profile, and by the service that they describe or `messages`; all profiles have the same."""
