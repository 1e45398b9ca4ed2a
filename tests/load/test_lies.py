"""Load runs of services that lie now and then: the account finds it out, and names the commit."""

import re
from pathlib import Path

import pytest

from load.processes import Serve, locust, told

pytestmark = pytest.mark.unmeasured

COMMIT = re.compile(r"commit [0-9a-f]{8}-[0-9a-f-]{27}")
LIES = {
    "drop_an_acknowledgement": "is listed as new, though its acknowledgement was answered with 200",
    "serve_a_wrong_byte": "came with the SHA-256",
    "notify_twice": "was handed over 2 times: by so many notifications",
}


@pytest.mark.parametrize("lie", LIES)
def test_one_lie_among_many_fails_the_run_and_names_the_commit(lie: str, serve: Serve) -> None:
    every = 50  # acknowledgements, downloads, notifications
    landscape = serve(command=[Path(__file__).with_name("liar.py"), lie, str(every)])
    result = locust(landscape, "-u", "20", "-r", "20", "--duration", "5s", "--sizes", "1 KiB", "-L", "WARNING")
    assert result.returncode == 1, told(result)
    sentences = [line.strip() for line in result.stdout.splitlines() if LIES[lie] in line]
    assert 1 <= len(sentences) <= 4, told(result)
    assert all(COMMIT.match(sentence) for sentence in sentences)


@pytest.mark.turn
def test_a_wrong_byte_is_found_before_its_record_is_forgotten(serve: Serve) -> None:
    """Each record is gone when the next one comes."""
    landscape = serve("--retain", "1s", command=[Path(__file__).with_name("liar.py"), "serve_a_wrong_byte", "1"])
    words = ["-u", "1", "--duration", "5s", "--rate", "0.5", "--sizes", "1 KiB", "--retain", "1s", "-L", "WARNING"]
    result = locust(landscape, *words)
    assert result.returncode == 1, told(result)
    wrong = {COMMIT.findall(line)[0] for line in result.stdout.splitlines() if LIES["serve_a_wrong_byte"] in line}
    assert len(wrong) >= 2, told(result)
