"""The control API as a suite in another language uses it: over HTTP, with every answer held to control.yaml."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from phrasim.documents import specification
from phrasim.serve.external import External
from phrasim.serve.landscape import LandscapeEnded, Plan
from phrasim.testbed import SeedData, Setting
from phrasim.testbed.seed import SeedCommit, SeedFile, SeedUser

OPERATIONS = specification("control.yaml").operations
CONTENT = bytes(range(256)) * 40
JSON = {"content-type": "application/json"}

Play = Callable[..., Any]


def lines(content: bytes) -> list[Any]:
    return [msgspec.json.decode(line) for line in content.splitlines()]


# What there is


def test_the_state_of_a_new_landscape_is_empty_and_says_who_plays(served: Play) -> None:
    async def main(one: Any) -> None:
        state = await one.suite.state()
        assert all(state[key] == [] for key in ("assets", "commits", "records", "faults"))
        assert state["events"] == {"first": 1, "next": 1}
        assert state["participants"]["upload"] == {"role": "played", "url": one.suite.described["upload"]["url"]}

    served(main)


def test_the_state_tells_external_and_absent_participants(served: Play) -> None:
    async def main(one: Any) -> None:
        state = await one.suite.state()
        assert state["participants"]["phraseanet"] == {"role": "external", "url": "http://127.0.0.1:9"}
        assert state["participants"]["auth"] == {"role": "absent", "url": None}
        assert one.suite.described["phraseanet"] == {"url": "http://127.0.0.1:9", "token": None}
        assert (await one.suite.control.post("/poll")).status_code == 409
        made = await one.suite.control.post("/landscapes", json={})
        assert made.status_code == 201
        assert (made.json()["phraseanet"], made.json()["auth"]) == ({"url": "http://127.0.0.1:9", "token": None}, None)

    served(main, Plan(played=("upload",), external=External({"phraseanet": "http://127.0.0.1:9"})))


def test_the_state_follows_a_commit_to_its_end(served: Play) -> None:
    async def main(one: Any) -> None:
        await one.suite.commit(CONTENT, b"two", title="A title")
        state = await one.suite.acknowledged()
        (commit,) = state["commits"]
        assert [asset["commit"] for asset in state["assets"]] == [commit["id"]] * 2
        assert [record["assetId"] for record in state["records"]] == commit["assets"]
        assert state["records"][0]["sha256"] == state["assets"][0]["sha256"]
        assert commit["formData"] == {"title": "A title"}

    served(main)


# What nobody understands


@pytest.mark.parametrize("operation_id", ["addSeedData", "addFault", "createLandscape"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"{", "headers": JSON}, 400),
        ({"content": b"[]", "headers": JSON}, 400),
        ({"content": b'{"colour": 1}', "headers": JSON}, 400),
        ({"content": b"{}"}, 415),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
        ({"content": b'"' + bytes(1024 * 1024) + b'"', "headers": JSON}, 413),
    ],
    ids=["half", "a list", "an unknown key", "no type", "another type", "too long"],
)
def test_a_body_that_is_not_taken_is_refused(
    served: Play, operation_id: str, sent: dict[str, Any], status: int
) -> None:
    async def main(one: Any) -> None:
        path = OPERATIONS[operation_id].path.removeprefix("/_phrasim")
        answer = await one.suite.control.post(path, **sent)
        assert answer.status_code == status
        assert len(answer.json()["detail"]) > 10

    served(main)


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/faults/7"), ("DELETE", "/faults/x"), ("GET", "/landscapes/1"), ("DELETE", "/landscapes/1")],
)
def test_what_is_not_there_is_named(served: Play, method: str, path: str) -> None:
    async def main(one: Any) -> None:
        answer = await one.suite.control.request(method, path)
        assert answer.status_code == 404
        assert repr(path.rpartition("/")[2]) in answer.json()["detail"]

    served(main)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"interval": "0 s"}, "interval: '0 s' is no time between two polls"),
        ({"interval": "9" * 400 + " d"}, "is no time between two polls"),
        ({"mode": "pul"}, "did you mean 'pull'"),
        (
            {"seedData": {"commits": [{"publisher": "nobody@example.org", "files": {"a": {"size": "1 B"}}}]}},
            "seedData: commits: there is no user 'nobody@example.org'",
        ),
        ({"seedData": {"commits": [{"publisher": "a@b.de", "files": {"a": {"path": "x"}}}]}}, "seedData: commits/0"),
    ],
)
def test_a_landscape_that_cannot_be_says_why_and_leaves_nothing(served: Play, body: Any, said: str) -> None:
    async def main(one: Any) -> None:
        answer = await one.suite.control.post("/landscapes", json=body)
        assert answer.status_code == 400
        assert said in answer.json()["detail"]
        assert (await one.suite.control.get("/landscapes")).json() == []

    served(main)


# Pages of other sites


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:1", "127.0.0.1:99999", "[::1]:8080", "localhost:80", "LOCALHOST", "a.localhost", ""],
)
def test_an_address_or_localhost_is_answered(served: Play, host: str) -> None:
    async def main(one: Any) -> None:
        assert (await one.suite.control.get("/state", headers={"host": host})).status_code == 200

    served(main)


@pytest.mark.parametrize(
    "host",
    [
        "stranger.example",
        "127.0.0.1.stranger.example",
        "::1",
        "a b",
        "localhost:1x",
        "xn--",
        "[",
        "[::1",
        "[x]",
        "@",
        "ü",
    ],
)
def test_a_name_that_a_stranger_may_own_is_not_answered(served: Play, host: str) -> None:
    async def main(one: Any) -> None:
        answer = await one.suite.control.get("/state", headers=[(b"host", host.encode())])
        assert answer.status_code == 403
        assert "--host 0.0.0.0" in answer.json()["detail"]

    served(main)


def test_a_server_that_others_reach_answers_at_any_name(served: Play) -> None:
    async def main(one: Any) -> None:
        assert (await one.suite.control.get("/state", headers={"host": "phrasim:8080"})).status_code == 200

    served(main, host="0.0.0.0")


def test_a_caller_of_http_1_0_needs_no_host(served: Play) -> None:
    async def main(one: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(one.landscape.control_url).port)
        writer.write(b"GET /_phrasim/state HTTP/1.0\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()
        await writer.wait_closed()

    served(main)


@pytest.mark.parametrize("operation_id", list(OPERATIONS))
@pytest.mark.parametrize("origin", ["https://stranger.example", "null", "http://[", "http://127.0.0.1:1"])
def test_no_operation_answers_a_page_of_another_site(served: Play, operation_id: str, origin: str) -> None:
    async def main(one: Any) -> None:
        operation = OPERATIONS[operation_id]
        path = operation.path.removeprefix("/_phrasim").replace("{id}", "1")
        answer = await one.suite.control.request(operation.method, path, headers={"origin": origin})
        assert answer.status_code == 403
        assert repr(origin) in answer.json()["detail"]

    served(main)


def test_a_page_that_the_control_port_itself_would_serve_is_answered(served: Play) -> None:
    async def main(one: Any) -> None:
        own = one.landscape.control_url
        assert (await one.suite.control.get("/state", headers={"origin": own})).status_code == 200

    served(main)


# The journal


def test_the_journal_tells_the_events_after_a_number(served: Play) -> None:
    async def main(one: Any) -> None:
        await one.suite.commit(CONTENT)
        whole = await one.suite.events()
        assert len(whole) == (await one.suite.state())["events"]["next"] - 1
        assert await one.suite.events(0) == whole
        assert await one.suite.events(5) == whole[5:]
        assert await one.suite.events(len(whole)) == []
        answer = await one.suite.control.get("/journal", params={"after": str(len(whole) + 1)})
        assert answer.status_code == 400
        assert answer.json()["detail"] == (
            f"query/after: there is no event {len(whole) + 1} yet; the next is {len(whole) + 1}"
        )

    served(main, Plan(setting=Setting(mode="off")))


def test_the_journal_tells_of_some_operations_alone(served: Play) -> None:
    async def main(one: Any) -> None:
        await one.suite.commit(CONTENT)
        names = {"uploadAsset", "commitAssets"}
        answer = await one.suite.control.get("/journal", params={"operation": ",".join(names)})
        told = [json.loads(line) for line in answer.text.splitlines()[1:]]
        in_full = [event["message"] for event in told if isinstance(event["message"], dict)]
        assert {message["operationId"] for message in in_full} == names
        ids = {message["id"] for message in in_full}
        whole = await one.suite.events()
        mine = [event for event in whole if event["event"] != "noted" and _named(event) in ids]
        assert told == mine

    def _named(event: Any) -> str:
        message = event["message"]
        return str(message["id"] if isinstance(message, dict) else message)

    served(main, Plan(setting=Setting(mode="off")))


def test_the_queues_are_those_of_the_state(served: Play) -> None:
    async def main(one: Any) -> None:
        answer = await one.suite.control.get("/queues")
        assert answer.json() == (await one.suite.state())["queues"]
        assert [queue["name"] for queue in answer.json()] == [
            "assetsIngest",
            "assetsIngest_retry",
            "assetsIngest_failed",
        ]

    served(main, Plan())


@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_the_records_are_listed_whole_and_from_any_of_them_on(served: Play, profile: str) -> None:
    async def main(one: Any) -> None:
        publisher = one.suite.described["users"][0]["email"]
        files = {"a.txt": "8 B", "b.txt": "9 B"}
        commits = [{"publisher": publisher, "files": {name: {"size": size}}} for name, size in files.items()]
        added = await one.suite.control.post("/seed-data", json={"commits": commits})
        assert added.status_code == 200, added.text
        await one.suite.control.post("/poll")
        records = (await one.suite.acknowledged(2))["records"]
        assert len(records) == 2
        assert (await one.suite.control.get("/records")).json() == records
        for number, record in enumerate(records, 1):
            later = await one.suite.control.get("/records", params={"after": record["assetId"]})
            assert later.json() == records[number:]

    served(main, Plan(setting=Setting(profile=profile)))


def test_no_records_are_listed_behind_one_that_is_not_there(served: Play) -> None:
    async def main(one: Any) -> None:
        asset = await one.suite.upload(CONTENT)
        answer = await one.suite.control.get("/records", params={"after": asset})
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"there is no record of the asset {asset}; without `after` all are listed"
        empty = await one.suite.control.get("/records?after=")
        assert empty.status_code == 400
        assert empty.json()["detail"].startswith("query/after: ")

    served(main)


@pytest.mark.parametrize(
    "query",
    [
        *("after=-1", "after=x", "after=", "follow=yes", "after=1e3", "after=" + "9" * 16),
        *("operation=", "operation=commitAsset", "operation=getAsset,,", "operation=getState"),
    ],
)
def test_a_parameter_that_is_not_understood_is_refused(served: Play, query: str) -> None:
    async def main(one: Any) -> None:
        answer = await one.suite.control.get(f"/journal?{query}")
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(f"query/{query.partition('=')[0]}: ")

    served(main)


def test_an_event_that_is_not_kept_is_gone(served: Play) -> None:
    async def main(one: Any) -> None:
        await one.suite.commit(CONTENT)
        first = (await one.suite.state())["events"]["first"]
        assert first > 2
        answer = await one.suite.control.get("/journal", params={"after": str(first - 2)})
        assert answer.status_code == 410
        assert answer.json()["detail"] == (
            f"event {first - 1} is not kept any more; the first that is kept is event {first}"
        )
        assert len(await one.suite.events(first - 1)) == 3

    served(main, Plan(setting=Setting(mode="off"), events_max=3))


def test_followers_each_read_every_event_and_come_to_an_end_with_the_server(served: Play) -> None:
    async def main(one: Any) -> list[asyncio.Task[bytes]]:
        async def follow() -> bytes:
            async with (
                httpx.AsyncClient(trust_env=False, timeout=None) as client,
                client.stream("GET", one.suite.url("control", "/_phrasim/journal?follow=true")) as answer,
            ):
                read.append(answer.headers["content-type"])
                return await answer.aread()

        read: list[str] = []
        followers = [asyncio.create_task(follow()) for _ in range(5)]
        while len(read) < 5:
            await asyncio.sleep(0)
        # One follower reads nothing and leaves; what it leaves behind hinders nobody.
        async with one.suite.control.stream("GET", "/journal", params={"follow": "true"}):
            pass
        await asyncio.gather(*(one.suite.upload(b"%d" % number * 1000) for number in range(40)))
        whole = await one.suite.events()
        stopping = asyncio.create_task(one.landscape.stop())
        contents = await asyncio.gather(*followers)
        await stopping
        assert set(read) == {"application/jsonl"}
        assert [lines(content)[1:] for content in contents] == [whole] * 5
        assert len(whole) > 80  # two events an upload, and those of asking Auth whose token that is
        return followers

    served(main, Plan(setting=Setting(mode="off")))


def test_a_follower_reads_an_event_when_it_happens_and_over_a_new_beginning(served: Play) -> None:
    async def main(one: Any) -> None:
        async with one.suite.control.stream("GET", "/journal", params={"follow": "true", "after": "0"}) as answer:
            told = answer.aiter_lines()
            assert msgspec.json.decode(await anext(told))["trace"] == 1
            for beginning in (1, 2):
                await one.suite.upload(b"%d" % beginning)
                seen = [msgspec.json.decode(await anext(told)) for _ in await one.suite.events()]
                assert {event["event"] for event in seen} == {"sent", "received"}
                assert (await one.suite.control.post("/reset")).status_code == 204

    served(main, Plan(setting=Setting(mode="off")))


# Seed data


SEED = {
    "users": [{"email": "zoe@example.org", "name": "Zoë", "password": "secret", "token": "zoes-token"}],
    "clients": [{"client_id": "dam", "client_secret": "hush", "scopes": ["commit:list"]}],
    "commits": [
        {
            "publisher": "zoe@example.org",
            "formData": {"title": "Seeded"},
            "files": {
                "a.txt": {"base64": base64.b64encode(b"abc").decode()},
                "b.png": {"size": "9 KiB", "mimeType": "image/png"},
            },
        }
    ],
}


def test_what_is_seeded_can_be_used_as_if_users_had_made_it(served: Play) -> None:
    async def main(one: Any) -> None:
        caller = one.suite
        added = (await caller.control.post("/seed-data", json=SEED)).json()
        (user,), (client,), (commit,) = added["users"], added["clients"], added["commits"]
        assert (user["password"], user["token"], client["client_secret"]) == ("secret", "zoes-token", "hush")
        front_end = caller.described["clients"][1]
        login = {"grant_type": "password", "username": user["email"], "password": user["password"]}
        login |= {key: front_end[key] for key in ("client_id", "client_secret")}
        token = (await caller.http.post(caller.url("auth", "/oauth/v2/token"), data=login)).json()["access_token"]
        for bearer in (token, user["token"]):
            headers = {"authorization": f"Bearer {bearer}"}
            answer = await caller.http.post(
                caller.url("upload", "/assets"), headers=headers, files={"file": ("x", b"x")}
            )
            assert answer.status_code == 201, answer.text
        headers = {"authorization": f"AssetToken {commit['token']}"}
        answer = await caller.http.get(caller.url("upload", f"/assets/{commit['assets'][0]}/download"), headers=headers)
        assert answer.content == b"abc"
        grant = {"grant_type": "client_credentials", "client_id": "dam", "client_secret": "hush"}
        token = (await caller.http.post(caller.url("auth", "/oauth/v2/token"), data=grant)).json()["access_token"]
        listed = await caller.http.get(caller.url("upload", "/commits"), headers={"authorization": f"Bearer {token}"})
        assert [one["id"] for one in listed.json()] == [commit["id"]]

    served(main)


@pytest.mark.parametrize("mode", ["push", "pull", "both", "off"])
def test_a_poll_hands_over_what_is_seeded_in_every_mode(served: Play, mode: str) -> None:
    async def main(one: Any) -> None:
        added = (await one.suite.control.post("/seed-data", json=SEED)).json()
        assert (await one.suite.control.post("/poll")).json() == {"accepted": 1}
        assert (await one.suite.control.post("/poll")).json() == {"accepted": 0}
        state = await one.suite.acknowledged()
        assert [record["assetId"] for record in state["records"]] == added["commits"][0]["assets"]

    served(main, Plan(setting=Setting(mode=mode, poll_interval=3600)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        ({"users": [{"email": "publisher@example.org"}]}, "there is a user 'publisher@example.org' already"),
        ({"users": [{"email": "x@example.org", "id": "{id}"}]}, "there is a user with the id '{id}' already"),
        (
            {"users": [{"email": "x@example.org", "token": "{token}"}]},
            "the token of 'x@example.org' is somebody's already",
        ),
        ({"clients": [{"client_id": "phraseanet"}]}, "there is a client 'phraseanet' already"),
        (
            {"commits": [{"publisher": "x@example.org", "files": {"a": {"size": "1 B"}}}]},
            "there is no user 'x@example.org'",
        ),
    ],
)
def test_seed_data_that_does_not_fit_adds_nothing(served: Play, seed: Any, said: str) -> None:
    async def main(one: Any) -> None:
        publisher = one.suite.publisher

        def filled(text: str) -> str:
            return text.replace("{id}", publisher["id"]).replace("{token}", publisher["token"])

        body = msgspec.json.decode(filled(msgspec.json.encode(seed).decode()))
        answer = await one.suite.control.post("/seed-data", json={"users": [{"email": "new@example.org"}]} | body)
        assert answer.status_code == 400
        assert filled(said) in answer.json()["detail"]
        assert publisher["token"] not in answer.text
        assert (await one.suite.control.post("/seed-data", json=SEED)).status_code == 200
        assert (await one.suite.control.post("/seed-data", json=SEED)).status_code == 400

    served(main)


# Faults


def test_a_poll_that_fails_says_why(served: Play) -> None:
    async def main(one: Any) -> None:
        fault = {"operationId": "listCommits", "answer": {"status": 503}}
        assert (await one.suite.control.post("/faults", json=fault)).status_code == 201
        answer = await one.suite.control.post("/poll")
        assert (answer.status_code, answer.json()["detail"]) == (
            502,
            "the poll failed: the upload service answered 503",
        )

    served(main)


async def outcome(one: Any) -> Any:
    """What became of a download by the publisher's commit token: status, and length or error."""
    commit = (await one.suite.state())["commits"][0]
    try:
        answer = await one.suite.http.get(
            one.suite.url("upload", f"/assets/{commit['assets'][0]}/download"),
            headers={"authorization": f"AssetToken {commit['token']}"},
            timeout=0.3,
        )
    except httpx.HTTPError as error:
        return type(error).__name__
    return (answer.status_code, len(answer.content)) if answer.status_code == 200 else answer.status_code


