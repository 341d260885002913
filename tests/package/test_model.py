"""The package as a value: which object is for which machine."""

from __future__ import annotations

import pytest

from ebpm.errors import PlatformNotFound
from ebpm.oci.platform import Platform
from ebpm.package.model import (
    DataSection,
    Documentation,
    ObjectFile,
    Package,
    Variable,
)

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
RISCV64, S390X = Platform("linux", "riscv64"), Platform("linux", "s390x")


def package(*objects: ObjectFile) -> Package:
    return Package(name="tool", object_name="tool_bpf", objects=objects)


PORTABLE = ObjectFile(data=b"portable", portable=True)
UNKNOWN = ObjectFile(data=b"unknown")
FOR_ARM64 = ObjectFile(data=b"arm64", platform=ARM64)


@pytest.mark.parametrize(
    ("objects", "platform", "data"),
    [
        ((PORTABLE,), AMD64, b"portable"),
        ((PORTABLE,), RISCV64, b"portable"),
        ((PORTABLE, FOR_ARM64), ARM64, b"arm64"),
        ((PORTABLE, FOR_ARM64), AMD64, b"portable"),
        ((UNKNOWN,), S390X, b"unknown"),
        ((UNKNOWN, PORTABLE), AMD64, b"portable"),
        ((UNKNOWN, FOR_ARM64), ARM64, b"arm64"),
        ((PORTABLE, UNKNOWN), S390X, b"unknown"),
    ],
)
def test_the_object_that_fits_best_is_chosen(
    objects: tuple[ObjectFile, ...], platform: Platform, data: bytes
) -> None:
    assert package(*objects).object_for(platform).data == data


@pytest.mark.parametrize(
    ("objects", "platform", "says"),
    [
        ((), AMD64, "tool has no object for linux/amd64, only no object at all"),
        ((FOR_ARM64,), AMD64, "no object for linux/amd64, only linux/arm64"),
        ((PORTABLE,), S390X, "no object for linux/s390x, only little-endian machines"),
        ((PORTABLE, FOR_ARM64), S390X, "only little-endian machines, linux/arm64"),
    ],
)
def test_no_object_is_better_than_a_wrong_one(
    objects: tuple[ObjectFile, ...], platform: Platform, says: str
) -> None:
    with pytest.raises(PlatformNotFound, match=says):
        package(*objects).object_for(platform)


def test_the_version_is_that_of_the_tools_documentation() -> None:
    one = Package(name="t", object_name="t", documentation=Documentation(brief="x", version="1"))
    assert one.version == "1"
    other = one.with_version("2")
    assert (other.version, other.documentation.brief) == ("2", "x")


def test_variables_are_listed_with_their_sections() -> None:
    x, y = Variable(name="x", type="int"), Variable(name="y", type="int")
    sections = (
        DataSection(name=".rodata", variables=(x,)),
        DataSection(name=".bss", variables=(y,)),
    )
    one = Package(name="t", object_name="t", sections=sections)
    assert one.variables == [(".rodata", x), (".bss", y)]


def test_an_objects_bytes_are_kept_out_of_its_description() -> None:
    assert "portable" not in repr(ObjectFile(data=b"portable bytes")).replace("portable=", "")
