from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.btf import layout as kinds
from ebpm.btf.encode import encode
from ebpm.btf.layout import Layout, Member
from ebpm.errors import InvalidParameter
from ebpm.runtime.params import assigned, help_text, parse_arguments, value_of
from ebpm.runtime.plan import RINGBUF, Plan, SourcePlan, VariablePlan
from tests.strategies import examples

INT = Layout(kinds.INT, "int", 4, signed=True)
BOOL = Layout(kinds.BOOL, "bool", 1)
TEXT = Layout(kinds.STRING, "", 16)
FLOAT = Layout(kinds.FLOAT, "double", 8)
ENUM = Layout(kinds.ENUM, "mode", 4, values={0: "SLOW", 1: "FAST"})
LIST = Layout(kinds.ARRAY, "", 12, count=3, element=INT)
STRUCT = Layout(kinds.STRUCT, "point", 4, members=(Member("x", 0, 0, INT),))


def variable(name: str, layout: Layout, **fields: object) -> VariablePlan:
    given = {"long": name, "type": layout.name or "char[16]", **fields}
    return VariablePlan(name=name, section=".rodata", offset=0, layout=layout, **given)  # type: ignore[arg-type]


def plan(*variables: VariablePlan, **fields: object) -> Plan:
    given: dict[str, object] = {
        "name": "tool",
        "object_name": "tool_bpf",
        "object_digest": "sha256:0",
        "object_size": 0,
        "version": None,
        "description": "Does it.",
        "epilog": None,
        "programs": [],
        "sources": [],
        "lost": [],
        "maps": [],
        "printk": False,
        "perf_pages": 64,
        "poll_timeout": 100,
        "usdt_spec_size": 0,
        "trims": False,
    }
    return Plan(variables=list(variables), **{**given, **fields})  # type: ignore[arg-type]


def values(tool: Plan, *words: str) -> dict[str, object]:
    return dict(parse_arguments(tool, list(words)).values)


