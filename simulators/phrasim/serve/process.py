"""The life of a server process: one landscape at the ports that were asked for, further ones at its control port."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.types import ASGIApp

from phrasim.serve.control import control_app
from phrasim.serve.landscape import Landscape, Plan, open_landscape
from phrasim.serve.landscapes import Landscapes

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LIFELINE = "PHRASIM_LIFELINE"
"""The variable by which a server hears of a descriptor, at whose end it ends: whoever started it is gone."""


def heeded() -> list[signal.Signals]:
    """The signals that end a server that was started as this one.

    `nohup` ignores SIGHUP and means it; shells ignore SIGINT for what runs in the background, and mean Ctrl-C.
    """
    return [one for one in END_SIGNALS if one != signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN]


def _end_with(lifeline: int, enough: asyncio.Event) -> None:
    """Nobody writes to it, so that it can be read at its end alone."""
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(lifeline)
        enough.set()

    loop.add_reader(lifeline, ended)


async def serve_until_told(
    plan: Plan,
    listeners: Mapping[str, socket.socket],
    storage: Path,
    host: str,
    ready: Callable[[Landscape], None],
    around_control: Callable[[Landscape, ASGIApp], ASGIApp] = lambda _, control: control,
) -> None:
    """Serve until a signal says that it is enough; `ready` is called once everything answers.

    `around_control` makes what answers at a landscape's control port of its control API.
    `storage` is a folder for the files of all landscapes. A signal ends the process in order, and ends nothing twice;
    signals that are blocked are let in once they are awaited.
    """
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in heeded():
        loop.add_signal_handler(number, enough.set)
    if LIFELINE in os.environ:
        _end_with(int(os.environ[LIFELINE]), enough)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)  # whoever calls lets them wait until here
    async with open_landscape(plan, listeners, storage / "landscape") as landscape:
        landscapes = Landscapes(host, storage, lambda one: around_control(one, control_app(one, None)))
        landscape.mount_control(around_control(landscape, control_app(landscape, landscapes)))
        await landscape.connectable()
        # What is there by now stays: the collector need not look through it again and again.
        gc.freeze()
        gc.enable()
        ready(landscape)
        await enough.wait()
        await asyncio.gather(landscapes.close(), landscape.stop())
