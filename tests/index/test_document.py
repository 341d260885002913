"""Indexes as artifacts: what is written is read, one entry at a time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import EbpmError, IntegrityError, InvalidIndex
from ebpm.index.document import CONFIG_TYPE, ENTRIES_TYPE, Page, ToolIndex, pack_index
from ebpm.index.entry import IndexEntry
from ebpm.index.resolve import NamedIndex, find, nearest, search
from ebpm.oci.descriptor import MANIFEST, Descriptor
from ebpm.oci.digest import Digest
from ebpm.oci.manifest import write_manifest
from ebpm.oci.store import MemoryStore


def entry(name: str, **fields: object) -> IndexEntry:
    given: dict[str, object] = {"summary": f"What {name} shows", "digest": Digest.of(name.encode())}
    return IndexEntry(name=name, size=10, **given | fields)  # type: ignore[arg-type]


def index(*names: str, **fields: object) -> ToolIndex:
    return ToolIndex(*pack_index([entry(name, **fields) for name in names]))


def test_entries_come_back_as_they_were() -> None:
    full = entry(
        "tool",
        version="1.2.0",
        groups=("files", "cpu"),
        keywords=("a b", "ü"),
        hooks=("tracepoint/a/b",),
        parameters=({"name": "pid", "default": 0},),
        capabilities={"writes": ["packets"]},
        extra={"later": [1]},
    )
    found = ToolIndex(*pack_index([entry("toolbox"), full, entry("atool")]))
    assert found.find("tool") == full
    assert [one.name for one in found.entries()] == ["atool", "tool", "toolbox"]
    assert found.find("too") is None
    assert found.find('tool","') is None


def test_pages_come_back() -> None:
    page = Page(name="tool", readme="# tool\n", files={"tool.bpf.c": "int x;\n"})
    assert ToolIndex(*pack_index([entry("tool")], [page])).pages() == {"tool": page}
    assert index("tool").pages() == {}


def test_the_same_entries_give_the_same_bytes() -> None:
    one, other = [entry("a"), entry("b")], [entry("b"), entry("a")]
    assert pack_index(one)[1] == pack_index(other)[1]


def test_a_name_may_be_there_once() -> None:
    with pytest.raises(InvalidIndex, match="tool twice"):
        pack_index([entry("tool"), entry("tool")])


def test_another_artifact_is_no_index() -> None:
    store = MemoryStore()
    config = store.add(b"{}", Descriptor.of(b"{}", "application/other"))
    raw = write_manifest(config, [], artifact_type="application/other", annotations={})
    with pytest.raises(InvalidIndex, match="is no index"):
        ToolIndex(store, store.add(raw, Descriptor.of(raw, MANIFEST)))


@pytest.mark.parametrize(
    ("config", "message"), [(b"[]", "malformed"), (b'{"schemaVersion":"2.0"}', "later ebpm")]
)
def test_a_config_that_is_not_ours_is_refused(config: bytes, message: str) -> None:
    store = MemoryStore()
    described = store.add(config, Descriptor.of(config, CONFIG_TYPE))
    raw = write_manifest(described, [], artifact_type="x/y", annotations={})
    with pytest.raises(InvalidIndex, match=message):
        ToolIndex(store, store.add(raw, Descriptor.of(raw, MANIFEST)))


def test_changed_bytes_are_caught() -> None:
    store, root = pack_index([entry("tool")])
    found = ToolIndex(store, root)
    layer = found._layers[ENTRIES_TYPE]
    good = store.blobs[str(layer.digest)]
    store.blobs[str(layer.digest)] = good.replace(b"What", b"That")
    with pytest.raises(IntegrityError):
        found.find("tool")


@given(st.binary(max_size=80) | st.sampled_from([b"{}", b'{"name":1}', b'{"name":"x"}']))
def test_any_line_is_an_entry_or_an_error(line: bytes) -> None:
    try:
        IndexEntry.from_line(line)
    except EbpmError:
        pass


def test_the_first_index_decides_what_a_name_means() -> None:
    private = NamedIndex("host/private", index("tool", "own", version="2.0"))
    public = NamedIndex("host/public", index("tool", "other", version="1.0"))
    both = [private, public]
    assert [one.base for one in find(both, "tool")] == ["host/private", "host/public"]
    assert [one.base for one in find(both, "tool", "1.0")] == ["host/public"]
    assert [one.base for one in find(both, "other")] == ["host/public"]
    assert list(find(both, "nobody")) == []
    found = {one.name: one.where.base for one in search(both, [])}
    assert found == {"tool": "host/private", "own": "host/private", "other": "host/public"}
    assert nearest(both, "tol") == ["tool"]
    assert private.reference(entry("tool")) == f"host/private/tool@{Digest.of(b'tool')}"
    elsewhere = entry("tool", reference="ghcr.io/someone/thing")
    assert private.reference(elsewhere).startswith("ghcr.io/someone/thing@sha256:")


def test_an_entry_is_one_line_of_ascii() -> None:
    line = entry("tool", summary="Ünï\ncode").to_line()
    assert b"\n" not in line
    assert json.loads(line.decode("ascii"))["summary"] == "Ünï\ncode"
