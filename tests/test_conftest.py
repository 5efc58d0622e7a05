"""The rules that tests/conftest.py sets for all tests are themselves kept."""

from pathlib import Path

import pytest

pytest_plugins = "pytester"
CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test's body below our conftest.py and return the counts of outcomes."""

    def _run(body, *, ci="true", allowed="", grace="0.05"):
        monkeypatch.setenv("CI", ci)
        rules = CONFTEST.read_text().replace("GRACE_S = 5.0", f"GRACE_S = {grace}")
        pytester.makeconftest(rules)
        Path("allowed_skips.txt").write_text(allowed)
        pytester.makepyfile(test_it=body)
        return pytester.runpytest_inprocess("-p", "no:xdist").parseoutcomes()

    return _run


SKIPS = "import pytest\ndef test_s():\n    pytest.skip('no [beam]')\n"


def test_a_skip_fails_in_ci(run):
    assert run(SKIPS) == {"failed": 1}


def test_a_skip_is_a_skip_elsewhere(run):
    assert run(SKIPS, ci="") == {"skipped": 1}


def test_a_skip_that_is_allowed_is_a_skip_in_ci(run):
    assert run(SKIPS, allowed="# why\ntest_it.py::test_s | no [beam]\n") == {
        "skipped": 1
    }


def test_a_skip_for_another_reason_fails_in_ci(run):
    assert run(SKIPS, allowed="test_it.py::* | no time\n") == {"failed": 1}


def test_a_module_that_skips_itself_fails_in_ci(run):
    body = "import pytest\npytest.skip('no module', allow_module_level=True)\n"
    assert run(body) == {"errors": 1}


def test_an_expected_failure_is_no_skip(run):
    body = "import pytest\n@pytest.mark.xfail\ndef test_x():\n    assert 0\n"
    assert run(body) == {"xfailed": 1}


def test_a_thread_left_behind_fails_the_test(run):
    body = (
        "import threading, time\n"
        "def test_t():\n"
        "    threading.Thread(target=time.sleep, args=(0.4,), daemon=True).start()\n"
    )
    assert run(body) == {"passed": 1, "errors": 1}


def test_a_process_left_behind_fails_the_test(run):
    body = (
        "import subprocess\n"
        "def test_p():\n"
        "    global kept\n"
        "    kept = subprocess.Popen(['sleep', '0.4'])\n"
        "def teardown_module():\n"
        "    kept.wait()\n"
    )
    assert run(body) == {"passed": 1, "errors": 1}


def test_a_thread_that_ends_soon_is_waited_for(run):
    body = (
        "import threading, time\n"
        "def test_t():\n"
        "    threading.Thread(target=time.sleep, args=(0.1,)).start()\n"
    )
    assert run(body, grace="5.0") == {"passed": 1}
