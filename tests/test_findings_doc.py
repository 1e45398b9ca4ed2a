"""The page of findings says what is so: each ruling and hazard is there once, and what shows it is there, too."""

import ast
import re
from functools import cache
from itertools import chain
from pathlib import Path

import msgspec
import pytest

from phrasim.documents import documents_root, flow_document, openapi_folder, scenarios_folder
from phrasim.documents.contract import CONTRACTS
from phrasim.documents.difference import Changed, Compared, Removed, compared
from phrasim.documents.stated import Entry, entries
from phrasim.documents.store import installed_store
from phrasim.journal.document import section as drawing
from phrasim.report.difference import difference_json, where

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
TEST = r"(?:tests|contracts)/[\w/]+\.py::\w+"
LINK = r"\[([\w-]+)\]\(\.\./(scenarios/[\w/.-]+)\)"
"""A scenario that is linked: its name and its file."""
RULINGS = {f"A{number}" for number in range(1, 36)}
HAZARDS = {f"H{number}" for number in range(1, 35)} - {"H30"}
EFFECTS = {"lost", "duplicated", "stranded", "moved", "none"}
SERVICES = {
    "The upload service": "upload",
    "Phraseanet": "phraseanet",
    "Auth": "auth",
    "Phraseanet's queues": "messages",
}
"""The sections with a table of operations, and the service that each is about."""
PRESENT = {(True, True): "both", (True, False): "documented", (False, True): "deployed"}

pytestmark = [
    pytest.mark.unmeasured,
    pytest.mark.skipif(documents_root() != ROOT, reason="the pages are those of the checkout"),
]


def section(title: str) -> str:
    """What stands below a heading, up to the next one of that level or a higher one."""
    found = re.search(rf"^(##+) {re.escape(title)}\n(.*?)(?=^##? |^\1 |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[2]


def tables(text: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] not in {"operation", "channel or message", "hazard"} and row[0] != "---"]


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


ENTRIES = re.findall(
    r"^#### (A\d+): ([^\n]+)\n\n(.*?)(?=^#|\Z)",
    section("What the document leaves open or contradicts"),
    re.MULTILINE | re.DOTALL,
)
HAZARD_ROWS = tables(section("Known hazards of the deployed services"))
OPERATION_ROWS = [(service, row) for title, service in SERVICES.items() for row in tables(section(title))]


@cache
def names_of_tests(file: str) -> frozenset[str]:
    """The tests in a file, also those in a class."""
    nodes = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_ruling_has_one_entry_and_is_one_of_those_that_openapi_assumes() -> None:
    assumed: set[str] = set()
    for file in openapi_folder().rglob("*.yaml"):
        assumed |= {
            name
            for names in re.findall(r"x-assumed: \[([^]]*)\]", file.read_text(encoding="utf-8"))
            for name in names.split(", ")
        }
    names = [name for name, _, _ in ENTRIES]
    assert len(names) == len(set(names))
    assert set(names) == assumed == RULINGS


@pytest.mark.parametrize(("name", "body"), [(name, body) for name, _, body in ENTRIES])
def test_an_entry_has_its_four_parts_and_says_what_shows_it(name: str, body: str) -> None:
    heads = re.findall(r"^- \*\*([\w ]+)\*\*", body, re.MULTILINE)
    assert heads == ["The document", "phrasim", "Deployed", "Shown by"]
    documented, _, deployed = " ".join(body.split("**Shown by**")[1].split()).partition("deployed by")
    assert re.search(rf"{TEST}|{LINK}", documented)
    profiles = {"documented": re.findall(LINK, documented), "deployed": re.findall(LINK, deployed)}
    for profile, links in profiles.items():
        assert [file for _, file in links if file.startswith("scenarios/deployed/") != (profile == "deployed")] == []


def test_each_scenario_that_is_linked_is_there_and_is_called_so() -> None:
    links = re.findall(LINK, PAGE)
    assert len(links) > 50
    assert [file for name, file in links if not (ROOT / file).is_file() or Path(file).stem != name] == []
    assert len(links) == len(re.findall(r"\.\./scenarios/", PAGE)), "a link is not of the form that is looked for"


def test_each_test_that_is_named_is_there() -> None:
    named = re.findall(TEST, PAGE)
    assert len(named) > 30
    assert len(named) == PAGE.count("::"), "a test is not named in the form that is looked for"
    missing = [test for test in named if test.split("::")[1] not in names_of_tests(test.split("::")[0])]
    assert missing == []


@cache
def stated(service: str) -> tuple[dict[tuple[str, str], Entry], ...]:
    """What the documented and the deployed document of a service state."""
    store = installed_store()
    found = [entries(store, CONTRACTS[profile][service]) for profile in ("documented", "deployed")]
    return tuple({(entry.kind, entry.name): entry for entry in side} for side in found)


@cache
def differing(service: str) -> list[Compared]:
    before, after = stated(service)
    return compared(list(before.values()), list(after.values()))


ALL = [(service, entry) for service in SERVICES.values() for entry in differing(service)]


def test_no_operation_is_the_same_in_both_profiles() -> None:
    assert "there is none that both profiles have alike" in PAGE
    assert [entry.name for _, entry in ALL if entry.same] == []
    assert list(SERVICES.values()) == list(CONTRACTS["documented"])


def test_the_operations_that_differ_are_those_of_the_tables_with_their_profiles_and_requests() -> None:
    """In the order, with the profiles and with the request lines that `phrasim diff` prints."""
    told = [(service, *ticked(row[0]), row[1], row[2].replace("`", "")) for service, row in OPERATION_ROWS]
    found = []
    for service, entry in ALL:
        titles = dict.fromkeys(title for title in (entry.before, entry.after) if title is not None)
        present = PRESENT[entry.before is not None, entry.after is not None]
        found.append((service, entry.name, present, " → ".join(titles)))
    assert told == found


