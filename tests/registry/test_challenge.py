import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpm.registry.challenge import Challenge, parse_challenges

REALM = "https://auth.example/token"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="a registry"', [("basic", {"realm": "a registry"})]),
        (
            f'Bearer realm="{REALM}",service="s",scope="repository:a/b:pull,push"',
            [("bearer", {"realm": REALM, "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        (f"Bearer realm={REALM},service=s", [("bearer", {"realm": REALM, "service": "s"})]),
        (f'BEARER Realm="{REALM}"', [("bearer", {"realm": REALM})]),
        (
            f'Bearer  realm = "{REALM}" , service = s',
            [("bearer", {"realm": REALM, "service": "s"})],
        ),
        (r'Basic realm="a \"quoted\" \\ name"', [("basic", {"realm": r'a "quoted" \ name'})]),
        (
            f'Basic realm="r", Bearer realm="{REALM}",service="s"',
            [("basic", {"realm": "r"}), ("bearer", {"realm": REALM, "service": "s"})],
        ),
        (
            f'Negotiate, NTLM, Bearer realm="{REALM}"',
            [("negotiate", {}), ("ntlm", {}), ("bearer", {"realm": REALM})],
        ),
        (f', , Bearer realm="{REALM}",,service=s', [("bearer", {"realm": REALM, "service": "s"})]),
        ("Bearer realm=a,realm=b", [("bearer", {"realm": "a"})]),
        ('Bearer realm="unterminated', [("bearer", {})]),
    ],
)
def test_a_header_is_read_with_all_its_challenges(
    header: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    assert parse_challenges(header) == [Challenge(*one) for one in expected]


@settings(max_examples=200)
@given(st.text(st.sampled_from('Bearealm ="\\,/:-\t\x00é'), max_size=60))
def test_any_header_is_read_somehow(header: str) -> None:
    for one in parse_challenges(header):
        assert one.scheme == one.scheme.lower()


def test_a_long_header_takes_no_long_time() -> None:
    assert parse_challenges('Bearer a="' + "\\" * 60_000)
    assert parse_challenges("a " * 30_000)
