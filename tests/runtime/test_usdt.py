"""USDT arguments: read as they are, or refused where libbpf would hand on garbage."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpm.errors import FeatureMissing
from ebpm.package.model import Package
from ebpm.runtime.libbpf.binding import Libbpf
from ebpm.runtime.plan import Plan
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from tests import sources

pytestmark = pytest.mark.needs("compiler", "libbpf")

PROGRAM = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

struct event { int first; long second; };
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("usdt/%s:ebpm_test:hit")
int BPF_USDT(on_hit, int first, long second)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	e->first = first;
	e->second = second;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared library with the probe."""
    return sources.probe_library(tmp_path_factory.mktemp("usdt"))


@pytest.fixture(scope="module")
def package(library: Path) -> Package:
    from ebpm.api import host_platform

    text = PROGRAM % library
    here = [host_platform().architecture]
    folder = library.parent / "tool"
    return sources.build(folder, {"hits.bpf.c": text}, architectures=here).package


@pytest.fixture
def plan(package: Package) -> Plan:
    return make_plan(package, package.objects[0])


@pytest.fixture
def of_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Libbpf]:
    """A libbpf that says it is 1.MINOR."""

    def make(minor: int) -> Libbpf:
        library = Libbpf()
        real = library.function
        fake = {"libbpf_major_version": lambda: 1, "libbpf_minor_version": lambda: minor}
        monkeypatch.setattr(Libbpf, "function", lambda _self, name: fake.get(name) or real(name))
        return library

    return make


@pytest.mark.parametrize(("minor", "size"), [(0, 208), (6, 208), (7, 304), (10, 304)])
def test_the_layout_follows_libbpfs_version(
    of_version: Callable[[int], Libbpf], minor: int, size: int
) -> None:
    assert of_version(minor).usdt_spec_size == size


def test_the_plan_knows_the_layout_that_the_object_has(plan: Plan) -> None:
    assert plan.usdt_spec_size == 208  # that of the headers in our bundle, and of Debian 12's
    again = Plan.load(plan.dump())
    assert again is not None
    assert again.usdt_spec_size == 208


def test_a_plan_without_usdt_fits_every_libbpf() -> None:
    other = sources.built("minimal.bpf.c").package
    assert make_plan(other, other.objects[0]).usdt_spec_size == 0


@pytest.mark.parametrize(
    ("size", "minor", "wanted"), [(208, 7, "a libbpf below 1.7"), (304, 6, "libbpf 1.7 or later")]
)
def test_an_object_of_the_other_layout_is_refused(
    plan: Plan,
    package: Package,
    of_version: Callable[[int], Libbpf],
    size: int,
    minor: int,
    wanted: str,
) -> None:
    plan.usdt_spec_size = size
    path = of_version(minor).path
    with pytest.raises(FeatureMissing, match=wanted) as caught:
        Session(plan, package.objects[0].data)
    assert path in caught.value.message
    assert "EBPM_LIBBPF=" in caught.value.hint


@pytest.mark.needs("bpf")
def test_arguments_arrive_as_they_are(plan: Plan, package: Package, library: Path) -> None:
    hit = ctypes.CDLL(str(library)).hit
    hit.argtypes = [ctypes.c_int, ctypes.c_long]
    with Session(plan, package.objects[0].data) as session:
        hit(-7, 1 << 40)
        events = [event.fields for batch in session.batches(0.5) for event in batch.events()]
    assert events == [{"first": -7, "second": 1 << 40}]
