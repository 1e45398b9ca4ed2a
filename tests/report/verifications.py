"""Verifications as reports take them, without a deployment: small ones by default, changed by keywords."""

import json
from dataclasses import replace
from shlex import quote
from typing import Any
from urllib.parse import urlencode

from phrasim.contract.finding import Finding, Headers, HttpExchange, SuiteResult, Verification

BEGAN_AT = 1_760_000_000.25
PLACE = "openapi/upload.yaml#/paths/~1assets/post/responses/201"
TOKEN = "4f1c0b7a9d2e4b6c8a0f"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff"


def exchange(**changes: Any) -> HttpExchange:
    """A user's upload of a commit, answered in 12 ms."""
    made = HttpExchange(
        sender="user",
        receiver="upload",
        operation_id="commitAssets",
        method="POST",
        url="http://127.0.0.1:8081/commit",
        request_headers=(
            ("host", "127.0.0.1:8081"),
            ("accept", "*/*"),
            ("user-agent", "phrasim/0.1.0"),
            ("authorization", f"Bearer {TOKEN}"),
            ("content-type", "application/json"),
            ("content-length", "28"),
        ),
        request_body=b'{"files":[],"formData":null}',
        status=500,
        response_headers=(("content-type", "text/html; charset=utf-8"),),
        response_body=b"<h1>Internal Server Error</h1>",
        began_at=BEGAN_AT,
        seconds=0.012,
    )
    return replace(made, **changes)


def finding(**changes: Any) -> Finding:
    """A status that no contract has."""
    made = Finding(
        suite="operations",
        rule="status",
        operation_id="commitAssets",
        asked="POST /commit with no files",
        came="500 with a body of text/html",
        expected="one of 200, 400, 401, 403, 404, 415, 422",
        place="openapi/upload.yaml#/paths/~1commit/post/responses",
        exchange=exchange(),
    )
    return replace(made, **changes)


def warning(**changes: Any) -> Finding:
    """What is kept by the letter, and no Phraseanet of today can read."""
    made = Finding(
        suite="operations",
        rule="reader",
        operation_id="listCommits",
        asked="GET /commits",
        came="`assets` lists objects",
        expected="a Phraseanet of today asks for texts there, and gives such a commit up after three tries (H25)",
        place="openapi/deployed/upload.yaml#/components/schemas/CommitAssets",
        weight="warning",
    )
    return replace(made, **changes)


def suite(name: str = "operations", *findings: Finding, **changes: Any) -> SuiteResult:
    return replace(SuiteResult(name, cases=412, seconds=12.345, findings=findings), **changes)


def verification(*suites: SuiteResult, **changes: Any) -> Verification:
    """A verification of a real upload service with that seed 7."""
    made = Verification(
        participant="upload",
        profile="documented",
        url="https://uploader.example",
        seed=7,
        asked="--seed 7 --budget 60s",
        suites=suites or (suite(),),
        preflight=("upload: https://uploader.example reachable (HTTP 404 to GET /)",),
    )
    return replace(made, **changes)


def mixed() -> Verification:
    """One that has everything: findings that are the same, a warning, a suite that was not judged, things left."""
    late = exchange(began_at=BEGAN_AT + 1, operation_id="uploadAsset", url="http://127.0.0.1:8081/assets")
    return verification(
        suite(
            "operations",
            finding(),
            finding(asked="POST /commit with two files"),
            finding(
                rule="body",
                operation_id="uploadAsset",
                asked="POST /assets with a file",
                came="201 without an id:\n{'size': 3}",
                expected="id: this field is missing",
                place=PLACE,
                exchange=late,
            ),
            warning(),
            finding(),
        ),
        suite("access", cases=96, seconds=1.2, notes=("nobody was given who may administrate: 12 cases left out",)),
        suite("hand-off", cases=0, seconds=0.0, unjudged="nobody was given who may publish: --credential user.token=…"),
        created=("asset 4c097077-a26b-4af4-9a5d-b13fd4c77b3d, not committed",),
        exchanges=(exchange(), late),
        answers={"commitAssets": 31, "uploadAsset": 12, "downloadAsset": 1, "getAsset": 0},
    )


def bearing(secret: str) -> Verification:
    """One whose exchanges and findings bear that secret in every place where one can stand."""
    form = urlencode({"grant_type": "password", "password": secret, "client_secret": secret})
    fields = {"token": secret, "access_token": [secret], "assets": [{"url": f"https://files.example/a?{secret}"}]}
    json_type, form_type = ("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded")
    credentials = (("authorization", f"Bearer {secret}"), ("cookie", f"session={secret}"))
    query = urlencode({"oauth_token": secret, "page": "1", "user[password]": secret})
    boundary = ("content-type", "multipart/form-data; boundary=b")
    parts = f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{secret}\r\n--b\r\n'.encode()
    parts += b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    exchanges = (
        _told(secret, "/token", (*credentials, form_type), form.encode(), (json_type,), json.dumps(fields).encode()),
        _told(secret, f"/a?{query}", (json_type,), json.dumps(fields, ensure_ascii=False).encode(), (), b""),
        _told(secret, "/assets", (boundary,), parts + PNG + b"\r\n--b--\r\n", (), f"no {secret} known".encode()),
        _told(secret, "/assets", (boundary,), parts + b"text\r\n--b--\r\n", (), PNG + secret.encode()),
        _told(secret, f"/a?signature={secret}" if secret.isalnum() else "/a", (json_type,), b'{"token": "', (), b""),
        _told(secret, "/b", (form_type,), json.dumps(fields).encode(), (), f'{{"password": "{secret}'.encode()),
        _told(secret, "/c", (form_type,), f"next=/?token={secret}".encode(), (("content-encoding", "gzip"),), b"\x1f"),
    )
    said = f"{secret!r}, that is {secret}, or\n{json.dumps(secret)}; it begins with {secret[:-1]}…"
    suites = [
        suite(
            f"suite {number}",
            finding(
                suite=said,
                asked=said,
                came=said,
                expected=said,
                exchange=one,
                weight=weight,
                rule=said,
                place=f"{PLACE}/{number}",
            ),
            unjudged=said if number % 2 else "",
            notes=(said,),
        )
        for number, one in enumerate(exchanges)
        for weight in ("broken", "warning")
    ]
    return verification(
        *suites,
        exchanges=exchanges,
        created=(said,),
        preflight=(said,),
        asked=f"--credential {quote(f'user.token={secret}')} --seed 7",
    )


def _told(secret: str, target: str, headers: Headers, body: bytes, answered: Headers, answer: bytes) -> HttpExchange:
    return exchange(
        url=f"http://user:{secret if secret.isalnum() else 'no'}@upload.example{target}",
        request_headers=headers,
        request_body=body,
        status=400,
        response_headers=(*answered, ("location", f"/b?{urlencode({'token': secret})}"), ("set-cookie", secret)),
        response_body=answer,
        failure=f"broken off after {secret}",
    )
