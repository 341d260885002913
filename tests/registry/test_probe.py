"""What a registry can do, told of registries of which it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpm.errors import RegistryError
from ebpm.registry.credentials import Credential
from ebpm.registry.probe import NO, UNKNOWN, YES, examine
from ebpm.testing.guard import Guard
from ebpm.testing.registry import RegistryServer, registry_server
from tests.artifacts import client_for


def states(server: RegistryServer, folder: Path, login: object = None, **options: bool):
    with client_for(folder, login=login) as client:  # type: ignore[arg-type]
        found = list(examine(client, server.host, "tools/x", **options))
    return {one.part: one.state for one in found}


def test_a_registry_that_can_do_all_is_told_so_and_left_clean(
    server: RegistryServer, tmp_path: Path
) -> None:
    found = states(server, tmp_path, write=True)
    no = {"asks for a login", "tells its limits", "our login"}
    assert {part for part, state in found.items() if state == NO} == no
    assert {part for part, state in found.items() if state == UNKNOWN} == {"list tags"}
    for repository in server.repositories.values():
        assert repository.tags == repository.manifests == repository.uploads == {}
        assert set(map(len, repository.blobs.values())) <= {2}  # the empty one is anybody's


def test_reading_writes_nothing(server: RegistryServer, tmp_path: Path) -> None:
    states(server, tmp_path)
    assert {one.method for one in server.log} == {"GET"}


@pytest.mark.parametrize(
    ("switch", "part"),
    [
        ({"no_referrers": True}, "referrers"),
        ({"no_referrers": True}, "sees subjects"),
        ({"no_mount": True}, "mount"),
        ({"no_range": True}, "read a range"),
        ({"patch_limit": 1}, "upload in chunks"),
        ({"refuse_put": 403}, "any artifact"),
    ],
)
def test_what_it_cannot_do_is_told(
    server: RegistryServer, tmp_path: Path, switch: dict[str, object], part: str
) -> None:
    for name, value in switch.items():
        setattr(server.faults, name, value)
    assert states(server, tmp_path, write=True)[part] in (NO, UNKNOWN)


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize(("password", "accepted"), [("secret", YES), ("wrong", NO)])
def test_our_login_is_tried(tmp_path: Path, tokens: bool, password: str, accepted: str) -> None:
    with registry_server(Guard(tokens=tokens)) as server:
        found = states(server, tmp_path, lambda *_: Credential("alice", password))
        assert (found["asks for a login"], found["our login"]) == (YES, accepted)
        assert found["list tags"] == (UNKNOWN if accepted == YES else NO)


def test_its_limits_are_told(server: RegistryServer, tmp_path: Path) -> None:
    server.faults.headers = {"RateLimit-Limit": "100;w=21600", "ratelimit-remaining": "76"}
    with client_for(tmp_path) as client:
        (found,) = [one for one in examine(client, server.host, None) if "limits" in one.part]
    assert found.found == "RateLimit-Limit: 100;w=21600, ratelimit-remaining: 76"


def test_what_has_no_v2_is_no_registry(server: RegistryServer, tmp_path: Path) -> None:
    server.faults.status_for = lambda _: 404
    with client_for(tmp_path) as client, pytest.raises(RegistryError, match="is no registry"):
        list(examine(client, server.host, None))
