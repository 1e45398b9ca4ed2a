"""The control API of a landscape (`openapi/control.yaml`): look into it, change it, open further ones."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

from phrasim.broker.client import BrokerError
from phrasim.documents import secret_fields, specification
from phrasim.documents.nearest import nearest
from phrasim.documents.quantity import seconds
from phrasim.edge.fault_reading import fault_of, fault_problem
from phrasim.journal.events import Event
from phrasim.journal.lines import LineWriter
from phrasim.journal.recorder import EventsForgotten
from phrasim.journal.selection import Selection
from phrasim.phraseanet.poll_failed import PollFailed
from phrasim.serve.landscape import Landscape, LandscapeEnded
from phrasim.serve.landscapes import Landscapes, LandscapesFull
from phrasim.serve.same_site import SameSite
from phrasim.serve.seed_data import SeedDataError, seed_data_of
from phrasim.serve.state import queues_of, records_of, set_fault, state_of
from phrasim.serve.trace_header import trace_header
from phrasim.service.operations import Call, json_answer, service
from phrasim.service.refusal import Refusal
from phrasim.testbed import SeedData
from phrasim.testbed.seeding import SeedError

JSON_LINES = "application/jsonl"
GATHERING_SECONDS = 0.01
"""So long events are gathered for whoever follows the journal, once they were told of some."""
Pick = Callable[[list[Event]], list[Event]]
INTERVAL_SECONDS_MAX = 86_400 * 365
_INTERVAL_MAX = "365 d"


def control_app(landscape: Landscape, landscapes: Landscapes | None) -> ASGIApp:
    """The operations of `control.yaml` over `landscape`.

    Further landscapes are opened in `landscapes`; None at the control port of one of those.
    """
    routes = ControlRoutes(landscape)
    further = LandscapeRoutes(landscape, landscapes)
    app = service(
        specification("control.yaml"),
        {
            "getState": routes.get_state,
            "getJournal": routes.get_journal,
            "getQueues": routes.get_queues,
            "listRecords": routes.list_records,
            "reset": routes.reset,
            "addSeedData": routes.add_seed_data,
            "pollNow": routes.poll_now,
            "listFaults": routes.list_faults,
            "addFault": routes.add_fault,
            "clearFaults": routes.clear_faults,
            "removeFault": routes.remove_fault,
            "listLandscapes": further.list_landscapes,
            "createLandscape": further.create_landscape,
            "getLandscape": further.get_landscape,
            "deleteLandscape": further.delete_landscape,
        },
    )
    return SameSite(app, is_local=landscape.is_local)


class ControlRoutes:
    """The handlers that are about one landscape."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self._faults = landscape.network.faults
        self._journal = landscape.network.journal

    async def get_state(self, _call: Call) -> ASGIApp:
        """`GET /_phrasim/state`."""
        return json_answer(await state_of(self._landscape))

    async def get_queues(self, _call: Call) -> ASGIApp:
        """`GET /_phrasim/queues`."""
        return json_answer(await queues_of(self._landscape.testbed))

    async def list_records(self, call: Call) -> ASGIApp:
        """`GET /_phrasim/records`."""
        after = _query(call).get("after")
        try:
            return json_answer(records_of(self._landscape.testbed, after))
        except KeyError as error:
            raise Refusal(404, f"there is no record of the asset {after}; without `after` all are listed") from error

    async def get_journal(self, call: Call) -> ASGIApp:
        """`GET /_phrasim/journal`: secrets are redacted, as in a trace."""
        query = _query(call)
        after = int(query.get("after", self._journal.first))
        try:
            events = self._journal.since(after)
        except EventsForgotten as forgotten:
            detail = f"event {after + 1} is not kept any more; the first that is kept is event {forgotten.first + 1}"
            raise Refusal(410, detail) from forgotten
        except ValueError as error:
            raise Refusal(
                400, f"query/after: there is no event {after} yet; the next is {self._journal.next + 1}"
            ) from error
        writer = LineWriter(trace_header(self._landscape.plan), secret_fields())
        pick = self._selected(query["operation"].split(",")) if "operation" in query else _all
        if query.get("follow") == "true":
            return StreamingResponse(self._followed(after, writer, pick), media_type=JSON_LINES)
        return Response(writer.header() + _lines(writer, pick(events)), media_type=JSON_LINES)

    def _selected(self, operations: list[str]) -> Pick:
        for name in operations:
            known = self._landscape.network.contract.operations
            if name not in known:
                raise Refusal(400, f"query/operation: there is no operation {name!r}; {nearest(name, known)}")
        return Selection(frozenset(operations)).of

    async def _followed(self, after: int, writer: LineWriter, pick: Pick) -> AsyncIterator[bytes]:
        yield writer.header()
        try:
            async for events in self._journal.follow(after):
                picked = pick(events)
                if picked:
                    yield _lines(writer, picked)
                    await asyncio.sleep(GATHERING_SECONDS)
        except EventsForgotten:
            return  # The reader was too slow; the stream ends, and asking again says what is still kept.

    async def reset(self, _call: Call) -> ASGIApp:
        """`POST /_phrasim/reset`: answered when nothing of before can show any more."""
        try:
            await self._landscape.reset()
        except LandscapeEnded as ended:
            raise Refusal(503, str(ended)) from ended
        except BrokerError as error:
            raise Refusal(503, f"broker: {error}; nobody works until the landscape begins anew with it") from error
        return Response(status_code=204)

    async def add_seed_data(self, call: Call) -> ASGIApp:
        """`POST /_phrasim/seed-data`: all of it, or nothing."""
        try:
            added = await self._landscape.add(seed_data_of(await call.body()))
        except (SeedDataError, SeedError) as error:
            raise Refusal(400, str(error)) from error
        commits = [
            {"id": commit.id, "token": commit.token, "assets": list(commit.asset_ids)} for commit in added.commits
        ]
        return json_answer({"users": added.users, "clients": added.clients, "commits": commits})

    async def poll_now(self, _call: Call) -> ASGIApp:
        """`POST /_phrasim/poll`."""
        if "phraseanet" not in self._landscape.network.played:
            raise Refusal(409, "Phraseanet is not played in this landscape")
        try:
            accepted = await self._landscape.poll()
        except PollFailed as failed:
            raise Refusal(502, f"the poll failed: {failed}") from failed
        return json_answer({"accepted": accepted})

    async def list_faults(self, _call: Call) -> ASGIApp:
        """`GET /_phrasim/faults`."""
        return json_answer([set_fault(account) for account in self._faults.all()])

    async def add_fault(self, call: Call) -> ASGIApp:
        """`POST /_phrasim/faults`."""
        value = await call.body()
        problem = fault_problem(value, self._landscape.network.contract)
        if problem is not None:
            raise Refusal(400, str(problem))
        added = self._faults.add(fault_of(value))
        return json_answer(next(set_fault(account) for account in self._faults.all() if account.id == added), 201)

    async def clear_faults(self, _call: Call) -> ASGIApp:
        """`DELETE /_phrasim/faults`."""
        self._faults.clear()
        return Response(status_code=204)

    async def remove_fault(self, call: Call) -> ASGIApp:
        """`DELETE /_phrasim/faults/{id}`."""
        named = call.path["id"]
        if not (named.isascii() and named.isdigit() and self._faults.remove(int(named))):
            raise Refusal(404, f"there is no fault {named!r}")
        return Response(status_code=204)


