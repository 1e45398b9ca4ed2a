"""The embedded broker beside RabbitMQ: the same programs, from the same client, and the same to be seen.

Where the two may differ is written where it is masked: in driver.py (names that the broker makes, delivery order
across queues, confirms as sets, capabilities that are not imitated) and in compare.py (the time of a death).
"""

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
from differential.wire import METHODS

RECORDED = sorted((Path(__file__).parent / "programs").glob("*.json"))

EXAMPLES = 150

NOT_USED = {
    "tx.select", "tx.commit", "tx.rollback", "tx.select-ok", "tx.commit-ok", "tx.rollback-ok",
    "connection.secure", "connection.secure-ok",
    "connection.start-ok", "connection.tune-ok", "connection.open",
    "connection.blocked", "connection.unblocked",
    "connection.update-secret", "connection.update-secret-ok",
}  # fmt: skip
"""Methods that no step is: transactions are refused here, SECURE needs another mechanism, a blocked publisher a broker
without memory, and a new secret one that expires. The client's part of the handshake begins every program."""

CODES = {
    "channel.close": {403, 404, 405, 406},
    "connection.close": {403, 503, 504, 530, 540},
    "basic.return": {312},
}
"""The reply codes that programs must lead to. The malformed frames behind 501, 502 and 505 are no operations."""


def recorded(path: Path) -> Program:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def judged(rabbitmq: Driver) -> dict[str, Run]:
    """What RabbitMQ did with every recorded program."""
    return {path.stem: rabbitmq.run(recorded(path)) for path in RECORDED}


@pytest.fixture(scope="session")
def met() -> Counter[str]:
    """How often the tests so far met each method and reply code."""
    return Counter()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_program_runs_as_on_rabbitmq(
    rabbitmq: Driver, embedded: Driver, met: Counter[str], path: Path
) -> None:
    program = recorded(path)
    assert len(program) >= 10
    told, runs = compared(program, rabbitmq, embedded)
    met.update(runs[0].met)
    assert told is None, told


def test_every_method_and_reply_code_is_met(met: Counter[str]) -> None:
    """Stands behind the recorded programs, from which it counts."""
    if not met:
        pytest.skip("the recorded programs were not run")
    names = {what[2:] for what in met if what[:2] in {"> ", "< "}}
    assert set(METHODS) - names == NOT_USED
    for name, codes in CODES.items():
        found = {int(what.split()[1]) for what in met if what.startswith(f"{name} ")}
        assert codes <= found, f"{name} with {sorted(codes - found)} never came"


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
