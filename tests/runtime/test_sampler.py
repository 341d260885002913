"""Maps read at intervals, on this kernel."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout, Member
from ebpm.errors import InvalidParameter, MapUnreadable
from ebpm.package.model import MapSpec, Package, Sample
from ebpm.runtime.libbpf.binding import LibbpfError, Map
from ebpm.runtime.libbpf.contents import Contents
from ebpm.runtime.planner import make_plan
from ebpm.runtime.sampler import _adder
from ebpm.runtime.session import Session

Build = Callable[[str], Package]
kernel = pytest.mark.needs("compiler", "bpf")
FAR = 3600.0  # seconds: only the last reading is made


def only(package: Package, name: str, **sample: object) -> Package:
    """Keep the sample of one map."""

    def one(spec: MapSpec) -> MapSpec:
        if spec.name != name:
            return replace(spec, sample=None)
        assert spec.sample is not None
        return replace(spec, sample=replace(spec.sample, **sample))  # type: ignore[arg-type]

    return replace(package, maps=tuple(one(spec) for spec in package.maps))


@contextmanager
def running(package: Package, **options: Any) -> Iterator[Session]:
    plan, data = make_plan(package, package.objects[0]), package.objects[0].data
    with Session(plan, data, {"target_pid": os.getpid()}, **options) as session:
        yield session


def trigger(*numbers: int) -> None:
    for number in numbers:
        try:
            os.getpgid(number)
        except ProcessLookupError:
            pass


def rest(session: Session) -> list[dict[str, Any]]:
    return [event.fields for batch in session.remaining() for event in batch.events()]


def sampled(package: Package, name: str, *numbers: int, **options: Any) -> list[dict[str, Any]]:
    """Give the entries of a map, as the last reading has them, in the order of their keys."""
    with running(only(package, name), interval=FAR, **options) as session:
        trigger(*numbers)
        return sorted(rest(session), key=str)


@kernel
def test_a_hash_has_an_entry_for_each_key(program: Build) -> None:
    found = sampled(program("samples"), "counts", 1, 2, 2)
    assert [(one["key"]["number"], one["value"]) for one in found] == [
        (1, {"count": 1, "last": 1}),
        (2, {"count": 2, "last": 2}),
    ]


@kernel
def test_a_reading_that_is_sorted_and_limited_is_one_batch(program: Build) -> None:
    with running(only(program("samples"), "counts"), interval=FAR, sort="count", rows=2) as session:
        trigger(1, 2, 2, 3, 3, 3)
        (batch,) = session.remaining()
    assert batch.source.ranked
    assert [one.fields["key"]["number"] for one in batch.events()] == [3, 2]


@kernel
def test_cpus_can_be_sorted_by_where_they_are_shown(program: Build) -> None:
    package = only(program("samples"), "each_cpu")
    options: dict[str, Any] = {"interval": FAR, "sort": "-cpu"}
    with running(package, per_cpu=True, **options) as session:
        trigger(5)
        found = [one["cpu"] for one in rest(session)]
    assert found == sorted(found, reverse=True)
    assert len(found) == os.sysconf("SC_NPROCESSORS_CONF")
    with pytest.raises(InvalidParameter, match="no column 'cpu'"), running(package, **options):
        pass


@kernel
def test_an_array_has_all_its_entries(program: Build) -> None:
    found = sampled(program("samples"), "totals", 2, 2)
    assert found == [{"key": {"u32": at}, "value": {"u64": 2 if at == 2 else 0}} for at in range(4)]


@kernel
def test_types_that_the_object_does_not_tell_are_numbers_of_their_size(program: Build) -> None:
    assert sampled(program("samples"), "recent", 7) == [{"key": {"u32": 7}, "value": {"u64": 1}}]


@kernel
def test_an_lpm_trie_is_walked_by_keys(program: Build) -> None:
    found = sampled(program("samples"), "prefixes", 1, 2)
    assert found == [
        {"key": {"length": 32, "data": [10, 0, 0, last]}, "value": {"u32": last}} for last in (1, 2)
    ]


@kernel
def test_a_queue_that_is_cleared_gives_all_its_elements_in_order(program: Build) -> None:
    package = only(program("samples"), "queue")
    with running(package, interval=FAR) as session:
        trigger(3, 1, 2)
        assert rest(session) == [{"value": {"u32": number}} for number in (3, 1, 2)]
        assert rest(session) == []


@kernel
def test_a_queue_that_is_kept_shows_the_next_one_only(program: Build) -> None:
    package = only(program("samples"), "queue", clear_map=False)
    with running(package, interval=FAR) as session:
        trigger(3, 1)
        assert rest(session) == [{"value": {"u32": 3}}]
        assert rest(session) == [{"value": {"u32": 3}}]


def on_cpus(count: int) -> Iterator[int]:
    """Run on one CPU after another."""
    before = os.sched_getaffinity(0)
    try:
        for cpu in sorted(before)[:count]:
            os.sched_setaffinity(0, {cpu})
            yield cpu
    finally:
        os.sched_setaffinity(0, before)


@kernel
def test_the_values_of_all_cpus_are_added_up(program: Build) -> None:
    with running(only(program("samples"), "each_cpu"), interval=FAR) as session:
        cpus = [cpu for cpu in on_cpus(2) if trigger(5, 5) is None]
        (found,) = rest(session)
    assert found == {"key": {"u32": 5}, "value": {"count": 2 * len(cpus), "last": 10 * len(cpus)}}


@kernel
@pytest.mark.parametrize("name", ["each_cpu", "each_cpu_array"])
def test_per_cpu_each_cpu_is_a_record_of_its_own(program: Build, name: str) -> None:
    with running(only(program("samples"), name), interval=FAR, per_cpu=True) as session:
        cpus = [cpu for cpu in on_cpus(2) if trigger(5) is None]
        found = rest(session)
    key = 5 if name == "each_cpu" else 0
    values = {one["cpu"]: one["value"] for one in found if one["key"]["u32"] == key}
    assert len(values) == os.sysconf("SC_NPROCESSORS_CONF")
    for cpu, value in values.items():
        count = 1 if cpu in cpus else 0
        assert value == ({"u64": count} if key == 0 else {"count": count, "last": 10 * count})


@kernel
def test_stacks_of_a_stack_map_are_lists_of_addresses(program: Build) -> None:
    package = program("stacks")
    sample = Sample(interval=1000)
    maps = [replace(one, sample=sample if one.name == "stackmap" else None) for one in package.maps]
    with running(replace(package, maps=tuple(maps)), interval=FAR) as session:
        trigger(2)
        found = rest(session)
    assert len(found) == 2  # of the kernel and of us
    for one in found:
        (addresses,) = one["value"].values()
        assert len(addresses) == 32
        assert addresses[0] > 4096


@kernel
def test_any_interval_can_be_waited_for(program: Build) -> None:
    with running(only(program("samples"), "counts", interval=10**30)) as session:
        assert list(session.batches(0.01)) == []


@kernel
def test_a_reading_comes_after_each_interval_and_not_before(program: Build) -> None:
    package = only(program("samples"), "counts")
    began = time.monotonic()  # a busy machine may take longer, and never less
    with running(package, interval=0.3) as session:
        trigger(1)
        for number in range(1, 3):
            (batch,) = session.batches(5)
            assert time.monotonic() - began > 0.3 * number
            assert batch.count == 1


@kernel
@pytest.mark.parametrize("name", ["counts", "totals", "prefixes", "each_cpu"])
@pytest.mark.parametrize("clear", [True, False])
def test_only_a_map_that_is_cleared_is_empty_after_a_reading(
    program: Build, name: str, clear: bool
) -> None:
    package = only(program("samples"), name, clear_map=clear)
    with running(package, interval=FAR) as session:
        trigger(1)
        first, second = rest(session), rest(session)
    assert any(any(one["value"].values()) for one in first)
    if clear:
        assert not any(any(one["value"].values()) for one in second)
    else:
        assert first == second


@kernel
def test_an_interval_that_was_missed_is_left_out(program: Build) -> None:
    with running(only(program("samples"), "counts"), interval=0.4) as session:
        trigger(1)
        time.sleep(0.9)
        assert len(list(session.batches(5))) == 1
        assert list(session.batches(0.001)) == []


# --- many entries, and entries that vanish -------------------------------------------------------


class Table:
    """A map of so many entries, by what libbpf would answer."""

    type, key_size, value_size = 1, 4, 8

    def __init__(self, count: int, *, batches: bool, gone: Mapping[int, int] | None = None) -> None:
        self.entries = {struct.pack("=I", at): struct.pack("=Q", at) for at in range(count)}
        self.max_entries = max(count, 1)
        self.batches = batches
        self.gone = dict(gone or {})  # after the lookup of a key, another vanishes
        self.calls = 0

    def call(self, name: str, *arguments: Any) -> int:
        self.calls += 1
        if name.endswith("_batch"):
            raise LibbpfError(524, name, "not supported")
        key, out = arguments
        if name == "bpf_map_get_next_key":
            keys = list(self.entries)
            at = keys.index(key) + 1 if key in self.entries else 0
            if at >= len(keys):
                raise LibbpfError(errno.ENOENT, name, "no more")
            out.raw = keys[at]
        elif name == "bpf_map_lookup_elem":
            if key not in self.entries:
                raise LibbpfError(errno.ENOENT, name, "gone")
            out.raw = self.entries[key]
            other = self.gone.pop(int.from_bytes(key, "little"), None)
            if other is not None:
                del self.entries[struct.pack("=I", other)]
        return 0


def numbers(entries: Contents) -> list[int]:
    found = []
    for count, keys, values in entries.read():
        assert len(keys) == 4 * count
        assert len(values) == 8 * count
        found += struct.unpack(f"={count}Q", values)
    return found


def test_where_the_kernel_has_no_batches_keys_are_walked() -> None:
    table = Table(3000, batches=False)
    assert numbers(Contents(table)) == list(range(3000))  # type: ignore[arg-type]
    assert table.calls <= 2 * 3000 + 2


def test_an_entry_that_vanishes_is_skipped_and_none_comes_twice() -> None:
    table = Table(100, batches=False, gone={10: 11, 50: 50, 70: 3})
    found = numbers(Contents(table))  # type: ignore[arg-type]
    assert sorted(found) == [at for at in range(100) if at != 11]


@kernel
def test_entries_that_vanish_while_they_are_read_do_no_harm(program: Build) -> None:
    package = only(program("samples"), "prefixes", clear_map=False)
    with running(package, interval=FAR) as session:
        trigger(*range(1, 60))
        assert session._object is not None
        table = session._object.map("prefixes")
        assert table is not None
        left = {bytes([32, 0, 0, 0, 10, 0, 0, last]) for last in range(1, 60)}
        seen = []
        lookup = Contents._lookup

        def vanishing(self: Contents, key: bytes) -> bytes | None:
            gone = min(left)  # may be this one, one that was read, or one to come
            left.remove(gone)
            table.call("bpf_map_delete_elem", gone)
            return lookup(self, key)

        contents = Contents(table)
        contents._lookup = vanishing.__get__(contents)  # type: ignore[method-assign]
        for count, keys, _ in contents.read():
            seen += [keys[at : at + 8] for at in range(0, 8 * count, 8)]
    assert len(seen) == len(set(seen))
    assert left <= set(seen) or not left


@kernel
@pytest.mark.parametrize("count", [1, 1024, 1025, 100_000])
def test_any_number_of_entries_is_read_in_chunks(program: Build, count: int) -> None:
    package = only(program("samples"), "counts")
    with running(package, interval=FAR) as session:
        table = grown(session, package, count)
        sizes, seen = [], set()
        for held, keys, _ in Contents(table).read():
            sizes.append(held)
            seen |= {keys[at : at + 20] for at in range(0, len(keys), 20)}
    assert len(seen) == sum(sizes) == count
    assert max(sizes) <= 4096


def grown(session: Session, package: Package, count: int) -> Map:
    """Make a map of the object anew with so many entries, and fill it."""
    import ctypes

    assert session._object is not None
    library = session._object.library
    create = library._library.bpf_map_create
    create.restype = ctypes.c_int
    fd = create(1, b"grown", 20, 16, max(count, 1), None)
    assert fd > 0
    table = session._object.map("counts")
    assert table is not None
    fill(library, fd, count)

    class Grown(Map):
        fd = -1  # type: ignore[assignment]
        max_entries = count  # type: ignore[assignment]

        def __del__(self) -> None:
            os.close(self.fd)

    found = Grown(table._library, table._handle)
    Grown.fd = fd  # type: ignore[assignment,method-assign]
    return found


def fill(library: Any, fd: int, count: int) -> None:
    import ctypes

    keys = b"".join(struct.pack("=I16x", at) for at in range(count))
    update = library._library.bpf_map_update_batch
    update.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, *[ctypes.c_void_p] * 2]
    update.restype = ctypes.c_int
    held = ctypes.c_uint32(count)
    assert update(fd, keys, bytes(16 * count), ctypes.byref(held), None) == 0


@kernel
def test_a_map_that_cannot_be_read_is_an_error(
    program: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(self: Map, name: str, *arguments: object) -> int:
        raise LibbpfError(errno.EACCES, name, "Permission denied")

    with running(only(program("samples"), "counts"), interval=FAR) as session:
        monkeypatch.setattr(Map, "call", call)
        with pytest.raises(MapUnreadable, match="map counts: Permission denied"):
            rest(session)


# --- sums ----------------------------------------------------------------------------------------

U16 = Layout(kinds.INT, "u16", 2)
U32, I64 = Layout(kinds.INT, "u32", 4), Layout(kinds.INT, "s64", 8, signed=True)
VALUE = Layout(
    kinds.STRUCT,
    "value",
    40,
    members=(
        Member("count", 0, 0, U32),
        Member("flag", 32, 0, Layout(kinds.BOOL, "bool", 1)),
        Member("total", 64, 0, I64),
        Member("mean", 128, 0, Layout(kinds.FLOAT, "double", 8)),
        Member("list", 192, 0, Layout(kinds.ARRAY, "", 8, count=2, element=U32)),
        Member("name", 256, 0, Layout(kinds.STRING, "", 8)),
    ),
)
FORM = struct.Struct("=IIqd2I8s")


def test_numbers_are_added_and_the_rest_is_that_of_the_first_cpu_that_has_any() -> None:
    add = _adder(VALUE, 40, 40)
    nothing = bytes(40)
    one = FORM.pack(1, 1, -5, 0.5, 1, 2, b"first")
    two = FORM.pack(0xFFFFFFFF, 0, 3, 0.25, 10, 20, b"second")
    assert FORM.unpack(add(nothing + one + nothing + two)) == (
        *(0, 1, -2, 0.75, 11, 22),
        b"first\0\0\0",
    )
    assert add(nothing * 4) == nothing
    assert add(nothing + two) == two


def test_a_value_is_no_longer_than_its_type_though_the_kernel_rounds_it_up() -> None:
    add = _adder(U32, 8, 4)
    assert add(struct.pack("=II", 1, 99) * 3) == struct.pack("=I", 3)


@given(st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3), min_size=1, max_size=8))
def test_arrays_of_structs_add_up_member_by_member(cpus: list[tuple[int, int, int]]) -> None:
    pair = Layout(kinds.STRUCT, "", 6, members=(Member("a", 0, 0, U32), Member("b", 32, 0, U16)))
    layout = Layout(kinds.ARRAY, "", 12, count=2, element=pair)
    values = [struct.pack("=IHIH", a, b & 0xFFFF, c, 1) for a, b, c in cpus]
    total = _adder(layout, 16, 12)(b"".join(value + b"\xff" * 4 for value in values))
    a, b, c = (sum(column) for column in zip(*cpus, strict=True))
    assert struct.unpack("=IHIH", total) == (a % 2**32, b % 2**16, c % 2**32, len(cpus))
