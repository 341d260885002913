from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpm.registry.client import RegistryClient
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import client_for


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait between two tries."""
    for module in ("http", "download", "upload", "repository"):
        monkeypatch.setattr(f"ebpm.registry.{module}.pause", lambda _attempt: 0.0)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what oras-py leaves behind out of the machine's folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    """A registry that lets everybody in."""
    with registry_server() as running:
        yield running


@pytest.fixture
def client(tmp_path: Path) -> Iterator[RegistryClient]:
    """A client without credentials that gives a server two seconds."""
    with client_for(tmp_path, read_timeout=2.0, connect_timeout=2.0) as opened:
        yield opened


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """A certificate for 127.0.0.1 that nobody trusts: as a server uses it, and its file."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(cert)
