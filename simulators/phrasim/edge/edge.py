"""The edge of one participant: everything that it sends or receives passes here."""

import random
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from starlette.types import ASGIApp

from phrasim.clock import Clock
from phrasim.documents import Contract, Operation
from phrasim.edge.addresses import Addresses
from phrasim.edge.context import Correlation, Tracer
from phrasim.edge.faults import Faults
from phrasim.edge.inbound import InboundEdge
from phrasim.edge.outbound import OutboundEdge, http_client
from phrasim.journal.events import Participant
from phrasim.journal.recorder import Journal


@dataclass(frozen=True, slots=True)
class Wire:
    """What the edges of a run share. `played` are the participants that phrasim plays: nobody else bears an edge."""

    journal: Journal
    clock: Clock
    contract: Contract
    faults: Faults
    correlation: Correlation
    addresses: Addresses
    transport: httpx.AsyncBaseTransport
    played: AbstractSet[Participant]


class Edge:
    """Where `participant` meets the wire; `chance` makes the ids of its traces and nothing else."""

    def __init__(self, participant: Participant, wire: Wire, chance: random.Random) -> None:
        self.participant = participant
        self.journal = wire.journal
        self.tracer = Tracer(participant, chance, wire.correlation)
        self._wire = wire

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app` as others reach it."""
        return InboundEdge(
            self.participant,
            app,
            stranger=self._stranger,
            match=partial(self._wire.contract.match, self.participant),
            journal=self.journal,
            tracer=self.tracer,
            faults=self._wire.faults,
            clock=self._wire.clock,
        )

    def client(self, base_url: str = "", timeout: float | None = 30) -> httpx.AsyncClient:
        """A client whose requests bear this participant's name; `timeout` is in seconds."""
        transport = OutboundEdge(
            self.participant,
            self._wire.transport,
            addresses=self._wire.addresses,
            operation=self._wire.contract.operation,
            journal=self.journal,
            tracer=self.tracer,
            faults=self._wire.faults,
        )
        return http_client(transport, base_url, timeout)

    def _stranger(self, operation: Operation | None) -> Participant:
        """Who a caller is that no edge announced.

        It is whom the operation is meant for, unless phrasim plays that one: then it is a user who does the same.
        """
        caller = operation.caller if operation else None
        return "user" if caller is None or caller in self._wire.played else caller

    def note(self, note: str, **details: Any) -> None:
        """Something that the participant decided or met, for the journal."""
        self.journal.noted(self.participant, note, **details)
