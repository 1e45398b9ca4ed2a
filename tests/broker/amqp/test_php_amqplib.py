"""php-amqplib, the AMQP client of Phraseanet, on a socket: what it sees of the broker is what it sees of RabbitMQ.

The cases are the functions of `php/*.php`; here stands what they must see. To hold RabbitMQ itself to it, give the
port of a fresh node of this machine by the environment variable PHRASIM_JUDGED_PORT.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unmeasured

SCRIPT = Path(__file__).parent / "php/run.php"
ENDS_WITHIN_S = 60


@pytest.fixture(scope="session", autouse=True)
def _there() -> None:
    """Without the client the tests are skipped, but in CI they fail."""
    if shutil.which("php") is None:
        reason = "no PHP here (php is not in the PATH): apt-get install -y php-cli php-amqplib"
    elif subprocess.run(
        ["php", "-r", "exit((int) !stream_resolve_include_path('PhpAmqpLib/autoload.php'));"], check=False
    ).returncode:
        reason = "no php-amqplib in PHP's include path: apt-get install -y php-amqplib"
    else:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def play(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Have php-amqplib play the case of that name; gives what it saw."""
    port = os.environ.get("PHRASIM_JUDGED_PORT") or request.getfixturevalue("served").port

    def played(case: str, *arguments: object) -> Any:
        done = subprocess.run(
            ["php", str(SCRIPT), str(port), case, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return played


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_a_user_logs_in_by_either_mechanism(play: Any, mechanism: str) -> None:
    assert play("login", mechanism) == "RabbitMQ"


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_a_wrong_password_closes_the_connection_with_403(play: Any, mechanism: str) -> None:
    """The client writes the class and method behind the text: none, as no method of AMQP was refused."""
    assert play("refusedLogin", mechanism, "wrong", "/") == {
        "code": 403,
        "message": f"ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. "
        "For details see the broker logfile.(0, 0)",
    }


def test_an_unknown_virtual_host_closes_the_connection_with_530(play: Any) -> None:
    seen = play("refusedLogin", "AMQPLAIN", "guest", "nowhere")
    assert seen == {"code": 530, "message": "NOT_ALLOWED - vhost nowhere not found(10, 40)"}


def test_many_channels_work_at_once_and_their_numbers_are_used_again(play: Any) -> None:
    seen = play("manyChannels", 200)
    assert seen["bodies"] == [f"for {n}" for n in range(200)]
    assert seen["numbers"] == list(range(1, 201))
    assert seen["reopened"] == list(range(2, 201, 2))


def test_heartbeats_alone_keep_a_connection(play: Any) -> None:
    assert play("heartbeats") == {"heartbeat": 1, "body": "still here", "connected": True}


def test_a_connection_closes_in_order_and_gives_back_what_it_had(play: Any) -> None:
    assert play("close") == {"channelOpen": False, "connected": False, "redelivered": True, "exclusiveQueue": 404}


def test_every_type_of_exchange_routes_to_the_queues_that_are_bound(play: Any) -> None:
    assert play("exchangeTypes") == {
        "direct": [["a.b"], ["a"]],
        "fanout": [["a", "a.b", "c.b", "c"], ["a", "a.b", "c.b", "c"]],
        "topic": [["a", "a.b"], ["a.b", "c.b"]],
        "headers": [["a"], ["a", "a.b", "c.b"]],
    }


def test_exchanges_pass_on_to_exchanges_and_to_their_alternate(play: Any) -> None:
    assert play("exchangeToExchange") == {"queue": ["bound"], "alternate": ["not bound", "unbound"]}


def test_a_queue_keeps_to_its_arguments(play: Any) -> None:
    assert play("queueWithArguments") == {
        "first": ["arguments.q", 0, 0],
        "again": ["arguments.q", 3, 0],
        "newest": ["2", "3", "4"],
        "purged": 1,
        "deleted": 0,
    }


def test_every_publish_is_confirmed_in_order(play: Any) -> None:
    assert play("confirms", 500) == {"acked": list(range(500)), "ready": 500}


def test_a_full_queue_nacks_what_it_does_not_take(play: Any) -> None:
    assert play("nackedPublishes") == [["ack", "1"], ["nack", "2"], ["nack", "3"]]


def test_a_mandatory_message_comes_back_before_its_confirm(play: Any) -> None:
    returned = [312, "NO_ROUTE", "amq.topic", "nobody.cares", "lost", {"asset": "a"}]
    assert play("mandatory") == [returned, "ack"]


def test_get_tells_how_many_are_left_and_what_was_delivered_before(play: Any) -> None:
    """Delivery tag, redelivered, messages left, exchange, and whether the routing key is the queue's name."""
    assert play("get") == {
        "fields": [[1, False, 1, "", True], [2, True, 1, "", True], [3, False, 0, "", True]],
        "empty": None,
    }


def test_prefetch_leaves_in_the_queue_what_would_be_too_much(play: Any) -> None:
    assert play("prefetch") == {"bodies": ["1", "2", "3", "4", "5"], "counts": [5, 3, 2], "consumerTag": "slow"}


def test_what_is_put_back_comes_again_as_redelivered(play: Any) -> None:
    assert play("settle") == {
        "rejected": ["3", True],
        "nacked": [["4", True], ["5", True]],
        "recovered": [["3", True], ["4", True], ["5", True]],
        "left": 0,
    }


def test_a_cancelled_consumer_gets_nothing_more_and_may_still_acknowledge(play: Any) -> None:
    assert play("cancel") == {"sameTag": True, "messages": 1, "consumers": 0, "unread": 0, "consuming": False}


def test_the_consumer_of_a_deleted_queue_is_told_and_its_channel_goes_on(play: Any) -> None:
    assert play("cancelByTheBroker") == {"consumerTag": "told", "declared": ["going.q", 0, 0]}


def without_times(letter: Any) -> Any:
    """The letter, whose deaths have had a time that can be one and that PHP has read as such."""
    for death in letter["headers"]["x-death"]:
        assert 1_500_000_000 <= death.pop("time")["DateTime"] < 4_000_000_000
    return letter


def first_death(exchange: str, queue: str, reason: str) -> dict[str, str]:
    return {"x-first-death-exchange": exchange, "x-first-death-queue": queue, "x-first-death-reason": reason}


def test_a_rejected_message_tells_of_its_deaths_and_counts_them(play: Any) -> None:
    once, twice = play("rejected")
    assert once["headers"]["x-death"][0]["time"] == twice["headers"]["x-death"][0]["time"]
    death = {
        "count": 1,
        "reason": "rejected",
        "queue": "rejected.q",
        "exchange": "amq.direct",
        "routing-keys": ["key"],
    }
    headers = {"kept": [1, "two"]} | first_death("amq.direct", "rejected.q", "rejected")
    letter = {"exchange": "rejected.dlx", "expiration": None, "deliveryMode": 2, "body": "bad"}
    assert without_times(once) == letter | {"routingKey": "key", "headers": headers | {"x-death": [death]}}
    death["count"] = 2
    assert without_times(twice) == letter | {"routingKey": "rejected.q", "headers": headers | {"x-death": [death]}}


def test_a_message_expires_by_itself_or_by_its_queue(play: Any) -> None:
    death = {
        "count": 1,
        "reason": "expired",
        "queue": "expired.q",
        "exchange": "",
        "routing-keys": ["expired.q"],
    }
    letter = {"exchange": "expired.dlx", "routingKey": "too.late", "expiration": None, "deliveryMode": None}
    headers = first_death("", "expired.q", "expired")
    assert [without_times(seen) for seen in play("expired")] == [
        letter | {"headers": headers | {"x-death": [death | {"original-expiration": "20"}]}, "body": "itself"},
        letter | {"headers": headers | {"x-death": [death]}, "body": "the queue"},
    ]


def test_what_a_full_queue_pushes_out_dies_of_its_length(play: Any) -> None:
    letter = without_times(play("pushedOut"))
    (death,) = letter["headers"]["x-death"]
    assert (death["reason"], death["queue"], death["count"]) == ("maxlen", "full.q", 1)
    assert letter["body"] == "old"


def test_bodies_of_several_frames_come_byte_for_byte(play: Any) -> None:
    """A frame of 131072 bytes has eight besides its payload: two of the sizes stand on both sides of one frame."""
    assert play("bodiesOfSizes", 0, 1, 131064, 131065, 300 * 1024) == [True] * 5


def test_headers_of_every_type_come_back_with_their_types(play: Any) -> None:
    seen = play("headers")
    assert seen["came"] == seen["sent"]
    assert "".join(sorted(letter for letter, _ in seen["came"].values())) == "AABDFFISSTVbilsttux"


def test_every_property_comes_back(play: Any) -> None:
    seen = play("properties")
    assert seen["came"] == seen["sent"]
    assert len(seen["came"]) == 13


OTHER_TTL = (
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'refusals.q' in vhost '/': "
    "received the value '5' of type 'signedint' but current is none"
)
OTHER_TYPE = (
    "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic' in vhost '/': "
    "received 'direct' but current is 'topic'"
)
LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'refusals.theirs' in vhost '/'. It could be "
    "originally declared on another connection or the exclusive property value does not match that of the original "
    "declaration."
)
REFUSALS = {
    "noQueue": [404, [50, 10], "NOT_FOUND - no queue 'refusals.none' in vhost '/'"],
    "noExchange": [404, [60, 40], "NOT_FOUND - no exchange 'refusals.none' in vhost '/'"],
    "noQueueToFetch": [404, [60, 70], "NOT_FOUND - no queue 'refusals.none' in vhost '/'"],
    "otherArguments": [406, [50, 10], OTHER_TTL],
    "otherType": [406, [40, 10], OTHER_TYPE],
    "unknownTag": [406, [60, 80], "PRECONDITION_FAILED - unknown delivery tag 7"],
    "exclusiveUse": [403, [60, 20], "ACCESS_REFUSED - queue 'refusals.q' in vhost '/' in exclusive use"],
    "reservedName": [403, [40, 10], "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"],
    "defaultExchange": [403, [50, 20], "ACCESS_REFUSED - operation not permitted on the default exchange"],
    "locked": [405, [50, 10], LOCKED],
}


def test_a_refusal_closes_the_channel_with_rabbitmqs_words_and_nothing_else(play: Any) -> None:
    seen = play("refusals")
    assert seen.pop("after") == 0, "the connection does not go on"
    assert seen == {name: [*refusal, False] for name, refusal in REFUSALS.items()}


def test_an_unknown_type_of_exchange_closes_the_connection(play: Any) -> None:
    assert play("connectionRefusal") == {
        "code": 503,
        "message": "COMMAND_INVALID - unknown exchange type 'strange'(40, 10)",
        "connected": False,
    }


EXPIRED = {
    "reason": "expired",
    "queue": "createRecord_retry",
    "exchange": "retry-alchemy-exchange",
    "routing-keys": ["createRecord_retry"],
}
REJECTED = {
    "reason": "rejected",
    "queue": "createRecord",
    "exchange": "alchemy-exchange",
    "routing-keys": ["createRecord"],
}


def test_phraseanets_nacks_are_counted_by_the_broker_until_the_fourth_fails(play: Any) -> None:
    """PROTOCOL.md §4.3: counts 1, 2, 3, 4, so four executions."""
    seen = play("retriesByNack")
    new, *again = seen["executed"]
    assert new["headers"] is None
    assert [without_times(letter)["headers"] for letter in [*again, seen["failed"]]] == [
        first_death("alchemy-exchange", "createRecord", "rejected")
        | {"x-death": [EXPIRED | {"count": count}, REJECTED | {"count": count}]}
        for count in (1, 2, 3, 4)
    ]
    assert {letter["body"] for letter in seen["executed"]} == {seen["failed"]["body"]}


def test_phraseanets_own_x_death_is_kept_as_it_came_behind_the_brokers(play: Any) -> None:
    """PROTOCOL.md §4.3: counts 2, 3, 4, so three executions; its `routing-keys` are one string and stay one.

    That nothing tells of a first death shows that the broker took the message for one that had died before.
    """
    seen = play("retriesByWorker")
    new, *again = seen["executed"]
    assert new["headers"] is None
    deaths = [letter["headers"]["x-death"] for letter in [*again, seen["failed"]]]
    assert [[death["time"]["DateTime"] == 1_500_000_000 for death in found] for found in deaths] == [[False, True]] * 3
    assert [without_times(letter)["headers"] for letter in [*again, seen["failed"]]] == [
        {
            "worker-message": "not yet",
            "x-death": [
                EXPIRED | {"count": 1},
                REJECTED | {"count": count, "routing-keys": "createRecord"},
            ],
        }
        for count in (2, 3, 4)
    ]
    assert {letter["routingKey"] for letter in seen["executed"]} == {"createRecord"}
    assert seen["failed"]["routingKey"] == "createRecord_failed"
