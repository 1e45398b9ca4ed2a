"""`phrasim serve` as its callers know it: what it prints, what it takes, and that a hand-over through it conforms."""

import json
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pika
import pytest
import trustme
from click.testing import Result

from cli.server import ANY_PORTS, COMMAND, NAMES, PATIENCE_SECONDS, Server
from phrasim.documents import flow_document
from phrasim.documents.specification import installed_schemas
from phrasim.journal.lines import read_trace

Call = Callable[..., Result]


def hand_over(landscape: dict[str, Any], *, verify: ssl.SSLContext | bool = True) -> dict[str, Any]:
    """Upload two files, commit them, and follow the journal until they are acknowledged; the state after that."""
    bearer = {"authorization": f"Bearer {landscape['users'][0]['token']}"}
    upload, control = landscape["upload"]["url"], landscape["control"]["url"]
    with httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False, verify=verify) as client:
        with client.stream("GET", f"{control}/_phrasim/journal", params={"follow": "true"}) as answer:
            lines = answer.iter_lines()
            next(lines)
            ids = []
            for content in (b"one", b"two"):
                uploaded = client.post(f"{upload}/assets", headers=bearer, files={"file": ("a.txt", content)})
                ids.append(uploaded.json()["id"])
            body = {"files": ids, "formData": {"title": "Two"}}
            assert client.post(f"{upload}/commit", headers=bearer, json=body).status_code == 200
            assert any("acknowledgeCommit" in line and '"status":200' in line for line in lines)
        state: dict[str, Any] = client.get(f"{control}/_phrasim/state").json()
    return state


# What it prints.


def test_json_is_one_line_as_the_control_api_describes_it(serve: Callable[..., Server]) -> None:
    server = serve("--print", "json")
    landscape = server.landscape()
    assert list(landscape) == [
        "profile",
        "mode",
        "upload",
        "phraseanet",
        "auth",
        "control",
        "broker",
        "users",
        "clients",
    ]
    value = {"id": "1", **landscape}
    assert installed_schemas().violations("control.yaml", "/components/schemas/Landscape", value) == []
    assert [list(landscape[name]) for name in NAMES] == [["url"], ["url", "token"], ["url"], ["url"]]
    assert [user["roles"] for user in landscape["users"]] == [["ROLE_USER"], ["ROLE_USER", "ROLE_SUPER_ADMIN"]]
    assert landscape["clients"][0]["scopes"] == ["commit:list"]
    hand_over(landscape)
    assert server.end() == ""


def test_text_tells_people_the_same_and_every_arrow(serve: Callable[..., Server]) -> None:
    server = serve()
    said = server.until("Ctrl-C")
    assert said[0] == "phrasim serves: push mode, documented\n"
    urls = dict(re.findall(r"^  (upload|phraseanet|auth|control) +(http://127\.0\.0\.1:\d+)$", "".join(said), re.M))
    assert tuple(urls) == NAMES
    assert "  publisher@example.org  password " in "".join(said)
    token = next(line.split()[1] for line in said if line.startswith("    token "))
    landscape = {name: {"url": url} for name, url in urls.items()} | {"users": [{"token": token}]}
    state = hand_over(landscape)
    assert [record["originalName"] for record in state["records"]] == ["a.txt", "a.txt"]
    server.until(" upload -> phraseanet ")
    server.until("Acknowledge of upload commit")
    assert server.end(signal.SIGINT) == ""


def test_who_is_not_played_is_nobody_and_is_warned_of(serve: Callable[..., Server]) -> None:
    server = serve("--only", "upload, auth", "--print", "json")
    landscape = server.landscape()
    assert [name for name in NAMES if landscape[name] is None] == ["phraseanet"]
    said = server.end()
    assert said.startswith("phrasim: nobody plays phraseanet: no commit is notified; ")
    assert said.count("\n") == 1


def test_without_auth_there_are_no_users(serve: Callable[..., Server]) -> None:
    server = serve("--only", "upload", "--mode", "off", "--print", "json")
    landscape = server.landscape()
    assert (landscape["users"], landscape["clients"]) == ([], [])
    assert "nobody plays auth" in server.end()


def test_the_help_shows_examples_of_every_kind(phrasim: Call) -> None:
    said = phrasim("serve", "--help").stdout
    for example in ("--mode pull", "--seed-data", "--trace", "--print json", "--only upload --phraseanet https://"):
        assert re.search(rf"^ +phrasim serve .*{example}", said, re.M), example


