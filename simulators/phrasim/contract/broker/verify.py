"""The suite `broker`: holds any AMQP 0-9-1 broker to what RabbitMQ did with the programs of `contracts/broker/`.

The broker may be in use. So whatever a program names has a prefix of this run, all of it is deleted behind each
program, and what a program would need beyond the account that it was given is left out.
"""

import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerError
from phrasim.contract.broker.access import WATCH, Access, unanswered
from phrasim.contract.broker.compare import Apart, apart
from phrasim.contract.broker.driver import Driver
from phrasim.contract.broker.execution import Blocked, Pace
from phrasim.contract.broker.programs import Program, Recorded, recorded_programs
from phrasim.contract.broker.wire import Strange
from phrasim.contract.broker.words import asked, shortened, told
from phrasim.contract.finding import Finding, SuiteResult
from phrasim.serve.tls import external_client_context

NAME = "broker"
RABBITMQ = "RabbitMQ"

PACES = (Pace(), Pace(3, 0.01), Pace(4, 0.03))
"""How patient each attempt is. A difference counts if it is seen in the last of them: a broker may be far or busy."""

DEFAULT_LIMITS = {"channel_max": 2047, "frame_max": 131072}

ENTRY: Program = [
    {"on": 0, "do": "exchange.declare", "with": {"exchange": "x0", "exchange_type": "fanout"}},
    {"on": 0, "do": "queue.declare", "with": {"queue": "q0", "arguments": {}}},
    {"on": 0, "do": "queue.bind", "with": {"queue": "q0", "exchange": "x0"}},
    {"on": 0, "do": "basic.publish", "with": {"exchange": "", "routing_key": "q0"}},
    {"on": 0, "do": "basic.get", "with": {"queue": "q0", "no_ack": True}},
    {"on": 0, "do": "queue.declare", "with": {"queue": "", "exclusive": True, "arguments": {}}},
]
"""What every account must be allowed that programs are run for."""

NEEDS: dict[str, Callable[[Access], str]] = {
    "guest": lambda access: (
        "" if _is_guest(access.url) else "it tries logins that fail, which is done only where guest logs in at /"
    ),
    "limits": lambda access: (
        "" if _limits(access) == DEFAULT_LIMITS else "it goes to RabbitMQ's default limits, and this broker has others"
    ),
}
"""What a program may need of a broker; each says why it is not so here, or nothing."""


def verify_broker(
    url: BrokerUrl,
    seed: int,
    budget: float,
    read_only: bool,
    clock: Callable[[], float] = time.monotonic,
    *,
    tls: Callable[[], ssl.SSLContext] = lambda: external_client_context(None, insecure=False),
    prefix: str | None = None,
    programs: Sequence[Recorded] | None = None,
) -> SuiteResult:
    """Hold the broker at `url` to RabbitMQ's rules, in an order drawn from `seed`, for `budget` seconds.

    A program that has begun is brought to its end. `tls` makes the context for an `amqps` URL, `prefix` stands before
    all names on the broker, by default one that no other run has; `programs` are those to run, by default all.
    Raises BrokerError where the broker cannot be entered.
    """
    began = clock()
    if read_only:
        reason = "a broker can be judged only by what it does with queues and messages, and nothing may be made in it"
        return SuiteResult(NAME, 0, 0.0, unjudged=reason)
    if prefix is None:
        prefix = f"phrasim-verify-{random.SystemRandom().randbytes(4).hex()}-"
    driver = Driver(url, tls() if url.tls else None, prefix)
    verification = _Verification(driver, lambda: clock() - began >= budget)
    try:
        unjudged = _entered(driver)
        if not unjudged:
            order = sorted(recorded_programs() if programs is None else programs, key=lambda one: one.name)
            random.Random(seed).shuffle(order)
            unjudged = verification.judge_all(order, budget)
    finally:
        driver.close()
    return SuiteResult(
        NAME,
        verification.cases,
        clock() - began,
        tuple(verification.findings),
        unjudged,
        tuple(verification.all_notes()),
    )


