"""The embedded broker beside RabbitMQ: the same programs, from the same client, and the same to be seen.

Where the two may differ is written where it is masked, in phrasim.contract.broker: names that the broker makes
(names.py), the order of deliveries across queues and of confirms (slot.py), capabilities that are not imitated
(seen.py) and the time of a death (compare.py). The recorded programs have what RabbitMQ did beside their steps.
"""

import ast
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from amount import so_many
from differential.compare import as_expected, compared, difference
from differential.embedded import running_broker
from differential.mutants import MUTANTS, Mutant
from differential.programs import programs
from phrasim.broker import errors
from phrasim.broker.amqp.dispatch import OPERATIONS
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.contract.broker.driver import Driver
from phrasim.contract.broker.programs import Program, Recorded, recorded_programs
from phrasim.contract.broker.wire import METHODS, replies

pytestmark = pytest.mark.unmeasured

RECORDED = recorded_programs()

EXAMPLES = so_many(50, elsewhere=25)

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


@pytest.mark.whole
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_a_recorded_program_runs_as_it_was_recorded(
    rabbitmq: Driver, embedded: Driver, met: dict[str, Counter[str]], recorded: Recorded
) -> None:
    """On RabbitMQ as it is installed, and here, where nothing may be otherwise but a time."""
    assert len(recorded.program) >= 10
    for broker, driver in (("RabbitMQ", rabbitmq), ("here", embedded)):
        told, runs = as_expected(recorded.program, recorded.expected, driver)
        met[broker].update(runs[0].met)
        assert told is None, f"{broker}: {told}"
        assert not runs[-1].slow, "every run was too slow for its short times to live, so nothing was compared"


@pytest.mark.whole
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
def test_a_broker_without_a_rule_is_caught(mutant: Mutant) -> None:
    (recorded,) = (one for one in RECORDED if one.name == mutant.program)
    with mutant.applied(), running_broker() as address:
        driver = Driver(BrokerUrl(*address))
        try:
            found = driver.run(recorded.program)
        finally:
            driver.close()
    assert difference(recorded.program, recorded.expected, found) is not None


def test_there_are_twenty_brokers_without_a_rule() -> None:
    assert len({(mutant.function, mutant.old) for mutant in MUTANTS}) >= 20
