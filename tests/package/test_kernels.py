"""The tables of kernel versions, against the headers and types of real kernels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ebpm.btf import types as t
from ebpm.btf.parse import Btf
from ebpm.build import headers
from ebpm.package import kernels, sections


def test_helpers_are_those_of_libbpfs_header() -> None:
    header = Path(headers.__file__).parent / "bpf" / "bpf_helper_defs.h"
    if not header.exists():
        pytest.skip("the native bundle is not made: scripts/native")
    pattern = r"\(\* (?:const )?bpf_(\w+)\).*\(void \*\) (\d+)"
    found = {int(number): name for name, number in re.findall(pattern, header.read_text())}
    assert {number: name for number, (name, _) in kernels.HELPERS.items()} == found


def test_versions_rise_with_the_numbers() -> None:
    for table in (kernels.HELPERS, kernels.MAP_TYPES):
        versions = [since for _, (_, since) in sorted(table.items())]
        assert versions == sorted(versions)


@pytest.mark.needs("bpf")
def test_the_running_kernel_has_what_the_table_says() -> None:
    release = re.match(r"(\d+)\.(\d+)", Path("/proc/sys/kernel/osrelease").read_text())
    assert release
    version = int(release[1]), int(release[2])
    btf = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
    for table, enum in ((kernels.HELPERS, "bpf_func_id"), (kernels.MAP_TYPES, "bpf_map_type")):
        place = btf.find(t.KIND_ENUM, enum)
        assert place is not None
        found = btf[place]
        assert isinstance(found, t.Enum)
        has = {re.sub(r"^BPF_(FUNC|MAP_TYPE)_", "", name).lower() for name, _ in found.values}
        ours = {name for name, since in table.values() if since <= version}
        assert ours <= has
        assert not {name for name, since in table.values() if since > version} & has


def test_every_section_has_a_version() -> None:
    assert set(kernels.SECTIONS) == set(sections._ROWS)
