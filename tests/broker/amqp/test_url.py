"""The URL of a broker: read, written for a client, and shown to people."""

import asyncio

import aiormq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.broker.amqp.url import BrokerUrl, BrokerUrlError, broker_url

HOSTS = st.sampled_from(["localhost", "rabbit.example.org", "127.0.0.1", "::1", "2001:db8::5"])
TEXTS = st.text(min_size=1)
"""Names and passwords; RabbitMQ has none that is empty."""

URLS = st.builds(BrokerUrl, HOSTS, st.integers(1, 65535), TEXTS, TEXTS, TEXTS, st.booleans())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("amqp://h", BrokerUrl("h")),
        ("amqp://h/", BrokerUrl("h")),
        ("AMQP://H", BrokerUrl("h")),
        ("amqp://h/%2F", BrokerUrl("h")),
        ("amqp://h:1234/v", BrokerUrl("h", 1234, vhost="v")),
        ("amqp://me:pw@h", BrokerUrl("h", user="me", password="pw")),
        ("amqp://me@h", BrokerUrl("h", user="me", password="guest")),
        ("amqp://a%40b:c%3Ad%2F@h/x%2Fy", BrokerUrl("h", user="a@b", password="c:d/", vhost="x/y")),
        ("amqps://h", BrokerUrl("h", 5671, tls=True)),
        ("amqps://h:5672", BrokerUrl("h", 5672, tls=True)),
        ("amqp://[::1]", BrokerUrl("::1")),
        ("amqp://me:pw@[2001:db8::5]:99/v", BrokerUrl("2001:db8::5", 99, "me", "pw", "v")),
    ],
)
def test_what_is_left_out_is_rabbitmqs_default(written: str, meant: BrokerUrl) -> None:
    assert broker_url(written) == meant


@given(URLS)
@example(BrokerUrl("::1", 5671, "@:/?#%", "%2F %00\n", "%2F"))
def test_what_is_written_for_a_client_is_read_back(url: BrokerUrl) -> None:
    assert broker_url(url.full) == url


@given(URLS)
def test_the_client_that_is_used_reads_what_is_written_for_it(url: BrokerUrl) -> None:
    async def main() -> None:
        # The virtual host it is told apart.
        read = aiormq.Connection(url.full).url
        assert (read.scheme, read.host, read.port) == ("amqps" if url.tls else "amqp", url.host, url.port)
        assert (read.user, read.password) == (url.user, url.password)

    asyncio.run(main())


@given(URLS)
def test_no_user_and_no_password_are_shown(url: BrokerUrl) -> None:
    assert url.shown in repr(url)
    without = BrokerUrl(url.host, url.port, "somebody", "something", url.vhost, url.tls)
    assert (without.shown, repr(without)) == (url.shown, repr(url))
    assert "@" not in url.shown


@pytest.mark.parametrize(
    ("vhost", "shown"), [("/", "amqp://h:5672"), ("v", "amqp://h:5672/v"), ("a/b", "amqp://h:5672/a%2Fb")]
)
def test_the_place_and_the_virtual_host_are_shown(vhost: str, shown: str) -> None:
    assert BrokerUrl("h", vhost=vhost).shown == shown


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("me:secret@h", "'…' is no URL of AMQP"),
        ("", "'…' is no URL of AMQP"),
        ("http://me:secret@h/v", "'http://h/v' is no URL of AMQP"),
        ("amqp://me:secret@", "'amqp://' names no host and port"),
        ("amqp://me:secret@:5672", "'amqp://:5672' names no host and port"),
        ("amqp://me:secret@h:port", "'amqp://h:port' names no host and port"),
        ("amqp://me:secret@h:0", "'amqp://h:0' names no host and port"),
        ("amqp://me:secret@h:65536", "'amqp://h:65536' names no host and port"),
        ("amqp://me:secret@[::1", "'amqp://[::1' names no host and port"),
        ("amqp://me:secret@a..b", "'amqp://a..b' names no host and port"),
        (f"amqp://me:secret@{'h' * 64}", "names no host and port"),
        (f"amqp://me:secret@h/{'%C3%A4' * 128}", "broker: the name of a virtual host has at most 255 bytes"),
        ("amqp://me:secret/secret@h", "'amqp://h' names no host and port"),
        ("amqp://me:secret#secret@h", "'amqp://h' names no host and port"),
        ("amqp://me:secret@h/v?heartbeat=7", "'amqp://h/v?heartbeat=7' goes on after its virtual host with"),
        ("amqp://me:secret@h/v#f", "'amqp://h/v#f' goes on after its virtual host with"),
        ("amqp://me:secret@h/a/b", "'amqp://h/a/b': a '/' in the name of a virtual host is written %2F"),
        ("amqp://me:secret@h/\udcff", "'amqp://h/\\udcff' holds what a URL writes %-encoded"),
        ("amqp://me:secret@h//", "'amqp://h//': a '/' in the name of a virtual host is written %2F"),
    ],
)
def test_what_is_no_url_of_a_broker_is_refused_and_its_password_told_nobody(written: str, said: str) -> None:
    with pytest.raises(BrokerUrlError) as caught:
        broker_url(written)
    assert said in str(caught.value)
    # Python tells a cause, too, to whoever sees a traceback.
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"
