"""A Phraseanet in another language, with other libraries, is handed commits by `phrasim serve --profile deployed`.

It is `tests/php_phraseanet`: an endpoint on PHP's own server, and a worker on php-amqplib and Guzzle. phrasim plays the
upload service, Auth and the broker; the tests play the user.
"""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pika
import pytest

from phrasim.documents import contract

pytestmark = pytest.mark.unmeasured

PHP_FOLDER = Path(__file__).parent.parent / "php_phraseanet"
ENQUEUE = "/api/v1/upload/enqueue/"
TOKEN = "token-of-the-upload-service"
"""Phraseanet's OAuth token, which the upload service was given."""
RETRY_MS = 150
"""How long work that failed waits until it is tried again."""
INTERVAL_MS = 500
"""How long pull mode waits between two polls: a multiple of what one takes, or a commit is found twice (H8)."""
SECONDS_MAX = 20
"""Real time that anything here may take to happen."""

COMMAND = [sys.executable, "-c", "from phrasim.cli import main; main()", "serve"]
ANY_PORTS = [word for name in ("upload", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]

Json = dict[str, Any]


def until(what: str, found: Callable[[], Any]) -> Any:
    """What `found` finds, as soon as it finds something; `what` says what is waited for."""
    deadline = time.monotonic() + SECONDS_MAX
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited {SECONDS_MAX} s for {what}"
        time.sleep(0.01)
    return value


def give_up(reason: str) -> NoReturn:
    """Skip for that reason, but fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module", autouse=True)
def _there() -> None:
    """Without PHP and its libraries the tests are skipped, but in CI they fail."""
    if shutil.which("php") is None:
        give_up("no PHP here (php is not in the PATH): apt-get install -y php-cli")
    needed = {
        "extension_loaded('curl')": "php-curl",
        "extension_loaded('pcntl')": "php-cli",
        "stream_resolve_include_path('GuzzleHttp/autoload.php')": "php-guzzlehttp-guzzle",
        "stream_resolve_include_path('PhpAmqpLib/autoload.php')": "php-amqplib",
    }
    asked = ", ".join(f"(bool) {expression}" for expression in needed)
    answer = subprocess.run(["php", "-r", f"echo json_encode([{asked}]);"], capture_output=True, check=True)
    missing = [package for package, found in zip(needed.values(), json.loads(answer.stdout), strict=True) if not found]
    if missing:
        give_up(f"PHP lacks what Debian has in {', '.join(missing)}: apt-get install -y {' '.join(missing)}")


class Phraseanet:
    """The one in PHP: its settings, what it tells in its files, and its two programs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings = folder / "settings.json"
        self.configure({"oauth_tokens": [TOKEN]})

    @property
    def settings(self) -> Json:
        settings: Json = json.loads(self._settings.read_text())
        return settings

    @property
    def requests(self) -> list[Json]:
        """The requests that its endpoint has answered; none of them is a look whether it is there."""
        return [request for request in self._read("requests") if request["target"] != "/"]

    def records(self, commit: str) -> list[Json]:
        return [record for record in self._read("records") if record["commit_id"] == commit]

    def configure(self, changed: Json) -> None:
        """Change settings; who reads them meanwhile reads the old ones, or the new."""
        settings = self.settings if self._settings.exists() else {}
        files = {name: str(self._folder / name) for name in ("requests", "records")}
        fresh = self._folder / "settings.fresh"
        fresh.write_text(json.dumps(settings | files | changed))
        fresh.replace(self._settings)

    def meet(self, broker_url: str) -> None:
        """Use that broker."""
        url = httpx.URL(broker_url)
        broker = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, "vhost": "/"}
        pauses = {"assetsIngest": RETRY_MS, "createRecord": RETRY_MS, "pullAssets": INTERVAL_MS}
        queues = {name: {"ttl_retry": pause} for name, pause in pauses.items()}
        self.configure({"broker": broker, "workers": {"queues": queues}})

    def pull(self, target: Json) -> None:
        """From its next worker on, poll that target."""
        workers = self.settings["workers"]
        self.configure({"workers": workers | {"pull_assets": {"uploader": target}}})

    @contextmanager
    def endpoint(self) -> Iterator[str]:
        """Its URL, while it answers; nothing goes wrong there that it would keep to itself."""
        with self._running("endpoint", "-S", "127.0.0.1:0", str(PHP_FOLDER / "router.php")) as process:
            started = re.compile(r"\((http://\S+)\) started")
            log = self._folder / "endpoint.err"
            yield until("PHP's server", lambda: started.search(log.read_text()) or not_yet(process, log))[1]
            assert "phraseanet: " not in log.read_text(), log.read_text()

    @contextmanager
    def worker(self) -> Iterator[None]:
        """While its worker works; no work of it dies."""
        with self._running("worker", str(PHP_FOLDER / "worker.php"), str(self._settings)) as process:
            said, log = self._folder / "worker.out", self._folder / "worker.err"
            until("the worker", lambda: "consuming" in said.read_text() or not_yet(process, log))
            yield
            process.terminate()
            assert (process.wait(SECONDS_MAX), log.read_text()) == (0, "")

    @contextmanager
    def _running(self, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment["PHRASEANET_SETTINGS"] = str(self._settings)
        with (self._folder / f"{name}.out").open("wb") as out, (self._folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                ["php", *words], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _read(self, name: str) -> list[Any]:
        """The whole lines of a file of JSON Lines; none where there is no such file yet."""
        path = self._folder / name
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def not_yet(process: subprocess.Popen[bytes], log: Path) -> bool:
    """False; where the process has ended there is nothing to wait for, and this fails with what it said."""
    assert process.poll() is None, log.read_text()
    return False


class Events:
    """A part of phrasim's trace, by questions."""

    def __init__(self, events: Sequence[Json]) -> None:
        self._messages = [event["message"] for event in events if isinstance(event.get("message"), dict)]
        self._answers = {one["replyTo"]: one for one in self._messages if one["kind"] == "response"}
        self._requests = [one for one in self._messages if one["kind"] == "request"]

    @property
    def are_whole(self) -> bool:
        """Whether no request waits for its answer."""
        return all(request["id"] in self._answers for request in self._requests)

    def asked(self, operation_id: str) -> list[Json]:
        """The requests to an operation, each with its `answer`, the headers of both by name."""
        return [
            named_headers(request) | {"answer": named_headers(self._answers[request["id"]])}
            for request in self._requests
            if request.get("operationId") == operation_id
        ]

    def statuses(self, operation_id: str) -> list[int]:
        return [request["answer"]["status"] for request in self.asked(operation_id)]

    def payloads(self, queue: str) -> list[Json]:
        """What was published to a queue."""
        return [
            one["body"]["json"]["payload"]
            for one in self._messages
            if one["kind"] == "publish" and one["routingKey"] == queue
        ]


def named_headers(message: Json) -> Json:
    return message | {"headers": dict(message["headers"])}


class Landscape:
    """What phrasim serves, and the user who uploads there."""

    def __init__(self, described: Json, trace: Path, phraseanet: Phraseanet, http: httpx.Client) -> None:
        self.described = described
        self.phraseanet = phraseanet
        self._trace = trace
        self._http = http
        self._begin = 0

    @property
    def upload_url(self) -> str:
        url: str = self.described["upload"]["url"]
        return url

    @property
    def target(self) -> Json:
        target: Json = self.described["upload"]["targets"][0]
        return target

    @property
    def client(self) -> Json:
        client: Json = self.described["clients"][0]
        return client

    @property
    def user(self) -> Json:
        user: Json = self.described["users"][0]
        return user

    def begin(self) -> None:
        """From now on no fault is set, and `events` are those to come."""
        self._http.delete(self._control("/faults")).raise_for_status()
        self._begin = len(self._trace.read_bytes())

    @property
    def state(self) -> Json:
        state: Json = self._http.get(self._control("/state")).raise_for_status().json()
        return state

    @property
    def events(self) -> Events:
        """What has happened since the test began, up to a moment when nobody waits for an answer."""

        def found() -> Events | None:
            lines = self._trace.read_bytes()[self._begin :].splitlines(keepends=True)
            events = Events([json.loads(line) for line in lines if line.endswith(b"\n")])
            return events if events.are_whole else None

        events: Events = until("the last answer", found)
        return events

    def fault(self, operation_id: str, **effect: Any) -> None:
        self._http.post(self._control("/faults"), json={"operationId": operation_id, **effect}).raise_for_status()

    def commit(self, *contents: bytes) -> Json:
        """Upload the files and commit them, as the user does; the commit as it was made."""
        bearer = {"Authorization": f"Bearer {self.user['token']}"}
        slug = {"targetSlug": self.target["slug"]}
        files = []
        for number, content in enumerate(contents):
            part = {"file": (f"{number}.bin", content)}
            answer = self._http.post(f"{self.upload_url}/assets", headers=bearer, data=slug, files=part)
            files.append(answer.raise_for_status().json()["id"])
        body = {"files": files, "formData": {"title": "A title"}, **slug}
        self._http.post(f"{self.upload_url}/commit", headers=bearer, json=body).raise_for_status()
        made: list[Json] = until("the commit", lambda: [one for one in self.state["commits"] if one["assets"] == files])
        return made[0]

    def is_acknowledged(self, commit: Json) -> bool:
        return any(one["id"] == commit["id"] and one["acknowledged"] for one in self.state["commits"])

    def until_acknowledged(self, commit: Json) -> None:
        until("the acknowledgement", lambda: self.is_acknowledged(commit))

    def ready(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return sum(one["ready"] for one in self.state["queues"] if one["name"] == queue)

    def _control(self, path: str) -> str:
        return f"{self.described['control']['url']}/_phrasim{path}"


@contextmanager
def landscape(folder: Path, *options: str) -> Iterator[Landscape]:
    """A served landscape around the endpoint of a Phraseanet in PHP, which has no worker yet."""
    phraseanet, trace = Phraseanet(folder), folder / "trace.jsonl"
    with httpx.Client(trust_env=False, timeout=SECONDS_MAX) as http, phraseanet.endpoint() as url:
        words = ("--phraseanet", url, "--credential", f"phraseanet.token={TOKEN}", "--trace", str(trace), *options)
        with served(folder, *words) as described:
            phraseanet.meet(described["broker"]["url"])
            yield Landscape(described, trace, phraseanet, http)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Json]:
    """What `phrasim serve` prints; it ends in order, and has nothing to say but that Phraseanet is there."""
    words = ["--profile", "deployed", *ANY_PORTS, "--show-tokens", "--print", "json", *options]
    # Not measured for coverage, which would take most of the time; what it covers, others in this process do too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    said = folder / "phrasim.err"
    with said.open("wb") as errors:
        process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=errors, env=environment)
    assert process.stdout is not None
    with process.stdout:
        try:
            line = process.stdout.readline()
            assert line, said.read_text()
            yield json.loads(line)
            process.terminate()
            assert process.wait(SECONDS_MAX) == 0
        finally:
            process.kill()
            process.wait()
    assert re.fullmatch(r"phrasim: phraseanet: \S+ reachable \(HTTP 404 to GET /\)\n", said.read_text())


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landscape]:
    with landscape(tmp_path_factory.mktemp("push")) as pushing, pushing.phraseanet.worker():
        yield pushing