TOOL = plan(
    variable("pid_target", INT, long="pid", short="p"),
    variable("failed_only", BOOL, long="failed", short="x"),
    variable("name", TEXT),
    variable("ratio", FLOAT),
    variable("mode", ENUM),
    variable("list", LIST),
    variable("point", STRUCT),
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--pid", "12"], {"pid_target": 12}),
        (["--pid=12"], {"pid_target": 12}),
        (["--pid_target", "12"], {"pid_target": 12}),
        (["--pid-target", "12"], {"pid_target": 12}),
        (["-p", "12"], {"pid_target": 12}),
        (["-p12"], {"pid_target": 12}),
        (["-p=12"], {"pid_target": 12}),
        (["--pid", "-12"], {"pid_target": -12}),
        (["--pid", "0x1f"], {"pid_target": 31}),
        (["--pid", "010"], {"pid_target": 10}),
        (["--failed"], {"failed_only": True}),
        (["--failed=false"], {"failed_only": False}),
        (["--failed=1"], {"failed_only": True}),
        (["--enable-failed"], {"failed_only": True}),
        (["--disable-failed"], {"failed_only": False}),
        (["-x"], {"failed_only": True}),
        (["-xp", "3"], {"failed_only": True, "pid_target": 3}),
        (["--name", "a b"], {"name": "a b"}),
        (["--name", "--pid"], {"name": "--pid"}),
        (["--ratio", "0.25"], {"ratio": 0.25}),
        (["--mode", "FAST"], {"mode": "FAST"}),
        (["--mode", "1"], {"mode": 1}),
        (["--list", "1,2,3"], {"list": [1, 2, 3]}),
        (["--list", "7"], {"list": [7]}),
        (["--list", "[1, 2]"], {"list": [1, 2]}),
        (["--point", '{"x": 1}'], {"point": {"x": 1}}),
        (["--pid", "1", "--pid", "2"], {"pid_target": 2}),
        ([], {}),
    ],
)
def test_an_option_sets_its_variable(words: list[str], expected: dict[str, object]) -> None:
    assert values(TOOL, *words) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pid"], "--pid needs a value of type int"),
        (["--pid", "abc"], "--pid: 'abc' is not an integer, for variable pid_target of type int"),
        (["--failed=maybe"], "'maybe' is not true or false"),
        (["--ratio", "x"], "'x' is not a number"),
        (["--point", "{"], "'{' is not JSON"),
        (["--list", "1,b"], "'b' is not an integer"),
        (["extra"], "takes no argument 'extra'"),
        (["--nothing"], "no option --nothing"),
        (["-z"], "no option -z"),
        (["--enable-failed=1"], "no option --enable-failed"),
        (
            ["--pid", "2147483648"],
            "2147483648 is out of range for int, which holds -2147483648 to 2147483647, for",
        ),
        (["--name", "x" * 16], "takes 17 bytes with its NUL, and char[16] holds fewer"),
        (["--mode", "MEDIUM"], "'MEDIUM' is not one of SLOW, FAST"),
        (["--list", "1,2,3,4"], "4 values are too many: the array holds 3"),
        (["--list", "1,99999999999"], "99999999999 is out of range for int"),
        (["--point", '{"y": 1}'], "no member 'y'; there are x"),
        (["--point", '{"x": 1e3}'], "x: 1000.0 is not an integer"),
    ],
)
def test_a_bad_argument_is_named(words: list[str], said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        values(TOOL, *words)
    assert said in caught.value.message


def test_an_option_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(InvalidParameter) as caught:
        values(TOOL, "--faild")
    assert "--failed" in caught.value.hint


@pytest.mark.parametrize(
    ("word", "slot"),
    [
        ("--help", "help"),
        ("-h", "help"),
        ("--version", "version"),
        ("-v", "version"),
        ("-V", "version"),
        ("--verbose", "verbose"),
    ],
)
def test_the_built_in_options(word: str, slot: str) -> None:
    assert getattr(parse_arguments(TOOL, [word]), slot) is True


def test_a_variable_of_the_tool_wins_over_a_built_in_option() -> None:
    tool = plan(variable("verbose", BOOL), variable("v", INT, short="v"))
    result = parse_arguments(tool, ["--verbose", "-v", "3"])
    assert result.values == {"verbose": True, "v": 3}
    assert not result.verbose
    assert not result.version


def test_help_shows_the_options_of_the_tool_in_place_of_built_in_ones() -> None:
    tool = plan(variable("verbose", BOOL), variable("v", INT, long="volume", short="v"))
    lines = help_text(tool).splitlines()
    assert lines[0] == "Usage: tool_bpf [--help] [--version] [--verbose] [--volume VAR]"
    assert lines[5:] == [
        "  -h, --help    shows help message and exits",
        "  --version     prints version information and exits",
        "  --verbose     set value of bool variable verbose",
        "  -v, --volume  set value of int variable v",
    ]


def test_an_option_wins_over_the_name_of_another_options_variable() -> None:
    tool = plan(variable("pid", INT, long="process"), variable("target", INT, long="pid"))
    assert values(tool, "--pid", "1", "--process", "2") == {"target": 1, "pid": 2}


@examples(200)
@given(
    st.sampled_from([one.name for one in TOOL.variables]),
    st.text() | st.from_regex(r"[-+0-9.,eExX\[\]{}\":]{0,12}", fullmatch=True),
)
def test_any_text_gives_a_value_that_fits_or_an_error(name: str, text: str) -> None:
    with suppress(InvalidParameter):
        (given_value,) = assigned(TOOL, [(name, text)]).values()
        layout = next(one.layout for one in TOOL.variables if one.name == name)
        assert len(encode(layout, given_value)) == layout.size


@pytest.mark.parametrize("name", ["list", "point"])
def test_values_nested_beyond_measure_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameter):
        assigned(TOOL, [(name, "[" * 100_000)])


# --- --set ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("pid_target", "0x10", 16),
        ("failed_only", "false", False),
        ("name", "a=b, c", "a=b, c"),
        ("mode", "FAST", "FAST"),
        ("list", "1,2", [1, 2]),
        ("list", "[3]", [3]),
        ("point", '{"x": -1}', {"x": -1}),
    ],
)
def test_set_reads_text_by_the_type_of_the_variable(name: str, text: str, value: object) -> None:
    assert assigned(TOOL, [(name, text)]) == {name: value}


