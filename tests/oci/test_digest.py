import hashlib

import pytest

from ebpm.errors import InvalidDigest
from ebpm.oci.digest import Digest

HEX = "0123456789abcdef" * 4


def test_a_digest_is_written_as_it_was_read() -> None:
    assert str(Digest.parse(f"sha256:{HEX}")) == f"sha256:{HEX}"
    assert str(Digest.parse(f"sha512:{HEX}{HEX}")) == f"sha512:{HEX}{HEX}"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_bytes_hash_as_hashlib_says(algorithm: str) -> None:
    digest = Digest.of(b"some bytes", algorithm)
    assert digest.hex == hashlib.new(algorithm, b"some bytes").hexdigest()
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        HEX,
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f"sha512:{HEX}",
        f"md5:{HEX[:32]}",
        f"sha256:{HEX}\n",
        f" sha256:{HEX}",
        "sha256:../../../../etc/passwd",
        f"sha256:{HEX[:-1]}/",
        f"sha256:{HEX[:-1]}\u0660",  # a digit, but not one of ASCII
        "sha256+b64:" + HEX,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest, match="is not a digest"):
        Digest.parse(text)


def test_the_message_stays_short() -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest.parse("sha256:" + "0" * 1_000_000)
    assert len(caught.value.message) < 300


def test_people_see_twelve_digits() -> None:
    assert Digest.parse(f"sha256:{HEX}").short == HEX[:12]
