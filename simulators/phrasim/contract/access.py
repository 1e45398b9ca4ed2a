"""Who may do what (PROTOCOL §2.4, §2.1, A11, A27, A32), whatever befell an asset, and whoever asks.

The tables are those of the protocol, read row by row; an asset comes by its state through a drawn history.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given, seed
from hypothesis import strategies as st

from phrasim.contract.drawn import run_drawn
from phrasim.contract.finding import HttpExchange
from phrasim.contract.inquiry import Inquiry, answered, json_body, said
from phrasim.contract.principals import Principals, forged
from phrasim.contract.subject import Subject, file_form
from phrasim.contract.uploads import NO_ID, Stopped, Uploads
from phrasim.testbed import ProfileName

SILENT = None
"""The protocol does not say; whatever is answered is right."""

COLUMNS: Mapping[ProfileName, tuple[str, ...]] = {
    "documented": (
        "missing id",
        "asset not committed",
        "asset committed",
        "commit ack",
        "GET /commits",
        "POST /assets",
        "POST /commit",
        "GET users/info/{id}",
        "GET /token-info",
    ),
    "deployed": (
        "missing id",
        "asset not committed",
        "asset committed",
        "commit ack",
        "GET /commits",
        "POST /assets",
        "POST /commit",
        "GET /commits/{id}",
        "GET /assets/{id}/download",
        "GET /me",
        "GET /targets",
    ),
}

TABLES: Mapping[ProfileName, Mapping[str, tuple[int | None, ...]]] = {
    # §2.4 where a resource is asked for; A11 for the list, A32 for uploads and commits, A27, A32 and A33 for Auth.
    "documented": {
        "nobody": (401, 401, 401, 401, 401, 401, 401, 401, 401),
        "invalid Bearer": (401, 401, 401, 401, 401, 401, 401, 401, 401),
        "ordinary user": (404, 403, 403, 403, 403, 201, 200, 403, 200),
        "administrator": (404, 403, 200, 200, 200, 201, 200, 403, 200),
        "AssetToken of the commit": (404, 403, 200, 200, 403, 403, 403, 403, 401),
        "any other AssetToken": (404, 403, 403, 403, 403, 403, 403, 403, 401),
        "client with commit:list": (404, 403, 403, 403, 200, 403, 403, 200, 200),
        "client without": (404, 403, 403, 403, 403, 403, 403, 200, 200),
    },
    # §2.4 and §2.5, column now; §2.2 for uploads (500 for an AssetToken, which has no user id); §2.1: the route of the
    # download is gone, and whoever is known lists targets.
    "deployed": {
        "nobody": (401, 401, 401, 401, 401, 401, 401, 401, 404, 401, 401),
        "invalid Bearer": (401, 401, 401, 401, 401, 401, 401, 401, 404, 401, 401),
        "ordinary user": (404, 403, 403, 403, 403, 201, 200, 403, 404, 200, 200),
        "administrator": (404, 403, 200, 200, 200, 201, 200, 200, 404, 200, 200),
        "AssetToken of the commit": (404, 403, 200, 200, 403, 500, SILENT, 200, 404, SILENT, 200),
        "any other AssetToken": (404, 403, 403, 403, 403, 500, SILENT, 403, 404, SILENT, 200),
        "client with commit:list": (404, 403, 403, 403, 200, SILENT, SILENT, 200, 404, SILENT, 200),
        "client without": (404, 403, 403, 403, 403, SILENT, SILENT, 403, 404, SILENT, 200),
    },
}

ASSET = {
    "unknown": "missing id",
    "uploaded": "asset not committed",
    "committed": "asset committed",
    "acknowledged": "asset committed",
    "moved": "asset committed",
}
"""The column for what is asked of an asset, by the asset's state; `moved` is into another commit (H18)."""


def of_commit(column: str) -> dict[str, str]:
    """The column for what is asked of the asset's commit: without a commit there is no id to ask for."""
    return ASSET | {"uploaded": "missing id"} | dict.fromkeys(("committed", "acknowledged", "moved"), column)


def always(column: str) -> dict[str, str]:
    """The column for what is asked of no asset and no commit."""
    return dict.fromkeys(ASSET, column)


OPERATIONS: Mapping[ProfileName, Mapping[str, Mapping[str, str]]] = {
    "documented": {
        "getAsset": ASSET,
        "downloadAsset": ASSET,
        "acknowledgeCommit": of_commit("commit ack"),
        "listCommits": always("GET /commits"),
        "uploadAsset": always("POST /assets"),
        "commitAssets": always("POST /commit"),
        "getPublisherInfo": always("GET users/info/{id}"),
        "getTokenInfo": always("GET /token-info"),
    },
    "deployed": {
        "getAsset": ASSET,
        "acknowledgeAsset": ASSET,
        "GET /assets/{id}/download": always("GET /assets/{id}/download"),
        "acknowledgeCommit": of_commit("commit ack"),
        "getCommit": of_commit("GET /commits/{id}"),
        "listCommits": always("GET /commits"),
        "uploadAsset": always("POST /assets"),
        "commitAssets": always("POST /commit"),
        "getMe": always("GET /me"),
        "listTargets": always("GET /targets"),
    },
}
"""The column of each operation by the state of the asset; a method and a path where that is no operation any more."""

