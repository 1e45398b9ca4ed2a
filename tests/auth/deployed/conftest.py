"""A deployed Auth alone on simulated time; every answer of it is held to `deployed/auth.yaml`."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from phrasim.auth.deployed.app import auth_app
from phrasim.auth.deployed.keys import SigningKey
from phrasim.auth.deployed.state import AuthState, Client, User
from phrasim.clock import Clock, run_simulated
from phrasim.documents import specification
from phrasim.edge.outbound import http_client
from phrasim.edge.transport import InProcessTransport

FILE = "deployed/auth.yaml"
REALM = "phrasea"
ISSUER = "https://auth.test/realms/phrasea"

USER = User(
    "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856",
    "publisher",
    "publisher@example.org",
    "correct horse battery staple",
    roles=("user", "uploader-admin"),
    groups=("press",),
)
MACHINE = Client("phraseanet", "secret-of-phraseanet", scopes=("commit:list", "commit:read"), default_scopes=("email",))
FRONT_END = Client("front-end", "secret-of-the-front-end", grants=("password",))

UNDECLARED = {("issueToken", 413), ("issueToken", 415)}
"""What is answered and what the document is silent about."""


class Auth:
    """The service, and how it is asked."""

    user, machine, front_end, issuer = USER, MACHINE, FRONT_END, ISSUER

    def __init__(self, seed: int = 1, token_lifetime: int = 300, key: SigningKey | None = None) -> None:
        self.clock = Clock(asyncio.get_running_loop())
        self.state = AuthState(random.Random(seed), self.clock.now, token_lifetime, ISSUER)
        self.state.add_user(USER)
        for client in (MACHINE, FRONT_END):
            self.state.add_client(client)
        self.key = key or SigningKey.development()
        app = auth_app(specification(FILE), self.state, self.key, REALM)
        self.client = http_client(InProcessTransport({"auth.test": app}), "https://auth.test")
        self.client.event_hooks = {"response": [self._judge]}
        self.broken: list[str] = []

    @property
    def machine_fields(self) -> dict[str, str]:
        """A request of the grant `client_credentials`."""
        return {"grant_type": "client_credentials", "client_id": MACHINE.id, "client_secret": MACHINE.secret}

    @property
    def user_fields(self) -> dict[str, str]:
        """A request of the grant `password`."""
        client = {"grant_type": "password", "client_id": FRONT_END.id, "client_secret": FRONT_END.secret}
        return client | {"username": USER.username, "password": USER.password}

    async def token(self, fields: dict[str, str], realm: str = REALM) -> httpx.Response:
        """The answer of the token endpoint."""
        return await self.client.post(f"/realms/{realm}/protocol/openid-connect/token", data=fields)

    async def keys(self, realm: str = REALM) -> httpx.Response:
        """The answer of the certs endpoint."""
        return await self.client.get(f"/realms/{realm}/protocol/openid-connect/certs")

    async def _judge(self, response: httpx.Response) -> None:
        await response.aread()
        matched = specification(FILE).match(response.request.method, response.request.url.path)
        assert matched is not None
        operation, status = matched[0], response.status_code
        if (operation.operation_id, status) not in UNDECLARED:
            found = operation.response_violations(status, response.headers.get("content-type"), response.json())
            self.broken += [f"{operation.operation_id} {status}: {one}" for one in found]


@pytest.fixture(scope="session")
def play_auth() -> Callable[..., Any]:
    """Run `main(auth)` and hold what was answered to the document; keywords are those of `Auth`."""

    def played(main: Callable[[Auth], Awaitable[Any]], **setting: Any) -> Any:
        async def run() -> tuple[Any, Auth]:
            auth = Auth(**setting)
            return await main(auth), auth

        result, auth = run_simulated(run())
        assert auth.broken == []
        return result

    return played
