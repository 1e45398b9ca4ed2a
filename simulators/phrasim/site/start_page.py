"""The start page: what the protocol is, and where what people look for most is found."""

from collections.abc import Iterable, Mapping

from phrasim.site.page import Page, link

PATH = "index.md"
_OWN_FILE = "simulators/phrasim/site/start_page.py"

_LOOKED_FOR = (
    ("The push diagram", "sequences/documented.md#push-mode"),
    ("The body of the notification", "docs/request-flow.md#the-notification"),
    ("What a wrong AssetToken gets", "scenarios/push-wrong-token.md#what-was-refused"),
    ("How to run in CI", "docs/ci.md"),
)

_INTRODUCTION = """\
People upload files to an *upload service*, which hands them over to *Phraseanet*, a digital asset manager. In **push
mode** the upload service notifies Phraseanet; in **pull mode** Phraseanet polls. RabbitMQ sits in the middle, an Auth
service knows the publisher, files are fetched with an `AssetToken`, and in the end the commit is acknowledged. phrasim
simulates all of them, and holds real ones to their contract."""

_PROFILES = """\
There are two contracts, called *profiles*: **documented**, the protocol as its document has it, and **deployed**, as
the services of today speak it. The diagrams and verdicts of this site are those of runs in the build that made it; the
references are made from the documents by which the simulated services answer."""


def start_page(groups: Mapping[str, Iterable[Page]]) -> Page:
    """The start page; `groups` are the pages to which it leads, under the headings of the navigation."""
    looked_for = "\n".join(f"- {link(words, target, PATH)}" for words, target in _LOOKED_FOR)
    parts = [_INTRODUCTION, f"## Looked for most\n\n{looked_for}", _PROFILES]
    for heading, pages in groups.items():
        parts.append(f"## {heading}\n\n" + "\n".join(f"- {link(page.title, page.path, PATH)}" for page in pages))
    return Page(PATH, "The hand-off of uploaded media to Phraseanet", "\n\n".join(parts), (_OWN_FILE,))