_CHANGING = ("acknowledgeCommit", "acknowledgeAsset")
"""What must not have happened where it was refused."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the row of the table, which of those in it, and what is made up of the credentials."""

    row: str
    name: str
    text: str = ""


NEAR_TOKENS: Mapping[str, Callable[[str], str]] = {
    "in other letters": str.upper,
    "cut short": lambda token: token[:-1],
    "with more": lambda token: token + "0",
    "backwards": lambda token: token[::-1],
    "twice": lambda token: f"{token} {token}",
}
"""What is nearly the token of the commit: the comparison is exact and minds its case (§2.4).

Not among them is a second space before it, which RFC 9110 §11.4 allows.
"""

NAMED = [
    Caller("nobody", "nobody"),
    Caller("invalid Bearer", "forged Bearer of an administrator"),
    Caller("invalid Bearer", "expired Bearer of the owner"),
    Caller("invalid Bearer", "expired Bearer of an administrator"),
    Caller("invalid Bearer", "expired Bearer of a client with commit:list"),
    Caller("ordinary user", "owner"),
    Caller("ordinary user", "another user"),
    Caller("administrator", "administrator 0"),
    Caller("administrator", "administrator 1"),
    Caller("AssetToken of the commit", "commit"),
    Caller("any other AssetToken", "commit that the asset was in before"),
    Caller("any other AssetToken", "commit of another asset"),
    Caller("client with commit:list", "client with commit:list"),
    Caller("client without", "client without"),
    Caller("nobody", "header", "assettoken {token}"),
    *(Caller("any other AssetToken", "near", change) for change in NEAR_TOKENS),
]
NO_CREDENTIALS = (
    "",
    "Bearer",
    "Bearer ",
    "AssetToken",
    "AssetToken ",
    "Basic dXNlcjpwYXNz",
    "OAuth {token}",
    "{token}",
)
"""Headers that name nobody; `{token}` is that of the asset's commit, which counts by the scheme AssetToken alone."""

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)

MADE_UP = st.one_of(
    st.sampled_from(NO_CREDENTIALS).map(lambda header: Caller("nobody", "header", header)),
    VISIBLE.map(lambda token: Caller("invalid Bearer", "Bearer", token)),
    VISIBLE.map(lambda token: Caller("any other AssetToken", "AssetToken", token)),
)

HISTORIES = st.lists(
    st.sampled_from(
        [
            "commit",
            "commit by another user",
            "commit with others",
            "acknowledge by token",
            "acknowledge as administrator",
            "acknowledge the asset",
        ]
    ),
    max_size=4,
)


