"""What hypothesis draws from: layouts and values for them, and packages; and how often.

``@examples(80)`` before ``@given``: the same draws on every run, and no clock that a busy machine
could fail.
"""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.decode import reader
from ebpm.btf.layout import Layout, Member
from ebpm.oci.platform import Platform
from ebpm.package import model
from tests.synthetic import Sec, elf


def examples(count: int) -> settings:
    """Say how many examples a test is to try."""
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


# --- layouts -------------------------------------------------------------------------------------

NAMES = st.text("abcdefghij_", min_size=1, max_size=6)
SCALARS = st.one_of(
    st.builds(
        lambda size, signed: Layout(kinds.INT, f"int{size}", size, signed=signed),
        st.sampled_from([1, 2, 4, 8, 16]),
        st.booleans(),
    ),
    st.builds(
        lambda kind, size, signed: Layout(kind, f"ebpm_{kind}", size, signed=signed),
        st.sampled_from(kinds.NAMED),
        st.sampled_from([1, 2, 4, 8]),
        st.booleans(),
    ),
    st.just(Layout(kinds.BOOL, "bool", 1)),
    st.sampled_from([Layout(kinds.FLOAT, "float", 4), Layout(kinds.FLOAT, "double", 8)]),
    st.just(Layout(kinds.POINTER, "", 8)),
    st.builds(
        lambda size, signed, values: Layout(
            kinds.ENUM,
            "mode",
            size,
            signed=signed,
            values={at: name for name, at in values.items()},
        ),
        st.sampled_from([1, 2, 4, 8]),
        st.booleans(),
        st.dictionaries(NAMES, st.integers(0, 127), max_size=3),
    ),
    st.builds(lambda size: Layout(kinds.STRING, "", size), st.integers(1, 20)),
    st.just(Layout(kinds.ADDRESS, "ebpm_ip", 16)),
    st.just(Layout(kinds.CGROUP, "ebpm_cgroup", 8)),
)


def _array(element: Layout, count: int) -> Layout:
    return Layout(kinds.ARRAY, "", element.size * count, count=count, element=element)


@st.composite
def _structs(draw: st.DrawFn, inner: st.SearchStrategy[Layout]) -> Layout:
    """Draw a struct whose members do not overlap, with holes and bitfields among them."""
    members, bit = [], 0
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    for name in names:
        if draw(st.booleans()):
            signed = draw(st.booleans())
            bits = draw(st.integers(1, 31))
            whole = Layout(kinds.INT, "int", 4, signed=signed)
            members.append(Member(name, bit, bits, whole))
            bit += bits
            continue
        layout = draw(inner)
        bit = (bit + 7) // 8 * 8 + 8 * draw(st.sampled_from([0, 0, 3]))
        members.append(Member(name, bit, 0, layout))
        bit += 8 * layout.size
    size = (bit + 7) // 8 + draw(st.sampled_from([0, 0, 2]))
    return Layout(kinds.STRUCT, draw(NAMES), size, members=tuple(members))


LAYOUTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(_structs(inner), st.builds(_array, inner, st.integers(0, 4))),
    max_leaves=8,
)


def values(layout: Layout, bits: int = 0) -> st.SearchStrategy[Any]:
    """Draw what a layout can hold, in the form in which it is decoded."""
    if layout.kind == kinds.BOOL:
        return st.booleans()
    if layout.kind in (*kinds.INTEGERS, kinds.ENUM, kinds.POINTER, kinds.CGROUP):
        width = bits or layout.size * 8
        low = -(1 << (width - 1)) if layout.signed else 0
        return st.integers(low, low + (1 << width) - 1)
    if layout.kind == kinds.FLOAT:
        return st.floats(width=32 if layout.size == 4 else 64, allow_nan=False)
    if layout.kind == kinds.STRING:
        text = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=layout.size)
        return text.filter(lambda one: len(one.encode()) < layout.size)
    if layout.kind == kinds.ADDRESS:
        return st.binary(min_size=16, max_size=16).map(lambda raw: reader(layout)(raw, 0))
    if layout.kind == kinds.ARRAY:
        assert layout.element is not None
        count = layout.count if layout.element.size else 0
        return st.lists(values(layout.element), min_size=count, max_size=count)
    return st.fixed_dictionaries(
        {member.name: values(member.layout, member.bits) for member in layout.members}
    )


def pack(form: str, *fields: object) -> bytes:
    """Write fields in the byte order of this machine, without padding."""
    return struct.pack("=" + form, *fields)


