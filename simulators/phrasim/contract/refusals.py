"""What a participant has to refuse, and how: bodies of the wrong kind, and a peer that is away (A29, A33, §5)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from phrasim.contract.finding import HttpExchange
from phrasim.contract.inquiry import Inquiry, answered, said
from phrasim.contract.principals import Principals
from phrasim.contract.subject import BOUNDARY, Subject, file_form
from phrasim.contract.uploads import NO_ID
from phrasim.documents.specification import Operation
from phrasim.edge.faults import Answer, Fault
from phrasim.service.operations import REQUEST_BYTES_MAX

UPLOAD_BYTES_MAX = 64 * 1024
"""The largest file that the simulated upload service takes while it is verified (A29: off by default)."""

REDECLARED_SECONDS = 2.0
"""After so long Phraseanet has declared a queue anew that was deleted."""


def hold_refusals(subject: Subject, inquiry: Inquiry, callers: Principals) -> None:
    """Send what is of the wrong kind to each operation that takes a body, and declares how it refuses it."""
    for operation in subject.contract.operations.values():
        if operation.participant != subject.participant or not operation.requests:
            continue
        shown = _authorization(subject, operation, callers)
        targeted = subject.bed.stage.targets is not None
        for expected, headers, content in _wrong(operation, real=subject.is_real, targeted=targeted):
            inquiry.case()
            method, url = subject.operation(operation.operation_id, _parameters(subject))
            exchange = subject.send("user", method, url, shown, headers=headers, content=content)
            inquiry.examine(exchange)
            if exchange.status != expected and not (expected == 413 and subject.is_real):
                _find(inquiry, exchange, expected)
        for expected, method, path in _elsewhere(operation):
            inquiry.case()
            sent = subject.send("user", method, subject.url(subject.participant) + path, shown, json={})
            exchange = replace(sent, operation_id=operation.operation_id)
            inquiry.examine(exchange)
            if exchange.status != expected:
                _find(inquiry, exchange, expected)


def _elsewhere(operation: Operation) -> Iterator[tuple[int, str, str]]:
    """What is nearly the operation: another method, a path without its slash (A3); with the status that is due."""
    if 405 in operation.answers:
        yield 405, "PUT", operation.path
    if 404 in operation.answers and operation.path.endswith("/"):
        yield 404, operation.method, operation.path.rstrip("/")
    if 404 in operation.answers and "{realm}" in operation.path:
        yield 404, operation.method, operation.path.replace("{realm}", "nowhere")


def _wrong(operation: Operation, *, real: bool, targeted: bool) -> Iterator[tuple[int, Mapping[str, str], bytes]]:
    """The status that is due, headers, and a body; where uploads have targets (`targeted`), one without a target."""
    media_types = operation.request_media_types
    if 415 in operation.answers:
        yield 415, {"content-type": "text/plain"}, b"words"
    if "application/json" in media_types:
        malformed = 422 if 422 in operation.answers else 400
        if malformed in operation.answers and operation.request_required:
            yield malformed, {"content-type": "application/json"}, b'{"files": ['
        if 413 in operation.answers:
            yield 413, {"content-type": "application/json"}, b'"' + b"a" * REQUEST_BYTES_MAX + b'"'
    if "application/x-www-form-urlencoded" in media_types and 413 in operation.answers:
        yield 413, {"content-type": "application/x-www-form-urlencoded"}, b"a=" + b"a" * REQUEST_BYTES_MAX
    if "multipart/form-data" in media_types and 400 in operation.answers and targeted:
        yield 400, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}, _form(b"content")
    if "multipart/form-data" in media_types and 413 in operation.answers and not real:
        yield 413, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}, _form(b"a" * (UPLOAD_BYTES_MAX + 1))


def _form(content: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    return head + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def hold_without_auth(subject: Subject, inquiry: Inquiry) -> None:
    """Where Auth cannot be asked whose Bearer it is, that is said; an AssetToken needs no Auth (A33)."""
    if "auth" not in subject.bed.network.played:
        inquiry.remark("Auth is a real one: what the upload service does without it is not judged")
        return
    accounts = subject.bed.accounts
    for operation in subject.contract.operations.values():
        if operation.participant != subject.participant or 503 not in operation.answers:
            continue
        inquiry.case()

        def away() -> tuple[int, str]:
            # One that Auth has not been asked of, since answers may be remembered (A33).
            token = subject.bed.auth.user_token(accounts.administrator)
            return subject.bed.faults.add(Fault("getTokenInfo", Answer(503))), token

        fault, token = subject.look(away)
        method, url = subject.operation(operation.operation_id, {"id": NO_ID})
        exchange = subject.send("user", method, url, f"Bearer {token}", **_body(operation))
        subject.look(lambda fault=fault: subject.bed.faults.remove(fault))  # type: ignore[misc]
        inquiry.examine(exchange)
        if exchange.status != 503:
            _find(inquiry, exchange, 503)


def hold_without_broker(subject: Subject, inquiry: Inquiry) -> None:
    """Where no queue takes the message of a commit, the notification is refused, and taken when there is one again."""
    operation = subject.contract.operations["enqueueAssets"]
    core = subject.bed.broker.core
    if 503 not in operation.answers or core is None or subject.is_real:
        return
    body = {"assets": [NO_ID], "publisher": NO_ID, "token": "a" * 42, "commit_id": NO_ID}

    def delete() -> None:
        connection = core.open_connection()
        connection.open_channel().queue_delete("assetsIngest")
        connection.close()

    for gone, expected in ((True, 503), (False, 200)):
        inquiry.case()
        if gone:
            subject.look(delete)
        method, url = subject.operation("enqueueAssets")
        exchange = subject.send("upload", method, url, json=body)
        inquiry.examine(exchange)
        if exchange.status != expected:
            _find(inquiry, exchange, expected)
        subject.look(subject.bed.broker.pump)  # type: ignore[attr-defined]
        subject.wait(REDECLARED_SECONDS)


def hold_grants(subject: Subject, inquiry: Inquiry) -> None:
    """Tokens are for those whose secrets are right, by grants and for scopes that they have (§5)."""
    operation = subject.contract.operations["issueToken"]
    accounts = subject.bed.accounts
    client = {"client_id": accounts.phraseanet.id, "client_secret": accounts.phraseanet.secret}
    front = {"client_id": accounts.front_end.id, "client_secret": accounts.front_end.secret}
    user = {"username": accounts.publisher.email, "password": accounts.publisher.password}
    machine, password = {"grant_type": "client_credentials"}, {"grant_type": "password"}
    bad, wrong = (401, 400) if 401 in operation.answers else (400, 400)
    cases: list[tuple[int, dict[str, str]]] = [
        (200, machine | client),
        (200, password | front | user),
        (bad, machine | client | {"client_secret": "wrong"}),
        (bad, machine | client | {"client_id": "nobody"}),
        (wrong, machine | client | {"scope": "everything"}),
        (wrong, machine | front),
        (wrong, password | client | user),
        (bad, password | front | user | {"password": "wrong"}),
        (bad, password | front | user | {"username": "nobody@example.org"}),
        (wrong, {"grant_type": "wishes"} | client),
    ]
    for expected, fields in cases:
        inquiry.case()
        method, url = subject.operation("issueToken", _parameters(subject))
        takes_json = "application/json" in operation.request_media_types
        parts: dict[str, Any] = {"json": fields} if takes_json else {"data": fields}
        exchange = subject.send("user", method, url, **parts)
        inquiry.examine(exchange)
        if exchange.status != expected:
            made_up = ", ".join(f"{name} {fields[name]!r}" for name in fields if fields[name] in _MADE_UP)
            by = f"by the grant {fields['grant_type']}" + (f", with {made_up}" if made_up else "")
            right = "200 and a token" if expected == 200 else f"{expected}, a refusal"
            inquiry.object(
                "grant", exchange, answered(exchange), right, status=expected, asked=f"{said(exchange)} {by}"
            )


_MADE_UP = ("wrong", "nobody", "everything", "wishes", "nobody@example.org")


def _authorization(subject: Subject, operation: Operation, callers: Principals) -> str | None:
    """What the caller shows whom an operation is meant for."""
    if "OAuth" in operation.security:
        return f"OAuth {subject.bed.stage.phraseanet_token}"
    return callers.headers.get("owner") if "Bearer" in operation.security else None


def _parameters(subject: Subject) -> dict[str, str]:
    return {"id": NO_ID, **subject.bed.stage.log_in_parameters}


def _body(operation: Operation) -> dict[str, Any]:
    """A body that an operation would take."""
    if "multipart/form-data" in operation.requests:
        return file_form(b"content", None)
    return {"json": {"files": [NO_ID]}} if operation.request_required else {}


def _find(inquiry: Inquiry, exchange: HttpExchange, expected: int) -> None:
    inquiry.object("refusal", exchange, answered(exchange), f"{expected}", status=expected)
