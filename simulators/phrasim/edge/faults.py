"""Faults: what goes wrong on purpose, as small values, and when it is their turn.

A fault names an operation, the occurrences at which it strikes, and one effect. Effects of the sender's edge keep the
request from leaving as it should; effects of the receiver's edge spoil how it is answered. None of them knows what an
upload is. To add one: a value here, its place in `SENDER_EFFECTS` or `RECEIVER_EFFECTS`, its strike in `outbound.py`
or `inbound.py`, its key in `scenarios/scenario.schema.json`.
"""

from dataclasses import dataclass


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


class Faults:
    """The faults of a run, and how many calls each has met. The edges ask what strikes each request, once a side."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._faults = faults
        self._met = [0] * len(faults)
        self._struck = [False] * len(faults)

    def idle(self) -> list[Fault]:
        """The faults that have struck nothing so far."""
        return [fault for fault, struck in zip(self._faults, self._struck, strict=True) if not struck]

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
        for index, fault in enumerate(self._faults):
            if fault.operation_id != operation_id or not isinstance(fault.effect, kinds):
                continue
            self._met[index] += 1
            if not fault.occurrences or self._met[index] in fault.occurrences:
                self._struck[index] = True
                effects.append(fault.effect)
        return effects
