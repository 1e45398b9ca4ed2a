"""Holds one participant to the contract: its suites one after the other, within one budget of time."""

import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from phrasim.broker.client import BrokerError
from phrasim.contract.finding import HttpExchange, SuiteResult
from phrasim.contract.in_process import in_process
from phrasim.contract.inquiry import EXCHANGES_MAX, Asked, Commit, CutShort, Inquiry, NotJudged, Over
from phrasim.contract.made import Made
from phrasim.contract.principals import Principals, principals
from phrasim.contract.refusals import UPLOAD_BYTES_MAX
from phrasim.contract.sequences import Judge
from phrasim.contract.served import served
from phrasim.contract.set_up import NotSetUp, hold_set_up
from phrasim.contract.subject import PATIENCE_SECONDS, Subject
from phrasim.contract.suites import SCENARIOS, SUITES, Extent, Suite
from phrasim.contract.uploads import Stopped, Uploads
from phrasim.documents import Contract, DocumentError, contract, scenarios_of
from phrasim.journal.events import Participant
from phrasim.scenario.events import Outcome
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.loopback import play_on_loopback
from phrasim.scenario.model import Scenario, Wait, WaitFor
from phrasim.scenario.playable import accounts_needed, unplayable
from phrasim.scenario.runner import Play, play_in_process
from phrasim.serve.landscape import Plan
from phrasim.serve.sockets import PortError
from phrasim.testbed import Mode, ProfileName, Setting
from phrasim.testbed.deployed_setting import DeployedSetting
from phrasim.testbed.seeding import SeedError

Listener = Callable[[SuiteResult], None]
Player = Callable[[Scenario], Outcome]

_RESERVED, _RESERVED_SECONDS, _RESERVED_MAX = 0.06, 1.5, 0.3
"""What is kept for tidying up and reports: so much of the budget, and so many seconds; but no more than the last."""

_STRETCH_MAX = 2.0
"""How many times as much is kept at the most on a machine that has other things to do."""

_OF_THE_SETTING = (SeedError, BrokerError, PortError, DocumentError)
"""What is wrong with what was asked for, and no fault of the participant."""

_FIXED_SCENARIOS = 2
"""How many scenarios are played around a real participant, where the amount is fixed."""


@dataclass(slots=True)
class Verdicts:
    """What came of a verification so far."""

    suites: list[SuiteResult] = field(default_factory=list)
    made: Made = field(default_factory=Made)
    exchanges: deque[HttpExchange] = field(default_factory=lambda: deque(maxlen=EXCHANGES_MAX))
    answers: Counter[str] = field(default_factory=Counter)

    def broken(self) -> bool:
        """Whether something was found that breaks the contract."""
        return any(suite.broken for suite in self.suites)