@pytest.mark.parametrize(
    ("name", "text", "said", "hint"),
    [
        ("pid", "1", "tool has no variable 'pid'", "it has pid_target"),
        ("pid_targt", "1", "tool has no variable 'pid_targt'", "did you mean pid_target?"),
        ("pid_target", "x", "--set pid_target: 'x' is not an integer", "--help"),
        ("pid_target", "1e99", "'1e99' is not an integer", "--help"),
        ("pid_target", "4294967296", "out of range for int, which holds -2147483648 to", "--help"),
    ],
)
def test_set_refuses_what_does_not_fit(name: str, text: str, said: str, hint: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        assigned(TOOL, [(name, text)])
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_text_for_an_enum_stays_text_and_a_number_becomes_one() -> None:
    assert value_of(ENUM, "SLOW") == "SLOW"
    assert value_of(ENUM, "-1") == -1


def test_help_has_the_layout_of_the_manuals() -> None:
    tool = plan(
        variable("pid_target", INT, help="Process ID to trace"),
        variable("failed_only", BOOL, long="failed", short="f", help="trace only failed events"),
        variable("plain", INT),
        description="Trace open family syscalls.",
        epilog="Built for the test.",
    )
    assert help_text(tool) == (
        "Usage: tool_bpf [--help] [--version] [--verbose] [--pid_target VAR] [--failed] "
        "[--plain VAR]\n"
        "\n"
        "Trace open family syscalls.\n"
        "\n"
        "Optional arguments:\n"
        "  -h, --help    shows help message and exits\n"
        "  -v, --version prints version information and exits\n"
        "  --verbose     prints libbpf debug information\n"
        "  --pid_target  Process ID to trace\n"
        "  -f, --failed  trace only failed events\n"
        "  --plain       set value of int variable plain\n"
        "\n"
        "Built for the test.\n"
    )


# --- numbers with names, options of the run ------------------------------------------------------

KILL = plan(
    variable("sig", Layout(kinds.SIGNAL, "ebpm_signal", 4, signed=True), short="s"),
    variable("error", Layout(kinds.ERRNO, "ebpm_errno", 4, signed=True), short="e"),
)


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (["-s", "TERM"], {"sig": "TERM"}),
        (["-s15"], {"sig": 15}),
        (["--sig=0x0f", "-e", "ENOENT"], {"sig": 15, "error": "ENOENT"}),
    ],
)
def test_an_option_takes_a_number_by_its_name(words: list[str], stored: dict[str, object]) -> None:
    assert values(KILL, *words) == stored
    for name, value in stored.items():
        layout = next(one.layout for one in KILL.variables if one.name == name)
        assert encode(layout, value) == (15 if name == "sig" else 2).to_bytes(4, sys.byteorder)  # type: ignore[arg-type]


def test_a_name_that_is_none_is_suggested() -> None:
    with pytest.raises(
        InvalidParameter, match="option -s: 'TREM' is no signal; did you mean SIGTERM"
    ):
        values(KILL, "-s", "TREM")


TABLE = plan(
    variable("pid", INT, short="p"),
    arguments=[
        VariablePlan(
            name=name,
            section="",
            offset=0,
            layout=layout,
            type="",
            long=long,
            short=short,
            help="H",
        )
        for name, layout, long, short in (
            ("sort", Layout(kinds.STRING, "text", 99), "sort", "s"),
            ("rows", Layout(kinds.INT, "unsigned int", 4), "top", "T"),
        )
    ],
)


@pytest.mark.parametrize(
    ("words", "run"),
    [
        (["-s", "r_bytes,-pid", "-T5"], {"sort": "r_bytes,-pid", "rows": 5}),
        (["--sort=+pid", "--top", "0"], {"sort": "+pid", "rows": 0}),
        (["-p", "1"], {}),
    ],
)
def test_options_of_the_run_are_no_variables(words: list[str], run: dict[str, object]) -> None:
    result = parse_arguments(TABLE, words)
    assert result.run == run
    assert set(result.values) <= {"pid"}
    assert "-T, --top" in help_text(TABLE)
    with pytest.raises(InvalidParameter, match="no variable 'sort'"):
        assigned(TABLE, [("sort", "pid")])


@pytest.mark.parametrize("word", ["-1", "many"])
def test_rows_are_a_count(word: str) -> None:
    with pytest.raises(InvalidParameter, match="option -T"):
        parse_arguments(TABLE, ["-T", word])


def test_a_variable_of_the_tool_wins_over_an_option_of_the_run() -> None:
    own = plan(variable("sort", INT, short="s"), arguments=TABLE.arguments)
    result = parse_arguments(own, ["-s", "3", "--sort", "4"])
    assert (result.values, result.run) == ({"sort": 4}, {})


@pytest.mark.parametrize(
    ("given", "named"),
    [({}, []), ({"one": 0, "two": False}, []), ({"one": 1}, ["a"]), ({"two": True}, ["a", "b"])],
)
def test_a_source_waits_for_one_of_its_options(given: dict[str, int], named: list[str]) -> None:
    variables = [
        variable(name, INT, default=default)
        for name, default in (("one", None), ("two", None), ("three", 1))
    ]
    waits = (("a", ["one", "two"]), ("b", ["two"]), ("always", []), ("default", ["three"]))
    sources = [
        SourcePlan(map=name, kind=RINGBUF, name=name, layout=None, when=when)
        for name, when in waits
    ]
    tool = plan(*variables, sources=sources)
    assert [one.name for one in tool.sources_for(given)] == [*named, "always", "default"]
    assert tool.sources == sources
