"""JSON and YAML from strangers: values, or the reason why not; and never more than fits."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.errors import InvalidPackage
from ebpm.package.text import read_json, read_json_or_yaml, write_yaml
from tests.strategies import JSON, examples

ALIASES = "a0: &a0 [x, x]\n" + "".join(
    f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]\n" for at in range(1, 9)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{at}: &a{at} {{<<: [{', '.join([f'*a{at - 1}'] * 9)}]}}\n" for at in range(1, 12)
)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
        (b"\xef\xbb\xbf{}", {}),
        (b"  \r\n [1]", [1]),
        (b"a: 1\nb: [x, y]\r\n", {"a": 1, "b": ["x", "y"]}),
        (b"{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
        (b"a: 2024-01-31\nb: 2024-01-31 10:00", {"a": "2024-01-31", "b": "2024-01-31 10:00"}),
        (b"a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        (b"a: 1\na: 2", {"a": 2}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"just words", "just words"),
        (b"", None),
        (b"--- {a: 1}", {"a": 1}),
    ],
)
def test_a_document_is_read_as_json_or_as_yaml(data: bytes, value: Any) -> None:
    assert read_json_or_yaml(data, "here") == value


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x89PNG\r\n", "here is neither text nor an object"),
        (b'{"a": ', "here is not JSON: Expecting value: line 1 column 7"),
        (b'{"a": "x', "not JSON: Unterminated string"),
        (b"a: [1\nb: 2", "here, line 2 is not YAML"),
        (b"a: 1\n b: 2", "here, line 2 is not YAML"),
        (b"a: *nobody", "undefined alias"),
        (b"--- a\n--- b", "another document"),
        (b"\0", "not YAML"),
        (b"a: !!bool maybe", "not of its tag"),
        (b"a: !!int ''", "not of its tag"),
        (b"a: !!float _", "not of its tag"),
        (b"a: !!timestamp x", "not of its tag"),
        (b"a: 0x_", "not of its tag"),
        (b"a: " + b"1" * 5000, "not of its tag"),
        (b"a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        (b"a: !!set {b, c}", "holds a set, which JSON does not have"),
        (b"a: !!binary aGk=", "holds a bytes"),
        (b"a: !!timestamp 2024-01-31", "holds a date"),
        (b"1: a", "has a key that is not text: 1"),
        (b"true: a", "has a key that is not text: True"),
        (b"? [a]\n: b", "not YAML"),
        (b"a: .inf", "a number that JSON does not have: inf"),
        (b'{"a": NaN}', "a number that JSON does not have: nan"),
        (b'{"a": 1e999}', "a number that JSON does not have: inf"),
        (b'{"a": "\\ud800"}', "text that is not Unicode"),
        (b'{"\\ud800": 1}', "text that is not Unicode"),
        (b"a: 0x" + b"f" * 5000, "a number of 20000 bits"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b"[" * 90 + b"]" * 90, "nested too deeply"),
        (b"- " * 200_000, "nested too deeply"),
        (b"x: " + b"[" * 200_000, "nested too deeply"),
        (b"&a [*a]", "nested too deeply"),
        (b"a: &a {b: *a}", "nested too deeply"),
        (ALIASES.encode(), "more values than any package"),
        (b"a: &a " + b"x" * 1_000_000 + b"\nb: [" + b"*a, " * 1000 + b"]", "more values than any"),
        (MERGES.encode(), "merge keys"),
        (b"? !!merge <<\n: {b: 1}", "merge keys"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_document_is_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(InvalidPackage, match=says):
        read_json_or_yaml(data, "here")


@pytest.mark.parametrize("opening", ["[", "- ", '{"a":'])
def test_lists_and_objects_may_be_nested_sixty_four_deep(opening: str) -> None:
    closing = {"[": "]", "- ": "", '{"a":': "}"}[opening]
    inner = "1" if opening != "[" else ""
    for depth, fits in ((64, True), (66, False)):
        data = (opening * depth + inner + closing * depth).encode()
        if fits:
            assert read_json_or_yaml(data, "here")
        else:
            with pytest.raises(InvalidPackage, match="nested too deeply"):
                read_json_or_yaml(data, "here")


def test_json_alone_does_not_fall_back_to_yaml() -> None:
    assert read_json(b'{"a": 1}', "here") == {"a": 1}
    with pytest.raises(InvalidPackage, match="here is not JSON"):
        read_json(b"{a: 1}", "here")


@examples(200)
@given(st.text("{}[]\":,\n\t -#&*!?|>%@`<0123456789.eE+_xoabnyNYtrufals~='\\\0\x85", max_size=40))
def test_any_text_gives_json_values_or_an_error(text: str) -> None:
    with suppress(InvalidPackage):
        json.dumps(read_json_or_yaml(text.encode(), "here"), allow_nan=False).encode()


@examples(200)
@given(st.binary(max_size=60))
def test_any_bytes_give_json_values_or_an_error(data: bytes) -> None:
    with suppress(InvalidPackage):
        read_json_or_yaml(data, "here")


@examples(200)
@given(st.dictionaries(st.text(max_size=8), JSON, min_size=1, max_size=4))
def test_what_is_written_as_yaml_is_read_again(value: dict[str, Any]) -> None:
    assert read_json_or_yaml(write_yaml(value), "here") == value


LOOKALIKES = ["2024-01-31", "1e5", "0x10", "yes", "null", "~", "", "=", "<<", "a: b", "#", "- x"]
ODD = ["12:30:45", "line\nline", "\x85", "\u2028", "\ufeff", "x" * 500, "é", "\x07", "'", '"']


@pytest.mark.parametrize("text", [*LOOKALIKES, *ODD])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert read_json_or_yaml(write_yaml({"a": text, text: 1}), "here") == {"a": text, text: 1}


def test_long_text_stays_on_one_line() -> None:
    assert write_yaml({"a": "word " * 100}).count(b"\n") == 1
