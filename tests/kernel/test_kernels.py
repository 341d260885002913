"""The oldest and the newest kernel in QEMU, against what the compatibility table says of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.kernel import matrix
from tests.kernel.cases import CASES
from tests.kernel.conftest import Kernels
from tests.kernel.matrix import emulator

RECORDED = ROOT / "docs/data/kernels.json"


@pytest.mark.needs("compiler", "native", "qemu")
@pytest.mark.timeout(900)
def test_the_oldest_and_the_newest_kernel_do_what_the_table_says(kernels: Kernels) -> None:
    assert kernels.status == 0, kernels.printed
    recorded = {
        one["kernel"]: one["hooks"]
        for one in json.loads(RECORDED.read_text())["kernels"]
        if one["architecture"] == "amd64"
    }
    assert {one["kernel"] for one in kernels.results} == {"5.10", "newest"}
    for one in kernels.results:
        assert one["hooks"] == recorded[one["kernel"]], one["release"]


def test_every_case_is_in_the_recorded_results() -> None:
    kernels = json.loads(RECORDED.read_text())["kernels"]
    assert {one["kernel"] for one in kernels} >= {"5.10", "6.1", "6.12", "newest"}
    for one in kernels:
        assert list(one["hooks"]) == [case.name for case in CASES], one["release"]


def test_every_tool_is_in_the_recorded_results() -> None:
    tools = {path.name for path in (ROOT / "index/tools").iterdir() if path.is_dir()}
    kernels = json.loads((ROOT / "docs/data/tools.json").read_text())["kernels"]
    asked = {(one["architecture"], one["kernel"]) for one in kernels}
    assert asked == {(one, kernel) for one in ("amd64", "arm64") for kernel in emulator.KERNELS}
    for one in kernels:
        assert set(one["tools"]) == tools, one["release"]


def test_the_page_is_what_the_data_says() -> None:
    command = [sys.executable, ROOT / "scripts/compatibility", "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("outcome", "message", "release", "right"),
    [
        ("works", "", "6.6.1-x", True),
        ("works", "", "6.12.1", True),
        ("feature-missing", "x, which came with Linux 6.6; this is 6.1", "6.1.0", True),
        ("feature-missing", "x, which came with Linux 6.5; this is 6.1", "6.1.0", False),
        ("load-failed", "x, which came with Linux 6.6", "6.1.0", False),
        ("works", "", "6.1.0", False),
        ("no events", "", "6.12.1", False),
        ("feature-missing", "x, which came with Linux 6.6; this is 6.7", "6.7.0", False),
    ],
)
def test_an_answer_is_judged_by_the_kernels_version(
    outcome: str, message: str, release: str, right: bool
) -> None:
    answer = {"hook": "uprobe.multi", "outcome": outcome, "message": message}
    assert (matrix.judge(answer, release, "amd64", "").wrong is None) == right


def test_an_answer_is_judged_by_the_kernels_configuration() -> None:
    told = {"hook": "kprobe.multi", "outcome": "feature-missing", "message": "no CONFIG_FPROBE"}
    assert matrix.judge(told, "6.1.0", "amd64", "# CONFIG_FPROBE is not set").wrong is None
    assert matrix.judge(told, "6.1.0", "amd64", "CONFIG_FPROBE=y").wrong
    works = {"hook": "kprobe.multi", "outcome": "works"}
    assert matrix.judge(works, "6.1.0", "amd64", "CONFIG_FPROBE=y").wrong is None
    assert matrix.judge(works, "6.1.0", "amd64", "").wrong
