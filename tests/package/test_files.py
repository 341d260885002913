"""Package files: what is read, what is written, and what bad input gets."""

from __future__ import annotations

import base64
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import (
    EbpmError,
    InvalidObject,
    InvalidPackage,
    PlatformNotFound,
    SchemaTooNew,
    TargetNotFound,
)
from ebpm.oci.platform import Platform
from ebpm.package.files import parse_package, read_package, write_composed, write_skeleton
from tests.strategies import examples
from tests.synthetic import EXEC, Sec, Sym, elf, instruction

OBJECT = elf(
    [
        Sec("tp/x", instruction(0x95), flags=2 | EXEC, align=8),
        Sec("license", b"GPL\0"),
    ],
    [Sym("prog", "tp/x", 0, 8, 2)],
)
META: dict[str, Any] = {
    "bpf_skel": {
        "obj_name": "tool_bpf",
        "data_sections": [],
        "maps": [{"name": "events", "ident": "events"}],
        "progs": [{"name": "prog", "attach": "tp/x", "link": True}],
    }
}


def packed(data: bytes = OBJECT) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def composed(meta: Any = META, **changes: Any) -> dict[str, Any]:
    fields = {"bpf_object": packed(), "bpf_object_size": len(OBJECT), "meta": meta} | changes
    return {key: value for key, value in fields.items() if value != "absent"}


def parse(fields: Any) -> Any:
    return parse_package(json.dumps(fields).encode(), "package.json")


def changed(path: str, value: Any) -> dict[str, Any]:
    """Copy the metadata with another value at a path; ``absent`` takes it away."""
    copy: dict[str, Any] = json.loads(json.dumps(META))
    *above, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    place: Any = copy
    for part in above:
        place = place[part]
    if value == "absent":
        del place[last]
    else:
        place[last] = value
    return copy


def test_a_package_is_read() -> None:
    package = parse(composed())
    assert (package.name, package.object_name, package.license) == ("tool", "tool_bpf", "GPL")
    assert [one.name for one in package.programs] == ["prog"]
    (one,) = package.objects
    assert (one.data, one.platform, one.portable) == (OBJECT, None, False)