# --- packages ------------------------------------------------------------------------------------

TEXT = st.text(max_size=8)
WORDS = st.text(min_size=1, max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
PRESENT = JSON.filter(lambda value: value is not None)
EXTRA = st.dictionaries(st.builds("x-{}".format, TEXT), JSON, max_size=2)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw it, or None."""
    return st.none() | strategy


def several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a tuple of up to two."""
    return st.lists(strategy, max_size=2).map(tuple)


DOCUMENTATION = st.builds(
    model.Documentation,
    version=maybe(TEXT),
    brief=maybe(TEXT),
    description=maybe(TEXT),
    details=maybe(TEXT),
    extra=EXTRA,
)
VARIABLES = st.builds(
    model.Variable,
    name=TEXT,
    type=TEXT,
    value=JSON,
    description=maybe(TEXT),
    option=maybe(
        st.builds(
            model.Option,
            default=JSON,
            long=maybe(TEXT),
            short=maybe(TEXT),
            help=maybe(TEXT),
            extra=EXTRA,
        )
    ),
    extra=EXTRA,
)
MAPS = st.builds(
    model.MapSpec,
    name=TEXT,
    ident=TEXT,
    mmaped=st.booleans(),
    description=maybe(TEXT),
    sample=maybe(
        st.builds(
            model.Sample,
            interval=st.integers(),
            type=WORDS,
            unit=TEXT,
            clear_map=st.booleans(),
            sort=maybe(TEXT),
            limit=maybe(st.integers(0)),
            options=st.sampled_from([{}, {"sort": {"short": "s"}, "limit": {"long": "rows"}}]),
            extra=EXTRA,
        )
    ),
    export=JSON,
    interpreter=JSON,
    data=several(JSON),
    max_entries=maybe(st.integers()),
    extra=EXTRA,
)
PROGRAMS = st.builds(
    model.ProgramSpec,
    name=TEXT,
    attach=TEXT,
    link=st.booleans(),
    description=maybe(TEXT),
    extra=EXTRA,
)
EXPORTS = st.builds(
    model.ExportType,
    name=TEXT,
    members=several(
        st.builds(model.ExportMember, name=TEXT, type=TEXT, description=maybe(TEXT), extra=EXTRA)
    ),
    size=maybe(st.integers()),
    type_id=maybe(st.integers()),
    extra=EXTRA,
)
BUILDS = st.builds(
    model.Build,
    compiler=TEXT,
    flags=several(TEXT),
    inputs=st.dictionaries(TEXT, TEXT, max_size=2),
    extra=EXTRA,
)


def _object(data: bytes, where: str | None) -> model.ObjectFile:
    platform = Platform("linux", where) if where else None
    return model.ObjectFile(
        data=elf([Sec(".data", data)]), platform=platform, portable=platform is None
    )


OBJECTS = st.builds(_object, st.binary(max_size=4), st.none()).map(lambda one: (one,)) | st.lists(
    st.builds(_object, st.binary(max_size=1), st.sampled_from(["amd64", "arm64", "riscv64"])),
    min_size=1,
    max_size=3,
    unique_by=lambda one: str(one.platform),
).map(tuple)
"""One object for all machines, or some for one each; two may have the same bytes."""

_PATH_PART = st.text("abz019_.+~-", min_size=1, max_size=6).map(lambda one: f"k{one}")
BTFS = st.lists(
    st.builds(
        model.KernelBtf,
        path=st.lists(_PATH_PART, min_size=4, max_size=4).map("/".join),
        data=st.binary(max_size=8),
    ),
    max_size=2,
    unique_by=lambda one: one.path,
).map(lambda found: tuple(sorted(found, key=lambda one: one.path)))

PACKAGES = st.builds(
    model.Package,
    name=WORDS,
    object_name=WORDS,
    documentation=DOCUMENTATION,
    sections=several(
        st.builds(model.DataSection, name=TEXT, variables=several(VARIABLES), extra=EXTRA)
    ),
    maps=several(MAPS),
    programs=several(PROGRAMS),
    exports=several(EXPORTS),
    multiple_exports=st.booleans(),
    license=maybe(WORDS),
    objects=OBJECTS,
    btfs=BTFS,
    build=maybe(BUILDS),
    settings=st.dictionaries(
        st.sampled_from(["perf_buffer_pages", "poll_timeout_ms", "debug_verbose"]), PRESENT
    ),
    extra=EXTRA,
)
