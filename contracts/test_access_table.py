"""Who may do what (PROTOCOL §2.4, §2.1, A11, A27, A32): whatever befell an asset, and whoever asks.

The tables are those of the protocol, read row by row; an asset comes by its state through a drawn history.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from contracts.played import Played, budget, file_form, playing
from hypothesis import Phase, given
from hypothesis import strategies as st

from phrasim.auth.accounts import Client, User
from phrasim.service.credentials import LIST_COMMITS, AssetToken
from phrasim.testbed import URLS, ProfileName, Setting
from phrasim.upload.deployed import access as deployed_access
from phrasim.upload.deployed import routes as deployed_routes
from phrasim.upload.documented import access as documented_access
from phrasim.upload.documented import routes as documented_routes
from phrasim.upload.documented.identity import Identity

pytestmark = pytest.mark.unmeasured

EXAMPLES, EXAMPLES_TO_FIND_A_LIE = 10, 50
TOKEN_LIFETIME = 60
NO_ID = "00000000-0000-4000-8000-000000000000"
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
    ),
}

TABLES: Mapping[ProfileName, Mapping[str, tuple[int | None, ...]]] = {
    # §2.4 where a resource is asked for; A11 for the list, A32 for uploads and commits, A27 and A32 for Auth.
    "documented": {
        "nobody": (401, 401, 401, 401, 401, 401, 401, 401),
        "invalid Bearer": (401, 401, 401, 401, 401, 401, 401, 401),
        "ordinary user": (404, 403, 403, 403, 403, 201, 200, 403),
        "administrator": (404, 403, 200, 200, 200, 201, 200, 403),
        "AssetToken of the commit": (404, 403, 200, 200, 403, 403, 403, 403),
        "any other AssetToken": (404, 403, 403, 403, 403, 403, 403, 403),
        "client with commit:list": (404, 403, 403, 403, 200, 403, 403, 200),
        "client without": (404, 403, 403, 403, 403, 403, 403, 200),
    },
    # §2.4 and §2.5, column now; §2.2 for uploads (500 for an AssetToken, which has no user id); §2.1: the route of the
    # download is gone.
    "deployed": {
        "nobody": (401, 401, 401, 401, 401, 401, 401, 401, 404),
        "invalid Bearer": (401, 401, 401, 401, 401, 401, 401, 401, 404),
        "ordinary user": (404, 403, 403, 403, 403, 201, 200, 403, 404),
        "administrator": (404, 403, 200, 200, 200, 201, 200, 200, 404),
        "AssetToken of the commit": (404, 403, 200, 200, 403, 500, SILENT, 200, 404),
        "any other AssetToken": (404, 403, 403, 403, 403, 500, SILENT, 403, 404),
        "client with commit:list": (404, 403, 403, 403, 200, SILENT, SILENT, 200, 404),
        "client without": (404, 403, 403, 403, 403, SILENT, SILENT, 403, 404),
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
        "GET /assets/{asset}": ASSET,
        "GET /assets/{asset}/download": ASSET,
        "POST /commits/{commit}/ack": of_commit("commit ack"),
        "GET /commits": always("GET /commits"),
        "POST /assets": always("POST /assets"),
        "POST /commit": always("POST /commit"),
        "GET users/info/{publisher}": always("GET users/info/{id}"),
    },
    "deployed": {
        "GET /assets/{asset}": ASSET,
        "POST /assets/{asset}/ack": ASSET,
        "GET /assets/{asset}/download": always("GET /assets/{id}/download"),
        "POST /commits/{commit}/ack": of_commit("commit ack"),
        "GET /commits/{commit}": of_commit("GET /commits/{id}"),
        "GET /commits": always("GET /commits"),
        "POST /assets": always("POST /assets"),
        "POST /commit": always("POST /commit"),
    },
}

ADMINISTRATORS: Mapping[ProfileName, tuple[str, ...]] = {
    "documented": ("ROLE_SUPER_ADMIN",),
    "deployed": ("admin", "uploader-admin"),
}
"""The roles that make an administrator (§2.4)."""

ORDINARY: Mapping[ProfileName, tuple[str, ...]] = {"documented": ("ROLE_USER",), "deployed": ("user", "expose-admin")}
"""The roles of another user; he administrates another application, if any."""


@dataclass(frozen=True)
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
    "after a space": lambda token: f" {token}",
}
"""What is nearly the token of the commit: the comparison is exact and minds its case (§2.4)."""

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


class Stage:
    """One asset, what befell it, and everybody's credentials; `state` is what the model makes of the history."""

    def __init__(self, played: Played, *, known: bool) -> None:
        self.played = played
        self.profile = played.bed.setting.profile
        targets = played.bed.stage.targets
        self.target = targets[0]["slug"] if targets else None
        self.bearers = self._expired() | self._good()
        self.state = "uploaded" if known else "unknown"
        self.asset = self.upload() if known else NO_ID
        self.commits = [self.commit([self.upload()])]
        """The commits of another asset, and then those of the asset, as id and token."""

    def _expired(self) -> dict[str, str]:
        """Bearers that were good, and used, until their time was over."""
        auth, accounts = self.played.bed.auth, self.played.bed.accounts
        expired = {
            "expired Bearer of the owner": f"Bearer {auth.user_token(accounts.publisher)}",
            "expired Bearer of an administrator": f"Bearer {auth.user_token(accounts.administrator)}",
            "expired Bearer of a client with commit:list": f"Bearer {auth.client_token(accounts.phraseanet)}",
        }
        for header in expired.values():
            assert self.played.ask("GET", "/commits", header).status_code in (200, 403)
        self.played.wait(TOKEN_LIFETIME)
        return expired

    def _good(self) -> dict[str, str]:
        auth, accounts = self.played.bed.auth, self.played.bed.accounts
        first, last = ADMINISTRATORS[self.profile][0], ADMINISTRATORS[self.profile][-1]
        tokens = {
            "owner": auth.user_token(accounts.publisher),
            "another user": auth.user_token(self._user(1, ORDINARY[self.profile])),
            "administrator 0": auth.user_token(self._user(2, (first,))),
            "administrator 1": auth.user_token(self._user(3, (last,))),
            "client with commit:list": auth.client_token(self._client("lister", (LIST_COMMITS,))),
            "client without": auth.client_token(self._client("other", ("asset:list",))),
        }
        return {name: f"Bearer {token}" for name, token in tokens.items()}

    def _user(self, number: int, roles: tuple[str, ...]) -> User:
        user = User(f"00000000-0000-4000-8000-{number:012}", f"{number}@example.org", "Somebody", "secret", roles)
        self.played.bed.auth.add_user(user)
        return user

    def _client(self, client_id: str, scopes: tuple[str, ...]) -> Client:
        client = Client(client_id, "secret", scopes)
        self.played.bed.auth.add_client(client)
        return client

    def upload(self) -> str:
        """The id of a new asset of the owner's."""
        answer = self.played.ask_as_user("POST", "/assets", self.bearers["owner"], **file_form(b"content", self.target))
        assert answer.status_code == 201, answer.text
        asset_id: str = answer.json()["id"]
        return asset_id

    def commit(self, assets: list[str], who: str = "owner") -> tuple[str, str]:
        """Commit assets; the commit's id and token, which only the service itself tells (§2.3)."""
        answer = self.played.ask_as_user("POST", "/commit", self.bearers[who], json=self.commit_body(assets))
        assert (answer.status_code, answer.json()) == (200, True), answer.text
        self.played.wait(0)
        made = self.played.bed.upload.commits[-1]
        return made.id, made.token

    def commit_body(self, assets: list[str]) -> dict[str, Any]:
        """A request to commit those assets."""
        return {"files": assets} | ({} if self.target is None else {"targetSlug": self.target})

    def befall(self, event: str) -> None:
        """One event of the history; what is impossible in this state, or in this profile, does not happen."""
        committed = self.state in ("committed", "acknowledged", "moved")
        if event.startswith("commit"):
            if self.state == "uploaded" or (committed and self.profile == "deployed"):
                others = [self.upload()] if event == "commit with others" else []
                who = "another user" if event == "commit by another user" else "owner"
                self.commits.append(self.commit([*others, self.asset], who))
                self.state = "moved" if committed else "committed"
        elif committed:
            self._acknowledge(event)
            self.state = "acknowledged" if self.state == "committed" else self.state

    def _acknowledge(self, event: str) -> None:
        commit_id, token = self.commits[-1]
        who = self.bearers["administrator 0"] if event == "acknowledge as administrator" else f"AssetToken {token}"
        of_the_asset = event == "acknowledge the asset" and self.profile == "deployed"
        path = f"/assets/{self.asset}/ack" if of_the_asset else f"/commits/{commit_id}/ack"
        answer = self.played.ask_as_user("POST", path, who)
        assert (answer.status_code, answer.json()) == (200, True), answer.text
        self.played.wait(0)

    def expected(self, caller: Caller, operation: str) -> int | None:
        """What the table says. The token of the asset's commit is any other one while the asset has no commit."""
        column = OPERATIONS[self.profile][operation][self.state]
        row = caller.row
        if row == "AssetToken of the commit" and len(self.commits) == 1:
            row = "any other AssetToken"
        return TABLES[self.profile][row][COLUMNS[self.profile].index(column)]

    def parts(self, operation: str) -> dict[str, Any]:
        """What the request to an operation holds besides its address."""
        if operation == "POST /assets":
            return file_form(b"content", self.target)
        return {"json": self.commit_body([self.upload()])} if operation == "POST /commit" else {}

    def ask(self, caller: Caller, operation: str, parts: dict[str, Any]) -> httpx.Response:
        """The answer to that caller."""
        method, path = operation.split(" ")
        commit_id = self.commits[-1][0] if len(self.commits) > 1 else NO_ID
        address = path.format(asset=self.asset, commit=commit_id, publisher=self.played.bed.accounts.publisher.id)
        if not address.startswith("/"):
            address = f"{URLS['auth']}/{address}"
        return self.played.ask_as_user(method, address, self.authorization(caller), **parts)

    def authorization(self, caller: Caller) -> str | None:
        """The header that the caller sends."""
        token = self.commits[-1][1]
        match caller.name:
            case "nobody":
                return None
            case "header":
                return caller.text.format(token=token)
            case "forged Bearer of an administrator":
                return f"Bearer {forged(self.bearers['administrator 0'].removeprefix('Bearer '))}"
            case "Bearer" | "AssetToken":
                return f"{caller.name} {caller.text}"
            case "near":
                return f"AssetToken {NEAR_TOKENS[caller.text](token)}"
            case "commit":
                return f"AssetToken {token}"
            case "commit that the asset was in before":
                return f"AssetToken {self.commits[-2 if len(self.commits) > 2 else 0][1]}"
            case "commit of another asset":
                return f"AssetToken {self.commits[0][1]}"
        return self.bearers[caller.name]

    def held(self) -> list[Any]:
        """What the service holds, to see whether a request changed it."""
        upload = self.played.bed.upload
        return [asset.id for asset in upload.assets] + [
            (commit.id, commit.asset_ids, commit.acknowledged) for commit in upload.commits
        ]


