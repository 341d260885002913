"""Which maps report what, by the metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.btf.layout import Layout
from ebpm.errors import InvalidPackage
from ebpm.package.describe import describe, find_type
from ebpm.package.model import ExportMember, ExportType, MapSpec, Package, Sample
from ebpm.runtime.plan import RINGBUF, SAMPLED, SourcePlan
from ebpm.runtime.planner import make_plan

pytestmark = pytest.mark.needs("compiler")
Build = Callable[[str], Package]
SAMPLE = Sample(interval=1000)


def sources(package: Package) -> dict[str, SourcePlan]:
    return {one.map: one for one in make_plan(package, package.objects[0]).sources}


def type_id(package: Package, name: str) -> int:
    facts = describe(package.objects[0].data)
    assert facts.btf is not None
    found = find_type(facts.btf, name)
    assert found is not None
    return found


def having(package: Package, *specs: MapSpec, **fields: Any) -> Package:
    """Give some maps other metadata, and the rest none that reports."""
    ours = {one.name: one for one in specs}
    maps = [ours.pop(one.name, MapSpec(name=one.name, ident=one.ident)) for one in package.maps]
    return replace(package, maps=(*maps, *ours.values()), **fields)


def spec(name: str, **fields: Any) -> MapSpec:
    return MapSpec(name=name, ident=name, **fields)


def members(layout: Layout | None) -> list[str]:
    return [one.name for one in layout.members] if layout else []


def value(one: SourcePlan) -> Layout:
    assert one.layout is not None
    return one.layout.members[-1].layout


def test_a_sampled_map_is_a_source_of_keys_and_values(program: Build) -> None:
    one = sources(program("samples"))["counts"]
    assert (one.kind, one.form) == (SAMPLED, "default_kv")
    assert members(one.layout) == ["key", "value"]
    assert members(value(one)) == ["count", "last"]
    assert one.sample is not None
    assert (one.sample.interval, one.sample.unit, one.sample.clear) == (200, "(unit)", False)


def test_a_value_shows_the_chosen_members_of_an_export_of_its_name(program: Build) -> None:
    export = ExportType(name="value", members=(ExportMember(name="last", type="u32"),))
    package = having(program("samples"), spec("counts", sample=SAMPLE), exports=(export,))
    assert members(value(sources(package)["counts"])) == ["last"]


def test_a_sampled_map_may_be_sorted_and_limited(program: Build) -> None:
    sample = replace(SAMPLE, sort="-COUNT, last", limit=3)
    one = sources(having(program("samples"), spec("counts", sample=sample)))["counts"]
    assert one.sample is not None
    assert (one.sample.sort, one.sample.limit) == ("-COUNT, last", 3)


def test_a_column_that_the_map_does_not_have_is_an_error_of_the_package(program: Build) -> None:
    sample = replace(SAMPLE, sort="cuont")
    with pytest.raises(InvalidPackage, match=r"'counts'.*no column 'cuont'; did you mean COUNT"):
        sources(having(program("samples"), spec("counts", sample=sample)))


def test_options_of_a_table_are_the_runs(program: Build) -> None:
    options = {"limit": {"short": "r"}, "sort": {"long": "by", "help": "Order"}}
    sample = replace(SAMPLE, options=options)
    package = having(program("samples"), spec("counts", sample=sample))
    found = make_plan(package, package.objects[0]).arguments
    assert [(one.name, one.long, one.short) for one in found] == [
        ("rows", "rows", "r"),
        ("sort", "by", None),
    ]
    assert found[1].help == "Order"
    assert make_plan(program("samples"), package.objects[0]).arguments == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sorted": {}}, "'sorted' is no option of a table"),
        ({"sort": "s"}, "'sort' is no option of a table"),
        ({"limit": {"short": "rows"}}, "'rows' is not one letter"),
    ],
)
def test_an_option_that_there_cannot_be_is_an_error(
    program: Build, options: dict[str, Any], message: str
) -> None:
    package = having(program("samples"), spec("counts", sample=replace(SAMPLE, options=options)))
    with pytest.raises(InvalidPackage, match=message):
        make_plan(package, package.objects[0])


def test_columns_have_the_widths_of_their_members(program: Build) -> None:
    def export(width: object) -> tuple[ExportType, ...]:
        member = ExportMember(name="last", type="u32", extra={"width": width})  # type: ignore[dict-item]
        return (ExportType(name="value", members=(member,)),)

    package = having(program("samples"), spec("counts", sample=SAMPLE), exports=export(12))
    assert [one.width for one in value(sources(package)["counts"]).members] == [12]
    for wrong in ("12", True, -1, 1000, 1.5):
        with pytest.raises(InvalidPackage, match="column 'last' is to be"):
            sources(replace(package, exports=export(wrong)))


def test_a_histogram_needs_slots(program: Build) -> None:
    sample = replace(SAMPLE, type="log2_hist")
    with pytest.raises(InvalidPackage, match=r"'counts'.*'slots'.*count, last"):
        sources(having(program("samples"), spec("counts", sample=sample)))


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (replace(SAMPLE, type="log3_hist"), "'log3_hist' is not known"),
        (replace(SAMPLE, interval=0), "interval of 0 ms"),
    ],
)
def test_a_sample_that_makes_no_sense_is_an_error(
    program: Build, sample: Sample, message: str
) -> None:
    with pytest.raises(InvalidPackage, match=message):
        sources(having(program("samples"), spec("counts", sample=sample)))


def test_a_sampled_map_that_the_object_lacks_is_an_error(program: Build) -> None:
    with pytest.raises(InvalidPackage, match="'absent' is to be sampled"):
        sources(having(program("samples"), spec("absent", sample=SAMPLE)))


# --- export_config -------------------------------------------------------------------------------


def multiple(package: Package, *specs: MapSpec) -> Package:
    return having(package, *specs, multiple_exports=True)


def test_only_maps_with_an_export_config_report(program: Build) -> None:
    package = multiple(
        program("samples"),
        spec("counts", sample=SAMPLE, export="default"),
        spec("totals", sample=SAMPLE, export="no_export"),
        spec("recent", sample=SAMPLE),
    )
    assert list(sources(package)) == ["counts"]


def test_default_is_an_error_for_a_buffer(program: Build) -> None:
    with pytest.raises(InvalidPackage, match=r"'ring'.*'default' is for sampled maps"):
        sources(multiple(program("streams"), spec("ring", export="default")))


def test_a_buffer_and_a_sampled_map_take_the_types_they_name(program: Build) -> None:
    streams, samples = program("streams"), program("samples")
    large = {"btf_type_id": type_id(streams, "struct large")}
    one = sources(multiple(streams, spec("ring", export=large)))["ring"]
    assert (one.kind, members(one.layout)) == (RINGBUF, ["seq", "pad"])
    config = {"btf_type_id": type_id(samples, "struct caller")}
    one = sources(multiple(samples, spec("counts", sample=SAMPLE, export=config)))["counts"]
    assert members(value(one)) == ["number", "comm"]


def test_a_type_that_is_no_struct_is_one_column(program: Build) -> None:
    config = {"btf_type_id": type_id(program("streams"), "unsigned int")}
    one = sources(multiple(program("streams"), spec("ring", export=config)))["ring"]
    assert members(one.layout) == ["unsigned int"]


@pytest.mark.parametrize("bad", [0, -1, 1 << 20, "7", None, True])
def test_a_type_that_is_not_there_is_an_error(program: Build, bad: object) -> None:
    with pytest.raises(InvalidPackage, match="no BTF type"):
        sources(multiple(program("streams"), spec("ring", export={"btf_type_id": bad})))


def test_a_type_that_holds_nothing_is_an_error(program: Build) -> None:
    facts = describe(program("streams").objects[0].data)
    assert facts.btf is not None
    found = next(
        at for at in range(1, len(facts.btf)) if type(facts.btf[at]).__name__ == "FunctionType"
    )
    with pytest.raises(InvalidPackage, match="nothing that can be exported"):
        sources(multiple(program("streams"), spec("ring", export={"btf_type_id": found})))


def custom(program: Build, *listed: object) -> Package:
    return multiple(program("streams"), spec("ring", export={"custom_members": list(listed)}))


def test_custom_members_stand_in_the_order_of_their_offsets(program: Build) -> None:
    number = type_id(program("streams"), "unsigned int")
    package = custom(
        program,
        {"name": "pid", "offset": 8, "btf_type_id": number},
        {"name": "low", "offset": 0, "btf_type_id": number},
    )
    layout = sources(package)["ring"].layout
    assert layout is not None
    assert [(one.name, one.bit_offset) for one in layout.members] == [("low", 0), ("pid", 64)]
    assert layout.size == 12


def test_custom_members_that_overlap_are_an_error(program: Build) -> None:
    number = type_id(program("streams"), "unsigned int")
    package = custom(
        program,
        {"name": "a", "offset": 0, "btf_type_id": number},
        {"name": "ppid", "offset": 2, "btf_type_id": number},
    )
    with pytest.raises(InvalidPackage, match="'ppid' overlaps"):
        sources(package)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"offset": 0, "btf_type_id": 1}, "needs a name"),
        ({"name": "a", "offset": True, "btf_type_id": 1}, "needs an offset"),
        ({"name": "a", "offset": -1, "btf_type_id": 1}, "needs an offset"),
        ({"name": "a", "btf_type_id": 1}, "needs an offset"),
        ({"name": "a", "offset": 0}, "no BTF type None"),
        ("a", "needs a name"),
    ],
)
def test_a_custom_member_that_is_not_whole_is_an_error(
    program: Build, member: object, message: str
) -> None:
    with pytest.raises(InvalidPackage, match=message):
        sources(custom(program, member))


def test_custom_members_reach_no_further_than_the_maps_value(program: Build) -> None:
    wide = type_id(program("samples"), "u64")
    config = {"custom_members": [{"name": "x", "offset": 12, "btf_type_id": wide}]}
    with pytest.raises(InvalidPackage, match="take 20 bytes, and a value has 16"):
        sources(multiple(program("samples"), spec("counts", sample=SAMPLE, export=config)))


@pytest.mark.parametrize("config", ["defualt", 7, {}, {"custom_members": 1}, ["default"]])
def test_an_export_config_of_no_known_form_is_an_error(program: Build, config: object) -> None:
    with pytest.raises(InvalidPackage, match="not understood"):
        sources(multiple(program("streams"), spec("ring", export=config)))


# --- without an export type ----------------------------------------------------------------------


def bare(package: Package) -> Package:
    """Take away what the metadata says of events."""
    maps = [MapSpec(name=one.name, ident=one.ident) for one in package.maps]
    return replace(package, maps=tuple(maps), exports=(), multiple_exports=False)


def test_what_a_buffer_carries_is_told_by_the_sizes_in_the_code(program: Build) -> None:
    found = sources(bare(program("streams")))
    assert [members(found[name].layout) for name in ("ring", "perf")] == [
        ["seq", "pid"],
        ["seq", "pad"],
    ]
    assert found["ring"].unknown is None


def test_where_sizes_are_not_told_a_struct_called_like_the_map_is_taken(program: Build) -> None:
    assert members(sources(bare(program("untyped")))["events"].layout) == ["pid", "length"]


def renamed(package: Package, old: bytes, new: bytes) -> Package:
    """Give a string of the object another spelling of the same length."""
    one = package.objects[0]
    assert one.data.count(old) == 1
    return replace(package, objects=(replace(one, data=one.data.replace(old, new)),))


def test_the_only_struct_is_taken_whatever_it_is_called(program: Build) -> None:
    package = renamed(bare(program("untyped")), b"\0event\0", b"\0thing\0")
    assert members(sources(package)["events"].layout) == ["pid", "length"]


def test_an_export_type_that_the_object_lacks_is_unknown_and_says_so(program: Build) -> None:
    export = ExportType(name="absent", members=(ExportMember(name="a", type="int"),))
    one = sources(replace(bare(program("streams")), exports=(export,)))["ring"]
    assert one.layout is None
    assert one.unknown == "the object's BTF has no struct 'absent'"


# --- anything ------------------------------------------------------------------------------------

KEYS = "btf_type_id custom_members name offset stack_trace field_map map with_symbols"
VALUES = "kstack ustack pid default no_export default_struct seq ring log2_hist"
WORDS = st.sampled_from([*KEYS.split(), *VALUES.split()])
SCALARS = st.none() | st.booleans() | st.integers(-2, 40) | st.integers() | WORDS | st.text()
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(export=ANYTHING, interpreter=ANYTHING, multiple=st.booleans(), kind=WORDS | st.text())
def test_any_metadata_gives_sources_or_an_error_of_the_package(
    program: Build, export: Any, interpreter: Any, multiple: bool, kind: str
) -> None:
    fields = {"export": export, "interpreter": interpreter}
    for name, tool in (("ring", "streams"), ("counts", "samples")):
        sample = Sample(interval=1, type=kind) if name == "counts" else None
        package = having(program(tool), spec(name, sample=sample, **fields))
        try:
            found = sources(replace(package, multiple_exports=multiple))
        except InvalidPackage:
            continue
        assert all(one.layout is not None or one.unknown for one in found.values())
