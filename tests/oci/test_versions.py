from __future__ import annotations

import random

import pytest

from ebpm.errors import InvalidReference
from ebpm.oci.versions import allowed, read_range, sort_tags, split_range, version_of


def test_versions_sort_as_versions_and_names_come_before_them() -> None:
    right = ["beta", "latest", "0.9", "1.0rc1", "1.0", "1.2.9", "v1.2.10", "10.0"]
    mixed = list(right)
    random.Random(1).shuffle(mixed)
    assert sort_tags(mixed) == right


@pytest.mark.parametrize("tag", ["1.0", "v1.0", "V1.2.3", "1.0-rc1", "1.0.post1", "2024.1"])
def test_tags_with_a_dot_are_versions(tag: str) -> None:
    assert version_of(tag) is not None


@pytest.mark.parametrize(
    "tag", ["1", "latest", "20240101", "x1.0", "1.0-x-y", ".1", "sha256-0.sig", "1." + "9" * 5000]
)
def test_other_tags_are_names(tag: str) -> None:
    assert version_of(tag) is None


@pytest.mark.parametrize(
    ("versions", "first"),
    [("~=1.2", "1.10.1"), ("~=1.2.0", "1.2.3"), ("<1.2", "1.1"), ("==1.2.*", "1.2.3"), ("", "2.0")],
)
def test_the_newest_allowed_comes_first(versions: str, first: str) -> None:
    tags = ["1.2.3", "1.10.1", "1.1", "2.0", "3.0-rc1", "latest", "1.2"]
    assert allowed(tags, versions)[0] == first


def test_pre_releases_count_where_they_are_named_or_all_there_is() -> None:
    assert allowed(["1.0", "2.0-rc1"], ">=1.0") == ["1.0"]
    assert allowed(["1.0", "2.0-rc1"], ">=2.0rc1") == ["2.0-rc1"]
    assert allowed(["2.0-rc1"], "") == ["2.0-rc1"]


def test_of_two_spellings_the_one_that_moves_less_comes_first() -> None:
    assert allowed(["1.2", "1.2.0", "v1.2"], "")[0] == "1.2.0"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name~=1.2", ("name", "~=1.2")),
        ("ghcr.io/acme/x>=1.0,<2", ("ghcr.io/acme/x", ">=1.0,<2")),
        ("x==1.*", ("x", "==1.*")),
        ("x:1.0", ("x:1.0", "")),
        ("x@sha256:00", ("x@sha256:00", "")),
    ],
)
def test_a_range_is_taken_off_a_name(text: str, parts: tuple[str, str]) -> None:
    assert split_range(text) == parts


def test_what_is_no_range_says_how_one_is_written() -> None:
    with pytest.raises(InvalidReference, match="no range of versions"):
        read_range("new")
