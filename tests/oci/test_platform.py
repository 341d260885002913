import pytest

from ebpm.errors import InvalidManifest, UsageError
from ebpm.oci.platform import Platform


@pytest.mark.parametrize(
    ("text", "os", "architecture"),
    [("arm64", "linux", "arm64"), ("linux/amd64", "linux", "amd64"), ("none/386", "none", "386")],
)
def test_a_platform_is_read_as_people_write_it(text: str, os: str, architecture: str) -> None:
    found = Platform.parse(text)
    assert found == Platform(os, architecture)
    assert str(found) == f"{os}/{architecture}"


@pytest.mark.parametrize(
    "text", ["", "/", "/amd64", "linux/", "linux/arm/v7", "x86_64", "linux/x86_64", "li nux/a", "é"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a platform"):
        Platform.parse(text)


def test_the_kernels_name_of_a_machine_is_answered_with_ocis() -> None:
    with pytest.raises(UsageError) as caught:
        Platform.parse("x86_64")
    assert caught.value.hint == "write it as linux/amd64"


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [
        ("x86_64", "amd64"),
        ("aarch64", "arm64"),
        ("riscv64", "riscv64"),
        ("ppc64le", "ppc64le"),
        ("s390x", "s390x"),
        ("loongarch64", "loong64"),
        ("unheard-of", "unheard-of"),
    ],
)
def test_a_kernels_machine_has_an_oci_name(machine: str, architecture: str) -> None:
    assert Platform.of_machine(machine) == Platform("linux", architecture)


def test_what_others_say_of_a_platform_is_kept_and_not_compared() -> None:
    said = {"os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["x"]}
    found = Platform.from_json(said)
    assert found.to_json() == said
    assert found == Platform("linux", "arm")
    assert len({found, Platform("linux", "arm")}) == 1


@pytest.mark.parametrize("data", [None, [], "linux/amd64", {}, {"os": "linux"}, {"os": 1}])
def test_a_manifests_platform_must_be_one(data: object) -> None:
    with pytest.raises(InvalidManifest):
        Platform.from_json(data)


def test_byte_order_is_known() -> None:
    assert Platform("linux", "s390x").big_endian
    assert not Platform("linux", "amd64").big_endian