# What it takes.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mode", "sideways"], "Invalid value for '--mode'"),
        (
            ["--interval", "5"],
            "phrasim: --interval '5': write a number and its unit, such as '5 s', '500 ms' or '2 min'\n",
        ),
        (["--interval", "0 s"], "phrasim: --interval '0 s': write a number above 0 and its unit"),
        (["--interval", "-1 s"], "phrasim: --interval '-1 s': write a number and its unit"),
        (["--retain", "0s"], "phrasim: --retain '0s': write a number above 0 and its unit"),
        (["--retain", "a while"], "phrasim: --retain 'a while': write a number and its unit"),
        (["--only", "user"], "phrasim: --only: 'user' is no participant that phrasim plays; it plays upload, "),
        (["--only", ""], "phrasim: --only: '' is no participant that phrasim plays"),
        (
            ["--only", "broker", "--broker", "amqp://b.example"],
            "phrasim: --only says that broker is simulated, and --b",
        ),
        (
            ["--amqp-port", "0", "--broker", "amqp://b.example"],
            "phrasim: --amqp-port is for a simulated broker, and --",
        ),
        (["--amqp-vhost", ""], "phrasim: --amqp-vhost"),
        (["--broker", "amqp://u:secret@h:1/a/b"], "phrasim: broker: 'amqp://h:1/a/b': a '/' in the name of a virtual"),
        (["--amqp-login", "guest"], "phrasim: --amqp-login: write USER:PASSWORD, such as guest:guest"),
        (["--amqp-login", "phrasim:x"], "phrasim: --amqp-login: 'phrasim' is the user of the simulated Phraseanet"),
        (["--amqp-vhost", ""], "phrasim: --amqp-vhost: a virtual host has a name of 1 to 255 bytes, such as /"),
        (["--amqp-vhost", "v" * 256], "phrasim: --amqp-vhost: a virtual host has a name of 1 to 255 bytes"),
        (["--broker", "amqp://a..b"], "phrasim: broker: 'amqp://a..b' names no host and port that can be reached"),
        (["--only", "auth", "--auth", "https://a.example"], "phrasim: --only says that auth is simulated, and --auth"),
        (["--public-url", "upload"], "phrasim: --public-url 'upload': write NAME=URL, with upload, phraseanet or auth"),
        (["--public-url", "upload=ftp://x"], "ftp://x"),
        (["--host", "no.such.host.invalid"], "the host 'no.such.host.invalid' is not known here"),
        (["--host", "192.0.2.1"], "192.0.2.1 is not an address of this machine"),
        (["--upload-port", "70000"], "phrasim: upload: --upload-port 70000 is no port; one lies between 1 and 65535"),
        (["--upload-port", "8099", "--auth-port", "8099"], "--upload-port and --auth-port both say 8099"),
        (
            ["--tls-cert", "a.pem"],
            "phrasim: --tls-cert was given without --tls-key; HTTPS takes a certificate and its key",
        ),
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_is_served(words: list[str], said: str, phrasim: Call) -> None:
    result = phrasim("serve", *ANY_PORTS, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_real_broker_is_of_no_use_where_phraseanet_is_not_played(phrasim: Call) -> None:
    ports = [word for name in NAMES for word in (f"--{name}-port", "0")]
    result = phrasim("serve", *ports, "--only", "upload", "--broker", "amqp://b.example")
    assert result.exit_code == 2
    assert (
        result.stderr
        == "phrasim: --broker is the broker of the simulated Phraseanet, which is not played; leave it out\n"
    )


@pytest.mark.parametrize(
    "words", [["--amqp-login", "a:b"], ["--amqp-vhost", "other"], ["--broker-version", "4"]], ids=lambda words: words[0]
)
def test_what_is_said_of_a_simulated_broker_is_not_for_a_real_one(words: list[str], phrasim: Call) -> None:
    result = phrasim("serve", "--broker", "amqp://b.example", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "phrasim: --amqp-login, --amqp-vhost and --broker-version are for a simulated broker"
    )


def test_a_taken_port_is_told_with_the_option(phrasim: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = phrasim("serve", *ANY_PORTS, "--auth-port", str(port), "--trace", "trace.jsonl")
    assert result.exit_code == 2
    assert result.stderr == (
        f"phrasim: auth: port {port} on 127.0.0.1 is taken by another program; "
        "choose another by --auth-port, or 0 for any free one\n"
    )
    assert not Path("trace.jsonl").exists()


@pytest.mark.parametrize("path", ["none/trace.jsonl", "."])
def test_a_trace_that_cannot_be_written_is_told_before_anything_is_served(path: str, phrasim: Call) -> None:
    result = phrasim("serve", *ANY_PORTS, "--trace", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"phrasim: writing the trace {path!r}: ")
    assert result.stderr.count("\n") == 1


def test_a_public_url_is_told_to_others_and_the_worker_reaches_it(serve: Callable[..., Server]) -> None:
    server = serve("--public-url", "upload=https://media.example/up", "--print", "json", "--trace", "trace.jsonl")
    landscape = server.landscape()
    assert landscape["upload"] == {"url": "https://media.example/up"}
    control = landscape["control"]["url"]
    files = {"a.txt": {"size": "1 KiB"}}
    commit = {"publisher": landscape["users"][0]["email"], "files": files}
    with httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False) as client:
        with client.stream("GET", f"{control}/_phrasim/journal", params={"follow": "true"}) as answer:
            lines = answer.iter_lines()
            client.post(f"{control}/_phrasim/seed-data", json={"commits": [commit]}).raise_for_status()
            assert client.post(f"{control}/_phrasim/poll").json() == {"accepted": 1}
            assert any("acknowledgeCommit" in line and '"status":200' in line for line in lines)
        assert len(client.get(f"{control}/_phrasim/state").json()["records"]) == 1
    assert server.end() == ""


def test_a_host_that_others_reach_is_warned_of(serve: Callable[..., Server]) -> None:
    server = serve("--host", "0.0.0.0", "--print", "json")
    hand_over(server.landscape())
    said = server.end()
    assert said.startswith("phrasim: listening on 0.0.0.0: whoever can reach this machine can use the simulators")
    assert said.count("\n") == 1


def test_a_hand_over_by_tls(serve: Callable[..., Server]) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path("key.pem")
    made.cert_chain_pems[0].write_to_path("cert.pem")
    server = serve("--tls-cert", "cert.pem", "--tls-key", "key.pem", "--print", "json", "--trace", "trace.jsonl")
    landscape = server.landscape()
    assert [landscape[name]["url"].partition(":")[0] for name in NAMES] == ["https"] * 4
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    assert len(hand_over(landscape, verify=trusting)["records"]) == 2
    assert server.end() == ""


def test_seed_data_is_there_and_pull_finds_its_commits(serve: Callable[..., Server]) -> None:
    Path("seed.yaml").write_text(
        "users: [{email: zoe@example.org, password: secret, token: zoes-token}]\n"
        "clients: [{client_id: mine, client_secret: hush}]\n"
        "commits: [{publisher: zoe@example.org, files: {test.png: {size: 2 KiB, mimeType: image/png}}}]\n"
    )
    words = ("--mode", "pull", "--interval", "10 ms", "--seed-data", "seed.yaml", "--print", "json")
    server = serve(*words, "--trace", "trace.jsonl")
    landscape = server.landscape()
    [zoe] = [user for user in landscape["users"] if user["email"] == "zoe@example.org"]
    assert (zoe["password"], zoe["token"]) == ("secret", "zoes-token")
    assert {"client_id": "mine", "client_secret": "hush", "scopes": []} in landscape["clients"]
    url = f"{landscape['control']['url']}/_phrasim/journal"
    with httpx.stream("GET", url, params={"follow": "true"}, trust_env=False) as answer:
        assert any("acknowledgeCommit" in line and '"status":200' in line for line in answer.iter_lines())
    assert server.end() == ""


# The trace.


def test_a_trace_is_written_while_it_runs_and_conforms(serve: Callable[..., Server], phrasim: Call) -> None:
    server = serve("--print", "json", "--trace", "trace.jsonl")
    landscape = server.landscape()
    header, *_ = Path("trace.jsonl").read_text().splitlines()
    assert json.loads(header)["wire"] == "loopback"
    hand_over(landscape)
    assert sum("acknowledgeCommit" in line for line in Path("trace.jsonl").read_text().splitlines()) >= 2
    assert landscape["users"][0]["token"] not in Path("trace.jsonl").read_text()
    assert server.end() == ""
    read_trace(Path("trace.jsonl"))
    result = phrasim("conform", flow_document("documented"), "trace.jsonl", "--section", "Push mode")
    assert result.exit_code == 0, result.output
    assert "12 of 12 arrows walked" in result.stdout


# Who reads its output.


def test_a_reader_who_leaves_does_not_end_it(serve: Callable[..., Server]) -> None:
    """As `phrasim serve --print json | head -1` has it, and somebody who looks at the first line of the text."""
    server = serve()
    said = "".join(server.until("Ctrl-C"))
    urls = {name: {"url": url} for name, url in re.findall(r"^  (\w+) +(http://\S+)$", said, re.M)}
    tokens = re.findall(r"^    token (\S+)$", said, re.M)
    assert server.process.stdout is not None
    server.process.stdout.close()
    hand_over({**urls, "users": [{"token": tokens[0]}]})
    server.process.send_signal(signal.SIGTERM)
    assert server.process.stderr is not None
    assert server.process.stderr.read() == b""
    assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_closed_standard_output_is_told(folder: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, *ANY_PORTS]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, check=False, timeout=PATIENCE_SECONDS)
    assert ended.returncode == 2
    assert ended.stderr == b"phrasim: standard output is closed; send it to /dev/null where nobody is to read it\n"


