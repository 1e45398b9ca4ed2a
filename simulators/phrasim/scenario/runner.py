"""Plays a scenario and says what happens as it happens; it knows nobody who listens."""

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from phrasim import __version__
from phrasim.broker.client import BrokerError, Depth
from phrasim.clock import SimulationError, run_simulated
from phrasim.documents import Contract, scenarios_folder, secret_fields
from phrasim.journal.events import Event, Header, Participant
from phrasim.journal.redaction import redacted_json
from phrasim.journal.sequence import bears
from phrasim.journal.sightings import json_of, path_of
from phrasim.scenario.checks import judge
from phrasim.scenario.events import Ended, Happened, Judged, Outcome, RunEvent, Started, StepEnded, Verdict
from phrasim.scenario.exchanges import Exchange, Exchanges
from phrasim.scenario.expression import ExchangeValues, ExpressionError, Values
from phrasim.scenario.files import RunFile, scenario_files
from phrasim.scenario.last_seen import last_seen
from phrasim.scenario.model import Call, Scenario, Step, TokenBearer, Wait, WaitFor, WireName
from phrasim.scenario.user import PATIENCE_SECONDS, Asked, StepFailed, User
from phrasim.testbed import Setting, Testbed, open_testbed

SETTLE_SECONDS = 0.001
"""Protocol time between the last step and the verdicts: on simulated time all work of the instant is done by then."""

Listener = Callable[[RunEvent], None]
Settle = Callable[[Testbed, Exchanges, bool], Awaitable[None]]
"""Waits, behind the last step, until what the steps have caused is over; the last argument says that one failed."""


@dataclass(frozen=True, slots=True)
class Play:
    """How a scenario is to be played.

    `files` are the files of the run, the scenario's own if None; `given` says that they are the user's, in the place of
    the scenario's. A run that is not `judged` has no verdicts on what the scenario expects. `patience` is how many
    seconds the user waits for an answer.
    """

    seed: int = 1
    files: tuple[RunFile, ...] | None = None
    given: bool = False
    show_tokens: bool = False
    judged: bool = True
    patience: float = PATIENCE_SECONDS


def play_in_process(scenario: Scenario, play: Play, listen: Listener = lambda _: None) -> Outcome:
    """Play a scenario on simulated time.

    Raises `FileError` where a file of the scenario cannot be used, `DocumentError` where its document cannot.
    """
    run = Run(scenario, play, "in-process", (), listen)
    try:
        with tempfile.TemporaryDirectory(prefix="phrasim-") as storage:
            opening = open_testbed(setting_of(scenario, play.seed), Path(storage))
            run_simulated(run.main(opening, _all_work_of_the_instant))
    except SimulationError as error:
        run.judged(Verdict("the run goes on to its end", "broken", tuple(str(error).splitlines())))
    return run.ended()


def own_files(scenario: Scenario, seed: int) -> tuple[RunFile, ...]:
    """The files that the scenario itself gives, from its folder or phrasim's. Raises `FileError`."""
    return scenario_files(scenario.given.files, [Path(scenario.file).parent, scenarios_folder()], seed)


def setting_of(scenario: Scenario, seed: int) -> Setting:
    """The testbed that a scenario asks for."""
    given, default = scenario.given, Setting()
    return Setting(
        profile=scenario.profile,
        seed=seed,
        mode=scenario.mode,
        publisher_email=given.publisher_email or default.publisher_email,
        publisher_name=given.publisher_name or default.publisher_name,
        poll_interval=given.poll_interval,
        token_lifetime=None if given.token_lifetime is None else int(given.token_lifetime),
        upload_size_max=given.upload_size_max,
        retention=given.retention,
        notification_fields=given.notification_fields or default.notification_fields,
        broker_version=given.broker_version or default.broker_version,
        deployed=given.deployed,
        faults=scenario.faults,
    )


async def _all_work_of_the_instant(testbed: Testbed, _exchanges: Exchanges, _failed: bool) -> None:
    await testbed.clock.sleep(SETTLE_SECONDS)


