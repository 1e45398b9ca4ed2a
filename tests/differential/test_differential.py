"""The embedded broker beside RabbitMQ: the same programs, from the same client, and the same to be seen.

Where the two may differ is written where it is masked: in driver.py (names that the broker makes, delivery order
across queues, confirms as sets, capabilities that are not imitated) and in compare.py (the time of a death).
"""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from differential.client import Account
from differential.compare import compared, difference
from differential.driver import Driver, Program, Run
from differential.embedded import running_broker
from differential.mutants import MUTANTS, Mutant
from differential.programs import programs
from differential.wire import METHODS, replies
from phrasim.broker import errors
from phrasim.broker.amqp.dispatch import OPERATIONS

pytestmark = pytest.mark.unmeasured

RECORDED = sorted((Path(__file__).parent / "programs").glob("*.json"))

EXAMPLES = 100

NEVER_ANSWERED = {
    **dict.fromkeys(("tx.select-ok", "tx.commit-ok", "tx.rollback-ok"), "transactions are refused here"),
    "connection.secure": "no mechanism that is spoken asks a second time",
    "connection.blocked": "it takes a broker without memory",
    "connection.unblocked": "it takes a broker without memory",
}
"""The methods that no program brings either broker to send, and why."""

NEVER_SENT = {
    **dict.fromkeys(("tx.commit", "tx.rollback"), "transactions are refused here"),
}
"""The methods of clients that no program has, and why."""

NEVER_A_REPLY = {
    ("connection.close", 320): "it takes a broker that is stopped",
    ("connection.close", 502): "RabbitMQ has it in its log only, and drops the connection or answers 541",
    ("connection.close", 506): "the limit behind it is this broker's own",
}
"""The reply codes of this broker that no program leads to, and why."""


def recorded(path: Path) -> Program:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def judged(rabbitmq: Driver) -> dict[str, Run]:
    """What RabbitMQ did with every recorded program that tells a mutant from it."""
    telling = {mutant.program for mutant in MUTANTS}
    return {path.stem: rabbitmq.run(recorded(path)) for path in RECORDED if path.stem in telling}


def broker_codes() -> set[tuple[str, int]]:
    """Every reply code that the broker's source has, with the method that brings it."""
    found = {("basic.return", errors.NO_ROUTE[0])}
    closes = {"AmqpChannelError": "channel.close", "AmqpConnectionError": "connection.close"}
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in closes:
                match node.args[0]:
                    case ast.Constant(value=int(code)):
                        found.add((closes[node.func.id], code))
                    case ast.Name(id=name):
                        found.add((closes[node.func.id], getattr(errors, name)))
    return found


def spoken() -> tuple[set[str], set[str]]:
    """Every method that clients send, and every one that answers it or that the broker sends by itself."""
    by_hand = {"basic.publish", "basic.ack", "basic.nack", "basic.reject", "basic.get"}
    of_both = {"channel.open", "channel.close", "channel.close-ok", "connection.close", "connection.close-ok"}
    of_clients = {"connection.start-ok", "connection.tune-ok", "connection.open", "connection.update-secret"}
    rare = {name for name, command in METHODS.items() if command.index in {known.index for known in OPERATIONS}}
    sent = by_hand | of_both | of_clients | rare
    alone = {"basic.deliver", "basic.return", "basic.ack", "basic.nack", "basic.cancel", "channel.close"}
    alone |= {f"connection.{name}" for name in ("start", "secure", "tune", "close", "blocked", "unblocked")}
    return sent, alone | {answer for name in sent for answer in replies(name)}


@pytest.fixture(scope="session")
def met() -> dict[str, Counter[str]]:
    """How often the tests so far met each method and reply code, on either broker."""
    return {"RabbitMQ": Counter(), "here": Counter()}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_program_runs_as_on_rabbitmq(
    rabbitmq: Driver, embedded: Driver, met: dict[str, Counter[str]], path: Path
) -> None:
    program = recorded(path)
    assert len(program) >= 10
    told, runs = compared(program, rabbitmq, embedded)
    met["RabbitMQ"].update(runs[0].met)
    met["here"].update(runs[1].met)
    assert told is None, told
    assert any(not (judge.slow or judged.slow) for judge, judged in zip(runs[::2], runs[1::2], strict=True)), (
        "every run was too slow for its short times to live, so nothing was compared"
    )


@pytest.mark.parametrize("broker", ["RabbitMQ", "here"])
def test_every_method_and_reply_code_is_met(met: dict[str, Counter[str]], broker: str) -> None:
    """Stands behind the recorded programs, from which it counts. What is spoken and answered, the source tells."""
    if not met[broker]:
        pytest.skip("the recorded programs were not run")
    sent, answered = spoken()
    assert {name for name in sent if not met[broker][f"> {name}"]} == set(NEVER_SENT)
    assert {name for name in answered if not met[broker][f"< {name}"]} == set(NEVER_ANSWERED)
    words = [what.split() for what in met[broker]]
    seen = {(name, int(code[0])) for name, *code in words if code and code[0].isdigit()}
    assert broker_codes() - seen == set(NEVER_A_REPLY)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(program=programs)
def test_any_program_runs_as_on_rabbitmq(rabbitmq: Driver, embedded: Driver, program: Program) -> None:
    told, _ = compared(program, rabbitmq, embedded)
    assert told is None, told


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_broker_without_a_rule_is_caught(judged: dict[str, Run], mutant: Mutant) -> None:
    path = Path(__file__).parent / "programs" / f"{mutant.program}.json"
    program = recorded(path)
    with mutant.applied(), running_broker() as address:
        driver = Driver(address, Account())
        try:
            found = driver.run(program)
        finally:
            driver.close()
    assert difference(program, judged[mutant.program], found) is not None


def test_there_are_twenty_brokers_without_a_rule() -> None:
    assert len({(mutant.function, mutant.old) for mutant in MUTANTS}) >= 20