class LandscapeRoutes:
    """The handlers that open and end further landscapes, which have the settings of the first where none are given."""

    def __init__(self, first: Landscape, landscapes: Landscapes | None) -> None:
        self._first = first
        self._further = landscapes

    async def list_landscapes(self, _call: Call) -> ASGIApp:
        """`GET /_phrasim/landscapes`."""
        return json_answer([described(name, one) for name, one in self._landscapes.all.items()])

    async def create_landscape(self, call: Call) -> ASGIApp:
        """`POST /_phrasim/landscapes`."""
        asked = await call.body()
        interval = seconds(asked["interval"]) if "interval" in asked else None
        if interval is not None and not 0 < interval <= INTERVAL_SECONDS_MAX:
            raise Refusal(
                400, f"interval: {asked['interval'][:20]!r} is no time between two polls; write 1 ms to {_INTERVAL_MAX}"
            )
        setting = self._first.plan.setting
        setting = replace(
            setting,
            mode=asked.get("mode", setting.mode),
            profile=asked.get("profile", setting.profile),
            poll_interval=setting.poll_interval if interval is None else interval,
        )
        try:
            seed = seed_data_of(asked["seedData"]) if "seedData" in asked else SeedData()
            plan = self._first.plan.further(setting, seed)
            name, made = await self._landscapes.create(plan)
        except (SeedDataError, SeedError) as error:
            raise Refusal(400, f"seedData: {error}") from error
        except LandscapesFull as full:
            raise Refusal(503, str(full)) from full
        return json_answer(described(name, made), 201)

    async def get_landscape(self, call: Call) -> ASGIApp:
        """`GET /_phrasim/landscapes/{id}`."""
        name = call.path["id"]
        found = self._landscapes.all.get(name)
        if found is None:
            raise Refusal(404, f"there is no landscape {name!r}")
        return json_answer(described(name, found))

    async def delete_landscape(self, call: Call) -> ASGIApp:
        """`DELETE /_phrasim/landscapes/{id}`: answered when all is free."""
        name = call.path["id"]
        if not await self._landscapes.delete(name):
            raise Refusal(404, f"there is no landscape {name!r}")
        return Response(status_code=204)

    @property
    def _landscapes(self) -> Landscapes:
        if self._further is None:
            raise Refusal(404, "landscapes are opened and ended at the control port that the server began with")
        return self._further


def described(name: str, landscape: Landscape) -> dict[str, Any]:
    """`control.yaml`'s Landscape."""
    return {"id": name, **landscape.description()}


def _query(call: Call) -> dict[str, str]:
    """The query's parameters, which are as they are described. Raises `Refusal`."""
    query = dict(parse_qsl(call.request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    violations = call.operation.parameter_violations({}, query)
    if violations:
        raise Refusal(400, "; ".join(map(str, violations)))
    return query


def _all(events: list[Event]) -> list[Event]:
    return events


def _lines(writer: LineWriter, events: list[Event]) -> bytes:
    return b"".join(map(writer.line, events))
