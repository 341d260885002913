from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.errors import EbpmError, InvalidConfig
from ebpm.mirror.jobs import read_jobs
from ebpm.oci.platform import Platform

TAGS = ["latest", "1.0", "1.2.10", "1.2.9", "v1.3.0", "2.0.0-rc1", "1", "sha256-00.sig", "2.1"]


def job(text: str):
    return read_jobs(f"target: store\nsources: [{{from: ghcr.io/acme/x, {text}}}]", "f").jobs[0]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("versions: '~=1.2'", ["v1.3.0", "1.2.10", "1.2.9"]),
        ("versions: '>=1,<2', newest: 2", ["v1.3.0", "1.2.10"]),
        ("versions: '==2.0.0rc1'", ["2.0.0-rc1"]),
        ("versions: '*', newest: 1", ["2.1"]),
        ("tags: ['1.*'], exclude: ['*.9']", ["1.2.10", "1.0"]),
        ("tags: [latest]", ["latest"]),
        ("newest: 3", ["2.1", "2.0.0-rc1", "v1.3.0"]),
        ("exclude: ['*']", []),
    ],
)
def test_a_job_chooses_tags(text: str, tags: list[str]) -> None:
    assert job(text).choose(TAGS) == tags


def test_without_filters_all_tags_are_wanted() -> None:
    assert sorted(job("referrers: true").choose(TAGS)) == sorted(TAGS)


def test_all_fields_are_read() -> None:
    found = job("to: tools/y, platforms: [arm64], referrers: false")
    assert (found.name, found.platforms, found.referrers) == (
        "tools/y",
        [Platform("linux", "arm64")],
        False,
    )
    jobs = read_jobs("target: a.example/m\nsources:\n- ghcr.io/acme/x\n", "f")
    assert (jobs.target, str(jobs.jobs[0].source)) == ("a.example/m", "ghcr.io/acme/x:latest")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "target and sources"),
        ("target: x", "target and sources"),
        ("{", "is not YAML"),
        ("target: 1\nsources: [a.b/c]", "target is text"),
        ("target: x\nsources: []", "with something in it"),
        ("target: x\nsources: [{}]", r"sources\[0\] has no from"),
        ("target: x\nsources: [{from: 1}]", "from is not text"),
        ("target: x\nsources: [{from: a.b/c, newest: 0}]", "newest above zero"),
        ("target: x\nsources: [{from: a.b/c, newest: -1}]", "newest above zero"),
        ("target: x\nsources: [{from: a.b/c, newest: true}]", "newest above zero"),
        ("target: x\nsources: [local]", "HOST/NAME without a tag"),
        ("target: x\nsources: ['a.b/c:1']", "HOST/NAME without a tag"),
        ("target: x\nsources: [{from: a.b/c, tag: x}]", "unknown field 'tag'"),
        ("target: x\nsources: [{from: a.b/c, newest: 0}]", "above zero"),
        ("target: x\nsources: [{from: a.b/c, versions: new}]", "no range of versions"),
        ("target: x\nsources: [{from: a.b/c, tags: 1.0}]", "tags is not a list of texts"),
        ("target: x\nsources: [{from: a.b/c, platforms: ['!']}]", "is not a platform"),
        ("target: x\nsources: [{from: a.b/c, to: A}]", "is not a package reference"),
    ],
)
def test_what_is_malformed_is_named(text: str, says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        read_jobs(text, "f")


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_any_text_gives_jobs_or_an_error_of_ours(text: str) -> None:
    try:
        read_jobs(text, "f")
    except EbpmError:
        pass
