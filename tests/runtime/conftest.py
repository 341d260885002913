"""Programs for the tests of the runtime, compiled once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.package.model import Package

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="session")
def program() -> Callable[[str], Package]:
    """Build tests/data/NAME.bpf.c for amd64 and arm64 at once; all of them are portable."""
    built: dict[str, Package] = {}

    def package(name: str) -> Package:
        if name not in built:
            from ebpm.api import Workspace

            built[name] = Workspace().build(DATA / f"{name}.bpf.c").package
        return built[name]

    return package
