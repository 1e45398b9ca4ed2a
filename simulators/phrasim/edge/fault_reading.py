"""Faults as people write them, in a scenario or to the control API: `#/$defs/fault` of `scenario.schema.json`."""

from collections.abc import Mapping
from typing import Any

from phrasim.documents import Contract, Violation
from phrasim.documents.quantity import cut, is_larger_than, seconds, size_bytes, written_bytes, written_seconds
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Duplicate, Effect, Fault, Refuse

EFFECTS = ("refuse", "duplicate", "delay", "answer", "dropReply", "cutBody")
"""The keys of the effects; a fault has one of them."""

_DELAY_DAYS_MAX = 100
_CUT_GIB_MAX = 1024


def fault_problem(value: Mapping[str, Any], contract: Contract) -> Violation | None:
    """What a JSON Schema says badly of a fault that fits it.

    It strikes an operation of the contract that is in force, and has one effect, of an amount that can be met.
    """
    unknown = contract.unknown_operation(value["operationId"])
    if unknown is not None:
        return Violation("/operationId", unknown)
    effects = [key for key in EFFECTS if key in value]
    if len(effects) != 1:
        found = f"has {' and '.join(effects)}" if effects else "has no effect"
        return Violation("", f"a fault has one effect ({', '.join(EFFECTS)}); this one {found}")
    if "delay" in value and seconds(value["delay"]) > _DELAY_DAYS_MAX * 86_400:
        return Violation("/delay", f"a delay is at most {_DELAY_DAYS_MAX} d; found {cut(value['delay'])}")
    if "cutBody" in value and is_larger_than(after := value["cutBody"]["after"], _CUT_GIB_MAX * 1024**3):
        return Violation("/cutBody/after", f"a body is cut after {_CUT_GIB_MAX} GiB at most; found {cut(after)}")
    return None


def fault_of(value: Mapping[str, Any]) -> Fault:
    """The fault that is written; the schema and `fault_problem` have found nothing wrong with it."""
    return Fault(value["operationId"], _effect(value), tuple(value.get("occurrences", ())))


def fault_value(fault: Fault) -> dict[str, Any]:
    """The fault as it is written: `fault_of` makes an equal one of that."""
    key, written = _written(fault.effect)
    occurrences = {"occurrences": list(fault.occurrences)} if fault.occurrences else {}
    return {"operationId": fault.operation_id, **occurrences, key: written}


def _effect(value: Mapping[str, Any]) -> Effect:
    name = next(key for key in EFFECTS if key in value)
    written = value[name]
    match name:
        case "refuse":
            return Refuse()
        case "duplicate":
            return Duplicate()
        case "delay":
            return Delay(seconds(written))
        case "answer":
            return Answer(written["status"])
        case "dropReply":
            return DropReply()
        case _:
            return CutBody(size_bytes(written["after"]))


def _written(effect: Effect) -> tuple[str, Any]:
    """The key of an effect, and what is written there."""
    match effect:
        case Refuse():
            return "refuse", True
        case Duplicate():
            return "duplicate", True
        case Delay(amount):
            return "delay", written_seconds(amount)
        case Answer(status):
            return "answer", {"status": status}
        case DropReply():
            return "dropReply", True
        case CutBody(after):
            return "cutBody", {"after": written_bytes(after)}
