"""`verify broker`: honest brokers keep the rules, each missing rule is told, and nothing is left behind."""

import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
import trustme

from contract.broker.conftest import RECORDED, Watched
from contract.broker.proxy import door, scripted
from differential.embedded import running_broker
from differential.mutants import MUTANTS, Mutant
from phrasim.broker.amqp.settings import Settings
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerError
from phrasim.contract.broker import execution, verify
from phrasim.contract.broker.client import Client
from phrasim.contract.broker.driver import Driver
from phrasim.contract.broker.execution import Blocked, Execution
from phrasim.contract.broker.programs import Recorded
from phrasim.contract.broker.verify import verify_broker
from phrasim.contract.finding import SuiteResult

LONG_S = 100


def verified(url: BrokerUrl, *names: str, **more) -> SuiteResult:
    return verify_broker(url, 1, LONG_S, False, programs=[RECORDED[name] for name in names], **more)


@pytest.mark.turn
@pytest.mark.unmeasured
def test_rabbitmq_as_it_is_installed_keeps_every_rule(node: tuple[str, int]) -> None:
    result = verify_broker(BrokerUrl(*node), 1, LONG_S, False)
    assert result.findings == ()
    assert result.cases == len(RECORDED)
    assert [note for note in result.notes if not note.startswith("the broker says")] == []


def test_the_embedded_broker_keeps_every_rule_and_nothing_is_left_in_it(watched: Watched, embedded: BrokerUrl) -> None:
    result = verify_broker(embedded, 1, LONG_S, False)
    assert (result.name, result.unjudged) == ("broker", "")
    assert result.findings == ()
    assert result.cases == len(RECORDED)
    assert 0 < result.seconds < LONG_S
    assert result.notes == ("the broker says that it is RabbitMQ 3.10.8",)
    assert watched.left() == set()


def test_everything_made_has_a_prefix_that_no_other_run_has(watched: Watched, embedded: BrokerUrl) -> None:
    verified(embedded, "letters", "inequivalent-declarations", "missing-things", "malformed-tables-in-methods")
    made = {name for name in watched.queues | watched.exchanges if name and name not in {"amq.direct", "amq.topic"}}
    prefixes = {re.sub(r"(q\d|x\d|absent|new)$", "", name).removeprefix("amq.") for name in made}
    assert len(prefixes) == 1
    assert re.fullmatch(r"phrasim-verify-[0-9a-f]{8}-", prefixes.pop())
    before = set(made)
    verified(embedded, "letters")
    assert not (watched.queues | watched.exchanges) - before - {""} & before
    assert watched.left() == set()


def test_the_prefix_may_be_given(watched: Watched, embedded: BrokerUrl) -> None:
    verified(embedded, "topics", prefix="mine-")
    assert {name for name in watched.queues if name} == {"mine-q0", "mine-q1", "mine-q2"}


