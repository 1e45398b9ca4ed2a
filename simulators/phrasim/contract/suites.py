"""The suites by which each participant is held to the contract, and how long each may take."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phrasim.contract.access import hold_auth_to_the_table, hold_to_the_table
from phrasim.contract.hand_off import hold_hand_off
from phrasim.contract.http_api import hold_api
from phrasim.contract.inquiry import Inquiry
from phrasim.contract.principals import Principals
from phrasim.contract.refusals import hold_grants, hold_refusals, hold_without_auth, hold_without_broker
from phrasim.contract.subject import Subject
from phrasim.contract.uploads import Stopped
from phrasim.contract.work import hold_work
from phrasim.journal.events import Participant

ROUNDS_MAX = 1_000_000
"""Rounds where the time is what ends them."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is tried: until the time is over, or a fixed amount, which is the same on every machine.

    `notifies` is whether Phraseanet is told of commits, or has to poll.
    """

    fills_time: bool
    is_real: bool = False
    notifies: bool = True

    def rounds(self, simulated: int, real: int) -> int:
        """How many rounds there are, where the amount is fixed: of a simulated participant, and of a real one."""
        if self.fills_time:
            return ROUNDS_MAX
        return real if self.is_real else simulated


Hold = Callable[[Subject, Inquiry, Principals, Extent], None]


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite: `share` is its part of the time that is left; `writes` whether it makes things at the participant.

    `is_list` is whether it goes through a list to its end; the others draw what they try, for as long as there is time.
    """

    name: str
    hold: Hold
    share: float
    writes: bool = True
    is_list: bool = False


def _access(subject: Subject, inquiry: Inquiry, callers: Principals, extent: Extent) -> None:
    if subject.participant == "auth":
        hold_auth_to_the_table(subject, inquiry, callers)
        if not inquiry.cases:
            inquiry.remark("in this profile the table of who may do what knows nothing of Auth")
    else:
        hold_to_the_table(subject, inquiry, callers, extent.rounds(4, 3))


def _refusals(subject: Subject, inquiry: Inquiry, callers: Principals, _extent: Extent) -> None:
    hold_refusals(subject, inquiry, callers)
    match subject.participant:
        case "upload":
            hold_without_auth(subject, inquiry)
        case "phraseanet":
            hold_without_broker(subject, inquiry)
        case "auth":
            hold_grants(subject, inquiry)


def _hand_off(subject: Subject, inquiry: Inquiry, callers: Principals, extent: Extent) -> None:
    hold_hand_off(subject, inquiry, callers, extent.rounds(25, 5))


def _work(subject: Subject, inquiry: Inquiry, _callers: Principals, extent: Extent) -> None:
    calm = extent.is_real and not extent.fills_time  # what is tried again takes its time
    hold_work(subject, inquiry, extent.rounds(20, 3), notifies=extent.notifies, calm=calm)


def _nothing(_subject: Subject, _inquiry: Inquiry, _callers: Principals, _extent: Extent) -> None:
    """Scenarios have landscapes of their own: who verifies plays them."""


def _http(subject: Subject, inquiry: Inquiry, callers: Principals, extent: Extent) -> None:
    seconds = int(inquiry.until - inquiry.clock()) if extent.fills_time else None
    if subject.answers_without_end:
        inquiry.remark("left out: schemathesis would read an answer without an end for ever")
        return
    try:
        hold_api(subject, inquiry, callers, seconds)
    except Stopped:
        return


SCENARIOS = "scenarios"
"""What the suite is called that plays scenarios, on landscapes of its own."""

SUITES: Mapping[Participant, Sequence[Suite]] = {
    "upload": (
        Suite("access", _access, 0.2),
        Suite("refusals", _refusals, 0.2, is_list=True),
        Suite("hand-off", _hand_off, 0.3),
        Suite(SCENARIOS, _nothing, 0.4),
        Suite("http", _http, 1.0, writes=False),
    ),
    "phraseanet": (
        Suite("refusals", _refusals, 0.2, is_list=True),
        Suite("work", _work, 0.4),
        Suite(SCENARIOS, _nothing, 0.5),
        Suite("http", _http, 1.0),
    ),
    "auth": (
        Suite("access", _access, 0.2, writes=False, is_list=True),
        Suite("refusals", _refusals, 0.2, is_list=True),
        Suite(SCENARIOS, _nothing, 0.4),
        Suite("http", _http, 1.0, writes=False),
    ),
}
"""By participant, in the order in which they run: what names the operation at fault most exactly comes first."""