def forged(bearer: str) -> str:
    """The same claims without a signature, as a JWT of the algorithm `none`; of an opaque token its beginning."""
    if bearer.count(".") != 2:
        return bearer[:-1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{head}.{bearer.split('.')[1]}."


def hold_to_the_table(profile: ProfileName, examples: int = EXAMPLES, **more: Any) -> None:
    """Raise AssertionError where somebody is answered otherwise than the table says."""

    @given(
        known=st.integers(0, 9).map(bool),
        history=HISTORIES,
        operations=st.permutations(sorted(OPERATIONS[profile])),
        named=st.permutations(NAMED),
        made_up=st.lists(MADE_UP, max_size=2),
    )
    @budget(examples, **more)
    def hold(
        known: bool, history: list[str], operations: list[str], named: list[Caller], made_up: list[Caller]
    ) -> None:
        with playing(Setting(profile=profile, mode="off", token_lifetime=TOKEN_LIFETIME)) as played:
            stage = Stage(played, known=known)
            for event in history:
                stage.befall(event)
            for operation in operations:
                for caller in (*named, *made_up):
                    hold_to_one_cell(stage, caller, operation)

    hold()


def hold_to_one_cell(stage: Stage, caller: Caller, operation: str) -> None:
    """One answer; whoever is refused has changed nothing and is told no token."""
    parts = stage.parts(operation)
    before = stage.held()
    answer, expected = stage.ask(caller, operation, parts), stage.expected(caller, operation)
    assert expected in (SILENT, answer.status_code), (
        f"{caller} was answered {answer.status_code} to {operation}, where the asset is {stage.state}; "
        f"the table says {expected}"
    )
    if operation.startswith("POST"):
        stage.played.wait(0)
    if answer.status_code >= 400:
        assert not any(token in answer.text for _, token in stage.commits), f"{caller} is told a token"
        assert stage.held() == before, f"{caller} was refused {operation}, and it was done all the same"


@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_everybody_is_answered_as_the_table_says_whatever_befell_the_asset(profile: ProfileName) -> None:
    """§2.4, §2.5, H18 and the rulings A11, A27, A32."""
    hold_to_the_table(profile)


@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_each_row_of_a_table_has_a_cell_for_each_column(profile: ProfileName) -> None:
    used = {column for columns in OPERATIONS[profile].values() for column in columns.values()}
    assert used == set(COLUMNS[profile])
    assert {len(row) for row in TABLES[profile].values()} == {len(COLUMNS[profile])}
    assert {caller.row for caller in NAMED} == TABLES[profile].keys()


# That the property can fail: one cell of the rule is turned over, and somebody is found for whom it matters.


def administrators_open_what_is_not_committed(principal: Any, commit: Any) -> bool:
    return documented_access.may_use(principal, commit) or getattr(principal, "is_administrator", False)


def owners_open_their_commits(principal: Any, commit: Any) -> bool:
    return documented_access.may_use(principal, commit) or (
        commit is not None and getattr(principal, "id", None) == commit.user_id
    )


def tokens_are_compared_without_case(principal: Any, commit: Any) -> bool:
    if isinstance(principal, AssetToken):
        principal = AssetToken(principal.token.lower())
    return documented_access.may_use(principal, commit)


def tokens_open_nothing(principal: Any, commit: Any) -> bool:
    return not isinstance(principal, AssetToken) and documented_access.may_use(principal, commit)


def every_client_lists_commits(principal: Any) -> bool:
    return isinstance(principal, documented_access.Client) or documented_access.may_list_commits(principal)


def everybody_uploads(_principal: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("rule", "lie"),
    [
        ("may_use", administrators_open_what_is_not_committed),
        ("may_use", owners_open_their_commits),
        ("may_use", tokens_are_compared_without_case),
        ("may_use", tokens_open_nothing),
        ("may_list_commits", every_client_lists_commits),
        ("may_upload", everybody_uploads),
    ],
)
def test_a_turned_cell_of_the_documented_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, lie: Callable[..., bool]
) -> None:
    monkeypatch.setattr(documented_routes, rule, lie)
    with pytest.raises(AssertionError):
        hold_to_the_table("documented", EXAMPLES_TO_FIND_A_LIE, phases=[Phase.generate])


