"""What joins the participants of a landscape: one clock, one journal, and for each of them an edge and an address."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import httpx
from starlette.types import ASGIApp

from phrasim.clock import Clock
from phrasim.documents import Contract
from phrasim.edge.addresses import Addresses
from phrasim.edge.context import Correlation
from phrasim.edge.edge import Edge, Wire
from phrasim.edge.faults import Fault, Faults
from phrasim.edge.transport import InProcessTransport
from phrasim.journal.events import PARTICIPANTS, Participant
from phrasim.journal.recorder import Journal

SERVICES: tuple[Participant, ...] = ("upload", "phraseanet", "auth")
"""The participants that speak HTTP."""

PLAYABLE: tuple[Participant, ...] = (*SERVICES, "broker")
"""The participants that phrasim plays on sockets; the user is whoever calls."""

Role = Literal["played", "external", "absent"]
"""Whether phrasim plays a participant, a real one is reached by its URL, or there is none."""

URLS: Mapping[Participant, str] = {
    "upload": "https://upload.test",
    "phraseanet": "https://phraseanet.test",
    "auth": "https://auth.test",
}
"""Where the services of an in-process run answer; the names lead nowhere else (RFC 6761, `.test`)."""

Chance = Callable[[str], random.Random]
"""The randomness of a room, by the room's name."""


def seeded(seed: int) -> Chance:
    """The same randomness for the same seed; a draw more in one room changes nothing in another."""
    return lambda room: random.Random(f"{seed}/{room}")


def unguessable(room: str) -> random.Random:
    """Randomness for tokens that others must not guess: the system's.

    The ids of traces are no secrets, and the system is asked once for all of them: each time takes it microseconds.
    """
    system = random.SystemRandom()
    return random.Random(system.getrandbits(256)) if room.endswith("/edge") else system


def real_ones(external: Iterable[Participant], played: Iterable[Participant]) -> tuple[Participant, ...]:
    """The participants that are real ones, where these are external: a real Phraseanet has a broker, too.

    It is one of its own, which nobody here sees, unless it is among the external ones or phrasim plays it.
    """
    found = frozenset(external)
    if "phraseanet" in found and "broker" not in frozenset(played):
        found |= {"broker"}
    return tuple(name for name in PARTICIPANTS if name in found)


@dataclass(frozen=True, slots=True)
class Addressing:
    """Where the services are.

    `played` are those that phrasim plays, the broker among them, `external` the real ones; all others are absent.
    `urls` gives the base URL at which each service is called from here, `public_urls` the one that is told to others
    where it is another. `transport` carries the requests. `portless_urls` lead to
    services as well, from here alone: a client that drops the port of an address finds them by these (H22).
    """

    urls: Mapping[Participant, str]
    transport: httpx.AsyncBaseTransport
    played: frozenset[Participant]
    external: tuple[Participant, ...] = ()
    public_urls: Mapping[Participant, str] = field(default_factory=dict)
    portless_urls: Mapping[Participant, str] = field(default_factory=dict)

    def role(self, participant: Participant) -> Role:
        """What a participant is here."""
        if participant in self.played:
            return "played"
        return "external" if participant in self.external else "absent"

    def url(self, participant: Participant) -> str:
        """Where a service is called from here; that of an absent one leads nowhere (RFC 6761, `.invalid`)."""
        return self.urls.get(participant, f"http://{participant}.invalid")

    def portless_url(self, participant: Participant) -> str:
        """Where a service is found from here by who drops the port of its address."""
        return self.portless_urls.get(participant, self.url(participant))

    def public_url(self, participant: Participant) -> str:
        """Where a service says that it is."""
        return self.public_urls.get(participant, self.url(participant))


class InProcess:
    """The wire of a run in one process: the applications are called, and nobody else can reach them.

    `external` are the services that others than phrasim play on it; who calls one that is not mounted finds nobody.
    """

    def __init__(self, external: Iterable[Participant] = ()) -> None:
        self._apps: dict[str, ASGIApp] = {}
        real = real_ones(external, ())
        played = frozenset(PLAYABLE).difference(real)
        self.addressing = Addressing(URLS, InProcessTransport(self._apps), played, real)

    def mount(self, apps: Mapping[Participant, ASGIApp]) -> None:
        """From now on these applications answer."""
        self._apps.update({httpx.URL(URLS[participant]).host: app for participant, app in apps.items()})


class Network:
    """What stays of a landscape when its participants begin anew."""

    def __init__(
        self,
        contract: Contract,
        faults: Iterable[Fault],
        addressing: Addressing,
        *,
        clock: Clock,
        chance: Chance,
        events_max: int | None = None,
    ) -> None:
        self.contract = contract
        self.clock = clock
        self.chance = chance
        self.addressing = addressing
        self.journal = Journal(clock.now_ns, events_max)
        self.faults = Faults(tuple(faults))
        self.played: frozenset[Participant] = addressing.played | {"user"}
        """The participants that phrasim plays."""
        self.external = addressing.external
        """Those that are real ones."""
        bases = [*addressing.urls.items(), *addressing.public_urls.items(), *addressing.portless_urls.items()]
        wire = Wire(
            journal=self.journal,
            clock=clock,
            contract=contract,
            faults=self.faults,
            correlation=Correlation(),
            addresses=Addresses(dict.fromkeys((name, url) for name, url in bases), self._file_store(contract)),
            transport=addressing.transport,
            played=self.played,
        )
        self.edges = {name: Edge(name, wire, chance(f"{name}/edge")) for name in PARTICIPANTS}

    def _file_store(self, contract: Contract) -> Participant | None:
        """Whose the URLs are that are nobody's, where an external upload service gives out those of its files."""
        return "upload" if "upload" in self.external and "downloadFile" in contract.operations else None

    def client(self, participant: Participant, to: Participant, timeout: float | None = 30) -> httpx.AsyncClient:
        """A client of `participant` whose base is the URL of `to`."""
        return self.edges[participant].client(self.addressing.url(to), timeout)
