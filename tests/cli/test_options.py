from __future__ import annotations

import pytest

from ebpm.cli.options import RUN_OPTIONS, parse, positive, seconds
from ebpm.errors import UsageError


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--json"], "json", True),
        (["-j"], "json", True),
        (["--duration", "3s"], "duration", 3.0),
        (["--duration=500ms"], "duration", 0.5),
        (["-d2m"], "duration", 120.0),
        (["-jd", "1"], "duration", 1.0),
        (["--count", "10"], "count", 10),
        (["-o", "-"], "output", "-"),
        (["--attach", "a", "--attach", "b"], "attach", ["a", "b"]),
        (["--pull", "always"], "pull", "always"),
        (["--set", "a=1", "--set=b=c=d"], "set", [("a", "1"), ("b", "c=d")]),
    ],
)
def test_an_option_before_target_is_ours(words: list[str], key: str, value: object) -> None:
    values, rest = parse(RUN_OPTIONS, [*words, "tool", "--json", "--count"])
    assert values[key] == value
    assert rest == ["tool", "--json", "--count"]


def test_what_comes_after_target_belongs_to_the_tool() -> None:
    values, rest = parse(RUN_OPTIONS, ["tool", "--json", "-o", "x"])
    assert values["json"] is None
    assert rest == ["tool", "--json", "-o", "x"]


def test_a_lone_dash_is_a_target() -> None:
    assert parse(RUN_OPTIONS, ["--json", "-"])[1] == ["-"]


def test_two_dashes_end_our_options() -> None:
    assert parse(RUN_OPTIONS, ["--", "-strange-name"])[1] == ["-strange-name"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--duration"], "--duration needs a value, TIME"),
        (["--duration", "soon"], "'soon' is no duration"),
        (["--duration", "-1s"], "'-1s' is no duration"),
        (["--duration", "nan"], "'nan' is no duration"),
        (["--count", "0"], "'0' is no count above zero"),
        (["--json=yes"], "--json takes no value"),
        (["--pull", "never"], "'never' is not one of missing, always"),
        (["--set", "a"], "'a' is not NAME=VALUE"),
        (["--set", "=1"], "'=1' is not NAME=VALUE"),
        (["-z"], "no option -z"),
    ],
)
def test_a_bad_option_is_named(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(RUN_OPTIONS, words)
    assert said in caught.value.message


def test_a_misspelt_option_is_suggested_and_the_grammar_recalled() -> None:
    with pytest.raises(UsageError) as caught:
        parse(RUN_OPTIONS, ["--durations", "3"])
    assert "--duration" in caught.value.hint
    assert "after TARGET" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1.0), ("0.5s", 0.5), ("250ms", 0.25), ("2h", 7200.0)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


def test_counts_are_digits() -> None:
    assert positive("7") == 7
    with pytest.raises(ValueError, match="no count"):
        positive("1e3")
