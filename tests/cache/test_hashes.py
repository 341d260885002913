from __future__ import annotations

import hashlib

import pytest

from ebpm.cache import hashes


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) + 1])
def test_every_way_gives_the_same_hash(
    algorithm: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    expected = hashlib.new(algorithm, data).hexdigest()
    assert hashes.hex_digest(algorithm, data) == expected
    monkeypatch.setattr(hashes, "_own", lambda: None)
    assert hashes.hex_digest(algorithm, data) == expected


def test_cpythons_own_is_found() -> None:
    assert hashes._own() is not None