@pytest.mark.parametrize(
    ("effect", "seen"),
    [
        ({"delay": "2.5 s"}, "ReadTimeout"),
        ({"answer": {"status": 503}}, 503),
        ({"dropReply": True}, "ReadTimeout"),
        ({"cutBody": {"after": "100 B"}}, "RemoteProtocolError"),
    ],
)
def test_a_fault_strikes_at_its_occurrence_is_counted_and_lifted(served: Play, effect: Any, seen: Any) -> None:
    async def main(one: Any) -> None:
        await one.suite.commit(CONTENT)
        fault = {"operationId": "downloadAsset", "occurrences": [1, 3], **effect}
        added = (await one.suite.control.post("/faults", json=fault)).json()
        assert added == {"id": 1, "fault": fault, "calls": 0, "struck": 0}
        whole = (200, len(CONTENT))
        assert [await outcome(one) for _ in range(2)] == [seen, whole]
        (found,) = (await one.suite.control.get("/faults")).json()
        assert (found["calls"], found["struck"]) == (2, 1)
        assert (await one.suite.state())["faults"] == [found]
        assert (await one.suite.control.delete("/faults/1")).status_code == 204
        assert await outcome(one) == whole
        assert (await one.suite.control.delete("/faults/1")).status_code == 404

    served(main, Plan(setting=Setting(mode="off")))


