"""On which wire `run` plays: what the options ask for, what can be played so, and who plays it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from phrasim.cli.options import Options
from phrasim.cli.output import fail, print_line
from phrasim.scenario.playable import accounts_needed, unplayable

if TYPE_CHECKING:
    from phrasim.scenario.events import Outcome
    from phrasim.scenario.model import Scenario, WireName
    from phrasim.scenario.runner import Listener, Play

    Player = Callable[[Scenario, Play, Listener], Outcome]


def chosen_wire(asked: "WireName | None", options: Options) -> "WireName":
    """The wire of a run: a real participant is reached over sockets. What does not fit ends the command."""
    real = options.external
    if asked == "in-process" and real:
        fail(f"--{real[0]}: a real {real[0]} is reached over sockets; leave --wire in-process out")
    if asked == "loopback" or real:
        return "loopback"
    needing: dict[str, object] = {f"--{name}-port": port for name, port in options.ports.items()}
    needing |= {"--amqp-port": options.amqp_port is not None}
    needing |= {"--public-url": options.public_url, "--tls-cert": options.tls_cert, "--tls-key": options.tls_key}
    needing |= {"--seed-data": options.seed_data, "--host": options.host != "127.0.0.1", "--ca": options.ca}
    needing |= {"--insecure": options.insecure, "--credential": options.credential}
    given = [option for option, value in needing.items() if value]
    if given:
        fail(f"{given[0]} has no meaning in-process, where nothing has a port; add --wire loopback")
    return "in-process"


def playable(
    plays: "Sequence[tuple[Scenario, Play]]", wire: "WireName", options: Options, *, several: bool
) -> "list[tuple[Scenario, Play]]":
    """The plays that can be played so; of several the others are told, a single one ends the command."""
    from phrasim.testbed.network import real_ones

    external = frozenset(real_ones(options.external, ["broker"] if options.amqp_port is not None else []))
    found = []
    for scenario, play in plays:
        why = unplayable(scenario, wire, external)
        if why is None:
            found.append((scenario, play))
        elif several:
            print_line("aside", f"{scenario.name}: not played, {why}")
        else:
            fail(f"{scenario.file}: it cannot be played so: {why}")
    if not found:
        fail("none of these scenarios can be played so")
    return found


def player_on(wire: "WireName", options: Options, plays: "Sequence[tuple[Scenario, Play]]") -> "Player":
    """What plays a scenario on that wire; ends the command where a real participant cannot be reached."""
    if wire == "in-process":
        from phrasim.scenario.runner import play_in_process

        return play_in_process
    from phrasim.broker.client import BrokerError
    from phrasim.cli.serving import Serving
    from phrasim.scenario.loopback import play_on_loopback
    from phrasim.testbed import Setting, seeded, unguessable
    from phrasim.testbed.seeding import SeedError

    serving = Serving(options, Setting())
    if "auth" in options.external:
        serving.need(accounts_needed(scenario for scenario, _ in plays))
    serving.reach()

    def played(scenario: "Scenario", play: "Play", listen: "Listener") -> "Outcome":
        chance = unguessable if options.external else seeded(play.seed)
        try:
            return play_on_loopback(scenario, play, replace(serving.plan, chance=chance), serving.listeners, listen)
        except SeedError as error:
            fail(str(error))
        except BrokerError as error:
            fail(f"broker: {error}")

    return played
