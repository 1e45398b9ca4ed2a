"""`phrasim serve --shards N`: landscapes that share nothing, each in a process of its own."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from cli.server import PATIENCE_SECONDS, Server
from cli.test_serve import hand_over
from phrasim.cli.serve import SHARD_PORTS
from phrasim.journal.lines import read_trace

SHARDS = 3


def children(server: Server) -> list[int]:
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_each_prints_a_line_in_its_turn_and_shares_nothing(serve: Callable[..., Server]) -> None:
    server = serve("--shards", str(SHARDS), "--print", "json", "--trace", "served.jsonl")
    landscapes = [server.landscape() for _ in range(SHARDS)]
    assert len(children(server)) == SHARDS
    assert len({one["upload"]["url"] for one in landscapes}) == SHARDS
    assert len({one["users"][0]["token"] for one in landscapes}) == SHARDS
    states = [hand_over(one) for one in landscapes]
    assert [len(one["commits"]) for one in states] == [1] * SHARDS
    assert len({one["commits"][0]["id"] for one in states}) == SHARDS
    assert server.end() == ""
    for number, state in enumerate(states, start=1):
        _, events = read_trace(Path(f"served-{number}.jsonl"))
        mentioned = {one["commits"][0]["id"] for one in states if one["commits"][0]["id"] in str(events)}
        assert mentioned == {state["commits"][0]["id"]}


def test_lines_bear_the_number_of_their_shard(serve: Callable[..., Server]) -> None:
    server = serve("--shards", "2")
    lines: list[str] = []
    while sum("Ctrl-C ends it." in line for line in lines) < 2:
        lines.append(server.line())
    assert {line[0] for line in lines} == {"1", "2"}
    for number in "12":
        own = [line[3:] for line in lines if line.startswith(f"{number}  ")]
        assert own[0].startswith("phrasim serves: push mode")
    assert server.end(signal.SIGINT) == ""


def test_one_that_dies_ends_the_others(serve: Callable[..., Server]) -> None:
    server = serve("--shards", "2", "--print", "json")
    landscapes = [server.landscape(), server.landscape()]
    os.kill(children(server)[0], signal.SIGKILL)
    assert server.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGKILL
    assert server.process.stderr is not None
    assert server.process.stderr.read() == b"phrasim: shard 1 was ended by SIGKILL, and with it the others\n"
    for one in landscapes:
        with pytest.raises(httpx.ConnectError):
            httpx.get(one["control"]["url"], trust_env=False)


def test_a_port_of_the_second_that_is_taken_is_told_before_any_serves(serve: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = ["--upload-port", str(port - SHARD_PORTS)]
        ports += [word for name in ("phraseanet", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]
        server = serve("--shards", "2", ports=ports)
        _, said = server.process.communicate(timeout=PATIENCE_SECONDS)
    assert server.process.returncode == 2
    assert f"{port}" in said.decode()


def test_the_second_has_ports_ten_further(serve: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ports = ["--upload-port", str(port)]
    ports += [word for name in ("phraseanet", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]
    server = serve("--shards", "2", "--print", "json", ports=ports)
    urls = [json.loads(server.line())["upload"]["url"] for _ in range(2)]
    assert urls == [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 10}"]
    server.end()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shards", "0"], "0 is not in the range 1<=x<=64"),
        (["--shards", "2", "--broker", "amqp://b.example"], "--broker is for one landscape"),
        (["--shards", "2", "--public-url", "upload=http://a"], "--public-url is for one landscape"),
        (
            ["--shards", "64", "--upload-port", "65000"],
            "phrasim: --shards: the --upload-port of shard 55 would be 65540, and 65535 is the last one\n",
        ),
        (
            ["--shards", "3", "--upload-port", "18081", "--auth-port", "18101"],
            "phrasim: --shards: --upload-port of shard 3 would be 18101, which --auth-port of shard 1 is; ",
        ),
    ],
)
def test_a_call_that_is_wrong_says_what_is(phrasim: Callable[..., Result], words: list[str], said: str) -> None:
    result = phrasim("serve", *words)
    assert result.exit_code == 2
    assert said in result.output