@pytest.mark.parametrize(("effect", "arrive"), [("refuse", 0), ("duplicate", 2)])
def test_a_fault_of_the_sender_strikes_what_leaves_it(served: Play, effect: str, arrive: int) -> None:
    async def main(one: Any) -> None:
        fault = {"operationId": "listCommits", "occurrences": [1], effect: True}
        assert (await one.suite.control.post("/faults", json=fault)).status_code == 201
        polled = await one.suite.control.post("/poll")
        assert polled.status_code == (502 if effect == "refuse" else 200)
        answers = [
            event["message"]
            for event in await one.suite.events()
            if event["event"] == "sent" and event["message"].get("status")
        ]
        assert [message["operationId"] for message in answers].count("listCommits") == arrive
        (found,) = (await one.suite.control.get("/faults")).json()
        assert (found["calls"], found["struck"]) == (1, 1)
        assert (await one.suite.control.delete("/faults")).status_code == 204
        assert (await one.suite.control.get("/faults")).json() == []

    served(main, Plan(setting=Setting(mode="off")))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"operationId": "downloadAsset"}, "a fault has one effect"),
        ({"operationId": "downloadAsset", "refuse": True, "duplicate": True}, "refuse and duplicate"),
        ({"operationId": "downloadAset", "refuse": True}, "operationId: "),
        ({"operationId": "reset", "refuse": True}, "operationId: "),
        ({"operationId": "downloadAsset", "delay": "9999999 d"}, "delay"),
        ({"operationId": "downloadAsset", "answer": {"status": 200}}, "answer/status: 200 is less than 400"),
    ],
)
def test_a_fault_that_cannot_strike_is_refused(served: Play, fault: Any, said: str) -> None:
    async def main(one: Any) -> None:
        answer = await one.suite.control.post("/faults", json=fault)
        assert answer.status_code == 400
        assert said in answer.json()["detail"]
        assert (await one.suite.control.get("/faults")).json() == []

    served(main)