@pytest.fixture
def push(pushing: Landscape) -> Landscape:
    """Push mode; Phraseanet works."""
    pushing.begin()
    return pushing


def test_every_file_is_handed_over_and_acknowledged_though_two_have_the_same_bytes(push: Landscape) -> None:
    """The second one is in quarantine, which is as good as a record to the upload service."""
    content = b"the same bytes"
    commit = push.commit(content, content)
    push.until_acknowledged(commit)
    digest = sha256(content).hexdigest()
    records = push.phraseanet.records(commit["id"])
    assert [(one["asset"], one["quarantined"], one["sha256"], one["size"]) for one in records] == [
        (commit["assets"][0], False, digest, len(content)),
        (commit["assets"][1], True, digest, len(content)),
    ]
    assert {(one["publisher"], one["collection"], one["count"]) for one in records} == {(push.user["id"], "1", None)}
    asked = [f"/assets/{asset}/ack" for asset in commit["assets"]]
    assert [request["target"] for request in push.events.asked("acknowledgeAsset")] == asked
    assert push.events.statuses("acknowledgeCommit") == []
    assert {one["ready"] + one["unacknowledged"] for one in push.state["queues"]} == {0}


def test_metadata_are_read_by_the_asset_token_and_files_by_their_url_alone(push: Landscape) -> None:
    commit = push.commit(b"a file of its own")
    push.until_acknowledged(commit)
    read = push.events.asked("getAsset")
    assert [one["headers"]["authorization"] for one in read] == [f"AssetToken {commit['token']}"] * 2
    (fetched,) = push.events.asked("downloadFile")
    assert "authorization" not in fetched["headers"]
    assert fetched["answer"]["status"] == 200


