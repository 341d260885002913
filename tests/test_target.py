from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.oci.reference import Reference
from ebpm.target import LAYOUT, NAME, PATH, REMOTE, STDIN, URL, parse_target

DIGEST = "sha256:" + "0" * 64


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-", STDIN),
        ("http://a.b/package.json", URL),
        ("https://a.b/package.json", URL),
        ("oci:some/folder", LAYOUT),
        ("oci:some/folder:1.0", LAYOUT),
        ("oci-archive:some/file:1.0", LAYOUT),
        ("ghcr.io/acme/x", REMOTE),
        ("ghcr.io/acme/x:1.0", REMOTE),
        (f"ghcr.io/acme/x@{DIGEST}", REMOTE),
        ("localhost/x", REMOTE),
        ("localhost:5000/x", REMOTE),
        ("registry:5000/x", REMOTE),
        ("[::1]:5000/x", REMOTE),
        ("sigsnoop", NAME),
        ("sigsnoop:1.0", NAME),
        ("tools/sigsnoop", NAME),
        (f"sigsnoop@{DIGEST}", NAME),
        ("localhost", NAME),
        ("missing.bpf.c", NAME),
        ("./missing.json", PATH),
        ("../missing.json", PATH),
        ("/missing/package.json", PATH),
    ],
)
def test_a_target_is_known_by_its_form(text: str, kind: str) -> None:
    assert parse_target(text).kind == kind


@pytest.mark.parametrize(
    "text", ["-", "sigsnoop", "sigsnoop:1.0", "ghcr.io/acme", "oci:x", "localhost:5000/x"]
)
def test_what_exists_is_a_path_whatever_else_it_looks_like(work: Path, text: str) -> None:
    (work / text).parent.mkdir(parents=True, exist_ok=True)
    (work / text).touch()
    assert parse_target(text).kind == PATH


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("oci:folder", ("folder", "")),
        ("oci:/a/b:1.0", ("/a/b", "1.0")),
        ("oci:a:localhost:5000/x:1.0", ("a", "localhost:5000/x:1.0")),
        ("oci:", ("", "")),
    ],
)
def test_a_layout_is_a_folder_and_a_name_in_it(text: str, layout: tuple[str, str]) -> None:
    assert parse_target(text).layout == layout


@pytest.mark.parametrize(
    ("text", "archive"),
    [
        ("oci:x.tar", True),
        ("oci:a/x.tar:x:1", True),
        ("oci-archive:x", True),
        ("oci-archive:/a/x:localhost:5000/x:1", True),
        ("oci:x", False),
        ("oci:x:1.tar", False),
        ("oci:folder.tar:1", False),
    ],
)
def test_a_layout_may_lie_in_a_tar(work: Path, text: str, archive: bool) -> None:
    (work / "folder.tar").mkdir()
    assert parse_target(text).is_archive is archive
    assert parse_target("oci-archive:/a/x:localhost:5000/x:1").layout == (
        "/a/x",
        "localhost:5000/x:1",
    )


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("x", "x:latest"),
        ("x:1", "x:1"),
        ("a/x", "a/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost:5000/x:1", "localhost:5000/x:1"),
        (f"x@{DIGEST}", f"x@{DIGEST}"),
        (f"ghcr.io/x:1@{DIGEST}", f"ghcr.io/x:1@{DIGEST}"),
        ("GHCR.io/Acme:1", "ghcr.io/Acme:1"),
    ],
)
def test_the_store_knows_a_name_with_its_tag_and_a_host_in_lower_case(text: str, full: str) -> None:
    assert parse_target(text).full_name == full


@settings(max_examples=100)
@given(
    st.from_regex(
        r"([a-zA-Z]{1,4}\.[a-z]{2}/)?[a-z]{1,4}(/[a-z]{1,3})?(:[a-z0-9]{1,3})?", fullmatch=True
    )
)
def test_the_full_name_is_what_the_parsed_reference_prints(text: str) -> None:
    target = parse_target(text)
    if not os.path.exists(text):
        assert target.full_name == str(Reference.parse(text))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("GHCR.io/acme/x:1", "ghcr.io"),
        ("localhost:5000/x", "localhost:5000"),
        ("http://user:secret@Files.example:8080/x/package.json", "files.example:8080"),
        ("https://files.example", "files.example"),
        ("sigsnoop", None),
        ("oci:folder:1", None),
        ("-", None),
    ],
)
def test_it_tells_the_host_that_it_is_on(text: str, host: str | None) -> None:
    assert parse_target(text).host == host
