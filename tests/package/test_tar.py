"""The tar of btfgen: as eunomia-bpf's compiler writes it, and what bad ones get."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import EbpmError, InvalidPackage
from ebpm.package.files import parse_package, write_bundle, write_composed
from ebpm.package.kernelbtf import find_btf, kernel_paths, read_btfs, write_btfs
from ebpm.package.model import KernelBtf, ObjectFile, Package
from ebpm.package.tar import read_tar, write_tar
from tests.strategies import examples
from tests.synthetic import Sec, elf

OBJECT = ObjectFile(data=elf([Sec("license", b"GPL\0")]))
PACKAGE = Package(name="tool", object_name="tool_bpf", license="GPL", objects=(OBJECT,))
BTF = KernelBtf(path="ubuntu/18.04/x86_64/4.15.0-20-generic", data=b"some types")


def tar(entries: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Write a tar as others do, with the folders in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        folder = tarfile.TarInfo("./btfhub-archive")
        folder.type = tarfile.DIRTYPE
        file.addfile(folder)
        for name, data in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def theirs(**more: bytes) -> dict[str, bytes]:
    return {
        f"./btfhub-archive/{BTF.path}.btf": BTF.data,
        "package.json": write_composed(PACKAGE, OBJECT, "json"),
        "tool": OBJECT.data,
        **more,
    }


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_of_eunomia_bpf_is_read(form: int, pack: type[bytes]) -> None:
    package = parse_package(pack(tar(theirs(), form)), "tool.tar")
    assert package.btfs == (BTF,)
    assert package.objects == (OBJECT,)
    assert package.name == "tool"


def test_a_tar_is_written_as_eunomia_bpf_s(tmp_path: Path) -> None:
    package = Package(**{**_fields(PACKAGE), "btfs": (BTF,)})
    (tmp_path / "tool.tar").write_bytes(write_bundle(package, OBJECT))
    listed = subprocess.run(
        ["tar", "-tf", tmp_path / "tool.tar"], capture_output=True, text=True, check=True
    )
    assert listed.stdout.split() == [f"./btfhub-archive/{BTF.path}.btf", "package.json", "tool"]
    subprocess.run(["tar", "-xf", "tool.tar"], cwd=tmp_path, check=True)
    assert (tmp_path / "tool").read_bytes() == OBJECT.data
    assert (tmp_path / "btfhub-archive" / f"{BTF.path}.btf").read_bytes() == BTF.data


def _fields(package: Package) -> dict[str, object]:
    return {name: getattr(package, name) for name in package.__slots__}


def test_a_tar_may_hold_the_object_alone() -> None:
    package = parse_package(tar({"tool": OBJECT.data, "README": b"text"}), "tool.tar")
    assert (package.name, package.license) == ("tool", "GPL")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (tar({}), "is a tar without package.json, and without an object"),
        (tar(theirs())[:2000], "is cut off|is not a tar|unexpected end|truncated"),
        (gzip.compress(tar(theirs()))[:-9], "is cut off"),
        (b"\x1f\x8b" + b"x" * 100, "is not a gzip stream"),
        (tar({"./btfhub-archive/../../etc/passwd.btf": b""}), "is not ID/VERSION_ID"),
        (tar({"./btfhub-archive/a/b/c.btf": b""}), "is not ID/VERSION_ID"),
    ],
)
def test_a_bad_tar_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidPackage, match=says) as caught:
        parse_package(data, "tool.tar")
    assert caught.value.message.startswith("tool.tar")


def test_a_link_out_of_a_tar_leads_nowhere() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        entry = tarfile.TarInfo("package.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(entry)
    with pytest.raises(InvalidPackage, match=r"without package\.json"):
        parse_package(out.getvalue(), "tool.tar")


def test_a_stream_that_swells_is_stopped() -> None:
    with pytest.raises(InvalidPackage, match="larger than any package"):
        parse_package(gzip.compress(bytes(300 << 20), 1), "tool.tar.gz")


@examples(200)
@given(st.binary(max_size=400), st.integers(0, 4000), st.booleans())
def test_any_bytes_give_files_or_an_error(junk: bytes, at: int, compressed: bool) -> None:
    data = bytearray(write_tar({"package.json": b"{}"}, (BTF,)))
    data[at : at + len(junk)] = junk
    with suppress(EbpmError):
        read_tar(gzip.compress(data) if compressed else bytes(data), "here")


# --- kernels by name -----------------------------------------------------------------------------


def test_a_kernel_is_named_by_os_release_and_uname() -> None:
    text = 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="18.04"\n# ID=x\n\n'
    assert kernel_paths(text, "x86_64", "4.15.0-20-generic") == [BTF.path]
    paths = kernel_paths("ID=debian\nVERSION_ID='10'", "aarch64", "4.19")
    assert paths == ["debian/10/aarch64/4.19", "debian/10/arm64/4.19"]  # as the archive has it
    assert kernel_paths("", "x86_64", "6") == ["linux/rolling/x86_64/6"]


def test_a_kernel_s_types_are_found_by_its_names() -> None:
    assert find_btf((BTF,), ["x", BTF.path]) == BTF
    assert find_btf((BTF,), ["x"]) is None


@pytest.mark.parametrize("text", ["!", 5, None, "", "YWJj", write_btfs([BTF])[BTF.path][:-4]])
def test_types_that_are_damaged_in_metadata_are_refused(text: object) -> None:
    with pytest.raises(InvalidPackage, match="ebpm_btfs"):
        read_btfs({BTF.path: text}, "meta.ebpm_btfs")
    assert read_btfs(write_btfs([BTF]), "here") == (BTF,)


@pytest.mark.parametrize("path", ["", "a/b/c", "../b/c/d", "a/b/c/d/e", "a//c/d", "a/b/c/d\n"])
def test_a_name_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(InvalidPackage, match="is not ID/VERSION_ID/MACHINE/RELEASE"):
        read_btfs({path: write_btfs([BTF])[BTF.path]}, "here")