def test_a_bearer_that_is_remembered_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A33: an answer of Auth's is kept no longer than the token is good."""
    monkeypatch.setattr(Identity, "_remembered", lambda self, token: self._known.get(token, (None, 0))[0])
    with pytest.raises(AssertionError, match="expired Bearer"):
        hold_to_the_table("documented", EXAMPLES_TO_FIND_A_LIE, phases=[Phase.generate])


def any_asset_token_opens_an_asset(act: Any, caller: Any, commit: Any = None) -> bool:
    if act == "open an asset" and commit is not None and isinstance(caller, AssetToken):
        return True
    return deployed_access.may(act, caller, commit)


def listers_acknowledge(act: Any, caller: Any, commit: Any = None) -> bool:
    if act == "acknowledge a commit" and LIST_COMMITS in getattr(caller, "scopes", ()):
        return True
    return deployed_access.may(act, caller, commit)


def users_list_commits(act: Any, caller: Any, commit: Any = None) -> bool:
    return deployed_access.may(act, caller, commit) or (
        act == "list commits" and getattr(caller, "user_id", None) is not None
    )


def tokens_do_not_read_commits(act: Any, caller: Any, commit: Any = None) -> bool:
    if act == "read a commit" and isinstance(caller, AssetToken):
        return False
    return deployed_access.may(act, caller, commit)


@pytest.mark.parametrize(
    "lie", [any_asset_token_opens_an_asset, listers_acknowledge, users_list_commits, tokens_do_not_read_commits]
)
def test_a_turned_cell_of_the_deployed_rule_is_found(monkeypatch: pytest.MonkeyPatch, lie: Callable[..., bool]) -> None:
    monkeypatch.setattr(deployed_routes, "may", lie)
    with pytest.raises(AssertionError):
        hold_to_the_table("deployed", EXAMPLES_TO_FIND_A_LIE, phases=[Phase.generate])


def test_a_second_role_that_makes_no_administrator_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """§2.4: `admin` and `uploader-admin` alike."""
    monkeypatch.setattr(deployed_access, "ADMINISTRATORS", ("admin",))
    with pytest.raises(AssertionError, match="administrator 1"):
        hold_to_the_table("deployed", EXAMPLES_TO_FIND_A_LIE, phases=[Phase.generate])
