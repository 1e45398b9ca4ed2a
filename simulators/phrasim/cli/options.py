"""The options by which a landscape on real ports is described; `serve` and `run` share them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from phrasim.journal.events import Participant


def _port(name: str, whose: str) -> object:
    return typer.Option(f"--{name}-port", metavar="PORT", help=f"The port of {whose}; 0 takes any free one.")


def _url(name: str, what: str) -> object:
    return typer.Option(
        f"--{name}", metavar="URL", help=f"A real {what} in the place of the simulated one.", show_default=False
    )


UploadPort = Annotated[int, _port("upload", "the simulated upload service")]
PhraseanetPort = Annotated[int, _port("phraseanet", "the simulated Phraseanet")]
AuthPort = Annotated[int, _port("auth", "the simulated Auth")]
AmqpPort = Annotated[
    int | None,
    typer.Option(
        "--amqp-port",
        metavar="PORT",
        help="The port of the simulated broker, 5672 for serve if none is said; 0 takes any free one.",
        show_default=False,
    ),
]
ControlPort = Annotated[int, _port("control", "the control API")]
Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address at which the simulated ones listen.")]
PublicUrl = Annotated[
    list[str] | None,
    typer.Option(
        "--public-url",
        metavar="NAME=URL",
        help="Where upload, phraseanet or auth say that they are, for callers elsewhere; repeatable.",
    ),
]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Serve HTTPS with this certificate.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="The certificate's private key.")]
SeedFile = Annotated[
    Path | None,
    typer.Option("--seed-data", metavar="FILE", help="Users, clients and commits that are there from the start: YAML."),
]
Upload = Annotated[str | None, _url("upload", "upload service")]
Phraseanet = Annotated[str | None, _url("phraseanet", "Phraseanet")]
Auth = Annotated[str | None, _url("auth", "Auth")]
Broker = Annotated[
    str | None,
    typer.Option(
        "--broker",
        metavar="URL",
        help="A real RabbitMQ in the place of the simulated broker: amqp://USER:PASSWORD@HOST/VHOST.",
        show_default=False,
    ),
]
Ca = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", help="Trust this CA, too, in the TLS of real participants.")
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Do not verify the TLS of real participants.")]
Credential = Annotated[
    list[str] | None,
    typer.Option(
        "--credential",
        metavar="NAME=VALUE",
        help="For real participants, such as client.secret=…; else PHRASIM_CLIENT_SECRET, or phrasim.toml; repeatable.",
    ),
]


ProfileOption = Annotated[
    Literal["documented", "deployed"] | None,
    typer.Option(
        "--profile",
        help="The contract in force: the request-flow document's, or that of the services as they are deployed.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Options:
    """What `serve` and `run` were both given. `ports` are those of the services and of control, by name.

    `amqp_port` is the broker's, and says that it is wanted also where phrasim does not play Phraseanet.
    """

    ports: Mapping[str, int]
    amqp_port: int | None
    host: str
    public_url: Sequence[str]
    tls_cert: Path | None
    tls_key: Path | None
    seed_data: Path | None
    urls: "Mapping[Participant, str | None]"
    broker: str | None
    ca: Path | None
    insecure: bool
    credential: Sequence[str]

    @property
    def external(self) -> "list[Participant]":
        """The participants that are real ones."""
        named: Mapping[Participant, str | None] = {**self.urls, "broker": self.broker}
        return [name for name, url in named.items() if url is not None]
