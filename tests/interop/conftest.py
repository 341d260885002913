from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpm.registry.client import RegistryClient
from tests import needs
from tests.artifacts import client_for

# alice:secret; docker-registry takes bcrypt alone.
HTPASSWD = "alice:$2b$04$PQCWawXQJZ5YJreBGZoSq.0H4FgLgfIYzEJUGtQHpHdCLvM.ffsm.\n"


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what oras-py leaves behind out of the machine's folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def guarded_registry(tmp_path: Path) -> Iterator[str]:
    """Run Debian's docker-registry with a password, alice:secret."""
    with needs.docker_registry(tmp_path / "guarded", htpasswd=HTPASSWD) as host:
        yield host


@pytest.fixture
def client(tmp_path: Path) -> Iterator[RegistryClient]:
    """A client without credentials."""
    with client_for(tmp_path) as opened:
        yield opened


@pytest.fixture
def skopeo(tmp_path: Path) -> Callable[..., str]:
    """Run skopeo; give what it prints."""

    def run(*arguments: str) -> str:
        command = ["skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
