"""Real participants for `phrasim verify`, which a thread beside it plays."""

import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from click.testing import Result

from free_ports import free_ports
from phrasim.journal.events import Participant
from phrasim.serve.external import External
from phrasim.serve.landscape import Plan, open_landscape
from phrasim.serve.seed_data import read_seed_data
from phrasim.serve.sockets import bind_all
from phrasim.serve.thread import open_server_thread
from phrasim.testbed import SERVICES, Accounts, Mode, ProfileName, SeedData, Setting, Testbed
from phrasim.testbed.accounts import new_client, new_user
from phrasim.testbed.held import Held
from phrasim.testbed.network import unguessable
from phrasim.testbed.profiles import profile_of

Call = Callable[..., Result]
ACCOUNTS = """
users:
  - {email: publisher@example.org, password: secret-of-the-publisher, name: A Publisher}
  - {email: administrator@example.org, password: secret-of-the-administrator, roles: [ROLE_USER, ROLE_SUPER_ADMIN]}
clients:
  - {client_id: dam, client_secret: secret-of-the-client, scopes: ["commit:list"]}
  - {client_id: pages, client_secret: secret-of-the-pages, grants: [password]}
"""
CREDENTIALS = {
    "publisher.email": "publisher@example.org",
    "publisher.password": "secret-of-the-publisher",
    "administrator.email": "administrator@example.org",
    "administrator.password": "secret-of-the-administrator",
    "client.id": "dam",
    "client.secret": "secret-of-the-client",
    "frontEnd.id": "pages",
    "frontEnd.secret": "secret-of-the-pages",
}
FIXED = ("--budget", "5min", "--fixed")
PORTS = ("--phraseanet-port", "20001", "--auth-port", "20002")


@contextmanager
def real(
    participant: Participant,
    profile: ProfileName = "documented",
    mode: Mode = "push",
    seed: SeedData | None = None,
    token: str | None = None,
    look: Callable[[Testbed], None] = lambda _: None,
) -> Iterator[dict[str, int]]:
    """A participant that knows the others by their URLs; the ports of all of them. `look` sees it in the end."""
    ports = dict(zip(SERVICES, free_ports(3), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items() if name != participant}
    plan = Plan(
        setting=Setting(profile=profile, mode=mode, poll_interval=0.1, phraseanet_token=token),
        played=(participant, "broker") if participant == "phraseanet" else (participant,),
        external=External(urls),
        accounts=None if participant == "auth" else _accounts(profile),
        seed=seed or SeedData(),
    )
    with open_server_thread() as thread, tempfile.TemporaryDirectory() as storage:
        listeners = bind_all("127.0.0.1", {participant: (ports[participant], "")})
        held = thread.run(Held.opened(open_landscape(plan, listeners, Path(storage)), "a real one"))
        try:
            yield ports
            thread.look(lambda: look(held.thing.testbed))
        finally:
            thread.run(held.close())


@contextmanager
def hanging() -> Iterator[int]:
    """A service that answers the first request, with 404, and no other one; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    kept.append(server.accept()[0])
                    if len(kept) == 1:
                        kept[0].recv(65536)
                        kept[0].sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in kept:
                one.close()


def _accounts(profile: ProfileName) -> Accounts:
    """Those by which a real participant is known to Auth."""
    Path("accounts.yaml").write_text(ACCOUNTS)
    seed, roles, chance = read_seed_data(Path("accounts.yaml")), profile_of(profile).roles, unguessable("")
    users = [new_user(one, roles, chance) for one in seed.users]
    clients = [new_client(one, chance) for one in seed.clients]
    return Accounts(users[0], users[1], clients[0], clients[1])


def around(ports: dict[str, int], participant: str) -> list[str]:
    """The options by which a command finds a participant, and plays the others where it expects them."""
    others = [word for name, port in ports.items() if name != participant for word in (f"--{name}-port", str(port))]
    return ["--url", f"http://127.0.0.1:{ports[participant]}", *others]


def cases(output: str) -> dict[str, int]:
    """How much each suite tried."""
    found = re.findall(r"^(?:kept|left out) +(\S+) +(\d+) cases?", output, re.MULTILINE)
    return {name: int(count) for name, count in found}
