"""Verdicts in words: one line for each arrow, the reason below the one that is wrong, then what is listed apart.

The text has no colours, and no secrets: of a message it shows the request line without its query, the status or the
queue.
"""

from phrasim.clock import NANOSECONDS
from phrasim.journal.sightings import Sighting, wire_text
from phrasim.journal.verdict import ArrowVerdict, Attempt, CommitVerdict

_INDENT = " " * 6


def account(verdict: CommitVerdict) -> list[str]:
    """One verdict as lines: a heading, the arrows, how many were walked, earlier attempts, what else there was."""
    rows = [_row(one) for one in verdict.arrows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_heading(verdict)]
    for one, row in zip(verdict.arrows, rows, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"{_INDENT}{reason}" for reason in _reasons(one, verdict)]
    lines.append(_sum(verdict))
    lines += map(_attempt, verdict.attempts)
    if verdict.apart:
        lines.append("apart from the arrows:")
        width = len(str(max(one.count for one in verdict.apart)))
        lines += [f"  {one.count:{width}} x {one.what}, from {seconds(one.first_at)}" for one in verdict.apart]
    return lines


def seconds(at: int) -> str:
    """A time of the run in seconds, cut to whole milliseconds."""
    return f"{at // NANOSECONDS}.{at % NANOSECONDS // 1_000_000:03d} s"


def _heading(verdict: CommitVerdict) -> str:
    if not verdict.found:
        sought = "no commit" if verdict.commit_id is None else f"no commit {verdict.commit_id}"
        return f"{verdict.title}: there is {sought} in this trace"
    name = f"commit {verdict.commit_id}" if verdict.commit_id else "a commit whose id nobody told"
    number = len(verdict.assets)
    return f"{verdict.title}: {name}, {number} asset{'' if number == 1 else 's'}"


def _row(one: ArrowVerdict) -> tuple[str, ...]:
    kind = one.arrow.kind
    wire = one.expected if one.message is None else _line(one.message)
    at = "" if one.message is None else seconds(one.message.at)
    ends = f"{kind.sender} -> {kind.receiver}"
    return f"{one.arrow.number:4}", one.mark, ends, one.arrow.label, wire, at


def _reasons(one: ArrowVerdict, verdict: CommitVerdict) -> list[str]:
    reasons = []
    if one.should_follow is not None:
        reasons.append(f"came before {one.should_follow.number} {one.should_follow.label!r}, which it should follow")
    if one.should_precede is not None:
        reasons.append(f"came after {one.should_precede.number} {one.should_precede.label!r}, which should follow it")
    if one.repeats:
        times = ", ".join(f"{_line(repeat)} at {seconds(repeat.at)}" for repeat in one.repeats)
        by = "perhaps by a redelivery, which nobody saw" if one.mark == "walked" else "and not by redelivery"
        reasons.append(f"came again, {by}: {times}")
    if one.mark == "unreachable":
        reasons.append("nothing that phraseanet had named the commit's id: a commit_id beside the token would have")
    if one.mark == "unobserved":
        reasons.append("both ends are external: nobody looked")
    if one.mark == "missing" and verdict.found:
        reasons.append(f"no such message; {_closest(one.closest)}")
    return reasons


def _closest(closest: Sighting | None) -> str:
    if closest is None:
        return "nothing came close"
    sender, receiver = closest.ends()
    fate = f", lost: {closest.lost}" if closest.lost else ""
    return f"closest: {sender} -> {receiver} {_line(closest)} at {seconds(closest.at)}{fate}"


def _line(sighting: Sighting) -> str:
    """A message's line, with the status that a request was answered with."""
    if sighting.part == "request" and sighting.status is not None:
        return f"{wire_text(sighting)} {sighting.status}"
    return wire_text(sighting)


def _sum(verdict: CommitVerdict) -> str:
    walked = sum(one.mark == "walked" for one in verdict.arrows)
    said = f"{walked} of {len(verdict.arrows)} arrows walked"
    if verdict.unobserved:
        numbers = ", ".join(str(one.arrow.number) for one in verdict.unobserved)
        said += f", {len(verdict.unobserved)} unobserved ({numbers})"
    if verdict.conforms or not verdict.found:
        return said
    broken = ", ".join(f"{one.arrow.number} {one.mark}" for one in verdict.broken)
    return f"{said}; not as drawn: {broken}"


def _attempt(attempt: Attempt) -> str:
    reached = ", ".join(arrow.label for arrow in attempt.reached)
    which = "" if attempt.asset is None else f" at asset {attempt.asset}"
    said = f"attempt {attempt.number} of {attempt.of}{which}, from {seconds(attempt.delivery.at)}, reached {reached}"
    if not attempt.stopped_by:
        return said
    stops = "; ".join(
        f"{_line(one)} at {seconds(one.at)}" + (f" (lost: {one.lost})" if one.lost else "")
        for one in attempt.stopped_by
    )
    return f"{said}; stopped by {stops}"