def test_the_notification_tells_five_fields_and_bears_the_oauth_token(push: Landscape) -> None:
    before = len(push.phraseanet.requests)
    commit = push.commit(b"one", b"two")
    push.until_acknowledged(commit)
    (told,) = push.phraseanet.requests[before:]
    assert (told["method"], told["target"], told["status"]) == ("POST", ENQUEUE, 200)
    assert told["headers"]["authorization"] == f"OAuth {TOKEN}"
    assert told["headers"]["content-type"] == "application/json"
    assert json.loads(told["body"]) == {
        "assets": commit["assets"],
        "publisher": push.user["id"],
        "commit_id": commit["id"],
        "token": commit["token"],
        "base_url": push.upload_url,
    }


def test_a_refused_notification_is_sent_again_as_it_was(push: Landscape) -> None:
    """Phraseanet does not know the token at first; a second later the upload service tries again."""
    before = len(push.phraseanet.requests)
    push.phraseanet.configure({"oauth_tokens": ["another"]})
    try:
        commit = push.commit(b"told twice")
        until("a refusal", lambda: push.phraseanet.requests[before:])
    finally:
        push.phraseanet.configure({"oauth_tokens": [TOKEN]})
    push.until_acknowledged(commit)
    *refused, accepted = push.phraseanet.requests[before:]
    assert ({one["status"] for one in refused}, accepted["status"]) == ({401}, 200)
    assert push.events.statuses("enqueueAssets") == [401] * len(refused) + [200]
    assert {one["body"] for one in refused} == {accepted["body"]}