@pytest.mark.parametrize("after", [3, 40])
def test_an_interrupted_verification_leaves_nothing(
    watched: Watched, embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    looked = count()
    look = Execution._look_at_queues

    def interrupted(self: Execution) -> dict[str, object]:
        if next(looked) == after:
            # In the middle of a question, whose answer is still to come.
            self._access.watcher().send(99, "queue.declare", {"queue": "absent", "passive": True})
            raise KeyboardInterrupt
        return look(self)

    monkeypatch.setattr(Execution, "_look_at_queues", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verified(embedded, "letters", "the-queue-declared-last", "exclusive-queues")
    assert watched.queues
    assert watched.left() == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_broker_without_a_rule_is_told_with_the_program_and_the_step(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once is enough: this broker is neither far nor busy.
    monkeypatch.setattr(verify, "PACES", verify.PACES[:1])
    recorded = RECORDED[mutant.program]
    with mutant.applied(), running_broker() as address:
        result = verified(BrokerUrl(*address), mutant.program)
    assert result.cases == 1
    (finding,) = result.findings
    assert (finding.suite, finding.rule, finding.weight) == ("broker", recorded.rule, "broken")
    number = int(re.fullmatch(rf"contracts/broker/{mutant.program}\.json step (\d+)", finding.place)[1])
    assert finding.asked.startswith(f"step {number} of {len(recorded.program)}: ")
    assert recorded.program[number - 1]["do"] in finding.asked or recorded.program[number - 1]["do"] in {
        "alone",
        "wait",
        "drop",
    }
    assert finding.came != finding.expected
    assert recorded.about in finding.expected
    assert "RabbitMQ 3.10.8" in finding.expected


def test_a_finding_says_what_rabbitmq_does_and_what_came() -> None:
    (mutant,) = (one for one in MUTANTS if one.missing_rule == "a requeued delivery is redelivered")
    with mutant.applied(), running_broker() as address:
        (finding,) = verified(BrokerUrl(*address), mutant.program).findings
    assert finding.asked == "step 8 of 15: basic.get of queue q0"
    assert finding.came == "the answer, basic.get-ok, redelivered: false"
    assert finding.expected.startswith("as RabbitMQ 3.10.8 has it, the answer, basic.get-ok, redelivered: true")
    assert finding.place == "contracts/broker/redelivered-and-back-in-its-place.json step 8"
    assert finding.operation_id is None


@pytest.mark.parametrize("version", ["3.13.1", "4.1.4"])
def test_a_broker_of_a_version_that_is_known_to_differ_is_warned_of(version: str) -> None:
    settings = Settings(version=version, users={"me": "sesame"})
    with running_broker(settings, "phrasea/1", honours_client_x_death=False) as address:
        url = BrokerUrl(*address, user="me", password="sesame", vhost="phrasea/1")
        result = verified(url, "x-death-of-publishers", "user-ids", "connections-used-wrongly", "letters-of-letters")
    assert result.cases == 4
    (finding,) = result.findings
    assert (finding.rule, finding.weight) == ("x death of publishers", "warning")
    assert "3.13.0-3.13.2, 4- is known to do otherwise (H14)" in finding.expected
    assert result.broken == ()


def test_the_same_is_broken_in_a_version_that_should_keep_the_rule() -> None:
    with running_broker(Settings(version="3.13.7"), honours_client_x_death=False) as address:
        (finding,) = verified(BrokerUrl(*address), "x-death-of-publishers").findings
    assert finding.weight == "broken"


def test_what_needs_guest_is_left_out_with_a_note_for_another_account() -> None:
    with running_broker(Settings(users={"me": "sesame"})) as address:
        url = BrokerUrl(*address, user="me", password="sesame")
        result = verified(url, "handshakes", "handshakes-gone-wrong", "unknown-tags")
    assert (result.cases, result.findings) == (1, ())
    assert {note.split(": ")[1] for note in result.notes[1:]} == {"handshakes", "handshakes gone wrong"}


def test_what_goes_to_the_default_limits_is_left_out_where_there_are_others() -> None:
    with running_broker(Settings(channel_max=200)) as address:
        result = verified(BrokerUrl(*address), "frames-out-of-order", "unknown-tags")
    assert (result.cases, result.findings) == (1, ())
    assert "frames out of order: it goes to RabbitMQ's default limits" in " ".join(result.notes)


def test_a_broker_with_few_channels_cannot_be_judged() -> None:
    with running_broker(Settings(channel_max=5)) as address:
        result = verified(BrokerUrl(*address), "unknown-tags")
    assert result.unjudged == "a connection to this broker has 5 channels, and 99 are needed"


def ticking(after: int) -> Callable[[], float]:
    """A clock that jumps far when it was asked so often."""
    asked = count()
    return lambda: 0.0 if next(asked) < after else 1000.0


def order(embedded: BrokerUrl, seed: int) -> str:
    programs = [RECORDED[name] for name in sorted(RECORDED) if name not in {"handshakes-gone-wrong"}][:20]
    result = verify_broker(embedded, seed, 60, False, ticking(6), programs=programs)
    assert 1 <= result.cases < 6
    (note,) = (note for note in result.notes if note.startswith("not run within 60 s: "))
    return note


def test_the_same_seed_runs_the_same_order_within_the_same_budget(embedded: BrokerUrl) -> None:
    assert order(embedded, 1) == order(embedded, 1)
    assert order(embedded, 1) != order(embedded, 2)


def test_without_any_time_nothing_is_judged(embedded: BrokerUrl) -> None:
    result = verify_broker(embedded, 1, 0, False)
    assert result.cases == 0
    assert result.unjudged == "no program could be judged within the budget"


def test_read_only_judges_nothing_and_reaches_nobody(nobody: BrokerUrl) -> None:
    result = verify_broker(nobody, 1, LONG_S, True)
    assert (result.cases, result.findings) == (0, ())
    assert "nothing may be made" in result.unjudged


@pytest.fixture
def nobody() -> BrokerUrl:
    """An address at which nobody is."""
    with scripted(b"") as address:
        pass
    return BrokerUrl(*address)


def refusal(url: BrokerUrl, **more) -> str:
    with pytest.raises(BrokerError) as raised:
        verify_broker(url, 1, LONG_S, False, **more)
    assert "sesame" not in str(raised.value)
    return str(raised.value)


def test_a_broker_that_cannot_be_entered_is_an_error_without_a_password(nobody: BrokerUrl, embedded: BrokerUrl) -> None:
    assert refusal(nobody) == "the broker cannot be reached: Connection refused"
    wrong = BrokerUrl(embedded.host, embedded.port, password="sesame")
    assert "403 ACCESS_REFUSED" in refusal(wrong)
    assert "vhost absent not found" in refusal(BrokerUrl(embedded.host, embedded.port, vhost="absent"))
    assert "for a plain connection write amqp://" in refusal(BrokerUrl(embedded.host, embedded.port, tls=True))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "the broker has hung up"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no AMQP"),
        (b"AMQP\x00\x01\x00\x00", "another protocol"),
        (b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x63\xce", "the method 10.99, which nobody knows"),
        (b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\xce", "breaks off"),
        (b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x63\x00", "does not end where it should"),
    ],
)
def test_who_is_no_broker_is_told_so(answer: bytes, told: str) -> None:
    with scripted(answer) as address:
        assert told in refusal(BrokerUrl(*address))


def test_a_broker_may_be_reached_by_tls(embedded: BrokerUrl) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with door((embedded.host, embedded.port), tls=server) as (host, port):
        result = verified(BrokerUrl(host, port, tls=True), "unknown-tags", "exclusive-queues", tls=lambda: client)
        assert (result.cases, result.findings) == (2, ())
        assert "the broker's certificate is not to be trusted: " in refusal(BrokerUrl(host, port, tls=True))


GET_OK = b"\x00\x3c\x00\x47"
"""The class and method of `basic.get-ok`."""


@pytest.mark.parametrize(
    ("change", "came"),
    [
        (lambda said: said.replace(GET_OK, b"\x00\x3c\x00\x7f"), "the method 60.127, which nobody knows"),
        (lambda said: said.replace(b"\x02\x00\x01\x00", b"\x07\x00\x01\x00"), "a frame of the unknown kind 7"),
        (lambda said: b"" if GET_OK in said else said, "closed the socket"),
    ],
)
def test_a_broker_that_sends_nonsense_has_a_finding(embedded: BrokerUrl, watched: Watched, change, came: str) -> None:
    entry = verify.ENTRY[:1]
    with pytest.MonkeyPatch.context() as patch, door((embedded.host, embedded.port), change) as address:
        # To enter is not what this is about.
        patch.setattr(verify, "ENTRY", entry)
        result = verified(BrokerUrl(*address), "letters")
    (finding,) = result.findings
    assert finding.asked == "step 7 of 17: basic.get of queue q0"
    assert came in finding.came
    assert watched.left() == set()


def test_a_broker_that_goes_silent_has_a_finding(embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client.receive, "__defaults__", (0.2,))
    monkeypatch.setattr(verify, "ENTRY", verify.ENTRY[:1])

    def silent(said: bytes) -> bytes:
        # Heartbeats are no answer.
        return b"\x08\x00\x00\x00\x00\x00\x00\xce" if GET_OK in said else said

    with door((embedded.host, embedded.port), silent) as address:
        (finding,) = verified(BrokerUrl(*address), "letters").findings
    assert "no answer on connection 0" in finding.came


def test_a_broker_that_is_gone_ends_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_broker() as broker:
        gone: list[bool] = []

        def falling(said: bytes) -> bytes:
            if GET_OK in said:
                gone.append(True)
            return b"" if gone else said

        monkeypatch.setattr(verify, "ENTRY", verify.ENTRY[:1])
        with door(broker, falling) as address:
            result = verified(BrokerUrl(*address), "unknown-tags", "letters")
    assert [finding.weight for finding in result.findings] == ["broken"]
    assert result.cases == 1
    assert any(note.startswith("the broker is gone behind") for note in result.notes)
    assert any("could not be deleted and may still be there" in note for note in result.notes)


def test_a_broker_that_takes_no_messages_now_is_not_judged(
    embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(self: Driver, *asked) -> None:
        raise Blocked("low on memory")

    monkeypatch.setattr(Driver, "run", blocked)
    assert verified(embedded, "letters").unjudged == "the broker takes no messages now, from nobody: low on memory"


def test_a_program_that_is_always_too_slow_is_not_judged(embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "PATIENCE_MS", 0)
    monkeypatch.setattr(verify, "PACES", verify.PACES[:2])
    settle = Execution._settle

    def slow(self: Execution) -> None:
        settle(self)
        self._run.slow = True

    monkeypatch.setattr(Execution, "_settle", slow)
    result = verified(embedded, "expiry-at-once")
    assert result.findings == ()
    assert result.cases == 0
    assert result.notes[-1] == "not judged, as it took too long for their short times to live: expiry at once"


def test_patience_does_not_make_a_program_with_short_times_to_live_too_slow(embedded: BrokerUrl) -> None:
    recorded = RECORDED["queues-that-expire"]
    otherwise = replace(recorded, expected=[*recorded.expected[:-1], {"reply": ["something else"]}])
    result = verify_broker(embedded, 1, LONG_S, False, programs=[otherwise])
    assert result.cases == 1
    assert [finding.place for finding in result.findings] == [
        f"contracts/broker/queues-that-expire.json step {len(recorded.program)}"
    ]


def test_every_need_of_a_program_is_known(recorded: dict[str, Recorded]) -> None:
    assert {need for one in recorded.values() for need in one.needs} == set(verify.NEEDS)
