"""Every kind of hook on this machine's kernel; what it refuses, it refuses with a reason."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ebpm.api import host_platform
from tests.kernel import matrix
from tests.kernel.cases import CASES, Case

pytestmark = pytest.mark.needs("compiler", "bpf", "netns")

# A hardened kernel lets nobody change its code: these then fail, and are tested in QEMU alone.
PATCHING = {
    *("kprobe", "kretprobe", "ksyscall", "kprobe.multi", "kprobe.session"),
    *("fentry", "fexit", "fmod_ret", "lsm", "lsm.s", "lsm_cgroup", "lsm that is not active"),
    *("freplace", "alternatives", "function that is not there"),
}
REFUSALS = {"feature-missing", "hook-not-found"}


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    """What this kernel says to all cases, asked at once."""
    folder = matrix.compile_cases(host_platform().architecture)
    return {one["hook"]: one for one in matrix.ask_here(folder, [case.name for case in CASES])}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hook_on_this_kernel(case: Case, answers: dict[str, dict[str, Any]]) -> None:
    answer = answers[case.name]
    architecture = host_platform().architecture
    wanted = case.arm64 if architecture == "arm64" else case.since
    if answer["outcome"] == "works":
        return
    if matrix.numbers(os.uname().release) < matrix.numbers(wanted):
        assert answer["outcome"] == "feature-missing", answer
        assert f"Linux {wanted}" in answer["message"], answer
        return
    if case.option and case.option in answer["message"]:
        assert answer["outcome"] == "feature-missing", answer
        return
    assert case.name.partition(",")[0] in PATCHING, answer  # moved ones included
    assert answer["outcome"] in REFUSALS, answer