def test_base64_may_be_broken_into_lines() -> None:
    text = packed()
    folded = "\n  ".join(text[at : at + 60] for at in range(0, len(text), 60))
    assert parse(composed(bpf_object=folded)).objects[0].data == OBJECT


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, r"it has nothing, and no bpf_object"),
        ({"name": "", "data_sz": 1}, r"it has data_sz, name, and no bpf_object"),
        ({"data": "", "data_sz": 1}, r"data is cut off"),
        ({"data": "!"}, r"data is not base64"),
        ({"data": 1}, r"data is not text"),
        ([], "it holds no object"),
        (composed(bpf_object=packed()[:-8], bpf_object_size="absent"), "bpf_object is cut off"),
        (composed(meta="absent"), "lacks the required field 'meta'"),
        (composed(meta=None), "lacks the required field 'meta'"),
        (composed(meta=[]), "meta is not an object"),
        (composed(bpf_object=5), "bpf_object is not text"),
        (composed(bpf_object="not base64!"), "bpf_object is not base64"),
        (composed(bpf_object=packed()[:-2]), "bpf_object is not base64"),
        (composed(bpf_object="é" + packed()), "bpf_object is not base64"),
        (composed(bpf_object="YWJj"), "bpf_object is not a zlib stream"),
        (composed(bpf_object=""), "has fewer than bpf_object_size"),
        (composed(bpf_object_size=len(OBJECT) - 1), "has more than bpf_object_size"),
        (composed(bpf_object_size=len(OBJECT) + 1), "has fewer than bpf_object_size"),
        (composed(bpf_object_size=0), "has more than bpf_object_size"),
        (composed(bpf_object_size=-1), "bpf_object_size is -1"),
        (composed(bpf_object_size=10**15), "bpf_object_size is 1000000000000000"),
        (composed(bpf_object_size="12"), "bpf_object_size is not an integer"),
        (composed(bpf_object_size=True), "bpf_object_size is not an integer"),
        (composed(bpf_object_size=12.0), "bpf_object_size is not an integer"),
    ],
    ids=str,
)
def test_a_package_that_lacks_something_is_refused_by_its_name(fields: Any, says: str) -> None:
    with pytest.raises(InvalidPackage, match=says) as caught:
        parse(fields)
    assert caught.value.message.startswith("package.json")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("bpf_skel", "absent", r"meta lacks the required field 'bpf_skel'"),
        ("bpf_skel", 5, r"meta\.bpf_skel is not an object"),
        ("bpf_skel.obj_name", "absent", r"bpf_skel lacks the required field 'obj_name'"),
        ("bpf_skel.obj_name", 5, r"bpf_skel\.obj_name is not text"),
        ("bpf_skel.maps", {}, r"bpf_skel\.maps is not a list"),
        ("bpf_skel.maps.0", 5, r"maps\[0\] is not an object"),
        ("bpf_skel.maps.0.name", "absent", r"maps\[0\] lacks the required field 'name'"),
        ("bpf_skel.maps.0.sample", {}, r"maps\[0\]\.sample lacks the required field 'interval'"),
        ("bpf_skel.maps.0.sample", 5, r"maps\[0\]\.sample is not an object"),
        ("bpf_skel.maps.0.data", 5, r"maps\[0\]\.data is not a list"),
        ("bpf_skel.progs.0.name", "absent", r"progs\[0\] lacks the required field 'name'"),
        ("bpf_skel.progs", [{"name": "gone"}], r"progs\[0\] lacks the required field 'attach'"),
        ("bpf_skel.doc", [], r"doc is not an object"),
        ("bpf_skel.doc", {"version": {}}, r"doc\.version is not text"),
        ("bpf_skel.data_sections", [{"variables": []}], r"data_sections\[0\] lacks .* 'name'"),
        (
            "bpf_skel.data_sections",
            [{"name": ".bss", "variables": [{"type": "int"}]}],
            r"data_sections\[0\]\.variables\[0\] lacks the required field 'name'",
        ),
        (
            "bpf_skel.data_sections",
            [{"name": ".bss", "variables": [{"name": "x", "type": "int", "cmdarg": "p"}]}],
            r"variables\[0\]\.cmdarg is not an object",
        ),
        ("export_types", 5, r"export_types is not a list"),
        ("export_types", {"export_btf": "!"}, r"export_types\.export_btf is not base64"),
        ("export_types", {"export_btf": "YWJj"}, r"shorter than its header"),
        ("export_types", {"export_btf": 5, "structs": []}, "shorter than its header|not base64"),
        ("export_types", [{"members": []}], r"export_types\[0\] lacks the required field 'name'"),
        ("export_types", [{"name": "e", "size": "8"}], r"export_types\[0\]\.size is not an int"),
        ("ebpm_build", 5, r"meta\.ebpm_build is not an object"),
        ("ebpm_schema", "soon", r"'soon' is no version of metadata"),
        ("ebpm_schema", "", r"'' is no version of metadata"),
        ("ebpm_schema", "1" * 5000, r"is no version of metadata"),
        ("ebpm_platform", "not/a/platform", r"ebpm_platform: 'not/a/platform'"),
        ("ebpm_platform", 5, r"ebpm_platform: "),
        ("ebpm_platform", "", r"ebpm_platform: "),
    ],
)
def test_metadata_that_is_malformed_is_refused_by_the_place(
    path: str, value: Any, says: str
) -> None:
    with pytest.raises(InvalidPackage, match=says):
        parse(composed(changed(path, value)))


def test_what_the_metadata_does_not_say_is_as_eunomia_bpf_has_it() -> None:
    meta = changed("bpf_skel.maps.0.sample", {"interval": 5})
    package = parse(composed(meta))
    (one,), (program,) = package.maps, package.programs
    assert one.sample is not None
    assert (one.sample.type, one.sample.unit, one.sample.clear_map) == (
        "default_kv",
        "(unit)",
        False,
    )
    assert (one.mmaped, one.export, one.interpreter, one.data) == (False, None, None, ())
    assert program.link
    assert (package.multiple_exports, package.exports, package.settings) == (False, (), {})


def test_a_newer_major_version_of_the_metadata_is_refused_and_a_newer_minor_one_is_not() -> None:
    with pytest.raises(SchemaTooNew, match=r"version 2\.0, newer than ours") as caught:
        parse(composed(changed("ebpm_schema", "2.0")))
    assert "upgrade ebpm" in caught.value.hint
    for known in ("1", "1.0", "1.99", "0.3", 1):
        assert parse(composed(changed("ebpm_schema", known))).name == "tool"


@pytest.mark.parametrize("key", ["maps", "progs", "data_sections"])
@pytest.mark.parametrize("value", [None, "absent"])
def test_lists_may_be_null_or_absent_and_are_those_of_the_object(key: str, value: Any) -> None:
    package = parse(composed(changed(f"bpf_skel.{key}", value)))
    if key == "maps":
        assert package.maps == ()  # the object has none
    assert [(one.name, one.attach) for one in package.programs] == [("prog", "tp/x")]


