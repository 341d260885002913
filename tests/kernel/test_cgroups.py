"""The option -c of the catalogue's tools: a group and those below it, and nobody else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cgroups import new_cgroup
from tests.kernel.test_catalogue import NAP, TALK, Catalogue, disk, later, run

__all__ = ["disk", "run"]  # fixtures
pytestmark = pytest.mark.needs("compiler", "bpf", "cgroup2")

DENIED = "import os; os.setuid(65534)\ntry: os.chroot('/')\nexcept PermissionError: pass"
CALLS = "import os\ntry: os.stat('/no/such')\nexcept OSError: pass\nos.kill(os.getpid(), 0)"
SPIN = "import time\nend = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass"
WRITE = "import os, tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x'); f.flush()"
SCRIPTS = {
    "capable": DENIED,
    "cpudist": NAP,
    "errsnoop": CALLS,
    "execsnoop": "pass",
    "exitsnoop": "pass",
    "filetop": WRITE,
    "fsslower": WRITE,
    "gethostlatency": "import socket; socket.getaddrinfo('127.0.0.9', 80)",
    "mountsnoop": "import ctypes; ctypes.CDLL(None).umount2(b'/no/such', 0)",
    "offcputime": NAP,
    "opensnoop": CALLS,
    "pagefaults": "pass",
    "profile": SPIN,
    "runqlat": NAP,
    "runqslower": NAP,
    "sigsnoop": CALLS,
    "statsnoop": CALLS,
    "syscount": CALLS,
    "tcpaccept": TALK,
    "tcpconnect": TALK,
    "tcptop": TALK,
}
OPTIONS = {"fsslower": ["--min_ms", "0"], "runqslower": ["--min_us", "0"]}


def into(group: Path, *command: str) -> list[str]:
    """Make a command that goes to a group before it begins."""
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *command]


@pytest.mark.parametrize("tool", SCRIPTS)
def test_a_tool_sees_a_group_and_those_below_it(run: Catalogue, tool: str) -> None:
    options = OPTIONS.get(tool, [])
    with new_cgroup() as group, new_cgroup() as other:
        below = group / "below"
        below.mkdir()
        command = into(below, sys.executable, "-I", "-S", "-c", SCRIPTS[tool])
        found = run.trace(tool, *command, options=["--cgroup", str(group), *options])
        assert found
        if tool == "execsnoop":  # the shell began before it went there
            assert [Path(str(one["args"]).split()[0]).name for one in found] == [
                Path(sys.executable).name
            ]
        assert run.trace(tool, *command, options=["--cgroup", str(other), *options]) == []


def test_programs_that_a_group_loads(run: Catalogue) -> None:
    with new_cgroup() as group, new_cgroup() as other:
        command = into(group, sys.executable, "-m", "ebpm", "run", "-d", "0.1s")
        command.append(str(run.path("exitsnoop")))
        found = run.trace("bpfload", *command, options=["-c", str(group)])
        assert "process_exit" in {one["prog"] for one in found}
        assert run.trace("bpfload", *command, options=["-c", str(other)]) == []


def test_block_io_of_a_group(run: Catalogue, disk: list[str]) -> None:
    with new_cgroup() as group, new_cgroup() as other:
        command = into(group, *disk)
        for tool in ("biosnoop", "biolatency", "bitesize"):
            assert run.trace(tool, *command, options=["--cgroup", str(group)])
            assert run.trace(tool, *command, options=["--cgroup", str(other)]) == []


def test_interrupts_while_a_group_runs(run: Catalogue, disk: list[str]) -> None:
    with new_cgroup() as other:
        for options, seen in (([], True), (["-c", str(other)], False)):
            found = run.watch("hardirqs", 1, *options, meanwhile=later(" ".join(disk), 0.5))
            assert bool(found) == seen