class Verifier:
    """Runs suites one after the other, and gathers what they find; `listen` is told of each when it ends."""

    def __init__(self, contract: Contract, asked: Asked, extent: Extent, listen: Listener) -> None:
        self._contract = contract
        self._extent = extent
        self._asked = asked
        self._listen = listen
        began = time.monotonic() if asked.began is None else asked.began
        reserved = min(_RESERVED * asked.budget + _RESERVED_SECONDS, _RESERVED_MAX * asked.budget)
        reserved *= min(max(asked.stretch, 1.0), _STRETCH_MAX)
        self.ends = began + asked.budget - reserved
        """When no suite goes on any more."""
        self._tidy_until = self.ends + reserved / 2
        self._told = False
        self.verdicts = Verdicts()

    @property
    def over(self) -> bool:
        """Whether no suite is begun any more."""
        return self._asked.stop_at_first and self.verdicts.broken()

    def run(self, suite: Suite, hold: Callable[[Inquiry], None]) -> None:
        """Run one suite, which has its share of the time that is left; all of it, where the amount is fixed."""
        began = time.monotonic()
        share = suite.share if self._extent.fills_time else 1.0
        until = began + share * max(0.0, self.ends - began)
        inquiry, unjudged, is_whole = Inquiry(suite.name, self._contract, self._asked, until), "", False
        try:
            hold(inquiry)
            is_whole = not inquiry.over
        except CutShort:
            unjudged = "no answer had come when the time was over; give it a longer --budget"
        except Over:
            pass
        except NotJudged as error:
            unjudged = str(error)
        except _OF_THE_SETTING:
            raise
        except Exception as error:
            if not self._extent.is_real:
                raise
            # A real participant may do what nobody has thought of; what the other suites find is told all the same.
            unjudged = f"it failed at what came, which phrasim should not: {type(error).__name__}: {error}"
        if not (is_whole or unjudged or any(one.weight == "broken" for one in inquiry.findings)):
            if not inquiry.cases:
                unjudged = "there was no time for it; give it a longer --budget"
            elif suite.is_list or not self._extent.fills_time:
                unjudged = "the time was over before all of it was tried; give it a longer --budget"
        result = SuiteResult(
            name=suite.name,
            cases=inquiry.cases,
            seconds=time.monotonic() - began,
            findings=tuple(inquiry.findings),
            unjudged=unjudged,
            notes=tuple(inquiry.remarks),
        )
        verdicts = self.verdicts
        verdicts.suites.append(result)
        verdicts.made.note(inquiry)
        verdicts.exchanges.extend(inquiry.exchanges)
        verdicts.answers.update(inquiry.answers)
        self._listen(result)

    def play(
        self, suite: Suite, participant: Participant, scenarios: Sequence[Scenario], play: Player, obstacle: str = ""
    ) -> None:
        """Play scenarios, and judge what comes of them; where there is an obstacle none can be judged."""

        def hold(inquiry: Inquiry) -> None:
            if self._left_out(suite, inquiry):
                return
            if obstacle:
                raise NotJudged(obstacle)
            judge = Judge(participant, inquiry)
            for number, scenario in enumerate(scenarios):
                if inquiry.over:
                    left = len(scenarios) - number
                    inquiry.remark(f"{left} of {len(scenarios)} scenarios were not played: there was no time for them")
                    return
                inquiry.case()
                outcome = play(scenario)
                failed = any(one.judgement == "broken" for one in outcome.verdicts)
                if failed and self._extent.is_real and time.monotonic() >= self.ends:
                    raise CutShort
                judge.judge(outcome)

        if not self.over:
            self.run(suite, hold)

    def ask(self, suite: Suite, subject: Subject, callers: Principals) -> None:
        """Let a suite ask the participant."""

        def hold(inquiry: Inquiry) -> None:
            if not self._told:
                self._told = True
                for line in callers.missing:
                    inquiry.remark(line)
            if not self._left_out(suite, inquiry):
                subject.until = inquiry.until
                suite.hold(subject, inquiry, callers, self._extent)

        if not self.over:
            self.run(suite, hold)

    @property
    def left(self) -> float:
        """How many seconds are left for suites; one at the least, so that something can come of what is begun."""
        return max(1.0, self.ends - time.monotonic())

    def in_time(self, scenario: Scenario) -> Scenario:
        """The scenario, in which nothing is awaited for longer than there is time."""
        steps = [
            replace(step, within=min(step.within, self.left)) if isinstance(step, WaitFor) else step
            for step in scenario.steps
        ]
        return replace(scenario, steps=tuple(steps))

    def miss(self, suite: Suite) -> None:
        """For this suite no time was left."""

        def hold(_inquiry: Inquiry) -> None:
            raise Over

        if not self.over:
            self.run(suite, hold)

    def tidy(self, subject: Subject, callers: Principals) -> list[Commit] | None:
        """Acknowledge what was committed, in the time that is kept for it.

        The commits of others that are listed; None where the listing cannot be read.
        """
        subject.until = self._tidy_until
        uploads, made = Uploads(subject, self._beside(), callers), self.verdicts.made
        others: list[Commit] | None = None
        with suppress(Over):
            with suppress(Stopped):
                others = made.others(uploads.listed())
            made.acknowledge(subject)
        return others

    def obstacle(self, subject: Subject, callers: Principals, others: Sequence[Commit] | None) -> str:
        """Why no scenario can be played in which Phraseanet polls; empty where they can."""
        if Uploads(subject, self._beside(), callers).notifications():
            return "the upload service notifies Phraseanet of commits, which does not poll then; say --mode push"
        if others is None:
            told = "the listing cannot be read, and may have commits that are"
        elif others:
            told = "1 commit is listed that is" if len(others) == 1 else f"{len(others)} commits are listed that are"
        else:
            return ""
        return f"{told} not of this verification: Phraseanet, played here, would pull and acknowledge what it finds"

    def _beside(self) -> Inquiry:
        """An inquiry whose findings nobody reads."""
        return Inquiry(SCENARIOS, self._contract, replace(self._asked, stop_at_first=False), self._tidy_until)

    def _left_out(self, suite: Suite, inquiry: Inquiry) -> bool:
        if self._asked.read_only and suite.writes:
            inquiry.remark("left out, since it would write (--read-only)")
            return True
        return False


def shipped_scenarios(profile: ProfileName) -> list[Scenario]:
    """The scenarios of a profile that come with phrasim."""
    return [load_scenario(path) for path in sorted(scenarios_of(profile).glob("*.yaml"))]


