"""The benchmarks in their short form, with bars so loose that only a loss misses them.

Their figures are worth nothing here: other tests run at the same time.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

FORMS = {
    "throughput": ["--sizes", "300", "--kinds", "ring", "--only", "costs"],
    "startup": [],
    "build": ["--sources", "0"],
    "sampling": [],
}


@pytest.mark.needs("bpf", "compiler", "native")
@pytest.mark.parametrize("name", FORMS)
def test_nothing_has_become_several_times_as_slow(name: str) -> None:
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--short", "--loose", "4"]
    done = subprocess.run([*command, *FORMS[name]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| bar |" in done.stdout


def test_a_missed_bar_is_the_exit_status() -> None:
    code = (
        "from benchmarks.figures import Table, finish\n"
        "table = Table('one')\n"
        "table.at_most('cost', 3, 2)\n"
        "raise SystemExit(finish([table]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "MISSED" in done.stdout
