"""Whether a scenario can be played as things are: on this wire, with these participants external."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from phrasim.documents import contract
from phrasim.edge.faults import SENDER_EFFECTS, Fault
from phrasim.journal.events import Participant
from phrasim.scenario.model import Account, Call, Given, Scenario, WaitFor, WireName

_SET_AT: Mapping[str, Participant] = {
    "token_lifetime": "auth",
    "upload_size_max": "upload",
    "retention": "upload",
    "notification_fields": "upload",
    "poll_interval": "phraseanet",
}
"""The settings that a scenario can give, and whose they are."""

_FRONT_END = ("frontEnd.id", "frontEnd.secret")
_CREDENTIALS: Mapping[Account, tuple[str, ...]] = {
    "publisher": ("publisher.email", "publisher.password", *_FRONT_END),
    "administrator": ("administrator.email", "administrator.password", *_FRONT_END),
    "client": ("client.id", "client.secret"),
}


def unplayable(scenario: Scenario, wire: WireName, external: AbstractSet[Participant]) -> str | None:
    """Why the scenario cannot be played so; None where it can."""
    if wire not in scenario.wires:
        return f"it is for the wire {', '.join(scenario.wires)}: {scenario.why or 'it says so'}"
    for name, owner in _SET_AT.items():
        if owner in external and _given(scenario.given, name):
            return f"it sets {_key(name)} of {owner}, which is external"
    for fault in scenario.faults:
        struck_at = _struck_at(fault, scenario)
        if struck_at & external:
            struck = " and ".join(sorted(struck_at & external))
            return f"its fault {fault.effect!r} of {fault.operation_id} strikes at {struck}, which is external"
    for step in scenario.steps:
        if isinstance(step, WaitFor):
            operation = contract(scenario.profile).operations[step.operation_id]
            ends = {operation.participant, operation.caller}
            if ends <= external:
                return f"it waits for {step.operation_id}, of which nobody here sees anything"
    for name in ("id", "name"):
        if "auth" in external and f"$given.publisher.{name}" in scenario.text:
            return f"it needs the publisher's {name}, which only the external Auth knows"
    return None


def accounts_needed(scenarios: Iterable[Scenario]) -> dict[str, str]:
    """The credentials of an external Auth that the steps of the scenarios take, and what for."""
    callers = {step.caller for one in scenarios for step in one.steps if isinstance(step, Call)}
    needed: dict[str, str] = {}
    for account, names in _CREDENTIALS.items():
        if account in callers:
            needed |= dict.fromkeys(names, f"by which a step logs in as the {account}")
    return needed


def _struck_at(fault: Fault, scenario: Scenario) -> AbstractSet[str]:
    """Whose edge a fault strikes at."""
    operation = contract(scenario.profile).operations[fault.operation_id]
    at = operation.caller if isinstance(fault.effect, SENDER_EFFECTS) else operation.participant
    return frozenset({at} if at else ())


def _given(given: Given, name: str) -> bool:
    return getattr(given, name) is not None


def _key(name: str) -> str:
    """The name of a setting as a scenario writes it."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
