"""What a test may ask of a landscape, whichever wire it is on."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from phrasim import __version__
from phrasim.auth.accounts import Client
from phrasim.documents import Contract, contract, flow_document, secret_fields
from phrasim.documents.nearest import nearest
from phrasim.documents.specification import installed_schemas
from phrasim.documents.yaml_text import read_text
from phrasim.edge.fault_reading import fault_of, fault_problem
from phrasim.edge.faults import SENDER_EFFECTS, Fault, FaultAccount
from phrasim.journal.account import account
from phrasim.journal.conformance import conform
from phrasim.journal.document import Section, sections
from phrasim.journal.events import Event, Header, Noted, Participant
from phrasim.journal.lines import trace_bytes, write_trace
from phrasim.journal.verdict import CommitVerdict
from phrasim.pytest_plugin.accounts import ClientAccount, Target, UserAccount, client_account, user_account
from phrasim.pytest_plugin.marker import Asked
from phrasim.scenario.exchanges import Exchange, Exchanges
from phrasim.scenario.model import WireName
from phrasim.testbed import Testbed
from phrasim.testbed.network import real_ones
from phrasim.testbed.seed import SeedCommit, SeedFile
from phrasim.testbed.seeding import seed_commits
from phrasim.testbed.services import HeldAsset, HeldCommit, HeldRecord

_Result = TypeVar("_Result")

POLL_SECONDS = 30
"""For how long a poll may take."""


class UsageError(RuntimeError):
    """A test used a fixture in a way that cannot work; the message says what would be right."""


class SimulatorFailed(RuntimeError):
    """A simulator failed where it should have answered: phrasim is at fault, not the code under test."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where something answers: the base URL, without a slash at its end."""

    url: str


@dataclass(frozen=True, slots=True)
class Queue:
    """How many messages of a queue wait (`ready`), and how many are delivered and not yet acknowledged."""

    ready: int
    unacknowledged: int