class Case:
    """One asset, what befell it, and everybody's credentials; `state` is what the model makes of the history."""

    def __init__(self, uploads: Uploads, *, known: bool) -> None:
        self.uploads = uploads
        self.profile = uploads.subject.profile
        self.state = "uploaded" if known else "unknown"
        self.asset = uploads.upload() if known else NO_ID
        self.commits = [uploads.commit([uploads.upload()])]
        """The commit of another asset, and then those of the asset."""

    def befall(self, event: str) -> None:
        """One event of the history; what is impossible in this state, or in this profile, does not happen."""
        committed = self.state in ("committed", "acknowledged", "moved")
        if event.startswith("commit"):
            if self.state == "uploaded" or (committed and self.profile == "deployed"):
                others = [self.uploads.upload()] if event == "commit with others" else []
                who = "another user" if event == "commit by another user" else "owner"
                who = who if who in self.uploads.callers else "owner"
                self.commits.append(self.uploads.commit([*others, self.asset], who))
                self.state = "moved" if committed else "committed"
        elif committed:
            self._acknowledge(event)
            self.state = "acknowledged" if self.state == "committed" else self.state

    def _acknowledge(self, event: str) -> None:
        commit, uploads = self.commits[-1], self.uploads
        who = f"AssetToken {commit.token}"
        if event == "acknowledge as administrator" and "administrator 0" in uploads.callers:
            who = uploads.callers["administrator 0"]
        if event == "acknowledge the asset" and self.profile == "deployed":
            answer = uploads.call("phraseanet", "acknowledgeAsset", who, parameters={"id": self.asset})
        else:
            answer = uploads.acknowledge(commit, who)
        uploads.success(answer, 200)
        uploads.subject.wait(0)

    def expected(self, caller: Caller, operation: str) -> int | None:
        """What the table says. The token of the asset's commit is any other one while the asset has no commit."""
        row = caller.row
        if row == "AssetToken of the commit" and len(self.commits) == 1:
            row = "any other AssetToken"
        return cell(self.profile, row, OPERATIONS[self.profile][operation][self.state])

    def ask(self, caller: Caller, operation: str, parts: dict[str, Any]) -> HttpExchange:
        """The answer to that caller."""
        subject = self.uploads.subject
        if " " in operation:
            method, path = operation.split(" ")
            url = subject.url("upload") + path.format(id=self.asset)
        else:
            method, url = subject.operation(operation, self._parameters(operation))
        sender = "user" if operation in ("uploadAsset", "commitAssets") else "phraseanet"
        return subject.send(sender, method, url, self.authorization(caller), **parts)  # type: ignore[arg-type]

    def _parameters(self, operation: str) -> dict[str, str]:
        of_the_commit = operation in ("acknowledgeCommit", "getCommit")
        commit_id = self.commits[-1].id if len(self.commits) > 1 else NO_ID
        return {"id": commit_id if of_the_commit else self.asset}

    def parts(self, operation: str) -> dict[str, Any]:
        """What the request to an operation holds besides its address."""
        if operation == "uploadAsset":
            return file_form(b"content", self.uploads.target)
        if operation == "commitAssets":
            return {"json": self.uploads.commit_body([self.uploads.upload()])}
        return {}

    def authorization(self, caller: Caller) -> str | None:
        """The header that the caller sends."""
        token = self.commits[-1].token
        match caller.name:
            case "commit":
                return f"AssetToken {token}"
            case "near":
                return f"AssetToken {NEAR_TOKENS[caller.text](token)}"
            case "commit that the asset was in before":
                return f"AssetToken {self.commits[-2 if len(self.commits) > 2 else 0].token}"
            case "commit of another asset":
                return f"AssetToken {self.commits[0].token}"
        return shown_by(caller, self.uploads.callers, token)


def shown_by(caller: Caller, callers: Principals, token: str) -> str | None:
    """The header of a caller who is not known by a commit."""
    match caller.name:
        case "nobody":
            return None
        case "header":
            return caller.text.format(token=token)
        case "forged Bearer of an administrator":
            return f"Bearer {forged(callers['administrator 0'].removeprefix('Bearer '))}"
        case "Bearer" | "AssetToken":
            return f"{caller.name} {caller.text}"
        case "near" | "commit" | "commit that the asset was in before" | "commit of another asset":
            return f"AssetToken {token}"
    return callers[caller.name]


def cell(profile: ProfileName, row: str, column: str) -> int | None:
    """What the table of a profile says."""
    return TABLES[profile][row][COLUMNS[profile].index(column)]


def hold_to_the_table(subject: Subject, inquiry: Inquiry, callers: Principals, rounds: int) -> None:
    """Let everybody ask an upload service for everything, of assets of any history; `rounds` times at most."""
    uploads = Uploads(subject, inquiry, callers)
    operations = sorted(of(subject))
    named = list(_there(NAMED, callers))

    def hold(known: bool, history: list[str], asked: list[str], everybody: list[Caller], made_up: list[Caller]) -> None:
        inquiry.case()
        try:
            one = Case(uploads, known=known)
            for event in history:
                one.befall(event)
            for operation in asked:
                for caller in (*everybody, *made_up):
                    _hold_to_one_cell(one, caller, operation)
        except Stopped:
            return

    drawn = given(
        known=st.integers(0, 9).map(bool),
        history=HISTORIES,
        asked=st.permutations(operations),
        everybody=st.permutations(named),
        made_up=st.lists(MADE_UP, max_size=2),
    )
    run_drawn(inquiry, lambda chance, known: seed(chance)(known(drawn(hold)))(), rounds)


def hold_auth_to_the_table(subject: Subject, inquiry: Inquiry, callers: Principals) -> None:
    """Let everybody ask Auth for everything that the table knows of it (A27, A32, A33)."""
    publisher = subject.bed.accounts.publisher.id or _id_of(subject, callers)
    if publisher is None:
        inquiry.remark("Auth does not tell the publisher's id: who may ask for users is not judged")
    for operation in of(subject):
        if publisher is None and "{id}" in subject.contract.operations[operation].path:
            continue
        for caller in _there(NAMED, callers):
            inquiry.case()
            method, url = subject.operation(operation, {"id": publisher or NO_ID})
            exchange = subject.send("phraseanet", method, url, shown_by(caller, callers, "a" * 42))
            column = OPERATIONS[subject.profile][operation]["unknown"]
            _hold(inquiry, caller, exchange, cell(subject.profile, caller.row, column), "")
            if operation == "getPublisherInfo" and exchange.status == 200:
                _hold_to_publisher(inquiry, exchange, str(publisher))


