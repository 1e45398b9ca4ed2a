"""From options to what is served: a plan, and the ports that it wants. What is wrong ends the command with exit 2."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from phrasim.auth.accounts import Client, User
from phrasim.broker.amqp.external import hold_unused
from phrasim.broker.amqp.url import BrokerUrlError, broker_url
from phrasim.broker.client import BrokerError
from phrasim.cli.options import Options
from phrasim.cli.output import fail, print_line, warn
from phrasim.documents import DocumentError, contract
from phrasim.journal.events import Participant
from phrasim.serve.broker import GUEST, Login, external_connector, preflight_broker
from phrasim.serve.credentials import Credentials, CredentialsError, credentials_file, missing, read_credentials
from phrasim.serve.external import External, ExternalError, Preflight, preflight
from phrasim.serve.landscape import Plan, Tls
from phrasim.serve.seed_data import SeedDataError, read_seed_data
from phrasim.serve.sockets import PortError, bind_all, is_loopback
from phrasim.serve.tls import TlsError, own_client_context, server_context
from phrasim.service.credentials import LIST_COMMITS
from phrasim.testbed import SERVICES, Accounts, SeedData, Setting
from phrasim.testbed.profiles import profile_of
from phrasim.testbed.roles import Roles

_WORKER_NEEDS = {
    "client.id": "by which Phraseanet is known to the real Auth",
    "client.secret": "by which Phraseanet is known to the real Auth",
}


class Serving:
    """A plan and its ports. Whatever of the options cannot be used ends the command.

    `amqp_port` is the broker's where the options name none, `login` how others use it.
    """

    def __init__(
        self,
        options: Options,
        setting: Setting,
        only: Sequence[Participant] | None = None,
        amqp_port: int = 0,
        login: Login = GUEST,
    ) -> None:
        self._options = options
        self._amqp_port = amqp_port if options.amqp_port is None else options.amqp_port
        self._only = only
        try:
            external = External(
                urls={name: url for name, url in options.urls.items() if url is not None},
                broker=None if options.broker is None else broker_url(options.broker),
                ca=options.ca,
                insecure=options.insecure,
            )
            self.credentials = read_credentials(options.credential, os.environ, credentials_file(Path()))
            self.plan = Plan(
                setting=replace(
                    setting,
                    phraseanet_token=self.credentials.phraseanet_token,
                    target_id=self.credentials.target_id,
                    target_slug=self.credentials.target_slug,
                ),
                played=_played(external, only, amqp_port=options.amqp_port),
                external=external,
                public_urls=_public_urls(options.public_url),
                tls=_tls(options),
                login=login,
                seed=SeedData() if options.seed_data is None else read_seed_data(options.seed_data),
                accounts=_accounts(self.credentials, profile_of(setting.profile).roles)
                if "auth" in external.urls
                else None,
            )
        except (ExternalError, BrokerUrlError, CredentialsError, SeedDataError, DocumentError, TlsError) as error:
            fail(str(error))
        if "auth" in external.urls and "phraseanet" in self.plan.played:
            self.need(_WORKER_NEEDS)
        if not is_loopback(options.host):
            warn(
                f"listening on {options.host}: whoever can reach this machine can use the simulators and their control "
                "port; callers elsewhere need --public-url, such as upload=http://this-machine:8081"
            )

    def need(self, needed: Mapping[str, str]) -> None:
        """End the command where a credential is not there; `needed` says what each is for."""
        problem = missing(self.credentials, needed)
        if problem is not None:
            fail(problem)

    @property
    def _listens_for_amqp(self) -> bool:
        """Whether others reach the broker: with `only` Phraseanet keeps it to itself, unless it is asked for."""
        return self._only is None or "broker" in self._only or self._options.amqp_port is not None

    def ports(self, *besides: str) -> dict[str, tuple[int, str]]:
        """Port and option of each participant that is played and listens, and of what is wanted `besides`."""
        ports = {name: (port, f"--{name}-port") for name, port in self._options.ports.items()}
        ports["broker"] = (self._amqp_port, "--amqp-port")
        names = [name for name in self.plan.played if name != "broker" or self._listens_for_amqp]
        return {name: ports[name] for name in (*names, *besides)}

    def listeners(self, *besides: str) -> dict[str, socket.socket]:
        """A bound socket for each of the `ports`; ends the command where one cannot be had."""
        try:
            return bind_all(self._options.host, self.ports(*besides))
        except PortError as error:
            fail(str(error))

    def preflight(self) -> None:
        """Say on standard error, in a line each, whether the real participants are reachable."""
        for one in self._checked():
            warn(one.text)

    def reach(self, *, told: bool = True) -> list[str]:
        """Lines that say that the real participants are reachable, which are printed if `told`.

        One that is not reachable ends the command.
        """
        found = self._checked()
        unreachable = [one.text for one in found if not one.reachable]
        if unreachable:
            fail(f"{'; '.join(unreachable)}; nothing was played")
        if self.plan.external.broker is not None:
            try:
                asyncio.run(
                    hold_unused(external_connector(self.plan.external), contract(self.plan.setting.profile).messages)
                )
            except BrokerError as error:
                fail(f"broker: {error}; nothing was played")
        for one in found if told else ():
            print_line("aside", one.text)
        return [one.text for one in found]

    def _checked(self) -> list[Preflight]:
        external = self.plan.external
        found = asyncio.run(preflight(external))
        return found if external.broker is None else [*found, asyncio.run(preflight_broker(external))]

    def absences(self) -> list[str]:
        """What will not work, since nobody plays a participant that somebody else here needs."""
        there = (*self.plan.played, *self.plan.external.urls)
        push = self.plan.setting.mode in ("push", "both")
        needs: tuple[tuple[Participant, Participant, str], ...] = (
            ("upload", "auth", "the upload service knows no Bearer and answers 503 to each"),
            *((("upload", "phraseanet", "no commit is notified"),) if push else ()),
            ("phraseanet", "auth", "Phraseanet's worker cannot ask for a publisher"),
            ("phraseanet", "upload", "Phraseanet can neither poll nor download"),
        )
        return [
            f"nobody plays {absent}: {effect}; name a real one by --{absent} URL"
            for needing, absent, effect in needs
            if needing in self.plan.played and absent not in there
        ] + self._dropped_ports()

    def _dropped_ports(self) -> list[str]:
        """What will not work where Phraseanet drops the port of the real upload service that it pulls (H22)."""
        url = self.plan.external.urls.get("upload")
        pulls = self.plan.setting.mode in ("pull", "both") and "phraseanet" in self.plan.played
        if url is None or not pulls or not profile_of(self.plan.setting.profile).drops_port:
            return []
        if httpx.URL(url).port is None:
            return []
        return [f"pull mode: Phraseanet drops the port of {url}, and will ask at the usual one, where nobody may be"]


def _played(external: External, only: Sequence[Participant] | None, amqp_port: int | None) -> tuple[Participant, ...]:
    """Who is played: without `only` all who are not real; the broker where Phraseanet is, or where it is asked for."""
    real = (*external.urls, *(("broker",) if external.broker else ()))
    for name in only or ():
        if name in real:
            fail(f"--only says that {name} is simulated, and --{name} that there is a real one; leave one of them out")
    played = [name for name in SERVICES if name not in real and (only is None or name in only)]
    if external.broker is not None:
        if amqp_port is not None:
            fail("--amqp-port is for a simulated broker, and --broker says that there is a real one; leave one out")
        if "phraseanet" not in played:
            fail("--broker is the broker of the simulated Phraseanet, which is not played; leave it out")
    elif "phraseanet" in played or (amqp_port is not None if only is None else "broker" in only):
        played.append("broker")
    return tuple(played)


def _public_urls(written: Sequence[str]) -> dict[Participant, str]:
    urls: dict[Participant, str] = {}
    for one in written:
        name, equals, url = one.partition("=")
        known = [service for service in SERVICES if service == name]
        if not equals or not known:
            fail(f"--public-url {one!r}: write NAME=URL, with upload, phraseanet or auth for NAME")
        urls[known[0]] = url
    return dict(External(urls).urls)


def _tls(options: Options) -> Tls | None:
    if options.tls_cert is None and options.tls_key is None:
        return None
    if options.tls_cert is None or options.tls_key is None:
        there, absent = ("--tls-key", "--tls-cert") if options.tls_cert is None else ("--tls-cert", "--tls-key")
        fail(f"{there} was given without {absent}; HTTPS takes a certificate and its key")
    cert = options.tls_cert
    return Tls(server_context(cert, options.tls_key), lambda: own_client_context(cert))


def _accounts(credentials: Credentials, roles: Roles) -> Accounts:
    """The accounts of an external Auth, as far as the credentials tell of them."""
    return Accounts(
        publisher=User("", credentials.publisher_email or "", "", credentials.publisher_password or ""),
        administrator=User(
            "",
            credentials.administrator_email or "",
            "",
            credentials.administrator_password or "",
            roles=(*roles.ordinary, roles.administrator[0]),
        ),
        phraseanet=Client(credentials.client_id or "", credentials.client_secret or "", scopes=(LIST_COMMITS,)),
        front_end=Client(credentials.front_end_id or "", credentials.front_end_secret or "", grants=("password",)),
    )
