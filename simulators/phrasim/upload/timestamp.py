"""Points in time as the upload service writes them."""

from datetime import datetime


def timestamp(moment: datetime) -> str:
    """ISO 8601 in whole seconds with a numeric offset, as the document's example has it."""
    return moment.isoformat(timespec="seconds")