class Run:
    """One run on whichever wire: its steps, then its verdicts. `external` are the participants that are real ones."""

    def __init__(
        self, scenario: Scenario, play: Play, wire: WireName, external: tuple[Participant, ...], listen: Listener
    ) -> None:
        self._scenario = scenario
        self._judged = play.judged
        self._patience = play.patience
        self._files = own_files(scenario, play.seed) if play.files is None else play.files
        self._listen = listen
        self._header = Header(
            version=__version__,
            wire=wire,
            profile=scenario.profile,
            seed=play.seed,
            tokens="shown" if play.show_tokens else "redacted",
            scenario=scenario.text,
            given=play.given,
            files=tuple(file.recorded for file in self._files),
            external=external,
        )
        self._exchanges = Exchanges()
        self._changed = asyncio.Event()
        self._outputs: dict[str, dict[str, object]] = {}
        self._events: list[Event] = []
        self._verdicts: list[Verdict] = []
        self._ended_ns = 0
        listen(Started(scenario, self._header))

    async def main(self, opening: AbstractAsyncContextManager[Testbed], settle: Settle) -> None:
        """Take the steps in the testbed that `opening` opens; when `settle` has waited for what they caused, judge."""
        async with opening as testbed:
            self._events = testbed.journal.events
            for event in self._events:
                self._happened(event)  # what the participants have done by themselves already
            testbed.journal.listen(self._happened)
            failed = await self._steps(testbed, User(testbed, self._patience))
            await settle(testbed, self._exchanges, failed is not None)
            self._ended_ns = testbed.clock.now_ns()
            if failed is not None:
                self.judged(failed)
            if self._judged:
                for verdict in judge(self._scenario, testbed, self._files, await _depths(testbed)):
                    self.judged(verdict)

    def ended(self) -> Outcome:
        """The run is over: what came of it."""
        outcome = Outcome(self._scenario, self._header, tuple(self._events), tuple(self._verdicts), self._ended_ns)
        self._listen(Ended(outcome))
        return outcome

    def judged(self, verdict: Verdict) -> None:
        """One more verdict."""
        self._verdicts.append(verdict)
        self._listen(Judged(verdict))

    def _happened(self, event: Event) -> None:
        self._exchanges.take(event)
        self._changed.set()
        self._listen(Happened(event))

    async def _steps(self, testbed: Testbed, user: User) -> Verdict | None:
        """Take the steps, up to the first that fails; its verdict, or None where all succeeded."""
        values = Values(_given_values(testbed), self._outputs)
        for step in self._scenario.steps:
            try:
                await self._step(step, testbed, user, values)
            except (StepFailed, ExpressionError, httpx.HTTPError) as error:
                failure = f"{type(error).__name__}: {error}" if isinstance(error, httpx.HTTPError) else str(error)
                self._listen(StepEnded(step.step_id, failure))
                seen = last_seen(testbed.journal.events, testbed.network.external)
                return Verdict(f"step {step.step_id}", "broken", (*failure.splitlines(), *seen))
            self._listen(StepEnded(step.step_id, None))
        return None

    async def _step(self, step: Step, testbed: Testbed, user: User, values: Values) -> None:
        match step:
            case Wait():
                await testbed.clock.sleep(step.seconds)
            case WaitFor():
                await self._wait_for(step, testbed, values)
            case Call(for_each_file=True):
                turns = [await self._call(step, user, values, file) for file in self._files]
                self._outputs[step.step_id] = {name: [turn[name] for turn in turns] for name in step.outputs}
            case Call():
                self._outputs[step.step_id] = await self._call(step, user, values, None)

    async def _call(self, step: Call, user: User, values: Values, file: RunFile | None) -> dict[str, object]:
        if isinstance(step.caller, TokenBearer):
            headers = _bearing(step.caller, values.resolved(step.caller.expression))
        else:
            headers = await user.authorization(step.caller)
        parameters = {name: str(values.resolved(value)) for name, value in step.parameters.items()}
        response, exchange = await user.call(
            step.operation_id,
            Asked(
                parameters=parameters,
                query=values.resolved(step.query),
                headers={**headers, **values.resolved(step.headers)},
                url=None if step.url is None else str(values.resolved(step.url)),
                json=values.resolved(step.body),
                has_json=step.has_body,
                form=values.resolved(step.form),
                content=step.content,
                file=file,
            ),
        )
        about = step.operation_id if file is None else f"{step.operation_id} of {file.name!r}"
        if not step.conditions and not response.is_success:
            said = self._shown("", exchange.lookup("$response.body"))
            why = "" if said is None else f": {said}"
            raise StepFailed(f"{about}: expected a 2xx answer, found {response.status_code}{why}")
        for condition in step.conditions:
            holds, found = values.holds(condition, exchange)
            if not holds:
                left = condition.partition(" ")[0]
                raise StepFailed(f"{about}: expected {condition}, found {self._shown(left, found)!r}")
        return {name: values.lookup(expression, exchange) for name, expression in step.outputs.items()}

    def _shown(self, expression: str, value: Any) -> Any:
        """A value as a message may show it: without its secrets, unless the trace shows them, too."""
        if self._header.tokens == "shown":
            return value
        name = re.split("[/.#]", expression)[-1]
        return redacted_json({name: value}, secret_fields())[name]

    async def _wait_for(self, step: WaitFor, testbed: Testbed, values: Values) -> None:
        times = len(self._files) if step.occurrence is None else step.occurrence
        try:
            async with testbed.clock.timeout(step.within):
                while (found := self._nth_success(step.operation_id, times)) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            met = len(self._successes(step.operation_id))
            raise StepFailed(
                f"waited {step.within:g} s for {step.operation_id} to be answered with 2xx "
                f"{'once' if times == 1 else f'{times} times'}; it was {met} times"
            ) from None
        exchange = _values_of(found, testbed.network.contract)
        self._outputs[step.step_id] = {
            name: values.lookup(expression, exchange) for name, expression in step.outputs.items()
        }

    def _nth_success(self, operation_id: str, times: int) -> Exchange | None:
        found = self._successes(operation_id)
        return found[times - 1] if len(found) >= times else None

    def _successes(self, operation_id: str) -> list[Exchange]:
        return [one for one in self._exchanges.ended if one.request.operation_id == operation_id and one.succeeded]


