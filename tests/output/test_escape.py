from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ebpm.output.escape import escape, escape_json

BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größe 日本", "größe 日本"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("tab\tend\n", "tab\\tend\\n"),
        ("\r", "\\r"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("\x85\x9b", "\\x85\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028\u2029\ufeff", "\\u2028\\u2029\\ufeff"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_hostile_characters_are_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text())
def test_no_control_or_direction_survives(text: str) -> None:
    shown = escape(text)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert not set(BIDIRECTIONAL) & set(shown)
    shown.encode("utf-8")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@example("\x7f")
def test_json_stays_the_same_document(text: str) -> None:
    document = json.dumps(text, ensure_ascii=False)
    escaped = escape_json(document)
    assert json.loads(escaped) == text
    assert not set(BIDIRECTIONAL) & set(escaped)
    assert not any(0x7F <= ord(c) < 0xA0 for c in escaped)
