"""``maps[].data`` and ``maps[].max_entries``: what is put into maps, and what cannot be."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.api import Workspace
from ebpm.errors import EbpmError, InvalidPackage, InvalidParameter, LoadFailed
from ebpm.package.model import MapSpec, Package
from ebpm.plainjson import loads
from ebpm.runtime.plan import Plan
from ebpm.runtime.planner import make_plan
from ebpm.runtime.session import Session
from tests.conftest import ROOT
from tests.runtime.test_session import fields, start, watching
from tests.strategies import JSON, examples

pytestmark = pytest.mark.needs("compiler")
Build = Callable[[str], Package]


def filled(package: Package, name: str, *data: object, **more: object) -> Package:
    """Give a map entries; the other maps stay as they are."""
    spec = MapSpec(name=name, ident=name, data=data, **more)  # type: ignore[arg-type]
    return replace(package, maps=(*(one for one in package.maps if one.name != name), spec))


@functools.cache
def build_once() -> Package:
    return Workspace().build(ROOT / "tests/data/maps.bpf.c").package


def plan_of(package: Package) -> Plan:
    return make_plan(package, package.objects[0])


def entry(key: object, value: object) -> dict[str, object]:
    return {"key": key, "value": value}


# --- encoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "item", "key", "value"),
    [
        ("limits", entry(-7, 2**64 - 1), struct.pack("i", -7), b"\xff" * 8),
        (
            "points",
            entry(3, {"x": -1, "name": "ab", "mode": "ON"}),
            struct.pack("I", 3),
            struct.pack("hH8sI", -1, 0, b"ab", 3),
        ),
        ("by_name", entry("bash", -128), b"bash" + bytes(12), b"\x80"),
        ("by_point", entry({"y": 65535}, True), struct.pack("hH8sI", 0, 65535, b"", 0), b"\1"),
        (
            "routes",
            entry({"prefixlen": 8, "address": [10]}, 1),
            struct.pack("I4s", 8, b"\x0a"),
            struct.pack("I", 1),
        ),
        ("untyped", entry(1, [1, 2]), struct.pack("I", 1), b"\1\2\0"),
    ],
)
def test_an_entry_is_encoded_by_the_types_of_the_map(
    program: Build, name: str, item: object, key: bytes, value: bytes
) -> None:
    (plan,) = plan_of(filled(program("maps"), name, item)).maps
    assert plan.entries == [(key.hex(), [value.hex()])]
    assert not plan.per_cpu


def test_a_queues_entries_have_no_keys(program: Build) -> None:
    (plan,) = plan_of(filled(program("maps"), "queue", {"value": 5})).maps
    assert plan.entries == [(None, ["05000000"])]


@pytest.mark.parametrize(
    ("name", "value", "values"),
    [
        ("cpu_slots", 1, ["01000000"]),
        ("cpu_slots", [1], ["01000000"]),
        ("cpu_slots", [1, 2], ["01000000", "02000000"]),
        ("cpu_pairs", [1, 2], ["0100000002000000"]),
        ("cpu_pairs", [[1, 2]], ["0100000002000000"]),
        ("cpu_pairs", [[1], [2]], ["0100000000000000", "0200000000000000"]),
    ],
)
def test_a_value_is_for_all_cpus_or_a_list_of_one_for_each(
    program: Build, name: str, value: object, values: list[str]
) -> None:
    (plan,) = plan_of(filled(program("maps"), name, entry(0, value))).maps
    assert plan.per_cpu
    assert plan.entries[0][1] == values


def test_a_plan_with_entries_survives_being_kept(program: Build) -> None:
    plan = plan_of(filled(program("maps"), "limits", entry(1, 2), max_entries=5))
    again = Plan.load(plan.dump())
    assert again is not None
    assert loads(again.dump()) == loads(plan.dump())
    assert again.maps[0].max_entries == 5


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        (
            "limits",
            [entry("x", 1)],
            "'limits', key 'x': the key, of type int: 'x' is not an",
        ),
        (
            "limits",
            [entry(2**31, 1)],
            "the key, of type int: 2147483648 is out of range for int, which holds -2147483648 to",
        ),
        (
            "by_name",
            [entry("a", 300)],
            "key 'a': the value, of type signed char: 300 is out of range for signed char, which",
        ),
        ("by_name", [entry("a" * 16, 3)], "the key, of type comm_t: the text takes 17 bytes"),
        (
            "points",
            [entry(0, {"z": 1})],
            "type struct point: no member 'z'; there are x, y, name",
        ),
        ("points", [entry(0, {"mode": "UP"})], "mode: 'UP' is not one of OFF, ON"),
        ("points", [entry(4, {})], "key 4: the key is out of range: the array has the keys 0 to 3"),
        ("limits", [entry(key, 1) for key in range(3)], "is given 3 entries, and holds 2"),
        ("limits", [{"key": 1}], "an entry is a mapping with key and value"),
        ("limits", [{"key": 1, "valeu": 1}], "an entry is a mapping with key and value"),
        ("limits", [5], "an entry is a mapping with key and value, and not 5"),
        ("queue", [entry(1, 1)], "an entry is a mapping with value, and not"),
        ("untyped", [entry(1, [256])], "the value, of type __u8[3]: 256 is out of range for __u8"),
        ("queue", [{"value": "x"}], "'queue', value 'x': the value, of type unsigned int: 'x' is"),
        ("jumps", [entry(0, 1)], "map 'jumps', key 0: the value is the name of a program of the"),
        ("jumps", [entry(0, "other")], "name of a program of the object, and 'other' is none"),
        ("points", [entry("x" * 999, {})], "xxx… is not an integer"),
        ("jumps", [entry(1, "on_getpgid")], "key 1: the key is out of range"),
        ("events", [entry(0, 1)], "'events' cannot be given entries: it holds what programs write"),
        ("absent", [entry(0, 1)], "map 'absent' is given entries or a size, and the object has"),
        ("maps_bpf.rodata", [entry(0, 1)], "and the object has limits, events"),
    ],
)
def test_an_entry_that_does_not_fit_names_map_key_type_and_range(
    program: Build, name: str, data: list[object], says: str
) -> None:
    with pytest.raises(InvalidPackage) as caught:
        plan_of(filled(program("maps"), name, *data))
    assert says in caught.value.message


@examples(60)
@given(
    st.sampled_from(["limits", "points", "by_point", "routes", "cpu_pairs", "queue", "jumps"]),
    st.lists(JSON | st.fixed_dictionaries({"key": JSON, "value": JSON}), max_size=3),
    st.none() | st.integers(),
)
def test_any_entries_give_a_plan_or_an_error(
    name: str, data: list[object], size: int | None
) -> None:
    package = filled(build_once(), name, *data, max_entries=size)
    with suppress(EbpmError):
        plan = plan_of(package)
        assert Plan.load(plan.dump()) is not None


@pytest.mark.parametrize("size", [0, -1, 1 << 32])
def test_a_capacity_that_is_none_is_refused(program: Build, size: int) -> None:
    with pytest.raises(InvalidPackage, match="max_entries"):
        plan_of(filled(program("maps"), "limits", max_entries=size))


# --- on this machine's kernel --------------------------------------------------------------------


def look_up(session: Session, name: str, key: bytes) -> bytes:
    assert session._object is not None
    found = session._object.map(name)
    assert found is not None
    return found.lookup(key)


@pytest.mark.needs("bpf")
def test_the_program_sees_the_entries_from_its_first_event_on(program: Build) -> None:
    package = filled(program("maps"), "limits", entry(7, 1 << 40))
    package = filled(package, "queue", {"value": 11}, {"value": 12})
    with start(package, watching()) as session:
        os.getpgid(0)
        os.getpgid(0)
        assert fields(session, 2) == [
            {"limit": 1 << 40, "first": 11},
            {"limit": 1 << 40, "first": 12},
        ]


@pytest.mark.needs("bpf")
def test_maps_of_all_kinds_hold_what_they_were_given(program: Build) -> None:
    package = filled(program("maps"), "points", entry(1, {"x": -5}), entry(2, {"y": 6}))
    package = filled(package, "routes", entry({"prefixlen": 8, "address": [10, 0, 0, 0]}, 9))
    package = filled(package, "by_name", entry("bash", 3))
    with start(package, watching()) as session:
        assert look_up(session, "points", struct.pack("I", 1))[:4] == struct.pack("hH", -5, 0)
        assert look_up(session, "points", struct.pack("I", 2))[:4] == struct.pack("hH", 0, 6)
        inside = struct.pack("I4s", 32, bytes([10, 1, 2, 3]))
        assert look_up(session, "routes", inside) == struct.pack("I", 9)
        assert look_up(session, "by_name", b"bash" + bytes(12)) == b"\3"


def per_cpu(session: Session, name: str, form: str) -> list[tuple[int, ...]]:
    """Read an entry of a per-CPU map by the system call's own rules: eight bytes at least each."""
    import ctypes

    assert session._object is not None
    found, library = session._object.map(name), session._object.library
    assert found is not None
    values = ctypes.create_string_buffer(8 * library.possible_cpus)
    library.check("bpf_map_lookup_elem", found.fd, struct.pack("I", 1), values)
    return [struct.unpack_from(form, values, 8 * cpu) for cpu in range(library.possible_cpus)]