class View(ABC):
    """A landscape as a test sees it: `phrasim_landscape` and `phrasim_server` are views."""

    upload: Service
    phraseanet: Service
    auth: Service
    publisher: UserAccount
    """An ordinary user, who may upload and commit."""
    administrator: UserAccount
    """A user who may do what only administrators may."""
    client: ClientAccount
    """Phraseanet's client, which may list commits and ask who a publisher is."""
    front_end: ClientAccount
    """The client through which users log in with their passwords."""

    def __init__(self, asked: Asked, wire: WireName) -> None:
        self._asked = asked
        self._wire: WireName = wire
        self._setting = asked.setting
        self._contract = contract(self._setting.profile)
        self._external: tuple[Participant, ...] = real_ones((asked.plays,) if asked.plays else (), ())
        self._exchanges = Exchanges()
        self._happened = asyncio.Event()
        self._client_tokens: dict[str, str] = {}

    @property
    @abstractmethod
    def _testbed(self) -> Testbed:
        """The participants as they are now."""

    @abstractmethod
    def _look(self, look: Callable[[], _Result]) -> _Result:
        """What `look` returns, called where nothing else happens meanwhile."""

    @abstractmethod
    def _run(self, work: Coroutine[Any, Any, _Result], within: float) -> _Result:
        """Run `work` on the loop of the participants, for some `within` seconds of its time, and return its result."""

    @property
    def users(self) -> tuple[UserAccount, ...]:
        """All users, the publisher first."""
        return (self.publisher, self.administrator)

    @property
    def clients(self) -> tuple[ClientAccount, ...]:
        """All clients, Phraseanet's first."""
        return (self.client, self.front_end)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The upload service's targets, each with `id` and `slug`, the usual one first; none if documented."""
        return tuple(Target(one["id"], one["slug"]) for one in self._testbed.stage.targets or ())

    @property
    def phraseanet_token(self) -> str:
        """What Phraseanet takes as `Authorization: OAuth …`; in the profile `documented` it asks nobody for it."""
        return self._testbed.stage.phraseanet_token

    @property
    def assets(self) -> tuple[HeldAsset, ...]:
        """The files that the upload service holds, oldest first."""
        return self._look(lambda: tuple(self._testbed.upload.assets))

    @property
    def commits(self) -> tuple[HeldCommit, ...]:
        """The commits that the upload service holds, oldest first."""
        return self._look(lambda: tuple(self._testbed.upload.commits))

    @property
    def records(self) -> tuple[HeldRecord, ...]:
        """What Phraseanet has made of the assets that were handed over."""
        return self._look(lambda: tuple(self._testbed.phraseanet.records))

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The queues of the broker, by name."""

        def depths() -> dict[str, Queue]:
            core = self._testbed.broker.core
            assert core is not None, "the broker of a test is simulated"
            return {name: Queue(queue.ready_count, queue.unacked_count) for name, queue in core.queues.items()}

        return self._look(depths)

    @property
    def events(self) -> list[Event]:
        """The journal: all that was sent, received, lost or noted so far."""
        return self._look(lambda: list(self._testbed.journal.events))

    @property
    def faults(self) -> list[FaultAccount]:
        """The faults that are set, and how many calls each has met and struck."""
        return self._look(self._testbed.faults.all)

    def fault(self, operation_id: str, **keys: Any) -> int:
        """Let calls of an operation go wrong from now on; the fault's id.

        The keys are those of a scenario's fault: one of refuse, duplicate, delay, answer, dropReply and cutBody, and
        `occurrences`, such as `fault("uploadAsset", answer={"status": 503}, occurrences=[1])`. Raises `UsageError`.
        """
        __tracebackhide__ = True
        fault = _fault({"operationId": operation_id, **keys}, self._contract)
        self._hold_to_wire(fault)
        return self._look(lambda: self._testbed.faults.add(fault))

    def clear_faults(self) -> None:
        """Lift all faults."""
        self._look(self._testbed.faults.clear)

    def add_commit(self, files: Mapping[str, bytes], form_data: Mapping[str, Any] | None = None) -> HeldCommit:
        """A commit that the publisher has made before the test began; nobody is notified of it."""
        if "upload" in self._external:
            raise UsageError("add_commit: the code under test plays the upload service, and commits are its own")
        empty = [name for name, content in files.items() if not content]
        if not files or empty:
            found = f"{empty[0]!r} is empty" if empty else "there is none"
            raise UsageError(f"add_commit: a commit has at least one file, and a file at least one byte; {found}")
        made = tuple(SeedFile(name, None, len(content), "", content) for name, content in files.items())
        commit = SeedCommit(self.publisher.email, made, form_data or {})
        return self._look(lambda: seed_commits(self._testbed, [commit])[0])

    def poll(self) -> int:
        """Let Phraseanet poll now; how many commits were new to it. Raises `PollFailed` where it could not."""
        if "phraseanet" in self._external:
            raise UsageError("poll: the code under test plays Phraseanet, and polling is its own")
        return self._run(self._testbed.services.poll(), POLL_SECONDS)

    def wait_for(self, operation_id: str, occurrence: int = 1, within: float = 30) -> Exchange:
        """Wait until an operation was answered with 2xx `occurrence` times in all; the last of these exchanges.

        Raises AssertionError when that takes longer than `within` seconds.
        """
        __tracebackhide__ = True  # pytest then shows the line of the test, not this one
        known = self._contract.operations
        if operation_id not in known:
            raise UsageError(f"wait_for: there is no operation {operation_id!r}; {nearest(operation_id, known)}")
        found = self._run(self._answered(operation_id, occurrence, within), within)
        if len(found) < occurrence:
            times = "once" if occurrence == 1 else f"{occurrence} times"
            raise AssertionError(
                f"waited {within:g} s for {operation_id} to be answered with 2xx {times}; it was {len(found)} times"
            )
        return found[occurrence - 1]

    def conforms(self, section: str | None = None, document: Path | None = None) -> list[CommitVerdict]:
        """Hold what happened to a section of the profile's flow or of another document; a verdict for each commit.

        Without a `section` it is “Push mode” or “Pull mode”, as the landscape's mode is. Raises AssertionError, with
        an account of every arrow, where one that could be seen was not walked as drawn.
        """
        __tracebackhide__ = True
        path = document or flow_document(self._setting.profile)
        drawn = [one for one in sections(read_text(path), str(path)) if one.arrows is not None]
        chosen = _section(drawn, section or self._usual_section(), path)
        verdicts = conform(chosen, self.events, self._contract, external=frozenset(self._external))
        broken = [verdict for verdict in verdicts if not verdict.conforms]
        if broken:
            raise AssertionError("\n".join(line for verdict in broken for line in account(verdict)))
        return verdicts

    def trace(self, path: Path | str) -> None:
        """Write a trace of what happened, for `phrasim diagram` and `phrasim conform`; secrets are redacted."""
        header = Header(
            version=__version__,
            wire=self._wire,
            external=self._external,
            profile=self._setting.profile,
            seed=self._setting.seed,
            tokens="redacted",
            scenario="",
            files=(),
        )
        write_trace(Path(path), trace_bytes(header, self.events, secret_fields()))

    def _hold_to_wire(self, fault: Fault) -> None:
        """Raise `UsageError` for a fault that cannot strike on this wire."""
        caller = self._contract.operations[fault.operation_id].caller
        own = caller in ("user", self._asked.plays)
        if self._wire == "loopback" and own and isinstance(fault.effect, SENDER_EFFECTS):
            raise UsageError(
                f"{fault.effect!r} of {fault.operation_id} strikes where the request leaves, which here is the code "
                "under test; on real ports phrasim cannot strike there: take phrasim_landscape"
            )

    def _begin(self, user_tokens: Mapping[str, str]) -> None:
        """The participants begin; `user_tokens` are those that users have already, by the user's id."""
        accounts, auth = self._testbed.accounts, self._testbed.auth
        for user in (accounts.publisher, accounts.administrator):
            if user.id not in user_tokens:
                user_tokens = {**user_tokens, user.id: auth.user_token(user)}
        self.publisher = user_account(accounts.publisher, user_tokens[accounts.publisher.id])
        self.administrator = user_account(accounts.administrator, user_tokens[accounts.administrator.id])
        self.client = self._client_account(accounts.phraseanet)
        self.front_end = self._client_account(accounts.front_end)
        self._exchanges = Exchanges(self._testbed.journal.events)

    def _client_account(self, client: Client) -> ClientAccount:
        token = self._testbed.auth.client_token(client, self._client_tokens.get(client.id))
        self._client_tokens[client.id] = token
        return client_account(client, token)

    def _follow(self) -> None:
        """Learn of each event as it comes."""

        def happened(event: Event) -> None:
            self._exchanges.take(event)
            self._happened.set()

        self._testbed.journal.listen(happened)

    async def _answered(self, operation_id: str, occurrence: int, within: float) -> list[Exchange]:
        """The exchanges of the operation that succeeded, once there are so many or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with self._testbed.clock.timeout(within):
                while len(self._successes(operation_id)) < occurrence:
                    self._happened.clear()
                    await self._happened.wait()
        return self._successes(operation_id)

    def _successes(self, operation_id: str) -> list[Exchange]:
        return [one for one in self._exchanges.ended if one.request.operation_id == operation_id and one.succeeded]

    def _usual_section(self) -> str:
        if self._setting.mode in ("both", "off"):
            raise UsageError(
                f"conforms: in mode {self._setting.mode!r} say which section is meant, such as conforms('Push mode')"
            )
        return f"{self._setting.mode} mode"


def hold_to_health(events: Iterable[Event]) -> None:
    """Raise `SimulatorFailed` where a simulated service failed at a request, which it answered with 500."""
    for event in events:
        if isinstance(event, Noted) and event.note == "failed":
            raise SimulatorFailed(f"{event.by} failed at a request: {event.details['error']}")


def _section(drawn: list[Section], title: str, path: Path) -> Section:
    for one in drawn:
        if title.casefold() in (one.title.casefold(), one.anchor):
            return one
    raise UsageError(f"conforms: {path} draws nothing under {title!r}; {nearest(title, [one.title for one in drawn])}")


def _fault(value: dict[str, Any], contract: Contract) -> Fault:
    __tracebackhide__ = True
    found = installed_schemas().violations("control.yaml", "/components/schemas/Fault", value)
    problem = found[0] if found else fault_problem(value, contract)
    if problem is not None:
        raise UsageError(f"the fault {value!r}: {problem}")
    return fault_of(value)
