"""The rules of the simulated broker of a landscape."""

from phrasim.broker.core import Broker
from phrasim.testbed.network import Network
from phrasim.testbed.setting import Setting


def new_broker(setting: Setting, network: Network, vhost: str = "/") -> Broker:
    """An empty broker on the clock of the network, with names drawn from its own chance."""
    return Broker(
        network.clock.now_ns,
        network.chance("broker"),
        epoch_ns=round(network.clock.epoch.timestamp() * 1_000_000) * 1000,
        vhost=vhost,
        honours_client_x_death=setting.broker_version == "3",
    )
