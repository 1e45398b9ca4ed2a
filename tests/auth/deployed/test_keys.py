"""The key of the deployed Auth, and how it is shown to those who verify its tokens (PROTOCOL §5)."""

import base64
import hashlib
import json
import subprocess
import sys
from typing import Any

import jwt
import pytest

from phrasim.auth.deployed.keys import SigningKey
from phrasim.documents import scenarios_folder


def test_the_key_that_is_shown_verifies_a_token(play_auth: Any) -> None:
    async def main(auth: Any) -> None:
        answer = await auth.keys()
        assert answer.headers["content-type"] == "application/json"
        (shown,) = answer.json()["keys"]
        assert list(shown) == ["kid", "kty", "n", "e", "alg", "use"]
        assert (shown["kty"], shown["alg"], shown["use"]) == ("RSA", "RS256", "sig")
        token = (await auth.token(auth.machine_fields)).json()["access_token"]
        assert jwt.get_unverified_header(token)["kid"] == shown["kid"]
        assert jwt.PyJWS().decode(token, jwt.PyJWK(shown), algorithms=["RS256"])

    play_auth(main)


def test_nothing_private_is_shown() -> None:
    key = SigningKey.development()
    public, numbers = key.public(), key.private.public_key().public_numbers()
    assert public.keys() == {"kid", "kty", "n", "e", "alg", "use"}
    shown = [int.from_bytes(base64.urlsafe_b64decode(public[name] + "=="), "big") for name in ("n", "e")]
    assert shown == [numbers.n, numbers.e]
    assert repr(key) == f"SigningKey(id={key.id!r})"


def test_the_id_is_the_thumbprint_of_the_public_half() -> None:
    """RFC 7638, §3: the SHA-256 of the members that are required, in the order of their names, without spaces."""
    public = SigningKey.fresh().public()
    required = json.dumps({name: public[name] for name in ("e", "kty", "n")}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).decode()
    assert public["kid"] == thumbprint.rstrip("=")


def test_a_fresh_key_is_nobody_elses_and_the_development_key_is_everybodys() -> None:
    assert len({SigningKey.fresh().id, SigningKey.fresh().id, SigningKey.development().id}) == 3
    assert SigningKey.development().public() == SigningKey.development().public()


def test_the_same_claims_give_the_same_signature() -> None:
    key, other = SigningKey.development(), SigningKey.fresh()
    assert key.signed({"sub": "x"}) == SigningKey.development().signed({"sub": "x"})
    assert key.signed({"sub": "x"}) != other.signed({"sub": "x"})
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.PyJWS().decode(key.signed({"sub": "x"}), jwt.PyJWK(other.public()), algorithms=["RS256"])


RUN = """
import sys
from phrasim.cli import main
sys.argv = ["phrasim", "run", sys.argv[1]]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*sorted(name for name in sys.modules if name in ("jwt", "cryptography", "phrasim.auth.documented.state")))
"""


def test_a_run_of_the_documented_contract_does_not_wait_for_what_signs_tokens() -> None:
    command = [sys.executable, "-c", RUN, str(scenarios_folder() / "pull.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "phrasim.auth.documented.state"