# The broker.


def fetched(url: str, queue: str, body: bytes) -> bytes:
    """What comes back from a queue of that broker."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue)
        channel.basic_publish("", queue, body)
        found: bytes = channel.basic_get(queue, auto_ack=True)[2]
        return found


def test_json_tells_where_the_broker_is(serve: Callable[..., Server]) -> None:
    server = serve("--print", "json", "--amqp-login", "me:secret", "--amqp-vhost", "ours")
    url = server.landscape()["broker"]["url"]
    assert re.fullmatch(r"amqp://me:secret@127\.0\.0\.1:\d+/ours", url)
    assert fetched(url, "mine", b"hello") == b"hello"
    assert server.end() == ""


@pytest.mark.parametrize("asked", [True, False])
def test_phraseanet_alone_keeps_its_broker_to_itself_unless_its_port_is_asked_for(
    asked: bool, serve: Callable[..., Server]
) -> None:
    ports = ["--phraseanet-port", "0", "--control-port", "0", *(["--amqp-port", "0"] if asked else [])]
    server = serve("--only", "phraseanet", "--mode", "off", "--print", "json", ports=ports)
    assert (server.landscape()["broker"] is not None) == asked
    server.end()


def test_the_broker_can_be_served_alone(serve: Callable[..., Server]) -> None:
    ports = ["--control-port", "0"]
    server = serve("--only", "broker", "--amqp-port", "0", "--print", "json", ports=ports)
    landscape = server.landscape()
    assert [name for name, value in landscape.items() if value] == ["profile", "mode", "control", "broker"]
    assert fetched(landscape["broker"]["url"], "mine", b"hello") == b"hello"
    assert server.end() == ""


def test_a_run_whose_queue_is_there_with_other_arguments_ends_in_a_line(
    serve: Callable[..., Server], phrasim: Call
) -> None:
    server = serve("--only", "broker", "--amqp-port", "0", "--print", "json", ports=["--control-port", "0"])
    url = server.landscape()["broker"]["url"]
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_declare("assetsIngest")
    result = phrasim("run", "push", "--broker", url)
    assert result.exit_code == 2
    assert "phrasim: broker: 406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'assetsIngest'" in (
        result.stderr
    )
    assert "Traceback" not in result.stderr


def test_a_taken_port_of_the_broker_is_told_with_the_option(phrasim: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = phrasim("serve", *ANY_PORTS, "--amqp-port", str(port))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"phrasim: broker: port {port} on 127.0.0.1 is taken by another program; "
        "choose another by --amqp-port, or 0 for any free one\n"
    )


def test_a_real_broker_that_cannot_be_reached_ends_it_in_a_line(phrasim: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ports = [word for name in NAMES for word in (f"--{name}-port", "0")]
    result = phrasim("serve", *ports, "--broker", f"amqp://me:secret@127.0.0.1:{port}/ours")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"phrasim: broker: amqp://127.0.0.1:{port}/ours not usable: the broker cannot be reached: Connection refused",
        "phrasim: broker: the broker cannot be reached: Connection refused; phrasim cannot serve Phraseanet without it",
    ]


def test_the_help_shows_how_to_serve_the_broker_and_how_to_use_a_real_one(phrasim: Call) -> None:
    said = phrasim("serve", "--help").stdout
    for example in ("serve --only broker --amqp-port", "serve --broker amqp://", "run .*--broker amqp://"):
        said += phrasim("run", "--help").stdout if example.startswith("run") else ""
        assert re.search(rf"^ +phrasim {example}", said, re.M), example
