"""The first line of the trace of a landscape that is served."""

from phrasim import __version__
from phrasim.journal.events import Header
from phrasim.serve.landscape import Plan

NO_SEED = 0
"""What stands for the seed where chance was the system's."""


def trace_header(plan: Plan, *, show_tokens: bool = False) -> Header:
    """No scenario and no files: it is whatever callers do.

    A user is seen only where phrasim plays the upload service.
    """
    external = plan.real
    return Header(
        version=__version__,
        wire="loopback",
        profile=plan.setting.profile,
        seed=NO_SEED,
        tokens="shown" if show_tokens else "redacted",
        scenario="",
        files=(),
        external=external if "upload" in plan.played else ("user", *external),
    )