@dataclass(slots=True)
class _Verification:
    """What came of the programs so far; `over` says whether the budget is spent."""

    driver: Driver
    over: Callable[[], bool]
    cases: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)

    def judge_all(self, order: list[Recorded], budget: float) -> str:
        """Judge the programs one after the other; why nothing could be judged, or nothing."""
        self.notes.append(f"the broker says that it is {' '.join(product(self.driver.access))}")
        for number, recorded in enumerate(order):
            if self.over():
                self.notes.append(f"not run within {budget:g} s: {_listed(order[number:])}")
                break
            missing = next((why for need in recorded.needs if (why := NEEDS[need](self.driver.access))), "")
            if missing:
                self.notes.append(f"not run: {recorded.rule}: {missing}")
                continue
            try:
                self._judge(recorded)
            except Blocked as blocked:
                return _blocked(blocked)
            if not self._is_there():
                self.notes.append(f"the broker is gone behind {recorded.rule}; not run: {_listed(order[number + 1 :])}")
                break
        return "" if self.cases else "no program could be judged within the budget"

    def _judge(self, recorded: Recorded) -> None:
        """Run a program as often as it takes, and note what came of it."""
        found: Apart | None = None
        slow = False
        for pace in PACES:
            run = self.driver.run(recorded.program, pace, recorded.expected)
            slow = run.slow
            found = None if slow else apart(recorded.expected, run.records, time.time())
            if (found is None and not slow) or self.over():
                break
        if slow:
            self.slow.append(recorded.rule)
            return
        self.cases += 1
        if found is not None:
            self.findings.append(finding(recorded, found, self.driver.access))

    def _is_there(self) -> bool:
        try:
            self.driver.access.watcher()
        except (BrokerError, Strange, OSError):
            return False
        return True

    def all_notes(self) -> list[str]:
        """The notes, and what is known only at the end."""
        notes = list(self.notes)
        if self.slow:
            notes.append(f"not judged, as it took too long for their short times to live: {', '.join(self.slow)}")
        if self.driver.left:
            left = ", ".join(f"{kind} {name}" for kind, name in self.driver.left)
            notes.append(f"could not be deleted and may still be there: {left}")
        return [shortened(note) for note in notes]


def finding(recorded: Recorded, found: Apart, access: Access) -> Finding:
    """What is reported of a program that a broker ran otherwise.

    It is a warning where RabbitMQ itself does otherwise in the version that the broker says to be.
    """
    step = recorded.program[found.step]
    expected, came = told(found)
    name, version = product(access)
    differs = recorded.differs if name == RABBITMQ else None
    known = differs is not None and differs.is_in(version)
    expected = f"as {recorded.recorded_from} has it, {expected} ({recorded.about})"
    if differs is not None and known:
        expected += f"; RabbitMQ {differs.versions} is known to do otherwise ({differs.row})"
    return Finding(
        NAME,
        recorded.rule,
        None,
        shortened(asked(step, found.step, len(recorded.program))),
        came,
        expected,
        f"contracts/broker/{recorded.name}.json step {found.step + 1}",
        weight="warning" if known else "broken",
    )


def _entered(driver: Driver) -> str:
    """Enter the broker, and try what every program does; why that may not be done, or nothing. Raises BrokerError."""
    try:
        driver.access.connect().leave()
        channel_max = _limits(driver.access)["channel_max"]
        if channel_max and channel_max < WATCH:
            return f"a connection to this broker has {channel_max} channels, and {WATCH} are needed"
        driver.access.watcher()
        run = driver.run(ENTRY)
    except (Strange, OSError) as error:
        raise BrokerError(unanswered(error)) from error
    except Blocked as blocked:
        return _blocked(blocked)
    for step, record in zip(ENTRY, run.records, strict=False):
        for event in record.get("events", ()):
            match event:
                case [_, "channel.close", {"reply_code": 403, "reply_text": text}]:
                    return shortened(f"the account may not do what the programs do: {step['do']} was answered {text}")
    return ""


def _blocked(blocked: Blocked) -> str:
    return shortened(f"the broker takes no messages now, from nobody: {blocked}")


def _is_guest(url: BrokerUrl) -> bool:
    return (url.user, url.password, url.vhost) == ("guest", "guest", "/")


def _limits(access: Access) -> dict[str, int]:
    """The limits that the broker proposed."""
    tune = access.greeted["connection.tune"].fields
    return {name: tune[name] for name in DEFAULT_LIMITS}


def product(access: Access) -> tuple[str, str]:
    """What the broker says that it is: a product and a version, as far as it does."""
    properties = access.greeted["connection.start"].fields["server_properties"]
    name, version = (str(properties.get(key, ["V", ""])[1]) for key in ("product", "version"))
    return name, version


def _listed(programs: list[Recorded]) -> str:
    return ", ".join(recorded.rule for recorded in programs)
