"""What happens in a load run when Locust begins, starts, reports, stops and ends."""

import signal
import sys
from collections.abc import Mapping
from typing import Any

import gevent
from locust import User, events
from locust.env import Environment

from hand_off.consumers import Lister, PullConsumer, PushConsumer
from hand_off.options import add_options
from hand_off.progress import show_progress
from hand_off.run import Run
from hand_off.uploaders import Notifier, Uploader
from hand_off.verdict import Verdict, tell, verdict_of, write
from hand_off.witness import Witness
from phrasim.load.account import Sighting

WRONG_CALL = 2
_BEGINNERS: Mapping[str, type[User]] = {one.__name__: one for one in (Uploader, Notifier)}


def register() -> None:
    """To Locust's events."""
    events.init_command_line_parser.add_listener(add_options)
    events.init.add_listener(_init)


def _init(environment: Environment, **_: Any) -> None:
    try:
        run = Run(environment)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"phrasim: {error}\n")
        sys.exit(WRONG_CALL)
    environment.phrasim = run  # type: ignore[attr-defined]
    environment.stop_timeout = run.settings.patience
    _choose_users(run)
    _listen(environment, run)


def _choose_users(run: Run) -> None:
    """The classes that take part, and how many of them to each other."""
    chosen: list[type[User]] = []
    for name, weight in run.settings.mix.items():
        _BEGINNERS[name].weight = weight
        chosen.append(_BEGINNERS[name])
    if run.settings.consume:
        chosen.append(PullConsumer if run.mode == "pull" else PushConsumer)
    run.environment.user_classes = chosen


def _listen(environment: Environment, run: Run) -> None:
    witnesses: list[Witness] = []
    verdicts: list[Verdict] = []

    @environment.events.test_start.add_listener
    def start(**_: Any) -> None:
        verdicts.clear()
        run.wrong = ""
        try:
            run.begin()
            if not run.is_worker and not run.settings.consume:
                witnesses.extend(Witness(run, one) for one in run.landscapes)
        except (OSError, ValueError) as error:
            run.refuse(str(error))
            return
        run.started = True
        if not run.is_worker:
            gevent.spawn(show_progress, run)

    @environment.events.test_stop.add_listener
    def stop(**_: Any) -> None:
        run.draining = True
        if run.is_worker or not run.started:
            return
        run.started = False
        while witnesses:
            witnesses.pop().end()
        if run.over:
            Lister(environment).look()
        verdicts.append(verdict_of(run))
        try:
            write(verdicts[-1], run.settings)
        except OSError as error:
            run.refuse(f"writing {error.filename or 'a report'}: {error.strerror}")
        if environment.web_ui is not None:
            tell(verdicts[-1])

    @environment.events.quitting.add_listener
    def quitting(**_: Any) -> None:
        if not run.is_worker:
            ended_well = verdicts and not run.wrong
            environment.process_exit_code = verdicts[-1].exit_code if ended_well else WRONG_CALL

    @environment.events.quit.add_listener
    def quit_(**_: Any) -> None:
        if verdicts and not run.wrong and environment.web_ui is None:
            tell(verdicts[-1])  # Below the tables that Locust prints before.

    @environment.events.report_to_master.add_listener
    def report(data: dict[str, Any], **_: Any) -> None:
        data["sightings"], run.outbox = run.outbox, []
        data["downloaded_bytes"], run.downloaded_bytes = run.downloaded_bytes, 0
        data["beginning"] = run.beginning

    @environment.events.worker_report.add_listener
    def reported(client_id: str, data: Mapping[str, Any], **_: Any) -> None:
        for one in data.get("sightings", ()):
            run.take(Sighting(*one))
        run.downloaded_bytes += data.get("downloaded_bytes", 0)
        run.beginning_elsewhere[client_id] = data.get("beginning", 0)

    def interrupted() -> None:
        run.interrupted = True

    if environment.web_ui is None and not run.is_worker:
        # Locust does not heed it as long as a shape runs; so the run ends at the shape's next tick, and is told.
        gevent.signal_handler(signal.SIGTERM, interrupted)

    def told_users(msg: Any, **_: Any) -> None:
        run.users_max = msg.data

    def told_to_drain(**_: Any) -> None:
        run.draining = True

    if environment.runner is not None:
        environment.runner.register_message("users", told_users)
        environment.runner.register_message("drain", told_to_drain)
