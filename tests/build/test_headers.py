"""The headers that a build is given: libbpf's, and the kernel's types."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpm.build import headers
from ebpm.build.headers import architectures, header_set, kernel_types, libbpf_headers
from ebpm.errors import HeadersMissing


def test_the_committed_types_are_those_of_the_promised_architectures() -> None:
    assert {"amd64", "arm64"} <= set(architectures())
    for architecture in architectures():
        text = kernel_types(architecture)
        assert b"struct task_struct {" in text
        assert b"preserve_access_index" in text


def test_an_architecture_without_types_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(HeadersMissing, match=r"no vmlinux\.h for sparc") as caught:
        kernel_types("sparc")
    assert "amd64" in caught.value.hint


@pytest.mark.needs("compiler")  # whose set-up brings libbpf's headers as well
def test_headers_are_laid_out_and_taken_away_again() -> None:
    with header_set("arm64") as made:
        assert (made.folder / "vmlinux.h").read_bytes() == kernel_types("arm64")
        assert (made.folder / "bpf" / "bpf_helpers.h").exists()
        assert made.architecture == "arm64"
    assert not made.folder.exists()
    assert (libbpf_headers() / "bpf_helpers.h").exists()  # only the link to them is gone


@pytest.mark.needs("compiler")
def test_types_of_ones_own_replace_the_committed_ones() -> None:
    with header_set("sparc", b"typedef int own;") as made:
        assert (made.folder / "vmlinux.h").read_bytes() == b"typedef int own;"


def test_without_libbpfs_headers_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "LIBBPF_FOLDERS", (tmp_path,))
    with pytest.raises(HeadersMissing, match=r"bpf/bpf_helpers\.h") as caught:
        libbpf_headers()
    assert "libbpf-dev" in caught.value.hint
    (tmp_path / "bpf_helpers.h").touch()
    assert libbpf_headers() == tmp_path
