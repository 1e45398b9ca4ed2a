"""The two forms in which the deployed service answers: JSON-LD with Hydra, and plain JSON (§2.1, §2.10).

The other formats that it offers (HAL, XML and more) are not simulated: who asks for one of them gets JSON-LD.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from starlette.responses import Response

Format = Literal["application/ld+json", "application/json"]

FORMATS: tuple[Format, ...] = ("application/ld+json", "application/json")
"""In the order in which the service prefers them."""

PROBLEM = "application/problem+json"
PROBLEM_TYPE = "https://tools.ietf.org/html/rfc2616#section-10"
ERROR_TITLE = "An error occurred"


def format_asked(accept: str | None) -> Format:
    """What an `Accept` asks for; of two that are equally welcome the service's own preference decides, so JSON-LD."""
    welcome = {one: _quality(accept or "*/*", one) for one in FORMATS}
    return max(FORMATS, key=lambda one: welcome[one])


def answer(form: Format, value: Any, status: int = 200) -> Response:
    """`value`, which is already in that form."""
    return Response(msgspec.json.encode(value), status, media_type=f"{form}; charset=utf-8")


def failure(form: Format, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal in that form: a Hydra error, or a problem."""
    if form == "application/json":
        problem = {"type": PROBLEM_TYPE, "title": ERROR_TITLE, "status": status, "detail": detail}
        return Response(msgspec.json.encode(problem), status, headers, f"{PROBLEM}; charset=utf-8")
    error = {
        "@context": "/contexts/Error",
        "@type": "hydra:Error",
        "hydra:title": ERROR_TITLE,
        "hydra:description": detail,
    }
    return Response(msgspec.json.encode(error), status, headers, f"{form}; charset=utf-8")


def resource(
    form: Format, kind: str, identity: str, fields: Mapping[str, Any], *, whole: bool = False
) -> dict[str, Any]:
    """A resource in that form; `whole` says that it is the whole answer, and not part of another."""
    if form == "application/json":
        return dict(fields)
    context = {"@context": f"/contexts/{kind}"} if whole else {}
    return {**context, "@id": iri(kind, identity), "@type": kind, **fields}


def collection(form: Format, kind: str, members: Sequence[dict[str, Any]], total: int) -> Any:
    """A page of a collection in that form; `total` counts all pages, and plain JSON does not tell it."""
    if form == "application/json":
        return list(members)
    return {
        "@context": f"/contexts/{kind}",
        "@id": f"/{kind}s",
        "@type": "hydra:Collection",
        "hydra:totalItems": total,
        "hydra:member": list(members),
    }


def iri(kind: str, identity: str) -> str:
    """The name of a resource: `/assets/{id}`."""
    return f"/{kind}s/{identity}"


def identity_of(kind: str, name: str) -> str:
    """The id that an IRI names; a text that is no IRI of that kind stands for itself."""
    return name.removeprefix(f"/{kind}s/")


def _quality(accept: str, media_type: str) -> float:
    """How welcome a media type is: the q of the most specific range that it is in (RFC 9110, §12.5.1); 0 for none."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    found: dict[str, float] = {}
    for written in accept.lower().split(","):
        named, *parameters = (part.strip() for part in written.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        found[named] = _number(weights[0]) if weights else 1.0
    return next((found[one] for one in ranges if one in found), 0.0)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