def words_of(service: str, entry: Compared) -> str:
    """All that `phrasim diff` knows of an operation: what differs, or all that is said of it by the one that has it."""
    if entry.before is not None and entry.after is not None:
        return difference_json(("", ""), {service: [entry]})
    sides = [side[entry.kind, entry.name] for side in stated(service) if (entry.kind, entry.name) in side]
    return msgspec.json.encode([side.part.whole() for side in sides]).decode()


@pytest.mark.parametrize(("service", "entry"), ALL, ids=[entry.name for _, entry in ALL])
def test_what_a_row_says_of_an_operation_is_among_its_differences(service: str, entry: Compared) -> None:
    """By the names and statuses in it; the words between them are for people."""
    (row,) = [row for of, row in OPERATION_ROWS if (of, ticked(row[0])) == (service, [entry.name])]
    told, shown = row[3:]
    known = words_of(service, entry)
    names = [*ticked(told), *re.findall(r"\b[45]\d\d\b", told)]
    assert [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", known)] == []
    assert re.search(rf"{TEST}|{LINK}", shown)
    assert [file for _, file in re.findall(LINK, shown) if not file.startswith("scenarios/deployed/")] == []


def test_what_differs_in_every_request_to_the_upload_service_does() -> None:
    common = section("The upload service").partition("\n|")[0]
    assert set(ticked(common)) == {"JWT", "application/ld+json", "www-authenticate"}
    requests = [
        entry for entry in differing("upload") if entry.before and entry.after and "webhook" not in entry.before
    ]
    assert len(requests) == 5
    for entry in requests:
        places = {where(one.place): one for one in entry.differences}
        bearer = places["security Bearer"]
        assert isinstance(bearer, Changed)
        assert bearer.after == "JWT"
        assert isinstance(places["answer 503"], Removed)
        assert isinstance(places["answer 401 header www-authenticate"], Removed)
        shapes = {place for place in places if re.match(r"answer 4\d\d application/ld\+json$", place)}
        assert shapes
        for shape in shapes:
            assert shape.replace("ld+json", "problem+json /title") in places


def test_the_arrows_of_either_sequence_are_as_many_as_the_page_says() -> None:
    words = {"documented": (12, "twelve arrows for two assets"), "deployed": (19, "nineteen in all")}
    for profile, (number, said) in words.items():
        text = flow_document(profile).read_text(encoding="utf-8")
        assert len(drawing(text, "push-mode").arrows) == number
        assert said in section("Where the profiles disagree").replace("\n", " ")


def rows_of_hazards(*, played: bool) -> dict[str, list[str]]:
    """The tables of those that are played and of those that are not: the rest of each row by its hazard."""
    before, after = section("Known hazards of the deployed services").split("These are not played:")
    return {name: rest for name, *rest in tables(before if played else after)}


def named_by_scenarios() -> dict[str, set[str]]:
    """The hazards that scenarios name in their second line, and the files that do."""
    found: dict[str, set[str]] = {}
    for path in (scenarios_folder() / "deployed").glob("*.yaml"):
        second = path.read_text(encoding="utf-8").splitlines()[1]
        for name in re.findall(r"\bH\d+\b", second if second.startswith("#") else ""):
            found.setdefault(name, set()).add(f"scenarios/deployed/{path.name}")
    return found


def test_each_hazard_has_one_row_with_its_effect() -> None:
    names = [row[0] for row in HAZARD_ROWS]
    assert names == sorted(HAZARDS & set(rows_of_hazards(played=True)), key=number) + sorted(
        rows_of_hazards(played=False), key=number
    )
    assert len(names) == len(set(names))
    assert set(names) == HAZARDS
    assert set(chain.from_iterable(row[2].split(", ") for row in HAZARD_ROWS)) == EFFECTS
    explained = section("Known hazards of the deployed services").partition("\n|")[0].lower()
    assert [effect for effect in EFFECTS if f"*{effect}*:" not in explained] == []


def number(name: str) -> int:
    return int(name[1:])


def test_each_hazard_that_a_scenario_names_is_played_and_one_of_those_scenarios_is_linked() -> None:
    played = rows_of_hazards(played=True)
    named = named_by_scenarios()
    assert len(named) > 20
    for name, files in named.items():
        linked = {file for _, file in re.findall(LINK, played[name][2])}
        assert linked, f"{name} has no scenario in its row"
        assert linked <= files, f"{name}: a scenario is linked that does not name it"
    assert [name for name, row in played.items() if name not in named and not re.search(TEST, row[2])] == []
    assert [name for name, row in played.items() if name not in named and re.search(LINK, row[2])] == []


def test_what_is_not_played_is_told_with_the_reason() -> None:
    not_played = rows_of_hazards(played=False)
    assert set(not_played) & set(named_by_scenarios()) == set()
    assert [name for name, row in not_played.items() if not row[2].endswith(".")] == []


def test_each_hazard_and_ruling_that_the_deployed_documents_or_the_page_itself_name_is_told() -> None:
    named: set[str] = set()
    for file in (openapi_folder() / "deployed").glob("*.yaml"):
        named |= set(re.findall(r"\b[AH]\d{1,2}\b", file.read_text(encoding="utf-8")))
    assert len(named) > 40
    named |= set(re.findall(r"\b[AH]\d{1,2}\b", PAGE)) - {"H30"}
    assert named - HAZARDS - RULINGS == set()
    assert "there is no H30" in " ".join(PAGE.split())


def test_the_page_stands_alone() -> None:
    assert "PROTOCOL" not in PAGE
    assert "§" not in PAGE