# Beginning anew


async def half_sent(one: Any) -> Any:
    """A connection that has sent the first half of an upload."""
    url = httpx.URL(one.suite.described["upload"]["url"])
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        "POST /assets HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n"
        f"authorization: Bearer {one.suite.publisher['token']}\r\ncontent-length: 100000\r\n\r\n"
        '--b\r\ncontent-disposition: form-data; name="file"; filename="half.bin"\r\n\r\n'
    )
    writer.write(head.encode() + bytes(5000))
    await writer.drain()
    return reader, writer


BEGUN = Plan(
    seed=SeedData(
        users=(SeedUser("zoe@example.org"),),
        commits=(SeedCommit("zoe@example.org", (SeedFile("seeded.bin", None, 1000, "application/octet-stream"),), {}),),
    ),
    events_max=1000,
)


def without_drawn(state: dict[str, Any]) -> dict[str, Any]:
    """A state without what is another at each beginning: times, ids and tokens of seeded commits, numbers of events."""
    drawn = {"time", "id", "createdAt", "commit", "assets", "token", "events"}

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kept(item) for key, item in value.items() if key not in drawn or isinstance(item, dict)}
        return [kept(item) for item in value] if isinstance(value, list) else value

    kept_state: dict[str, Any] = {key: kept(value) for key, value in state.items() if key not in ("time", "events")}
    return kept_state


