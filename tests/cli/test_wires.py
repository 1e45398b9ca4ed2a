"""The options of `run` that say on which wire it plays, and with whom."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest
from click.testing import Result

from phrasim.cli import wires
from phrasim.cli.options import Options
from phrasim.documents import contract, scenarios_folder
from phrasim.journal.events import Participant
from phrasim.scenario.loader import load_scenario, parse_scenario
from phrasim.scenario.model import Scenario
from phrasim.scenario.playable import accounts_needed, unplayable

Call = Callable[..., Result]
SCENARIOS = sorted(scenarios_folder().glob("*.yaml"))


def options(**changes: object) -> Options:
    values: dict[str, object] = {"ports": {}, "host": "127.0.0.1", "public_url": (), "tls_cert": None, "tls_key": None}
    values |= {"seed_data": None, "urls": {}, "ca": None, "insecure": False, "credential": ()}
    values |= {"amqp_port": None, "broker": None}
    return Options(**values | changes)  # type: ignore[arg-type]


def scenario(name: str, *changes: tuple[str, str]) -> Scenario:
    path = scenarios_folder() / f"{name}.yaml"
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    return parse_scenario(text, str(path), Path(path).parent)


def test_a_run_is_in_process_unless_something_else_is_asked_for() -> None:
    assert wires.chosen_wire(None, options()) == "in-process"
    assert wires.chosen_wire("in-process", options()) == "in-process"
    assert wires.chosen_wire("loopback", options()) == "loopback"
    assert wires.chosen_wire(None, options(urls={"auth": "http://127.0.0.1:1"})) == "loopback"
    assert wires.chosen_wire(None, options(broker="amqp://127.0.0.1:1")) == "loopback"


@pytest.mark.parametrize(
    "words",
    [
        ["--upload-port", "9000"],
        ["--amqp-port", "0"],
        ["--public-url", "upload=http://a"],
        ["--tls-key", "key.pem"],
        ["--seed-data", "a.yaml"],
        ["--host", "0.0.0.0"],
        ["--ca", "ca.pem"],
        ["--insecure"],
        ["--credential", "client.secret=hidden"],
    ],
)
def test_an_option_for_sockets_has_no_meaning_in_process(words: list[str], phrasim: Call) -> None:
    result = phrasim("run", "push", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    said = f"phrasim: {words[0]} has no meaning in-process, where nothing has a port; add --wire loopback\n"
    assert result.stderr == said


def test_of_several_scenarios_those_that_cannot_be_played_are_told_and_left_out(phrasim: Call) -> None:
    result = phrasim("run", "expired-token", "unknown-commit", "--wire", "loopback")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "expired-token: not played, it is for the wire in-process: It waits for two minutes of protocol time.",
        "unknown-commit: held",
        "1 of 1 scenarios held",
    ]


def test_none_that_can_be_played_is_an_error(phrasim: Call) -> None:
    result = phrasim("run", "expired-token", "push-download-fails-twice", "--wire", "loopback")
    assert result.exit_code == 2
    assert result.stderr == "phrasim: none of these scenarios can be played so\n"


@pytest.mark.parametrize(
    ("name", "change", "external", "why"),
    [
        ("push-files-deleted", (), {"upload"}, "it sets retention of upload, which is external"),
        ("push-documented-fields-only", (), {"upload"}, "it sets notificationFields of upload, which is external"),
        ("push-notified-twice", (), {"upload"}, "its fault Duplicate() of enqueueAssets strikes at upload"),
        ("push-notified-twice", (("duplicate", "dropReply"),), {"phraseanet"}, "strikes at phraseanet"),
        ("push", (), {"upload", "phraseanet"}, "it waits for acknowledgeCommit, of which nobody here sees anything"),
        ("push", (("title: Test document", "by: $given.publisher.id"),), {"auth"}, "it needs the publisher's id"),
        ("push", (("title: Test document", "by: $given.publisher.name"),), {"auth"}, "it needs the publisher's name"),
    ],
)
def test_what_only_a_simulated_participant_can_do_is_not_played(
    name: str, change: tuple[tuple[str, str], ...], external: set[Participant], why: str
) -> None:
    said = unplayable(scenario(name, *change), "loopback", external)
    assert said is not None
    assert why in said
    assert unplayable(scenario(name, *change), "loopback", frozenset()) is None


def test_a_scenario_says_on_which_wires_it_makes_sense() -> None:
    for path in SCENARIOS:
        one = load_scenario(path)
        assert (unplayable(one, "loopback", frozenset()) is None) == ("loopback" in one.wires)
        assert unplayable(one, "in-process", frozenset()) is None


def test_only_the_credentials_of_those_who_call_are_needed() -> None:
    front_end = ["frontEnd.id", "frontEnd.secret"]
    assert list(accounts_needed([scenario("push")])) == ["publisher.email", "publisher.password", *front_end]
    assert "administrator.password" in accounts_needed([scenario("push"), scenario("unknown-commit")])
    assert accounts_needed([]) == {}


def test_a_credential_that_is_needed_and_not_given_is_told(phrasim: Call) -> None:
    result = phrasim("run", "push", "--auth", "http://127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("phrasim: credentials are missing:\n  client.id by which Phraseanet is known")


# A real broker.


@pytest.fixture
def broker(node: tuple[str, int]) -> Iterator[pika.BlockingConnection]:
    """A connection to a real RabbitMQ, in which nothing is left behind."""
    host, port = node
    with pika.BlockingConnection(pika.ConnectionParameters(host, port, heartbeat=0)) as connection:
        yield connection
        for name in topology(connection):
            connection.channel().queue_delete(name)


def topology(connection: pika.BlockingConnection) -> list[str]:
    """Which queues and exchanges of Phraseanet are there."""
    found = []
    for one in contract("documented").messages.channels.values():
        for name, declare in ((one.queue, "queue_declare"), (one.exchange, "exchange_declare")):
            try:
                getattr(connection.channel(), declare)(name, passive=True)
            except pika.exceptions.ChannelClosedByBroker:
                continue
            found.append(name)
    return found


def at(node: tuple[str, int], login: str = "guest:guest", vhost: str = "") -> str:
    return f"amqp://{login}@{node[0]}:{node[1]}{vhost}"


def test_scenarios_are_held_with_a_real_broker_which_is_left_empty(
    node: tuple[str, int], broker: pika.BlockingConnection, phrasim: Call
) -> None:
    result = phrasim("run", "push", "--broker", at(node), "--trace", "trace.jsonl")
    assert (result.exit_code, result.stderr) == (0, "")
    first, *_, last = result.stdout.splitlines()
    assert re.fullmatch(rf"broker: amqp://127\.0\.0\.1:{node[1]} reachable \(RabbitMQ [0-9.]+\)", first)
    assert last == "push: held"
    assert topology(broker) == []
    assert "guest" not in result.output + Path("trace.jsonl").read_text()


def test_a_broker_that_cannot_be_reached_is_told_and_nothing_is_played(phrasim: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    result = phrasim("run", "push", "--broker", at(address, "me:secret"), "--trace", "trace.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"phrasim: broker: amqp://127.0.0.1:{address[1]} not usable: the broker cannot be reached: Connection refused; "
        "nothing was played\n"
    )
    assert not Path("trace.jsonl").exists()


@pytest.mark.parametrize(
    ("login", "vhost", "said"),
    [
        ("guest:secret", "", "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN"),
        ("guest:guest", "/secret-place", "there is no virtual host 'secret-place' that the user may use"),
    ],
)
def test_a_broker_that_refuses_is_told_without_the_password_and_nothing_is_played(
    login: str, vhost: str, said: str, node: tuple[str, int], phrasim: Call
) -> None:
    result = phrasim("run", "push", "--broker", at(node, login, vhost))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"phrasim: broker: amqp://127.0.0.1:{node[1]}{vhost} not usable: ")
    assert said in result.stderr
    assert result.stderr.endswith("; nothing was played\n")
    assert result.stderr.count("\n") == 1
    assert login not in result.stderr
    assert "guest:" not in result.stderr


@pytest.mark.parametrize(
    ("consumed", "said"), [(False, "messages: 1, consumers: 0"), (True, "messages: 0, consumers: 1")]
)
def test_a_broker_whose_queues_others_use_is_told_and_left_alone(
    consumed: bool, said: str, node: tuple[str, int], broker: pika.BlockingConnection, phrasim: Call
) -> None:
    channel = broker.channel()
    channel.queue_declare("assetsIngest", durable=True)
    if consumed:
        channel.basic_consume("assetsIngest", lambda *_: None)
    else:
        channel.confirm_delivery()
        channel.basic_publish("", "assetsIngest", b"not ours")
    result = phrasim("run", "push", "--broker", at(node))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"phrasim: broker: the queue 'assetsIngest' is in use ({said}); ")
    assert result.stderr.count("\n") == 1
    assert topology(broker) == ["assetsIngest"]
    if not consumed:
        assert channel.basic_get("assetsIngest")[2] == b"not ours"