@pytest.mark.needs("bpf")
def test_per_cpu_maps_get_a_value_for_each_cpu(program: Build) -> None:
    package = filled(program("maps"), "cpu_slots", entry(1, 77))
    package = filled(package, "cpu_pairs", entry(1, [[3, 4]]))
    with start(package, watching()) as session:
        assert set(per_cpu(session, "cpu_slots", "I")) == {(77,)}
        assert set(per_cpu(session, "cpu_pairs", "II")) == {(3, 4)}
    with start(filled(program("maps"), "cpu_slots", entry(1, [5, 6])), watching()) as session:
        values = per_cpu(session, "cpu_slots", "I")
        assert values[:2] == [(5,), (6,)]
        assert set(values[2:]) <= {(0,)}


@pytest.mark.needs("bpf")
def test_tables_of_programs_and_of_maps_are_given_names(program: Build) -> None:
    package = filled(program("jumps"), "jumps", entry(1, "jumped"))
    package = filled(package, "tables", entry(1, "second"))
    package = filled(package, "second", entry(0, 42))
    attached = tuple(one for one in package.programs if one.name == "on_getpgid")
    with start(replace(package, programs=attached), watching()) as session:
        os.getpgid(0)
        assert fields(session, 1) == [{"from": 2, "value": 42}]
    with start(replace(program("jumps"), programs=attached), watching()) as session:
        os.getpgid(0)
        assert fields(session, 1) == [{"from": 1, "value": 0}]