def _hold_to_publisher(inquiry: Inquiry, exchange: HttpExchange, publisher: str) -> None:
    """Auth tells of the user who was asked for (A27)."""
    told = json_body(exchange)
    found = told.get("id") if isinstance(told, dict) else None
    if found != publisher:
        inquiry.object("publisher", exchange, f"the user {found!r}", f"the user {publisher}, who was asked for")


def _id_of(subject: Subject, callers: Principals) -> str | None:
    """The publisher's id, as a real Auth tells it of the publisher's token (A33)."""
    if "owner" not in callers or "getTokenInfo" not in subject.contract.operations:
        return None
    told = json_body(subject.call("upload", "getTokenInfo", callers["owner"]))
    user = told.get("user") if isinstance(told, dict) else None
    return user["id"] if isinstance(user, dict) and isinstance(user.get("id"), str) else None


def of(subject: Subject) -> list[str]:
    """The operations of the participant that the table knows."""
    known, operations = OPERATIONS[subject.profile], subject.contract.operations
    return [
        name
        for name in known
        if (operations[name].participant if name in operations else "upload") == subject.participant
    ]


def _there(named: list[Caller], callers: Principals) -> Iterator[Caller]:
    """Those whose credentials can be made here."""
    made = ("nobody", "header", "near", "commit", "commit that the asset was in before", "commit of another asset")
    for caller in named:
        needs = "administrator 0" if caller.name.startswith("forged") else caller.name
        if caller.name in made or needs in callers:
            yield caller


def _hold_to_one_cell(one: Case, caller: Caller, operation: str) -> None:
    """One answer; whoever is refused has changed nothing and is told no token."""
    inquiry = one.uploads.inquiry
    shown = one.authorization(caller)
    if one.uploads.subject.wire != "in-process" and shown is not None and shown != shown.strip():
        return  # RFC 9110 §5.5 takes the space away before anybody sees it, and no client sends it
    inquiry.case()
    parts = one.parts(operation)
    exchange = one.ask(caller, operation, parts)
    where = f" of an asset that is {one.state}" if OPERATIONS[one.profile][operation] is ASSET else ""
    if not _hold(inquiry, caller, exchange, one.expected(caller, operation), where):
        raise Stopped
    if exchange.status is None or exchange.status < 400:
        one.uploads.subject.wait(0)
        if exchange.status == 200 and operation in _CHANGING and one.state == "committed":
            one.state = "acknowledged"
        return
    told = exchange.response_body.decode("utf-8", "replace")
    if any(commit.token in told for commit in one.commits):
        one.uploads.broken("secret", exchange, "the token of a commit", "a refusal, which tells no token")
    if operation in _CHANGING and one.state == "committed" and one.commits[-1] not in one.uploads.listed():
        one.uploads.broken(
            "effect", exchange, f"{exchange.status}, and the commit is listed no more", "a refusal that does nothing"
        )


def _hold(inquiry: Inquiry, caller: Caller, exchange: HttpExchange, expected: int | None, where: str) -> bool:
    """Whether an answer is that of the table; else it is a finding."""
    sound = inquiry.examine(exchange) if expected is not SILENT else True
    if expected in (SILENT, exchange.status):
        return sound
    inquiry.object(
        "access",
        exchange,
        answered(exchange),
        f"{expected}, by the row “{caller.row}” of the table of who may do what",
        status=expected,
        asked=f"{said(exchange)} {_told(caller)}{where}",
    )
    return False


def _told(caller: Caller) -> str:
    """Who asks, in words; what is made up of credentials shows."""
    if caller.name in ("near", "commit"):
        return f"with the AssetToken of the commit{' ' if caller.text else ''}{caller.text}"
    if caller.name in ("header", "Bearer", "AssetToken"):
        return f"with a made-up {caller.name} {caller.text}".rstrip()
    return f"with {_CREDENTIALS.get(caller.name, f'the AssetToken of the {caller.name}')}"


_CREDENTIALS = {
    "nobody": "no credentials",
    "owner": "the owner's Bearer",
    "another user": "another user's Bearer",
    "administrator 0": "an administrator's Bearer",
    "administrator 1": "the Bearer of an administrator by another role",
    "client with commit:list": "the Bearer of a client with commit:list",
    "client without": "the Bearer of a client without commit:list",
    "forged Bearer of an administrator": "a forged Bearer of an administrator",
    **{
        f"expired Bearer of {whose}": f"an expired Bearer of {whose}"
        for whose in ("the owner", "an administrator", "a client with commit:list")
    },
}
"""What the named callers show, in words."""
