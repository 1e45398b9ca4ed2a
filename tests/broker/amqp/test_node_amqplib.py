"""amqplib, the AMQP client of Node, on a socket: what it sees of the broker is what it sees of RabbitMQ.

The cases are the functions of `node/*.js`; here stands what they must see. To hold RabbitMQ itself to it, give the
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

MODULES = Path(__file__).parents[3] / "build/node_modules"
SCRIPT = Path(__file__).parent / "node/run.js"
ENDS_WITHIN_S = 60


@pytest.fixture(scope="session", autouse=True)
def _there() -> None:
    """Without the client the tests are skipped, but in CI they fail."""
    if shutil.which("node") is None:
        reason = "no Node here (node is not in the PATH): apt-get install -y nodejs npm"
    elif not (MODULES / "amqplib").is_dir():
        reason = f"no amqplib in {MODULES}: make build/.node"
    else:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def play(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Have amqplib play the case of that name; gives what it saw."""
    port = os.environ.get("PHRASIM_JUDGED_PORT") or request.getfixturevalue("served").port

    def played(case: str, *arguments: object) -> Any:
        done = subprocess.run(
            ["node", str(SCRIPT), str(port), case, *map(str, arguments)],
            env=os.environ | {"NODE_PATH": str(MODULES)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return played


@pytest.mark.parametrize("mechanism", ["plain", "amqplain"])
def test_a_user_logs_in_by_either_mechanism(play: Any, mechanism: str) -> None:
    assert play("login", mechanism, "guest", "/") == "RabbitMQ"


@pytest.mark.parametrize("mechanism", ["plain", "amqplain"])
def test_a_wrong_password_is_refused_in_the_handshake(play: Any, mechanism: str) -> None:
    assert play("refusedLogin", mechanism, "wrong", "/") == (
        'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused using '
        f'authentication mechanism {mechanism.upper()}. For details see the broker logfile."'
    )


def test_an_unknown_virtual_host_closes_the_connection_instead_of_opening_it(play: Any) -> None:
    seen = play("refusedLogin", "plain", "guest", "nowhere")
    assert seen == "Expected ConnectionOpenOk; got <ConnectionClose channel:0>"


def test_many_channels_work_at_once_and_their_numbers_are_used_again(play: Any) -> None:
    seen = play("manyChannels", 200)
    assert seen["bodies"] == [f"for {n}" for n in range(200)]
    assert seen["numbers"] == list(range(1, 201))
    assert seen["reopened"] == list(range(2, 201, 2))


def test_heartbeats_alone_keep_a_connection(play: Any) -> None:
    assert play("heartbeats") == {"heartbeat": 1, "body": "still here"}


def test_a_connection_closes_in_order_and_gives_back_what_it_had(play: Any) -> None:
    assert play("close") == {
        "events": ["channel close", "connection close"],
        "redelivered": True,
        "exclusiveQueue": 404,
    }


def test_every_type_of_exchange_routes_to_the_queues_that_are_bound(play: Any) -> None:
    assert play("exchangeTypes") == {
        "direct": [["a.b"], ["a"]],
        "fanout": [["a", "a.b", "c.b", "c"], ["a", "a.b", "c.b", "c"]],
        "topic": [["a", "a.b"], ["a.b", "c.b"]],
        "headers": [["a"], ["a", "a.b", "c.b"]],
    }


def test_exchanges_pass_on_to_exchanges_and_to_their_alternate(play: Any) -> None:
    assert play("exchangeToExchange") == {"queue": ["bound"], "alternate": ["not bound", "unbound"]}


def test_a_queue_keeps_to_the_arguments_that_the_client_has_names_for(play: Any) -> None:
    assert play("queueWithArguments") == {
        "first": {"queue": "arguments.q", "messageCount": 0, "consumerCount": 0},
        "again": {"queue": "arguments.q", "messageCount": 3, "consumerCount": 0},
        "newest": ["2", "3", "4"],
        "purged": {"messageCount": 1},
        "deleted": {"messageCount": 0},
    }


def test_every_publish_is_confirmed_in_order(play: Any) -> None:
    assert play("confirms", 500) == {"answers": [[n, None] for n in range(500)], "ready": 500}


def test_a_full_queue_nacks_what_it_does_not_take(play: Any) -> None:
    assert play("nackedPublishes") == [None, "message nacked", "message nacked"]


def test_a_mandatory_message_comes_back_before_its_confirm(play: Any) -> None:
    returned = {
        "exchange": "amq.topic",
        "routingKey": "nobody.cares",
        "replyCode": 312,
        "replyText": "NO_ROUTE",
        "messageId": "m-1",
        "headers": {"asset": "a"},
        "body": "lost",
    }
    assert play("mandatory") == [returned, None]


def test_get_tells_how_many_are_left_and_what_was_delivered_before(play: Any) -> None:
    assert play("get") == {
        "fields": [
            {"deliveryTag": 1, "redelivered": False, "messageCount": 1, "exchange": ""},
            {"deliveryTag": 2, "redelivered": True, "messageCount": 1, "exchange": ""},
            {"deliveryTag": 3, "redelivered": False, "messageCount": 0, "exchange": ""},
        ],
        "keyIsQueue": True,
        "empty": False,
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
    assert play("cancel") == {"sameTag": True, "messageCount": 1, "consumerCount": 0, "unread": 0}


def test_the_consumers_of_a_deleted_queue_are_told_and_their_channel_goes_on(play: Any) -> None:
    assert play("cancelByTheBroker") == {"cancelled": [None, None], "consumerCount": 0}


def without_times(letter: Any) -> Any:
    """The letter, whose deaths have had a time, in seconds, that can be one."""
    for death in letter["headers"]["x-death"]:
        time = death.pop("time")
        assert time["!"] == "timestamp"
        assert 1_760_000_000 <= time["value"] < 4_000_000_000
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
    letter = {"exchange": "rejected.dlx", "deliveryMode": 2, "body": "bad"}
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
    letter = {"exchange": "expired.dlx", "routingKey": "too.late"}
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


@pytest.mark.parametrize("frame_max", [4096, 131072])
def test_bodies_of_several_frames_come_byte_for_byte(play: Any, frame_max: int) -> None:
    """A frame has eight bytes besides its payload, so the sizes stand on both sides of one frame."""
    sizes = [0, 1, frame_max - 8, frame_max - 7, 300 * 1024]
    assert play("bodies", frame_max, *sizes) == {"frameMax": frame_max, "same": [True] * len(sizes)}


def test_headers_of_every_type_come_back_as_they_were(play: Any) -> None:
    seen = play("headers")
    assert seen["came"] == seen["sent"]
    assert len(seen["came"]) == 19


def test_every_property_comes_back(play: Any) -> None:
    assert play("properties") == {
        "contentType": "application/json",
        "contentEncoding": "utf-8",
        "headers": {},
        "deliveryMode": 2,
        "priority": 4,
        "correlationId": "correlation",
        "replyTo": "reply",
        "expiration": "60000",
        "messageId": "message",
        "timestamp": 1_760_000_000,
        "type": "assetsIngest",
        "userId": "guest",
        "appId": "phraseanet",
    }


WORDS = {403: "ACCESS-REFUSED", 404: "NOT-FOUND", 405: "RESOURCE-LOCKED", 406: "PRECONDITION-FAILED"}
OTHER_TTL = (
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'refusals.q' in vhost '/': "
    "received the value '5' of type 'byte' but current is none"
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
    "noQueue": (404, [50, 10], "NOT_FOUND - no queue 'refusals.none' in vhost '/'"),
    "noExchange": (404, [60, 40], "NOT_FOUND - no exchange 'refusals.none' in vhost '/'"),
    "noQueueToConsume": (404, [60, 20], "NOT_FOUND - no queue 'refusals.none' in vhost '/'"),
    "otherArguments": (406, [50, 10], OTHER_TTL),
    "otherType": (406, [40, 10], OTHER_TYPE),
    "unknownTag": (406, [60, 80], "PRECONDITION_FAILED - unknown delivery tag 7"),
    "exclusiveUse": (403, [60, 20], "ACCESS_REFUSED - queue 'refusals.q' in vhost '/' in exclusive use"),
    "reservedName": (403, [40, 10], "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"),
    "defaultExchange": (403, [50, 20], "ACCESS_REFUSED - operation not permitted on the default exchange"),
    "locked": (405, [50, 10], LOCKED),
}


def test_a_refusal_closes_the_channel_with_rabbitmqs_words_and_nothing_else(play: Any) -> None:
    seen = play("refusals")
    assert seen.pop("after") == 0, "the connection does not go on"
    rejections = {name: refusal.pop("rejection", None) for name, refusal in seen.items()}
    assert seen == {
        name: {
            "code": code,
            "method": method,
            "message": f'Channel closed by server: {code} ({WORDS[code]}) with message "{text}"',
        }
        for name, (code, method, text) in REFUSALS.items()
    }
    assert rejections["locked"] == f'Operation failed: QueueDeclare; 405 (RESOURCE-LOCKED) with message "{LOCKED}"'
    assert [name for name, rejection in rejections.items() if rejection is None] == ["noExchange", "unknownTag"]


def test_an_unknown_type_of_exchange_closes_the_connection(play: Any) -> None:
    text = "Connection closed: 503 (COMMAND-INVALID) with message \"COMMAND_INVALID - unknown exchange type 'strange'\""
    assert play("connectionRefusal") == {
        "events": [["connection error", 503, text], ["channel close"], ["connection close", 503]],
        "rejection": "Channel ended, no reply will be forthcoming",
    }