@pytest.mark.parametrize("key", ["maps", "progs", "data_sections"])
def test_lists_that_are_empty_stay_empty(key: str) -> None:
    package = parse(composed(changed(f"bpf_skel.{key}", [])))
    assert {"maps": package.maps, "progs": package.programs}.get(key, ()) == ()


def test_what_a_map_or_program_does_not_say_is_what_the_object_says() -> None:
    package = parse(composed(changed("bpf_skel.progs.0.attach", "absent")))
    assert package.programs[0].attach == "tp/x"
    package = parse(composed(changed("bpf_skel.maps.0.ident", "absent")))
    assert package.maps[0].ident == "events"


def unknown(value: Any, path: str = "") -> Iterator[str]:
    """Walk the paths of unknown keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key.startswith("x_"):
                yield f"{path}.{key}={item}"
            yield from unknown(item, f"{path}.{key}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from unknown(item, f"{path}[{at}]")


def test_unknown_keys_are_kept_at_every_level() -> None:
    variable = {"name": "v", "type": "int", "cmdarg": {"x_a": 1}, "x_b": [{"deep": None}]}
    members = [{"name": "a", "type": "int", "x_h": 1}]
    meta = {
        "x_meta": 1,
        "eunomia_version": "0.3.4",
        "bpf_skel": {
            "x_skel": {"y": 2},
            "obj_name": "tool_bpf",
            "data_sections": [{"name": ".bss", "variables": [variable], "x_c": True}],
            "maps": [{"name": "m", "ident": "m", "sample": {"interval": 1, "x_d": 0}, "x_e": ""}],
            "progs": [{"name": "p", "attach": "tc", "tchook": {"ifindex": 2}, "x_f": 1.5}],
            "doc": {"author": "me", "x_g": "y"},
        },
        "export_types": [{"name": "e", "members": members, "x_i": 0}],
        "ebpm_build": {"compiler": "clang", "x_j": 1},
    }
    before = composed(meta, x_top={"z": 1})
    package = parse(before)
    after = json.loads(write_composed(package, package.objects[0], "json"))
    assert sorted(unknown(after)) == sorted(unknown(before))
    assert len(list(unknown(before))) == 13
    assert after["meta"]["eunomia_version"] == "0.3.4"
    assert after["meta"]["bpf_skel"]["progs"][0]["tchook"] == {"ifindex": 2}
    assert after["meta"]["bpf_skel"]["doc"]["author"] == "me"


def test_metadata_may_have_a_key_that_we_use_for_ourselves() -> None:
    for key in ("package", "ebpm_package"):
        package = parse(composed({**META, key: "theirs"}))
        assert json.loads(write_composed(package, package.objects[0], "json"))["meta"]


def test_the_stray_size_that_eunomia_bpf_writes_beside_padding_is_kept() -> None:
    text = json.dumps(composed()).replace(
        '"data_sections": []',
        '"data_sections": [{"name": ".rodata", "variables": '
        '[{"name": "__padding", "size": 3, "name": "x", "type": "int"}]}]',
    )
    package = parse_package(text.encode(), "here")
    (_, variable) = package.variables[0]
    assert (variable.name, variable.extra) == ("x", {"size": 3})


def test_a_comment_that_was_mistaken_for_a_number_is_text() -> None:
    skel = changed("bpf_skel.doc", {"version": 0.1, "brief": True, "description": 42})
    doc = parse(composed(skel)).documentation
    assert (doc.version, doc.brief, doc.description) == ("0.1", "true", "42")


def test_a_zlib_bomb_is_given_no_memory() -> None:
    fields = composed(bpf_object=packed(bytes(50 << 20)), bpf_object_size=1000)
    data = json.dumps(fields).encode()
    tracemalloc.start()
    with pytest.raises(InvalidPackage, match="has more than bpf_object_size = 1000 bytes"):
        parse_package(data, "here")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 << 20


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "not an ELF file"), (OBJECT[:100], "cut off"), (b"\x7fELF" + bytes(100), "64-bit")],
)
def test_an_object_inside_that_is_none_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidObject, match=says):
        parse(composed(bpf_object=packed(data), bpf_object_size=len(data)))


def test_the_mark_of_the_platform_is_read_and_written() -> None:
    for mark, platform, portable in (
        ("any", None, True),
        ("linux/arm64", Platform("linux", "arm64"), False),
        ("arm64", Platform("linux", "arm64"), False),
        (None, None, False),
    ):
        (one,) = (package := parse(composed(changed("ebpm_platform", mark)))).objects
        assert (one.platform, one.portable) == (platform, portable)
        again = json.loads(write_composed(package, one, "json"))["meta"]
        assert again.get("ebpm_platform") == ("linux/arm64" if platform else mark)


def test_package_json_is_one_line_with_sorted_keys_and_text_as_it_is() -> None:
    package = parse(composed(changed("bpf_skel.doc", {"brief": "é"})))
    data = write_composed(package, package.objects[0], "json")
    assert b"\n" not in data
    assert "é".encode() in data
    assert (
        data
        == json.dumps(
            json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
    )
    assert list(json.loads(data)) == ["bpf_object", "bpf_object_size", "meta"]
    assert zlib.decompress(base64.b64decode(json.loads(data)["bpf_object"])) == OBJECT


# --- skeletons and bare objects ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tool.skel.json", "my-tool.v2.skel.yaml"])
def test_a_skeleton_finds_its_object_beside_it(tmp_path: Path, name: str) -> None:
    package = parse(composed())
    path = tmp_path / name
    stem, form = name.split(".skel.")
    path.write_bytes(write_skeleton(package, package.objects[0], form))
    (tmp_path / f"{stem}.bpf.o").write_bytes(OBJECT)
    assert read_package(path) == package


def test_a_skeleton_without_its_object_says_where_it_should_be(tmp_path: Path) -> None:
    path = tmp_path / "tool.skel.json"
    path.write_text(json.dumps(META))
    with pytest.raises(TargetNotFound, match=r"tool\.bpf\.o, cannot be read: No such file") as one:
        read_package(path)
    assert "package.json" in one.value.hint
    (tmp_path / "tool.bpf.o").write_bytes(b"text")
    with pytest.raises(InvalidObject, match="not an ELF file"):
        read_package(path)


def test_a_skeleton_from_nowhere_is_refused() -> None:
    with pytest.raises(InvalidPackage, match="whose object is in another file"):
        parse_package(json.dumps(META).encode(), "standard input")


def test_a_bare_object_is_a_package_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "my-tool.v2.bpf.o"
    path.write_bytes(OBJECT)
    package = read_package(path)
    assert (package.name, package.object_name, package.license) == ("my-tool", "my_tool_bpf", "GPL")
    assert [(one.name, one.attach) for one in package.programs] == [("prog", "tp/x")]


def test_a_file_that_cannot_be_read_is_not_found(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(TargetNotFound, match=says):
            read_package(path)


def test_a_file_larger_than_any_package_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "package.json"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(InvalidPackage, match="larger than any package"):
        read_package(path)


# --- any bytes -----------------------------------------------------------------------------------

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({})


def places(value: Any) -> Iterator[list[str | int]]:
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        yield [key]
        yield from ([key, *rest] for rest in places(item))


@examples(200)
@given(st.data())
def test_any_change_of_any_field_gives_a_package_or_an_error(data: st.DataObject) -> None:
    variable = {"name": "v", "type": "int", "cmdarg": {"short": "v"}, "value": 1}
    meta = changed("bpf_skel.data_sections", [{"name": ".bss", "variables": [variable]}])
    members = [{"name": "a", "type": "int"}]
    meta["export_types"] = [{"name": "e", "members": members, "size": 4, "type_id": 1}]
    meta["ebpm_build"] = {"compiler": "c", "flags": [], "inputs": {}}
    fields: Any = composed(meta, x=1)
    *above, last = data.draw(st.sampled_from(list(places(fields))))
    place = fields
    for part in above:
        place = place[part]
    place[last] = data.draw(VALUES)
    with suppress(InvalidPackage):
        package = parse(fields)
        for form in ("json", "yaml"):
            write_composed(package, package.objects[0], form)


@examples(200)
@given(st.data())
def test_any_flipped_bytes_give_a_package_or_an_error(data: st.DataObject) -> None:
    text = bytearray(json.dumps(composed()).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with suppress(EbpmError):
        parse_package(bytes(text), "here")


@examples(200)
@given(st.binary(max_size=100))
def test_any_bytes_give_a_package_or_an_error(data: bytes) -> None:
    for head in (b"", b"{", b"\x7fELF", b"bpf_skel: ", OBJECT[:64]):
        with suppress(EbpmError):
            parse_package(head + data, "here", Path("somewhere/tool.skel.json"))


def test_an_object_for_another_machine_is_not_chosen() -> None:
    package = parse(composed(changed("ebpm_platform", "linux/arm64")))
    with pytest.raises(PlatformNotFound, match="no object for linux/amd64, only linux/arm64"):
        package.object_for(Platform("linux", "amd64"))
