"""The plugin as pytest loads it: in a process of its own, with tests that its users could have written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from phrasim.documents import documents_root

pytestmark = pytest.mark.unmeasured

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
in_checkout = pytest.mark.skipif(documents_root() != ROOT, reason="the pages are those of the checkout")


@pytest.fixture(autouse=True)
def no_plugins_of_others(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The projects of these tests do without what takes two seconds to load in each."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:schemathesis -p no:hypothesispytest")


def run(pytester: pytest.Pytester, **outcomes: int) -> pytest.RunResult:
    result = pytester.runpytest_subprocess("-W", "error", "--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(**outcomes)
    return result


def test_the_start_of_pytest_loads_nothing_of_phrasim_but_the_fixtures() -> None:
    code = "import sys, phrasim.pytest_plugin; print(*sorted(one for one in sys.modules if one.startswith('phrasim')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["phrasim", "phrasim.pytest_plugin"]


def test_an_unknown_keyword_of_the_marker_fails_the_test_with_the_nearest_known(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.phrasim(mod="pull")
        def test_it(phrasim_landscape):
            pass
    """)
    result = run(pytester, errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.phrasim: there is no 'mod'; did you mean 'mode'?*"])


def test_the_marker_is_told_by_pytest(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.phrasim(mode, seed, plays, *"])


def test_without_respx_the_router_says_how_to_get_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import sys

        sys.modules["respx"] = None
    """)
    pytester.makepyfile("""
        def test_with(phrasim_router):
            pass

        def test_without(phrasim_landscape):
            assert phrasim_landscape.commits == ()
    """)
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:respx")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*pip install 'phrasim?pytest?'*"])


def test_the_router_and_the_server_exclude_each_other(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_it(phrasim_router, phrasim_server):
            pass
    """)
    result = run(pytester, errors=1)
    result.stdout.fnmatch_lines(["*a test takes phrasim_router or phrasim_server*"])


def test_a_simulator_that_failed_fails_the_test_with_its_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import httpx

        def test_it(phrasim_landscape, phrasim_router):
            phrasim_landscape._testbed.upload.unacknowledged = None
            headers = phrasim_landscape.administrator.headers
            assert httpx.get("https://upload.test/commits", headers=headers).status_code == 500
    """)
    result = run(pytester, passed=1, errors=1)
    result.stdout.fnmatch_lines(["*SimulatorFailed: upload failed at a request: TypeError: *"])


def test_an_account_of_the_arrows_is_what_a_failing_test_shows(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_it(phrasim_landscape):
            phrasim_landscape.conforms("Push mode")
    """)
    result = run(pytester, failed=1)
    result.stdout.fnmatch_lines([">*conforms(*", "E *Push mode: there is no commit in this trace*"])
    result.stdout.no_fnmatch_line("*def conforms*")


@in_checkout
def test_every_block_of_the_page_is_a_test_that_passes(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert {language for language, _ in blocks} == {"python"}
    pytester.makepyfile(**{f"test_block_{number}": block for number, (_, block) in enumerate(blocks)})
    run(pytester, passed=len(blocks))


@in_checkout
def test_the_sample_project_passes(pytester: pytest.Pytester) -> None:
    shutil.copytree(ROOT / "examples" / "uploader", pytester.path, dirs_exist_ok=True)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == 0
    assert result.parseoutcomes().keys() == {"passed"}