def test_a_commit_whose_first_asset_cannot_be_read_is_ingested_again(push: Landscape) -> None:
    push.fault("getAsset", answer={"status": 503}, occurrences=[1])
    commit = push.commit(b"read at the second attempt")
    push.until_acknowledged(commit)
    assert push.events.statuses("getAsset") == [503, 200, 200]
    (again,) = push.events.payloads("assetsIngest_retry")
    assert again["commit_id"] == commit["id"]
    assert [one["asset"] for one in push.phraseanet.records(commit["id"])] == commit["assets"]


def test_a_download_that_fails_once_is_tried_again_and_counted(push: Landscape) -> None:
    push.fault("downloadFile", answer={"status": 503}, occurrences=[1])
    commit = push.commit(b"comes at the second attempt")
    push.until_acknowledged(commit)
    assert push.events.statuses("downloadFile") == [503, 200]
    (record,) = push.phraseanet.records(commit["id"])
    assert record["count"] == 2


def test_a_download_that_always_fails_is_given_up_after_three_executions(push: Landscape) -> None:
    """What lies in the failed queue then is the payload alone, and nobody tells the upload service (H11, H12).

    The other asset of the commit is acknowledged, and the commit is not.
    """
    push.fault("downloadFile", answer={"status": 503}, occurrences=[2, 3, 4])
    commit = push.commit(b"comes", b"never comes")
    until("a message that was given up", lambda: push.ready("createRecord_failed"))
    assert push.events.statuses("downloadFile") == [200, 503, 503, 503]
    with pika.BlockingConnection(pika.URLParameters(push.described["broker"]["url"])) as connection:
        _, properties, body = connection.channel().basic_get("createRecord_failed", auto_ack=True)
    message = json.loads(body)
    stamps = message.pop("published"), message.pop("payload").pop("published")
    assert stamps[0] <= stamps[1] <= time.time()
    assert message == {
        "asset": commit["assets"][1],
        "publisher": push.user["id"],
        "assetToken": commit["token"],
        "storyId": None,
        "base_url": push.upload_url,
        "commit_id": commit["id"],
        "verify_ssl": True,
        "count": 4,
    }
    deaths = [(one["queue"], one["reason"], one["count"]) for one in properties.headers["x-death"]]
    assert deaths == [("createRecord_retry", "expired", 1), ("createRecord", "rejected", 4)]
    assert push.events.statuses("acknowledgeAsset") == [200]
    assert not push.is_acknowledged(commit)
    assert [one["asset"] for one in push.phraseanet.records(commit["id"])] == commit["assets"][:1]


