"""What somebody may have meant who wrote a name that is not known."""

import difflib
from collections.abc import Iterable


def meant(written: str, known: Iterable[str]) -> str | None:
    """The known name that is so like what was written that it may have been meant; case does not count."""
    folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(written.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def nearest(written: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known: the one that may have been meant, or all of them."""
    known = list(known)
    close = meant(written, known)
    return f"known are {', '.join(known)}" if close is None else f"did you mean {close!r}?"
