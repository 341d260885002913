"""Control groups that tests make, and leave again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from ebpm.runtime.cgroup import cgroup_root

_NUMBERS = count()


@contextmanager
def new_cgroup() -> Iterator[Path]:
    """Make a group of cgroup2; remove it, and those below it, once nobody is in them."""
    path = Path(cgroup_root()) / f"ebpm-test-{os.getpid()}-{next(_NUMBERS)}"
    path.mkdir()
    try:
        yield path
    finally:
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)


@contextmanager
def inside(path: Path) -> Iterator[None]:
    """Be in a group, and go back."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    before = next(line[3:] for line in lines if line.startswith("0::"))
    enter(path)
    try:
        yield
    finally:
        enter(Path(f"{cgroup_root()}{before}"))


def enter(path: Path) -> None:
    """Move this process to a group."""
    (path / "cgroup.procs").write_text(str(os.getpid()))
