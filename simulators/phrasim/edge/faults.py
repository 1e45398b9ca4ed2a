"""Faults: what goes wrong on purpose, as small values, and when it is their turn.

A fault names an operation, the occurrences at which it strikes, and one effect. Effects of the sender's edge keep the
request from leaving as it should; effects of the receiver's edge spoil how it is answered. None of them knows what an
upload is. To add one: a value here, its place in `SENDER_EFFECTS` or `RECEIVER_EFFECTS`, its strike in `outbound.py`
or `inbound.py`, its key in `fault_reading.py` and in `scenarios/scenario.schema.json`.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Refuse:
    """The connection is refused: the request never leaves."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The request goes out twice, one after the other; the sender sees the second answer."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The receiver begins its work that many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The receiver answers with that status and does nothing."""

    status: int


@dataclass(frozen=True, slots=True)
class DropReply:
    """The receiver does its work, and its answer never arrives."""


@dataclass(frozen=True, slots=True)
class CutBody:
    """The body of the answer breaks off after that many bytes."""

    after_bytes: int


SenderEffect = Refuse | Duplicate
ReceiverEffect = Delay | Answer | DropReply | CutBody
Effect = SenderEffect | ReceiverEffect

SENDER_EFFECTS: tuple[type[SenderEffect], ...] = (Refuse, Duplicate)
RECEIVER_EFFECTS: tuple[type[ReceiverEffect], ...] = (Delay, Answer, DropReply, CutBody)


@dataclass(frozen=True, slots=True)
class Fault:
    """An effect and the calls of an operation that it strikes: those numbered in `occurrences`, from 1; empty: all."""

    operation_id: str
    effect: Effect
    occurrences: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FaultAccount:
    """A fault that is set, by its `id`; how many `calls` of its operation it has met, and how many of them it struck.

    A call is met on the side on which the effect is: a sender's, where the request leaves.
    """

    id: int
    fault: Fault
    calls: int
    struck: int


class Faults:
    """The faults that are set, and what each has met. The edges ask what strikes each request, once a side.

    Each has an id, from 1 on in the order in which they were set; none is given out again.
    """

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._set: dict[int, FaultAccount] = {}
        self._last_id = 0
        for fault in faults:
            self.add(fault)

    def __bool__(self) -> bool:
        return bool(self._set)

    def add(self, fault: Fault) -> int:
        """Set one more fault, which counts the calls that come from now on; its id."""
        self._last_id += 1
        self._set[self._last_id] = FaultAccount(self._last_id, fault, 0, 0)
        return self._last_id

    def remove(self, fault_id: int) -> bool:
        """Lift the fault of that id; False if there is none. What it has begun to do goes on."""
        return self._set.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Lift all faults."""
        self._set.clear()

    def all(self) -> list[FaultAccount]:
        """The faults that are set, in the order of their ids."""
        return list(self._set.values())

    def idle(self) -> list[Fault]:
        """The faults that have struck nothing so far."""
        return [account.fault for account in self._set.values() if not account.struck]

    def at_sender(self, operation_id: str | None) -> list[SenderEffect]:
        """What strikes this request before it leaves."""
        return [effect for effect in self._striking(operation_id, SENDER_EFFECTS) if isinstance(effect, SENDER_EFFECTS)]

    def at_receiver(self, operation_id: str | None) -> list[ReceiverEffect]:
        """What strikes this request where it arrives."""
        effects = self._striking(operation_id, RECEIVER_EFFECTS)
        return [effect for effect in effects if isinstance(effect, RECEIVER_EFFECTS)]

    def _striking(self, operation_id: str | None, kinds: tuple[type[Effect], ...]) -> list[Effect]:
        """The effects of those kinds whose turn it is, now that one more call of the operation has come."""
        effects = []
        for account in self.all():
            fault = account.fault
            if fault.operation_id != operation_id or not isinstance(fault.effect, kinds):
                continue
            calls = account.calls + 1
            strikes = not fault.occurrences or calls in fault.occurrences
            self._set[account.id] = replace(account, calls=calls, struck=account.struck + strikes)
            if strikes:
                effects.append(fault.effect)
        return effects