@pytest.mark.needs("bpf")
def test_values_for_more_cpus_than_there_are_are_refused(program: Build) -> None:
    package = filled(program("maps"), "cpu_slots", entry(1, [1] * 5000))
    with pytest.raises(InvalidParameter, match="for 5000 CPUs, and there are"):
        start(package, watching())


@pytest.mark.needs("bpf")
def test_a_map_can_be_made_larger(program: Build) -> None:
    many = [entry(key, key) for key in range(40)]
    package = filled(program("maps"), "limits", *many, max_entries=64)
    package = filled(package, "events", max_entries=3 * 4096)
    with start(package, watching()) as session:
        assert look_up(session, "limits", struct.pack("i", 39)) == struct.pack("Q", 39)
        assert session._object is not None
        events = session._object.map("events")
        assert events is not None
        assert events.max_entries == 4 * 4096  # rounded up to a power of two
        os.getpgid(0)
        assert fields(session, 1)[0]["limit"] == 7


@pytest.mark.needs("bpf")
def test_an_entry_that_the_kernel_refuses_names_the_map(program: Build) -> None:
    wrong = entry({"prefixlen": 33, "address": []}, 1)
    with pytest.raises(LoadFailed, match=r"map 'routes' .*Invalid argument"):
        start(filled(program("maps"), "routes", wrong), watching())
