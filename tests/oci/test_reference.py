import pytest

from ebpm.errors import InvalidReference
from ebpm.oci.digest import Digest
from ebpm.oci.reference import Reference, is_host

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("sigsnoop", None, "sigsnoop", "latest", None),
        ("sigsnoop:1.0", None, "sigsnoop", "1.0", None),
        ("tools/sigsnoop", None, "tools/sigsnoop", "latest", None),
        ("ghcr.io/acme/x:1", "ghcr.io", "acme/x", "1", None),
        ("localhost/x", "localhost", "x", "latest", None),
        ("localhost:5000/tools/x:1.0", "localhost:5000", "tools/x", "1.0", None),
        ("registry:5000/x", "registry:5000", "x", "latest", None),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "x", "latest", None),
        ("[::1]:5000/x:1", "[::1]:5000", "x", "1", None),
        ("[fd00::1]/x", "[fd00::1]", "x", "latest", None),
        ("docker.io/library/alpine", "docker.io", "library/alpine", "latest", None),
        (f"ghcr.io/acme/x@{DIGEST}", "ghcr.io", "acme/x", None, DIGEST),
        (f"ghcr.io/acme/x:1@{DIGEST}", "ghcr.io", "acme/x", "1", DIGEST),
        (f"x@{DIGEST}", None, "x", None, DIGEST),
        ("a.b-c.d/e__f/g--h:V_1.2-3", "a.b-c.d", "e__f/g--h", "V_1.2-3", None),
        ("xn--bcher-kva.example/x", "xn--bcher-kva.example", "x", "latest", None),
    ],
)
def test_a_reference_is_taken_apart(
    text: str, registry: str | None, repository: str, tag: str | None, digest: str | None
) -> None:
    found = Reference.parse(text)
    assert (found.registry, found.repository, found.tag) == (registry, repository, tag)
    assert found.digest == (Digest.parse(digest) if digest else None)
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":tag",
        "x:",
        "x@",
        "x@sha256:0",
        "x:1:2",
        "/x",
        "x/",
        "a//b",
        "ghcr.io/",
        "ghcr.io/acme/x:" + "t" * 129,
        "ghcr.io/acme/x:-1",
        "ghcr.io/acme/x:.1",
        "ghcr.io/acme/x:1/2",
        "ghcr.io/acme/../x",
        "ghcr.io/./x",
        "ghcr.io/acme/x?y=1",
        "ghcr.io/acme/x#1",
        "ghcr.io/acme/x%2f..",
        "ghcr.io/acme/x y",
        "ghcr.io/acme/x\n",
        "ghcr.io/acme/\x1b[31mx",
        "ghcr.io/acme/хост",  # Cyrillic
        "ghcr.io/-x",
        "ghcr.io/x-",
        "ghcr.io/a..b",
        "ghcr.io/a___b",
        "https://ghcr.io/acme/x",
        "user:password@ghcr.io/acme/x",
        "ghcr..io/x",
        "-ghcr.io/x",
        "ghcr.io-/x",
        "ghcr.io:/x",
        "ghcr.io:0/x",
        "ghcr.io:65536/x",
        "ghcr.io:+80/x",
        "ghcr.io:\uff18\uff10/x",  # digits, but not those of ASCII
        "[::1/x",
        "::1/x",
        "[:::]/x",
        "[1.2.3.4]/x",
        "[fe80::1%25eth0]/x",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        Reference.parse(text)


def test_hosts_are_the_same_in_upper_case_and_names_are_not() -> None:
    assert Reference.parse("GHCR.io/acme/x:V1") == Reference.parse("ghcr.io/acme/x:V1")
    with pytest.raises(InvalidReference) as caught:
        Reference.parse("Sigsnoop")
    assert caught.value.hint == "names are lower-case: sigsnoop"


def test_a_name_has_at_most_255_characters_with_its_host_and_without_its_tag() -> None:
    host = "registry.example/"
    longest = host + "x" * (255 - len(host))
    tag = "t" * 128
    assert Reference.parse(f"{longest}:{tag}").tag == tag
    with pytest.raises(InvalidReference, match="longer"):
        Reference.parse(longest + "x")


def test_the_message_names_what_was_given_and_stays_short() -> None:
    with pytest.raises(InvalidReference, match="'Bad Name' is not") as caught:
        Reference.parse("Bad Name")
    assert "NAME[:TAG]" in caught.value.hint
    with pytest.raises(InvalidReference) as caught:
        Reference.parse("/" * 1_000_000)
    assert len(caught.value.message) < 500


def test_the_digest_is_asked_for_where_there_is_one() -> None:
    assert Reference.parse(f"ghcr.io/x:1@{DIGEST}").target == DIGEST
    assert Reference.parse("ghcr.io/x:1").target == "1"
    assert Reference.parse("ghcr.io/x").target == "latest"


@pytest.mark.parametrize(
    ("first", "host"),
    [("localhost", True), ("a.b", True), ("a:1", True), ("tools", False), ("localhosts", False)],
)
def test_a_first_part_is_a_host_by_its_dot_its_port_or_its_name(first: str, host: bool) -> None:
    assert is_host(first) is host