async def _depths(testbed: Testbed) -> Mapping[str, Depth] | str:
    """How full the broker's queues are, or why it does not tell."""
    try:
        return await testbed.broker.queues()
    except BrokerError as error:
        return str(error)


def _bearing(caller: TokenBearer, token: object) -> dict[str, str]:
    """The header that shows a token, which is what RFC 9110 §5.5 lets a field hold without doubt."""
    if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
        raise StepFailed(f"{caller.scheme} wants a token of printable ASCII, which what the step gives is not")
    return {"authorization": f"{caller.scheme} {token}"}


def _given_values(testbed: Testbed) -> dict[str, str]:
    publisher, front_end = testbed.accounts.publisher, testbed.accounts.front_end
    return {
        "publisher.email": publisher.email,
        "publisher.id": publisher.id,
        "publisher.name": publisher.name,
        "publisher.password": publisher.password,
        "frontEnd.id": front_end.id,
        "frontEnd.secret": front_end.secret,
        **testbed.stage.given,
    }


def _values_of(exchange: Exchange, contract: Contract) -> ExchangeValues:
    request, response = exchange.request, exchange.response
    assert response is not None, "only exchanges that ended are waited for"
    assert request.operation_id is not None, "they are waited for by their operation"
    return ExchangeValues(
        status=response.status,
        request_path=bears(contract.operations[request.operation_id].path, path_of(request)) or {},
        request_body=json_of(request),
        response_headers=dict(response.headers),
        response_body=json_of(response),
    )
