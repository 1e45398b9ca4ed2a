"""`--profile` of `phrasim run` and `phrasim serve`."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from phrasim.documents import flow_document
from phrasim.documents.specification import installed_schemas

Call = Callable[..., Result]
Write = Callable[..., Path]

COMMAND = [sys.executable, "-c", "from phrasim.cli import main; main()", "serve"]
PORTS = [word for name in ("upload", "phraseanet", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]


@pytest.fixture
def served(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `phrasim serve --profile deployed`, and ends it."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        call = [*COMMAND, "--profile", "deployed", *PORTS, *words]
        process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=10)
        assert process.returncode == 0


def test_a_scenario_is_looked_up_by_name_among_those_of_the_profile(phrasim: Call) -> None:
    assert phrasim("run", "push", "--profile", "deployed").stdout.splitlines()[-1] == "deployed-push: held"
    assert phrasim("run", "push", "--profile", "documented").stdout.splitlines()[-1] == "push: held"
    assert phrasim("run", "deployed/push").stdout.splitlines()[-1] == "deployed-push: held"


def test_of_a_folder_the_scenarios_of_that_profile_are_played(phrasim: Call, scenario: Write) -> None:
    scenario("push", file="one.yaml")
    scenario("deployed/push", file="two.yaml")
    played = phrasim("run", ".", "--profile", "deployed").stdout.splitlines()
    assert played == ["deployed-push: held", "1 of 1 scenarios held"]
    assert len(phrasim("run", ".").stdout.splitlines()) == 3


def test_what_has_no_scenario_of_the_profile_is_told(phrasim: Call, scenario: Write) -> None:
    result = phrasim("run", scenario("push"), "--profile", "deployed")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "phrasim: --profile deployed: what is named are scenarios of the profile documented\n"
    result = phrasim("run", "no-such-scenario", "--profile", "deployed")
    assert result.exit_code == 2
    assert "phrasim comes with" in result.stderr
    assert "signed-url-expires-while-held" in result.stderr


def test_a_trace_of_the_deployed_profile_is_replayed_and_drawn_and_held_to_its_flow(phrasim: Call) -> None:
    assert phrasim("run", "push", "--profile", "deployed", "--trace", "push.jsonl").exit_code == 0
    assert phrasim("replay", "push.jsonl").stdout.startswith("push.jsonl: the same")
    assert "Download file #1" in phrasim("diagram", "push.jsonl").stdout
    held = phrasim("conform", flow_document("deployed"), "push.jsonl")
    assert (held.exit_code, "19 of 19 arrows walked" in held.stdout) == (0, True)
    token = json.loads(Path("push.jsonl").read_text().splitlines()[0])["tokens"]
    assert token == "redacted"
    assert "signature=" not in Path("push.jsonl").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("profile: deployed\n", ""), "the profile documented has no operation 'acknowledgeAsset'"),
        (("given:\n", "given:\n  uploadSizeMax: 1 KiB\n"), "this has a meaning in the profile documented only"),
        (("  records: one", "  queues: {createRecords: 0}\n  records: one"), "did you mean 'createRecord'?"),
        (("{assetsIngest: 1}", "{assetIngest: 1}"), "did you mean 'assetsIngest'?"),
        (("$given.target.slug", "$given.target.slog"), "$given.target.slog: given has"),
        (("expect:\n", "expect:\n  notes: {workr died: 0}\n"), "did you mean 'worker died'?"),
        (("    file: $each\n", "    file: $each\n    body: {}\n"), "a step sends one body; this one has file and body"),
    ],
)
def test_what_a_scenario_of_a_profile_may_not_say_is_told_at_its_line(
    phrasim: Call, scenario: Write, change: tuple[str, str], said: str
) -> None:
    result = phrasim("run", scenario("deployed/push", change))
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("phrasim: changed.yaml:")


def test_a_landscape_tells_its_targets_and_its_first_client_may_list_commits(
    served: Callable[..., subprocess.Popen[str]],
) -> None:
    process = served("--print", "json")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    schema = "/components/schemas/Landscape"
    assert installed_schemas().violations("control.yaml", schema, {"id": "1", **told}) == []
    (target,) = told["upload"]["targets"]
    assert "commit:list" in told["clients"][0]["scopes"]
    state = httpx.get(f"{told['control']['url']}/_phrasim/state").json()
    assert (state["profile"], state["counts"]["runningJobs"]) == ("deployed", 0)
    bearer = {"authorization": f"Bearer {told['users'][0]['token']}"}
    asked = {"target": f"/targets/{target['id']}", "files": []}
    answer = httpx.post(f"{told['upload']['url']}/commit", headers=bearer, json=asked)
    assert (answer.status_code, answer.json()) == (200, True)


def test_people_are_told_the_targets_and_the_token_of_phraseanet(
    served: Callable[..., subprocess.Popen[str]],
) -> None:
    process = served("--mode", "pull")
    assert process.stdout is not None
    lines = []
    while not lines or "Ctrl-C" not in lines[-1]:
        lines.append(process.stdout.readline().rstrip())
    assert lines[0] == "phrasim serves: pull mode, deployed"
    at = lines.index("targets of the upload service")
    assert lines[at + 1].startswith("  phraseanet  id ")
    assert lines[at + 2] == "Phraseanet's token, as Authorization: OAuth …"


def test_pull_mode_finds_the_simulated_upload_service_at_any_port(
    served: Callable[..., subprocess.Popen[str]],
) -> None:
    process = served("--mode", "off", "--print", "json")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    landscapes = f"{told['control']['url']}/_phrasim/landscapes"
    further = httpx.post(landscapes, json={"mode": "pull", "interval": "1 h"}).json()
    bearer = {"authorization": f"Bearer {further['users'][0]['token']}"}
    slug = further["upload"]["targets"][0]["slug"]
    upload = further["upload"]["url"]
    sent = httpx.post(f"{upload}/assets", headers=bearer, data={"targetSlug": slug}, files={"file": b"Hello."})
    httpx.post(f"{upload}/commit", headers=bearer, json={"files": [sent.json()["id"]], "targetSlug": slug})
    assert httpx.post(f"{further['control']['url']}/_phrasim/poll").json() == {"accepted": 1}
    fault = {"operationId": "downloadAsset", "refuse": True}
    refused = httpx.post(f"{further['control']['url']}/_phrasim/faults", json=fault)
    assert (refused.status_code, "the profile deployed has no operation 'downloadAsset'" in refused.text) == (400, True)


def test_pull_mode_with_a_real_upload_service_at_a_port_is_warned_of(
    served: Callable[..., subprocess.Popen[str]],
) -> None:
    process = served("--mode", "pull", "--only", "phraseanet,auth", "--upload", "http://127.0.0.1:9", "--print", "json")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=10)
    assert "Phraseanet drops the port of http://127.0.0.1:9, and will ask at the usual one" in said


def test_the_usual_port_can_be_served(served: Callable[..., subprocess.Popen[str]]) -> None:
    host = "127.0.4.80"
    try:
        socket.create_server((host, 80)).close()
    except PermissionError:
        pytest.skip("port 80 may not be bound here, and the deployed Phraseanet pulls from no other (H22)")
    process = served("--mode", "pull", "--host", host, "--upload-port", "80", "--print", "json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["upload"]["url"] == f"http://{host}:80"
    process.terminate()
    _, said = process.communicate(timeout=10)
    assert said == ""


@pytest.mark.parametrize("words", [["--grace", "1 s"], ["--embed-assets"]])
def test_what_only_the_deployed_services_have_wants_their_profile(phrasim: Call, words: list[str]) -> None:
    result = phrasim("serve", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"phrasim: {words[0]} has a meaning with --profile deployed only\n"


def test_a_time_that_is_none_is_told(phrasim: Call) -> None:
    result = phrasim("serve", "--profile", "deployed", "--grace", "soon")
    assert result.exit_code == 2
    assert result.stderr.startswith("phrasim: --grace 'soon': write a number")
