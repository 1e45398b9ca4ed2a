"""What judging an HTTP API costs beside schemathesis alone: cases per second, on one application over loopback.

Both ask the simulated upload service, which a thread serves, in turns: schemathesis by the OpenAPI document as it
stands, with one Bearer for all; and the suite `http` of `phrasim verify`, with live tokens and with its exclusions.
"""

import tempfile
import time
from pathlib import Path

import schemathesis
from figure import Figure, spread
from schemathesis import AuthContext, Case
from schemathesis.engine import events, from_schema

from phrasim.contract.http_api import ApiJudge
from phrasim.contract.inquiry import Asked, Inquiry
from phrasim.contract.principals import principals
from phrasim.contract.served import ServedSubject, served
from phrasim.documents import openapi_folder
from phrasim.serve.landscape import Plan
from phrasim.serve.sockets import bind_all
from phrasim.testbed import PLAYABLE, Setting

ROUNDS = 7
EXAMPLES = 20
BAR = 1.25
"""Schemathesis alone does at most so many times as many cases per second: 1 / 0.8."""

PHASES = ("examples", "coverage", "fuzzing")


def figures() -> list[Figure]:
    """The one figure."""
    plan = Plan(setting=Setting(mode="off"))
    plain, ours = [], []
    with served("upload", plan, lambda: bind_all("127.0.0.1", dict.fromkeys(PLAYABLE, (0, "")))) as subject:
        for number in range(ROUNDS):
            plain.append(_plain(subject, number + 1))
            ours.append(_ours(subject, number + 1))
    ratios = sorted(left / right for left, right in zip(plain, ours, strict=True))
    aside = f"alone {spread(plain, 'cases/s')}, the suite {spread(ours, 'cases/s')}"
    return [Figure("cases per second, schemathesis alone / verify", ratios[len(ratios) // 2], BAR, "x", aside)]


def _plain(subject: ServedSubject, seed: int) -> float:
    token = subject.look(lambda: subject.bed.auth.user_token(subject.bed.accounts.publisher))
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "base-url": subject.url("upload"),
            "continue-on-failure": True,
            "generation": {"max-examples": EXAMPLES, "database": "none", "no-shrink": True},
            "phases": {"stateful": {"enabled": False}},
        }
    )
    schema = schemathesis.openapi.from_path(openapi_folder() / "upload.yaml", config=config)

    class Bearer:
        def get(self, _case: Case, _context: AuthContext) -> str:
            return f"Bearer {token}"

        def set(self, case: Case, header: str, _context: AuthContext) -> None:
            case.headers["Authorization"] = header

    schema.auth(refresh_interval=None)(Bearer)
    cases, began = 0, time.perf_counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            cases += len(event.recorder.interactions)
    return cases / (time.perf_counter() - began)


def _ours(subject: ServedSubject, seed: int) -> float:
    inquiry = Inquiry("http", subject.contract, Asked(seed=seed), time.monotonic() + 600)
    with tempfile.TemporaryDirectory() as documents:
        judge = ApiJudge(subject, inquiry, principals(subject), Path(documents))
        before, began = inquiry.cases, time.perf_counter()
        judge.judge(PHASES, examples=EXAMPLES)
        return (inquiry.cases - before) / (time.perf_counter() - began)
