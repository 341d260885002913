"""Kernels in QEMU, booted once for all tests that ask them something.

EBPM_KERNELS names others: `EBPM_KERNELS=6.12 pytest tests/kernel/test_pairs.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.kernel import matrix


@dataclass(frozen=True, slots=True)
class Kernels:
    """What kernels in QEMU said."""

    status: int  # of scripts/kernels
    printed: str
    results: list[dict[str, Any]]  # one of each kernel

    def pair(self, tool: str) -> dict[str, Any]:
        """Give what a tool and its namesake reported, in the guest that ran both."""
        found = [one for result in self.results for one in result["namesakes"]]
        (one,) = (one for one in found if one["pair"] == tool)
        assert "error" not in one, one["error"]
        return one


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """Ask the oldest and the newest kernel about hooks, and have them run pairs of namesakes."""
    results = tmp_path_factory.mktemp("kernels") / "results.json"
    cache = {"EBPM_SCRIPT_CACHE": str(matrix.CACHE.parent)}
    names = os.environ.get("EBPM_KERNELS", "5.10,newest")
    command = [sys.executable, ROOT / "scripts/kernels.py", "--kernel", names]
    done = subprocess.run(
        [*command, "--namesakes", "--json", results],
        env={**os.environ, **cache},
        check=False,
        capture_output=True,
        text=True,
    )
    print(done.stdout)  # noqa: T201  # with its wall time: pytest -s shows it
    printed = done.stdout + done.stderr
    found = json.loads(results.read_text()) if results.exists() else []
    return Kernels(done.returncode, printed, found)
