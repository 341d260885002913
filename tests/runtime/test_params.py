from __future__ import annotations

import pytest

from ebpm.btf import layout as kinds
from ebpm.btf.layout import Layout
from ebpm.errors import InvalidParameter
from ebpm.runtime.params import help_text, parse_arguments, value_of
from ebpm.runtime.plan import Plan, VariablePlan

INT = Layout(kinds.INT, "int", 4, signed=True)
BOOL = Layout(kinds.BOOL, "bool", 1)
TEXT = Layout(kinds.STRING, "", 16)
FLOAT = Layout(kinds.FLOAT, "double", 8)
ENUM = Layout(kinds.ENUM, "mode", 4, values={0: "SLOW", 1: "FAST"})
LIST = Layout(kinds.ARRAY, "", 12, count=3, element=INT)
STRUCT = Layout(kinds.STRUCT, "point", 8)


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
        "perf_pages": 64,
        "poll_timeout": 100,
        "usdt_spec_size": 0,
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
