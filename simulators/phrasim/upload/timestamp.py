"""Points in time as the upload service writes them."""

from datetime import datetime, tzinfo
from functools import lru_cache


def timestamp(moment: datetime) -> str:
    """ISO 8601 in whole seconds with a numeric offset, as the document's example has it."""
    return _written(moment, moment.tzinfo)


@lru_cache(maxsize=1024)
def _written(moment: datetime, _zone: tzinfo | None) -> str:
    """Kept, since whoever polls reads the same again. Two zones' words for one moment are equal, hence the zone."""
    return moment.isoformat(timespec="seconds")