def verify_simulated(
    participant: Participant,
    profile: ProfileName,
    asked: Asked,
    extent: Extent,
    listen: Listener = lambda _: None,
) -> Verdicts:
    """Hold the simulated participant to the contract, in this process and on simulated time."""
    verifier = Verifier(contract(profile), asked, extent, listen)
    setting = _quiet(Setting(profile=profile, seed=asked.seed, upload_size_max=UPLOAD_BYTES_MAX), participant, extent)
    with in_process(participant, setting) as subject:
        _hush(subject)
        callers = principals(subject)
        for suite in SUITES[participant]:
            if suite.name == SCENARIOS:
                scenarios = shipped_scenarios(profile)
                verifier.play(suite, participant, scenarios, lambda one: play_in_process(one, Play(seed=asked.seed)))
            else:
                verifier.ask(suite, subject, callers)
    return verifier.verdicts


def verify_real(
    participant: Participant,
    plan: Plan,
    listeners: Callable[[], Mapping[str, socket.socket]],
    asked: Asked,
    extent: Extent,
    listen: Listener = lambda _: None,
) -> Verdicts:
    """Hold a real participant to the contract, which `plan` says how to reach; the others are played around it.

    `listeners` binds the sockets of those, as often as it is called. Raises `NotSetUp` where nothing can be judged, and
    what `play_on_loopback` does.
    """
    verifier = Verifier(contract(plan.setting.profile), asked, extent, listen)
    scenarios = _playable(plan, "push" if extent.notifies else "pull")[: extent.rounds(0, _FIXED_SCENARIOS)]
    if participant == "auth" and not (plan.accounts and plan.accounts.administrator.email):
        scenarios = [one for one in scenarios if "administrator.email" not in accounts_needed([one])]

    def play(scenario: Scenario) -> Outcome:
        patience = min(PATIENCE_SECONDS, verifier.left)
        return play_on_loopback(verifier.in_time(scenario), Play(seed=asked.seed, patience=patience), plan, listeners)

    suites, obstacle = list(SUITES[participant]), ""
    while suites:
        if suites[0].name == SCENARIOS:
            verifier.play(suites.pop(0), participant, scenarios, play, obstacle)
            continue
        quiet = replace(plan, setting=_quiet(plan.setting, participant, extent), events_max=None)
        with served(participant, quiet, listeners) as subject:
            _hush(subject)
            callers = _set_up(subject, verifier, asked)
            if callers is None:
                break
            while suites and suites[0].name != SCENARIOS:
                verifier.ask(suites.pop(0), subject, callers)
            if participant == "upload" and not asked.read_only:
                others = verifier.tidy(subject, callers)
                if suites and not extent.notifies:
                    obstacle = verifier.obstacle(subject, callers, others)
    for suite in suites:
        verifier.miss(suite)
    return verifier.verdicts


def _set_up(subject: Subject, verifier: Verifier, asked: Asked) -> Principals | None:
    """Who asks the participant, once it is seen that it can be judged; None where there is no more time to ask it."""
    subject.until = verifier.ends
    try:
        callers = principals(subject)
        if not (asked.read_only or verifier.verdicts.suites):
            hold_set_up(subject, callers)
    except Over:
        if not verifier.verdicts.suites:
            raise NotSetUp("it gave no answer in the time that there was") from None
        return None
    return callers


def _quiet(setting: Setting, participant: Participant, extent: Extent) -> Setting:
    """What the landscape is set to in which suites ask: an upload service notifies, and nobody polls."""
    return replace(setting, mode="push" if participant == "upload" and extent.notifies else "off")


def _hush(subject: Subject) -> None:
    """Let nobody but the suites work on what they make: Phraseanet takes notifications, and does nothing."""
    if subject.participant == "upload":
        subject.run(subject.bed.services.wind_up(0))


def _playable(plan: Plan, mode: Mode) -> list[Scenario]:
    """The scenarios that walk a drawn sequence, and can be played around it; those that wait the least first.

    The others are about a landscape that has nothing in it yet, and is set up as they say.
    """
    real = frozenset(plan.real)
    found = [
        one
        for one in shipped_scenarios(plan.setting.profile)
        if one.expect.sequence is not None
        and one.mode == mode
        and one.given.deployed == DeployedSetting()
        and unplayable(one, "loopback", real) is None
    ]
    return sorted(found, key=lambda one: (_waits(one), one.name.removeprefix("deployed-") != mode, one.name))


def _waits(scenario: Scenario) -> float:
    """How many seconds its steps wait at the least."""
    return sum(step.seconds for step in scenario.steps if isinstance(step, Wait))