def test_nothing_that_was_under_way_shows_after_a_reset(served: Play, when: Any) -> None:
    async def main(one: Any) -> None:
        caller = one.suite
        beginning = without_drawn(await caller.state())
        for _ in range(3):
            # Three commits: one is at the worker, who downloads late; one dies into the retry queue; one is not taken.
            for fault in (
                {"operationId": "downloadAsset", "occurrences": [1], "answer": {"status": 503}},
                {"operationId": "downloadAsset", "occurrences": [2], "delay": "60 s"},
                {"operationId": "enqueueAssets", "occurrences": [3], "answer": {"status": 503}},
                {"operationId": "listCommits", "delay": "60 s"},
            ):
                assert (await caller.control.post("/faults", json=fault)).status_code == 201
            assert (await caller.control.post("/seed-data", json=SEED)).status_code == 200
            for number in range(3):
                await caller.commit(b"%d" % number * 3000)

            async def at_work() -> bool:
                queues = {queue["name"]: queue for queue in (await caller.state())["queues"]}
                return bool(queues["assetsIngest_retry"]["ready"] and queues["assetsIngest"]["unacknowledged"])

            await when(at_work)
            reader, writer = await half_sent(one)
            polling = asyncio.create_task(caller.control.post("/poll"))
            commit = (await caller.state())["commits"][-1]
            asset = f"/assets/{commit['assets'][0]}/download"
            reading = asyncio.create_task(
                caller.http.get(caller.url("upload", asset), headers={"authorization": f"AssetToken {commit['token']}"})
            )

            async def polls() -> bool:
                return any(fault["calls"] for fault in (await caller.state())["faults"][3:])

            await when(polls)
            assert (await caller.control.post("/reset")).status_code == 204
            state = await caller.state()
            assert without_drawn(state) == beginning
            assert state["events"]["first"] == state["events"]["next"]
            assert (await polling).status_code == 502
            await asyncio.wait((reading,))
            assert b" 503 " in await reader.readline()
            writer.write(bytes(95000))
            writer.close()
            await asyncio.sleep(0.2)  # Whatever were left of before would stir by now.
            assert await caller.events() == []
            assert without_drawn(await caller.state()) == beginning
            assert len(list(one.folder.glob("landscape/*"))) == 0
            # The tokens of before are good, those of seed data are not, and the landscape works.
            await caller.commit(b"afterwards")
            assert len((await caller.acknowledged())["records"]) == 1
            answer = await caller.http.get(
                caller.url("auth", "/token-info"), headers={"authorization": "Bearer zoes-token"}
            )
            assert answer.status_code == 401
            assert (await caller.control.post("/reset")).status_code == 204

    plan = Plan(seed=SeedData(commits=()), events_max=1000)
    served(main, plan)


