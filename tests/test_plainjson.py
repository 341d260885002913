"""Our way to JSON, against the standard library's."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm import plainjson
from ebpm.btf.decode import EnumValue
from tests.strategies import examples

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)  # fmt: skip

PAIRS = [plainjson._accelerated(), plainjson._standard()]
ways = pytest.mark.parametrize("way", [0, 1], ids=["accelerated", "standard"])


@pytest.fixture
def through(way: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the module use one of its two implementations."""
    scan, encode = PAIRS[way]
    monkeypatch.setattr(plainjson, "_scan", scan)
    monkeypatch.setattr(plainjson, "_encode", encode)


def test_this_interpreter_has_the_accelerator() -> None:
    code = "import sys, ebpm.plainjson; print('json' in sys.modules, 're' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd="."
    )
    assert done.stdout.split() == ["False", "False"], done.stderr


@examples(200)
@given(VALUES)
def test_both_ways_write_and_read_the_same(value: Any) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert plainjson.dumps(value) == expected
    for scan, encode in PAIRS:
        assert encode(value) == expected
        assert scan(expected, 0) == (value, len(expected))
    assert plainjson.loads(expected) == value


@examples(300)
@given(st.text('{}[]":,\\/ \n\t0123456789eE.+-truefalsnulNaInity\x00é', max_size=30))
def test_any_text_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        expected = json.loads(text, parse_constant=plainjson._refuse)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            plainjson.loads(text)
    else:
        assert plainjson.loads(text) == expected


@examples(200)
@given(st.binary(max_size=30))
def test_any_bytes_give_a_value_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        plainjson.loads(data)


@pytest.mark.usefixtures("through")
@ways
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a JSON document"),
        ("  ", "not a JSON document"),
        ("{", r"Expecting|not a JSON"),
        ('{"a":}', r"Expecting|not a JSON"),
        ("[1,]", r"Expecting|not a JSON"),
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1 2", "text after the JSON document, at character 1"),
        ("{} x", "text after"),
        ('"a\nb"', r"Invalid control|not a JSON"),
        ("1" * 5000, "digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_one_document_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        plainjson.loads(text)


@pytest.mark.usefixtures("through")
@ways
def test_space_around_a_document_is_no_matter() -> None:
    assert plainjson.loads(' \r\n\t{"a" : [ 1 ] } \n') == {"a": [1]}


@pytest.mark.usefixtures("through")
@ways
def test_of_two_equal_keys_the_last_counts() -> None:
    assert plainjson.loads('{"name":"__padding","name":"x"}') == {"name": "x"}


@pytest.mark.usefixtures("through")
@ways
@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_what_json_cannot_hold_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        plainjson.dumps(value)


@pytest.mark.usefixtures("through")
@ways
def test_values_nested_too_deeply_are_not_written() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        plainjson.dumps(value)
    while value:  # else freeing it would be as deep
        value = value[0]


@pytest.mark.usefixtures("through")
@ways
def test_keys_are_sorted_and_text_is_not_escaped() -> None:
    assert plainjson.dumps({"b": 1, "a": "é\u2028\x07"}) == '{"a":"é\u2028\\u0007","b":1}'


@pytest.mark.usefixtures("through")
@ways
def test_enumerators_are_written_as_numbers() -> None:
    assert plainjson.dumps([EnumValue(5, "ON"), True, 2**64]) == "[5,true,18446744073709551616]"
