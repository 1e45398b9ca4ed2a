"""The HTTP APIs keep their OpenAPI documents in either profile, as schemathesis judges."""

import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis.internal.conjecture.providers as hypothesis_providers
import pytest

from phrasim.contract.exclusions import EXCLUSIONS
from phrasim.contract.http_api import ApiJudge
from phrasim.contract.in_process import in_process
from phrasim.contract.inquiry import Asked, Inquiry
from phrasim.contract.principals import principals
from phrasim.documents import contract
from phrasim.testbed import SERVICES, ProfileName, Setting

pytestmark = pytest.mark.unmeasured

PROFILES: tuple[ProfileName, ...] = ("documented", "deployed")
APIS = [(profile, api) for profile in PROFILES for api in SERVICES]


class Judged:
    """The APIs that were judged so far: each once, since it takes seconds."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._found: dict[tuple[str, str], ApiJudge] = {}

    def of(self, profile: ProfileName, api: str) -> ApiJudge:
        if (profile, api) not in self._found:
            self._found[profile, api] = self._judged(profile, api, self._folders.mktemp("documents"))
        return self._found[profile, api]

    @staticmethod
    def _judged(profile: ProfileName, api: str, documents: Path) -> ApiJudge:
        with in_process(api, Setting(profile=profile, mode="off")) as subject:  # type: ignore[arg-type]
            inquiry = Inquiry("http", subject.contract, Asked(), time.monotonic() + 600)
            judge = ApiJudge(subject, inquiry, principals(subject), documents)
            judge.judge()
        return judge


@pytest.fixture(scope="module", autouse=True)
def _the_same_words_whatever_is_loaded() -> Iterator[None]:
    """Hypothesis takes words for its texts from all modules that are loaded: others in a run of all tests than here."""
    nothing = hypothesis_providers.Constants()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hypothesis_providers, "_get_local_constants", lambda: nothing)
        yield


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return Judged(tmp_path_factory)


@pytest.mark.parametrize(("profile", "api"), APIS)
def test_nothing_is_found_against_an_api(profile: ProfileName, api: str, judged: Judged) -> None:
    inquiry = judged.of(profile, api).inquiry
    assert inquiry.findings == []
    assert inquiry.remarks == []


@pytest.mark.parametrize(("profile", "api"), APIS)
def test_each_operation_was_answered_with_each_success_that_it_declares(
    profile: ProfileName, api: str, judged: Judged
) -> None:
    """Else nothing would have been judged but refusals."""
    operations = contract(profile).specification(api).operations.values()
    declared = {(one.operation_id, status) for one in operations for status in one.responses if 200 <= status < 300}
    answers = judged.of(profile, api).answers
    assert {(operation, status) for _, operation, status in answers if 200 <= status < 300} == declared


@pytest.mark.parametrize("profile", PROFILES)
def test_each_link_leads_on(profile: ProfileName, judged: Judged) -> None:
    """From an upload to its commit, and from a listed commit to its metadata, its file and its acknowledgement."""
    judge = judged.of(profile, "upload")
    assert judge.links
    assert judge.followed.keys() == judge.links


def test_each_exclusion_is_needed(judged: Judged) -> None:
    """What nobody meets any more is to be taken out, so that the simulators are held to it again."""
    met = {exclusion for profile, api in APIS for exclusion in judged.of(profile, api).excluded}
    assert [one for one in EXCLUSIONS if one not in met and not one.seldom] == []
