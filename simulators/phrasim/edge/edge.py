"""The edge of one participant: everything that it sends or receives passes here."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp

from phrasim.clock import Clock
from phrasim.documents import Operation
from phrasim.edge.context import Correlation, Tracer
from phrasim.edge.faults import Faults
from phrasim.edge.inbound import InboundEdge
from phrasim.edge.outbound import OutboundEdge, http_client
from phrasim.journal.events import Participant
from phrasim.journal.recorder import Journal
from phrasim.profile import Profile


@dataclass(frozen=True, slots=True)
class Wire:
    """What the edges of a run share. `hosts` tells which participant answers at a host name."""

    journal: Journal
    clock: Clock
    profile: Profile
    faults: Faults
    correlation: Correlation
    hosts: Mapping[str, Participant]
    transport: httpx.AsyncBaseTransport


class Edge:
    """Where `participant` meets the wire; `chance` makes the ids of its traces and nothing else."""

    def __init__(self, participant: Participant, wire: Wire, chance: random.Random) -> None:
        self.participant = participant
        self.journal = wire.journal
        self.tracer = Tracer(participant, chance, wire.correlation)
        self._wire = wire

    def around(self, app: ASGIApp, stranger: Callable[[Operation | None], Participant]) -> ASGIApp:
        """`app` as others reach it; `stranger` guesses who calls where no simulated party announced the request."""
        return InboundEdge(
            self.participant,
            app,
            stranger=stranger,
            operation=lambda method, path: self._wire.profile.operation(self.participant, method, path),
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
            receiver=lambda url: self._wire.hosts.get(url.host),
            operation=self._wire.profile.operation,
            journal=self.journal,
            tracer=self.tracer,
            faults=self._wire.faults,
        )
        return http_client(transport, base_url, timeout)

    def note(self, note: str, **details: Any) -> None:
        """Something that the participant decided or met, for the journal."""
        self.journal.noted(self.participant, note, **details)
