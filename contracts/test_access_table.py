"""Who may do what (PROTOCOL §2.4, §2.1, A11, A27, A32): the simulated services answer everybody as the table says."""

import time

import pytest

from phrasim.contract.access import COLUMNS, NAMED, OPERATIONS, TABLES, hold_auth_to_the_table, hold_to_the_table
from phrasim.contract.in_process import in_process
from phrasim.contract.inquiry import Asked, Inquiry
from phrasim.contract.principals import principals
from phrasim.testbed import ProfileName, Setting
from phrasim.testbed.deployed_setting import DeployedSetting

pytestmark = pytest.mark.unmeasured

ROUNDS = 10


@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_everybody_is_answered_as_the_table_says_whatever_befell_the_asset(profile: ProfileName) -> None:
    """§2.4, §2.5, H18 and the rulings A11, A27, A32."""
    with in_process("upload", Setting(profile=profile, mode="off")) as subject:
        inquiry = Inquiry("access", subject.contract, Asked(), time.monotonic() + 600)
        hold_to_the_table(subject, inquiry, principals(subject), ROUNDS)
    assert inquiry.findings == []
    assert inquiry.cases > 100 * ROUNDS
    assert inquiry.answers.keys() >= {name for name in OPERATIONS[profile] if name in subject.contract.operations} - {
        "getPublisherInfo",
        "getTokenInfo",
    }


def test_everybody_is_answered_by_auth_as_the_table_says() -> None:
    """A27, A32, A33."""
    with in_process("auth", Setting(mode="off")) as subject:
        inquiry = Inquiry("access", subject.contract, Asked(), time.monotonic() + 600)
        hold_auth_to_the_table(subject, inquiry, principals(subject))
    assert inquiry.findings == []
    assert inquiry.cases == 2 * len(NAMED)


@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_each_row_of_a_table_has_a_cell_for_each_column(profile: ProfileName) -> None:
    used = {column for columns in OPERATIONS[profile].values() for column in columns.values()}
    assert used == set(COLUMNS[profile])
    assert {len(row) for row in TABLES[profile].values()} == {len(COLUMNS[profile])}
    assert {caller.row for caller in NAMED} == TABLES[profile].keys()


@pytest.mark.parametrize("embedded", [False, True])
def test_a_listing_with_embedded_assets_conforms_and_is_warned_of(embedded: bool) -> None:
    """§2.5, H25: IRIs and objects are both right, and today's Phraseanet can pull the first only."""
    setting = Setting(profile="deployed", mode="off", deployed=DeployedSetting(embed_assets=embedded))
    with in_process("upload", setting) as subject:
        inquiry = Inquiry("access", subject.contract, Asked(stop_at_first=True), time.monotonic() + 600)
        hold_to_the_table(subject, inquiry, principals(subject), 2)
    assert [(one.weight, one.rule, one.operation_id) for one in inquiry.findings] == (
        [("warning", "compatibility", "listCommits")] if embedded else []
    )
    assert all("H25" in one.expected for one in inquiry.findings)
