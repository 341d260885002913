"""The first of the README's two commands."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.conftest import ROOT


@pytest.mark.needs("root", "bpf", "compiler", "native")
def test_the_demo_shows_the_signals_that_it_sends() -> None:
    done = subprocess.run([ROOT / "scripts/demo"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^(\d+) events of signals that this script sent", done.stdout, re.MULTILINE)
    assert found, done.stdout
    assert int(found[1]) > 0
