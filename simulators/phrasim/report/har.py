"""The exchanges of a verification as a HAR 1.2 file, which browsers' tools and proxies open.

Secrets are replaced as in a trace. What HAR has no place for stands in fields whose names begin with `_`, as it asks.
"""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from phrasim import __version__
from phrasim.contract.finding import Finding, Headers, HttpExchange, Verification
from phrasim.report.concealment import Concealment, concealment_of, every_exchange, told_length
from phrasim.report.findings import again_command

BODY_BYTES_MAX = 1024 * 1024
"""Bytes of a body that stands in the file; a longer one is told by its length and digest."""

_UNKNOWN = -1
"""What HAR writes for a size that nobody counted."""

_UNNAMED = "application/octet-stream"
"""The media type of a body that bears none (RFC 9110 §8.3)."""

_ASCII_MARKS = "".join(map(chr, range(0x21, 0x7F)))


def har(verification: Verification) -> bytes:
    """The file: an entry for each exchange that is kept, in their order, with what was found in it."""
    hide = concealment_of(verification)
    found: dict[HttpExchange, list[Finding]] = {}
    for one in verification.findings:
        if one.exchange is not None:
            found.setdefault(one.exchange, []).append(one)
    log = {
        "version": "1.2",
        "creator": {"name": "phrasim", "version": __version__},
        "pages": [],
        "entries": [_entry(exchange, found.get(exchange, ()), hide) for exchange in every_exchange(verification)],
        "comment": _text(again_command(verification), hide),
    }
    return msgspec.json.format(msgspec.json.encode({"log": log}), indent=1) + b"\n"


def _entry(exchange: HttpExchange, findings: Sequence[Finding], hide: Concealment) -> dict[str, Any]:
    milliseconds = round(exchange.seconds * 1000, 3)
    entry: dict[str, Any] = {
        "startedDateTime": datetime.fromtimestamp(exchange.began_at, UTC).isoformat(timespec="milliseconds"),
        "time": milliseconds,
        "request": _request(exchange, hide),
        "response": _response(exchange, hide),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "_phrasim": {
            "sender": exchange.sender,
            "receiver": exchange.receiver,
            "operationId": exchange.operation_id,
            "findings": [_finding(one, hide) for one in findings],
        },
    }
    if exchange.failure:
        entry["_error"] = _text(exchange.failure, hide)
    return entry


def _finding(finding: Finding, hide: Concealment) -> dict[str, str | None]:
    told = {
        "suite": finding.suite,
        "rule": finding.rule,
        "weight": finding.weight,
        "asked": finding.asked,
        "came": finding.came,
        "expected": finding.expected,
        "place": finding.place,
    }
    return {"operationId": finding.operation_id, **{name: _text(said, hide) for name, said in told.items()}}


def _text(text: str, hide: Concealment) -> str:
    """A text of ours without secrets; half a surrogate pair, which JSON cannot hold, is escaped as Python does."""
    return hide.text(text).encode("utf-8", "backslashreplace").decode()


def _request(exchange: HttpExchange, hide: Concealment) -> dict[str, Any]:
    # A URI is ASCII, and the marks around a fingerprint are not.
    url = quote(hide.url(exchange.url).concealed, safe=_ASCII_MARKS)
    request: dict[str, Any] = {
        "method": exchange.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(exchange.request_headers, hide),
        "queryString": _query(url),
        "headersSize": _UNKNOWN,
        "bodySize": len(exchange.request_body),
    }
    if exchange.request_body:
        body = _body(exchange.request_body, exchange.request_headers, hide)
        if "encoding" in body:
            # HAR takes texts only in what was posted; the name is that by which others have helped themselves.
            body["_encoding"] = body.pop("encoding")
        request["postData"] = body
    return request


def _response(exchange: HttpExchange, hide: Concealment) -> dict[str, Any]:
    """The answer; where there was none HAR is given a status of 0, as browsers do."""
    status = exchange.status or 0
    content = {"size": len(exchange.response_body), **_body(exchange.response_body, exchange.response_headers, hide)}
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in set(HTTPStatus) else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(exchange.response_headers, hide),
        "content": content,
        "redirectURL": next((_shown(one, hide) for one in exchange.response_headers if one[0] == "location"), ""),
        "headersSize": _UNKNOWN,
        "bodySize": len(exchange.response_body) if exchange.status is not None else _UNKNOWN,
    }


def _headers(headers: Headers, hide: Concealment) -> list[dict[str, str]]:
    return [{"name": name, "value": _shown((name, value), hide)} for name, value in headers]


def _shown(header: tuple[str, str], hide: Concealment) -> str:
    return hide.header(*header).concealed


def _query(url: str) -> list[dict[str, str]]:
    pairs = parse_qsl(url.partition("?")[2].partition("#")[0], keep_blank_values=True)
    return [{"name": name, "value": value} for name, value in pairs]


def _body(content: bytes, headers: Headers, hide: Concealment) -> dict[str, Any]:
    """A body as HAR has it, but for its size."""
    told: dict[str, Any] = {"mimeType": next((value for name, value in headers if name == "content-type"), _UNNAMED)}
    shown = hide.body(content, headers) if len(content) <= BODY_BYTES_MAX else None
    if shown is None:
        why = "too long for this file" if len(content) > BODY_BYTES_MAX else "it may hold a secret"
        told["comment"] = f"left out, {why}: {told_length(content)}"
    elif isinstance(shown, bytes):
        told |= {"text": b64encode(shown).decode(), "encoding": "base64"}
    else:
        told["text"] = shown.concealed
    return told