def own_address() -> str:
    """A loopback address of this test's own, whose port 80 it may have: pull mode knows no other port (H22)."""
    chance = random.SystemRandom()
    for _ in range(20):
        address = ".".join(["127", *(str(chance.randrange(1, 255)) for _ in range(3))])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, 80))
            except PermissionError:
                give_up("port 80 is not for this user to bind: sysctl net.ipv4.ip_unprivileged_port_start=80")
            except OSError as error:
                reason = error.strerror
                continue
            return address
    give_up(f"no address 127.0.0.0/8 has a free port 80: {reason}")


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landscape]:
    options = ("--mode", "pull", "--host", own_address(), "--upload-port", "80")
    with landscape(tmp_path_factory.mktemp("pull"), *options) as pulled:
        yield pulled


@pytest.fixture
def pull(pulled: Landscape) -> Landscape:
    """Pull mode; Phraseanet has no worker yet, and no token."""
    pulled.begin()
    pulled.phraseanet.pull(
        {
            "pullmodeUri": f"{pulled.upload_url}/commits?target={pulled.target['id']}",
            "clientId": pulled.client["client_id"],
            "clientSecret": pulled.client["client_secret"],
            "verify_ssl": True,
        }
    )
    return pulled


def token_of(phraseanet: Phraseanet) -> str:
    """The token that Phraseanet keeps for what it pulls."""
    token: str = phraseanet.settings["workers"]["pull_assets"]["uploader"]["assetToken"]
    return token


def test_a_commit_that_a_later_poll_finds_is_handed_over_to_the_end(pull: Landscape) -> None:
    with pull.phraseanet.worker():
        until("a poll", lambda: pull.events.asked("listCommits"))
        commit = pull.commit(b"pulled", b"pulled, too")
        pull.until_acknowledged(commit)
    assert [one["asset"] for one in pull.phraseanet.records(commit["id"])] == commit["assets"]
    assert pull.events.statuses("acknowledgeAsset") == [200, 200]
    assert pull.phraseanet.requests == []


def test_phraseanet_gets_one_token_and_lists_commits_as_json_ld(pull: Landscape) -> None:
    with pull.phraseanet.worker():
        until("two polls", lambda: len(pull.events.asked("listCommits")) >= 2)
    (issued,) = pull.events.asked("issueClientToken")
    assert issued["body"]["json"] == {
        "client_id": pull.client["client_id"],
        "client_secret": pull.client["client_secret"],
        "grant_type": "client_credentials",
        "scope": "commit:list",
    }
    for listed in pull.events.asked("listCommits"):
        assert listed["target"] == f"/commits?target={pull.target['id']}&acknowledged=false"
        assert listed["headers"]["authorization"] == f"Bearer {token_of(pull.phraseanet)}"
        assert "accept" not in listed["headers"]
        assert listed["answer"]["status"] == 200
        assert listed["answer"]["headers"]["content-type"] == "application/ld+json; charset=utf-8"


