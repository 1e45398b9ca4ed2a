"""The result of a load run for people, as JSON and as JUnit XML. It runs beside gevent: nothing here knows asyncio."""

from collections.abc import Iterator
from dataclasses import asdict
from xml.etree import ElementTree as ET

import msgspec

from phrasim.load.result import VIOLATIONS_SHOWN, LoadResult
from phrasim.report.xml_text import counts, document, legal

_VERDICTS = {0: "kept", 1: "broken", 2: "not judged"}


def load_lines(result: LoadResult) -> Iterator[str]:
    """The verdict for people, a line each."""
    found = result.counts
    yield (
        f"{found['commits']} commits of {found['assets']} assets in {result.seconds:.1f} s: "
        f"{found['acknowledged']} acknowledged, {found['refused']} refused, {found['unanswered']} unanswered"
    )
    rates = result.rates
    yield (
        f"{rates['hand-offs per second']:.1f} hand-offs/s, {rates['requests per second']:.1f} requests/s, "
        f"{rates['bytes per second'] / 1024**2:.1f} MiB/s downloaded"
    )
    for name, stage in result.stages.items():
        yield (
            f"  {name:<22} median {stage.median * 1000:7.1f} ms   p95 {stage.p95 * 1000:7.1f} ms   "
            f"max {stage.maximum * 1000:7.1f} ms   ({stage.count})"
        )
    failures = {name: failed for name, (_, failed) in result.requests.items() if failed}
    if failures:
        yield "  failed requests: " + ", ".join(f"{name} {failed}" for name, failed in failures.items())
    if result.queues and result.queues[-1][1]:  # Of a broker that is not played here there are none.
        deepest = {name: max(depths.get(name, 0) for _, depths in result.queues) for name in result.queues[-1][1]}
        yield "  deepest queues: " + ", ".join(f"{name} {depth}" for name, depth in deepest.items())
    yield ""
    for judged in result.objectives:
        word = {True: "kept", False: "broken", None: "not judged"}[judged.kept]
        yield f"{word:<11} {judged.objective.sentence}: {judged.found}"
    account = "broken" if result.violations else "not judged" if result.unjudged else "kept"
    yield f"{account:<11} every commit once, with the right bytes, acknowledged"
    for violation in result.violations[:VIOLATIONS_SHOWN]:
        yield f"            {violation}"
    if len(result.violations) > VIOLATIONS_SHOWN:
        yield f"            and {len(result.violations) - VIOLATIONS_SHOWN} more"
    for why in result.unjudged:
        yield f"            {why}"
    yield f"load: {_VERDICTS[result.exit_code]}"


def load_json(result: LoadResult) -> bytes:
    """All of it, for programs; times in seconds."""
    value = {
        "verdict": _VERDICTS[result.exit_code],
        "seconds": round(result.seconds, 3),
        "account": dict(result.counts) | {"violations": list(result.violations)},
        "objectives": [
            {"objective": one.objective.sentence, "kept": one.kept, "found": one.found} for one in result.objectives
        ],
        "stages": {name: asdict(stage) for name, stage in result.stages.items()},
        "requests": {name: {"count": count, "failed": failed} for name, (count, failed) in result.requests.items()},
        "rates": dict(result.rates),
        "queues": [{"second": round(second, 1), "depths": dict(depths)} for second, depths in result.queues],
        "unjudged": list(result.unjudged),
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def load_junit(result: LoadResult) -> bytes:
    """A case for each objective, and one for the account."""
    cases = [(one.objective.sentence, one.kept, one.found) for one in result.objectives]
    kept = False if result.violations else (None if result.unjudged else True)
    because = "\n".join([*result.violations, *result.unjudged])
    cases.append(("every commit once, with the right bytes, acknowledged", kept, because))
    numbers = counts(len(cases), sum(kept is False for _, kept, _ in cases), sum(kept is None for _, kept, _ in cases))
    root = ET.Element("testsuites", {"name": "phrasim load", **numbers})
    suite = ET.SubElement(root, "testsuite", {"name": "load", "time": f"{result.seconds:.3f}", **numbers})
    for name, kept, found in cases:
        case = ET.SubElement(suite, "testcase", classname="load", name=legal(name), time="0.000")
        if not kept:
            why = ET.SubElement(case, "failure" if kept is False else "skipped", message=legal(found.split("\n")[0]))
            why.text = legal(found)
    return document(root)