def test_a_notification_that_waits_for_its_next_try_is_forgotten_by_a_reset(served: Play, when: Any) -> None:
    async def main(one: Any) -> None:
        fault = {"operationId": "enqueueAssets", "answer": {"status": 503}}
        assert (await one.suite.control.post("/faults", json=fault)).status_code == 201
        await one.suite.commit(CONTENT)

        async def sleeping() -> bool:
            return any(task.get_name().startswith("notification of ") for task in asyncio.all_tasks())

        assert await sleeping()
        assert (await one.suite.control.post("/reset")).status_code == 204
        assert not await sleeping()

    served(main)


def test_the_commits_that_a_landscape_began_with_are_there_again_after_a_reset(served: Play) -> None:
    async def main(one: Any) -> None:
        before = await one.suite.state()
        assert (await one.suite.control.post("/poll")).json() == {"accepted": 1}
        await one.suite.acknowledged()
        assert (await one.suite.control.post("/reset")).status_code == 204
        after = await one.suite.state()
        assert without_drawn(after) == without_drawn(before)
        assert [asset["originalName"] for asset in after["assets"]] == ["seeded.bin"]
        assert (await one.suite.control.post("/poll")).json() == {"accepted": 1}
        await one.suite.acknowledged()

    served(main, BEGUN)


def test_resets_at_once_follow_each_other_and_callers_meanwhile_wait(served: Play) -> None:
    async def main(one: Any) -> None:
        async def used() -> int:
            answer = await one.suite.http.get(one.suite.url("auth", "/token-info"), headers=one.suite.bearer)
            return answer.status_code

        resets = [one.suite.control.post("/reset") for _ in range(10)]
        uses = [used() for _ in range(30)]
        answers = await asyncio.gather(*resets, *uses)
        assert {answer.status_code for answer in answers[:10]} == {204}
        assert set(answers[10:]) <= {200, 503}
        assert await used() == 200

    served(main, BEGUN)


def test_a_landscape_that_has_ended_does_not_begin_anew(served: Play) -> None:
    async def main(one: Any) -> None:
        await one.landscape.stop()
        with pytest.raises(LandscapeEnded, match="the landscape ends"):
            await one.landscape.reset()

    served(main)
