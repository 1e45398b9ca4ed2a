"""Every simulated participant keeps its contract, as `phrasim verify` judges; a sample of mutants does not.

The sample rotates with the day, and is told where a mutant escapes: `python contracts/mutation/run.py` tries them all.
"""

import pytest
from mutation.equivalent import EQUIVALENT, why_equivalent
from mutation.run import CAUGHT_MIN, chosen, held, mutants

from amount import TODAY, so_many
from phrasim.contract.inquiry import Asked
from phrasim.contract.suites import SUITES, Extent
from phrasim.contract.verify import verify_simulated
from phrasim.testbed import SERVICES, ProfileName

pytestmark = pytest.mark.unmeasured

SAMPLE = so_many(8, elsewhere=4)


@pytest.mark.parametrize("profile", ["documented", "deployed"])
@pytest.mark.parametrize("participant", SERVICES)
def test_nothing_is_found_against_a_simulated_participant(participant: str, profile: ProfileName) -> None:
    verdicts = verify_simulated(participant, profile, Asked(seed=2, budget=600), Extent(fills_time=False))  # type: ignore[arg-type]
    assert [finding for suite in verdicts.suites for finding in suite.findings] == []
    assert [suite.name for suite in verdicts.suites] == [suite.name for suite in SUITES[participant]]  # type: ignore[index]
    assert all(suite.cases for suite in verdicts.suites if (profile, participant) != ("deployed", "auth"))


@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_mutants_are_caught(profile: ProfileName) -> None:
    some = [one for one in chosen(mutants(profile), SAMPLE, TODAY) if why_equivalent(one.id) is None]
    scores = [held(one) for one in some]
    escaped = [f"{score.mutant} {score.found}" for score in scores if not score.caught]
    assert len(escaped) <= len(some) * (1 - CAUGHT_MIN), f"sample {TODAY}: {escaped}"


def test_each_equivalent_mutant_is_there() -> None:
    known = [one.id for profile in ("documented", "deployed") for one in mutants(profile)]
    assert [name for name in EQUIVALENT if not any(one.startswith(name) for one in known)] == []