def test_a_pulled_commit_is_fetched_without_the_port_of_the_list(pull: Landscape) -> None:
    assert pull.upload_url.endswith(":80")
    commit = pull.commit(b"at the usual port")
    with pull.phraseanet.worker():
        pull.until_acknowledged(commit)
    (payload,) = pull.events.payloads("assetsIngest")
    assert payload["base_url"] == pull.upload_url.removesuffix(":80")
    assert payload["assets"] == commit["assets"]


def test_a_token_that_is_refused_is_replaced_once(pull: Landscape) -> None:
    target = pull.phraseanet.settings["workers"]["pull_assets"]["uploader"]
    pull.phraseanet.pull(target | {"assetToken": "a-token-of-yesterday"})
    commit = pull.commit(b"listed at the second attempt")
    with pull.phraseanet.worker():
        pull.until_acknowledged(commit)
    refused, *listed = pull.events.asked("listCommits")
    assert (refused["headers"]["authorization"], refused["answer"]["status"]) == ("Bearer a-token-of-yesterday", 401)
    fresh = f"Bearer {token_of(pull.phraseanet)}"
    assert {(one["headers"]["authorization"], one["answer"]["status"]) for one in listed} == {(fresh, 200)}
    assert pull.events.statuses("issueClientToken") == [200]
    assert [one["asset"] for one in pull.phraseanet.records(commit["id"])] == commit["assets"]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    phraseanet = Phraseanet(tmp_path_factory.mktemp("endpoint"))
    phraseanet.configure({"expired_tokens": ["expired"]})
    with phraseanet.endpoint() as url:
        yield url


NOTIFICATION = {"assets": [], "publisher": "p", "commit_id": "c", "token": "t", "base_url": "http://upload.example"}
GOOD = f"OAuth {TOKEN}"


@pytest.mark.parametrize(
    ("path", "authorization", "body", "status", "told"),
    [
        (ENQUEUE, None, NOTIFICATION, 400, "OAuth realm='Service', error='invalid_request'"),
        (ENQUEUE, "OAuth wrong", NOTIFICATION, 401, "OAuth realm='Service', error='invalid_token'"),
        (ENQUEUE, "OAuth expired", NOTIFICATION, 401, "OAuth realm='Service', error='expired_token'"),
        (ENQUEUE, f"Bearer {TOKEN}", NOTIFICATION, 400, {"error": "invalid_request"}),
        (ENQUEUE, f"ApiKey {TOKEN}", NOTIFICATION, 400, {"error": "invalid_request"}),
        (f"{ENQUEUE}?oauth_token={TOKEN}", GOOD, NOTIFICATION, 400, {"error": "invalid_request"}),
        (ENQUEUE, GOOD, {"assets": [], "publisher": "p", "token": "t"}, 422, "The property base_url is required"),
        (ENQUEUE, GOOD, "no object", 422, "An object is required"),
        (ENQUEUE.rstrip("/"), GOOD, NOTIFICATION, 404, f'No route found for "POST {ENQUEUE.rstrip("/")}"'),
    ],
)
def test_the_endpoint_in_php_refuses_as_the_contract_says(
    endpoint: str, path: str, authorization: str | None, body: Any, status: int, told: str | Json
) -> None:
    """Else nothing would follow from what it accepts."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = httpx.post(endpoint + path, headers=headers, json=body, trust_env=False)
    media_type = answer.headers.get("content-type")
    value = None if media_type is None else answer.json()
    if value is None:
        seen = answer.headers["www-authenticate"]
    else:
        seen = value["meta"]["error_details"] if "meta" in value else value
    assert (answer.status_code, seen) == (status, told)
    operation = contract("deployed").operations["enqueueAssets"]
    assert value is None or operation.response_violations(status, media_type, value) == []
    assert operation.header_violations(status, answer.headers) == []
