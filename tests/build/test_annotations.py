"""Doc comments to keys and values, and to the symbols that they speak of."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.build.annotations import Annotations, Symbols, parse, read_annotations
from ebpm.build.scanner import Doc, declarations
from ebpm.errors import InvalidAnnotation
from tests.build.test_scanner import C_LIKE
from tests.strategies import examples

SYMBOLS = Symbols(
    variables=("pid", "min_us", "event", "events2"),
    maps=("events", "starts"),
    programs=("handle_exec", "handle_exit"),
    structs=("event", "point_t"),
)


def doc(*lines: str, line: int = 5) -> Doc:
    return Doc("tool.bpf.c", line, lines, False, False)


def keys(*lines: str) -> dict[str, Any]:
    return parse([doc(*lines)])


def annotate(tmp_path: Path, text: str) -> Annotations:
    """Read a source as it stands, without macros."""
    path = tmp_path / "tool.bpf.c"
    path.write_bytes(text.encode())
    found = declarations(f'# 1 "{path}"\n{text}', lambda name: True)
    return read_annotations(found, SYMBOLS)


# --- what a comment says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([" plain text"], {"description": "plain text"}),
        ([" two", "   lines ", "", " of \t text "], {"description": "two lines of text"}),
        ([" 42"], {"description": "42"}),
        ([" true"], {"description": "true"}),
        ([' {"a": 1}'], {"description": '{"a": 1}'}),
        (["", ""], {}),
        ([" @description text"], {"description": "text"}),
        ([" @description 42"], {"description": "42"}),
        ([' @description {"a"'], {"description": '{"a"'}),
        ([" before", " @description after"], {"description": "before after"}),
        ([" @description one", " @description two"], {"description": "one two"}),
        (["@cmdarg{}"], {"cmdarg": {}}),
        ([' @sample{"interval":1000}'], {"sample": {"interval": 1000}}),
        ([' \\sample {"interval":1000}'], {"sample": {"interval": 1000}}),
        (['@cmdarg {"short": "p",', '  "long": "pid"}'], {"cmdarg": {"short": "p", "long": "pid"}}),
        (["@x", "", "  [1,", "2]"], {"x": [1, 2]}),
        (['@cmdarg {"a": 1}', " text after"], {"cmdarg": {"a": 1}, "description": "text after"}),
        ([' text @x {"a": 1} @lost'], {"description": "text", "x": {"a": 1}, "lost": True}),
        (['@cmdarg {"help": "mail @me"}'], {"cmdarg": {"help": "mail @me"}}),
        (["@lost"], {"lost": True}),
        (["@lost", "", "text"], {"lost": True, "description": "text"}),
        (["@ifindex 1", "@flags 0"], {"ifindex": 1, "flags": 0}),
        (["@ratio 1.5", "@on true", "@none null"], {"ratio": 1.5, "on": True, "none": None}),
        (['@name "quoted"'], {"name": "quoted"}),
        (["@flag called when a process starts"], {"flag": "called when a process starts"}),
        (["@flag 12 apples"], {"flag": "12 apples"}),
        (["@nan NaN"], {"nan": "NaN"}),
        (["@version 0.1", "@brief true"], {"version": "0.1", "brief": "true"}),
        (['@details {"a": 1}'], {"details": '{"a": 1}'}),
        (["@details one", " two", "", "rest"], {"details": "one\ntwo", "description": "rest"}),
        (["@author a", "@author b"], {"author": ["a", "b"]}),
        (["@x [1]", "@x [2]", "@x 3"], {"x": [[1], [2], 3]}),
        (["@author"], {}),
        (["mail me@home.org, or C:\\temp"], {"description": "mail me@home.org, or C:\\temp"}),
        (["see @p pid and \\c int"], {"description": "see pid and int"}),
        (["@two-words x", "@_under y"], {"two-words": "x", "_under": "y"}),
    ],
    ids=str,
)
def test_comments_are_keys_and_values(lines: list[str], expected: dict[str, Any]) -> None:
    assert keys(*lines) == expected


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["text", "@cmdarg {short: p}"],
            r"tool\.bpf\.c:6: @cmdarg: not valid JSON: Expecting prop",
        ),
        (["@cmdarg {", '  "a": 1,', "  b}"], r"tool\.bpf\.c:7: @cmdarg: not valid JSON"),
        (['@cmdarg {"a": "x', 'y"}'], r":5: @cmdarg: not valid JSON: Invalid control character"),
        (["@x [1, 2"], r":5: @x: not valid JSON: Expecting ',' delimiter"),
        (['@x {"a": NaN}'], r":5: @x: not valid JSON: NaN is not JSON"),
        (['@x {"a": 1e999}'], r":5: @x: not valid JSON: .* a number that JSON does not have"),
        (['@x {"a": "\\ud800"}'], r":5: @x: not valid JSON: .* text that is not Unicode"),
        (["@x " + "[" * 5000], r":5: @x: not valid JSON: (nested too deeply|Expecting)"),
        (["@x " + "[" * 100 + "]" * 100], r":5: @x: not valid JSON: .*nested too deeply"),
        (["@x [" + "1" * 5000 + "]"], r":5: @x: not valid JSON: .*digits"),
        (['@cmdarg {"a": 1}, "b": 2}'], r":5: @cmdarg: .* more on the line of its end"),
        (['@cmdarg {"a": 1} for the pid'], r":5: @cmdarg: .* more on the line of its end"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_json_that_does_not_parse_is_an_error_with_its_place(lines: list[str], says: str) -> None:
    with pytest.raises(InvalidAnnotation, match=says) as caught:
        keys(*lines)
    assert "docs/spec/annotations.md" in caught.value.hint


def test_comments_of_several_lines_keep_their_places_in_errors() -> None:
    with pytest.raises(InvalidAnnotation, match=r"tool\.bpf\.c:31: @x"):
        parse([doc(" one", line=10), doc(" two", "@x {", line=30)])


@examples(300)
@given(st.lists(st.text('@\\{}[]": ,x1ud8-\n\t', max_size=12), max_size=4))
def test_any_comment_gives_values_or_an_error(lines: list[str]) -> None:
    with suppress(InvalidAnnotation):
        keys(*[part for line in lines for part in line.split("\n")])


# --- whom it speaks of ---------------------------------------------------------------------------


def test_the_examples_of_eunomia_bpf(tmp_path: Path) -> None:
    """The values that its own compiler's tests expect (document_parser.rs)."""
    notes = annotate(
        tmp_path,
        """\
/// @description Process exec and exit
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/// @sample {"interval": 1000}
struct {
	int (*type)[1];
} starts SEC(".maps");

/// min duration for a process to be considered
const volatile unsigned long long min_us = 0;

/// @cmdarg {"default": 0, "short": "p", "long": "pid"}
/// @description target pid to trace
const volatile int pid = 0;

/// @flag called when a process starts
SEC("tp/sched/sched_process_exec")
int handle_exec(struct trace_event_raw_sched_process_exec *ctx)
{
	return 0;
}

/// called when a process ends
SEC("tp/sched/sched_process_exit")
int handle_exit(void *ctx) { return 0; }
""",
    )
    assert notes.variables == {
        "min_us": {"description": "min duration for a process to be considered"},
        "pid": {
            "cmdarg": {"default": 0, "short": "p", "long": "pid"},
            "description": "target pid to trace",
        },
    }
    assert notes.maps == {"starts": {"sample": {"interval": 1000}}}
    assert notes.programs == {
        "handle_exec": {"flag": "called when a process starts"},
        "handle_exit": {"description": "called when a process ends"},
    }
    assert notes.documentation == {"description": "Process exec and exit"}


@pytest.mark.parametrize("name", ["LICENSE", "_license", "__license", "license"])
def test_the_tools_documentation_stands_on_its_license(tmp_path: Path, name: str) -> None:
    notes = annotate(tmp_path, f'/** @brief Traces.\n * @version 1.0\n */\nchar {name}[] = "GPL";')
    assert notes.documentation == {"brief": "Traces.", "version": "1.0"}
    assert annotate(tmp_path, f"/// no\nextern char {name}[];").documentation == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/// a\n\n\nint pid;", "a"),
        ("/// a\n// plain\nint pid;", "a"),
        ("/// a\n#ifdef X\nint pid;", "a"),
        ("/// a\n#else\n#endif\nint pid;", "a"),
        ("/// a\n#define X\nint pid;", None),
        ("/// a\n#include <x.h>\nint pid;", None),
        ("/// a\n#pragma unroll\nint pid;", None),
        ("/// a\nint pid;\n#define X\n", "a"),
        ("#define X\n/// a\nint pid;", "a"),
        ("/// banner\n\n/// a\nint pid;", "a"),
        ("/// a\n/// b\nint pid;", "a b"),
        ("/** a */\n/** b */\nint pid;", "a b"),
        ("/** a */\n/// b\nint pid;", "b"),
        ("/// a\n#ifdef X\n/// b\nint pid;", "b"),
        ("int pid; /// a", "a"),
        ("int pid; /**< a */\n///< b", "a b"),
        ("/// a\nint pid; /// b", "a b"),
        ("int other; /// a\nint pid;", None),
        ("/// a\nint other;\nint pid;", None),
        ("/// a\nint other, pid;", "a"),
        ("/// a\nint *other = &pid;\nint pid;", None),
        ("/// a\nstruct pid { int x; };\nint pid;", None),
        ("/// a\ntypedef int pid;", None),
        ("/// a\nint f(int pid);", None),
        ("/// a\nint f(void) { int pid; return pid; }", None),
        ("/// a\nstruct pid pid;", "a"),
        ('/// a\nint pid SEC(".data") = 1;', "a"),
        ("int /// a\npid;", "a"),
        ("/// a\r\nint pid;\r\n", "a"),
    ],
)
def test_a_comment_belongs_to_what_it_stands_at(
    tmp_path: Path, text: str, expected: str | None
) -> None:
    expected_keys = {"pid": {"description": expected}} if expected else {}
    assert annotate(tmp_path, text).variables == expected_keys


def test_a_comment_at_the_end_of_a_header_does_not_reach_the_source(tmp_path: Path) -> None:
    text = (
        f'# 1 "{tmp_path}/a.h" 1\nint x;\n\n/// end of header\n# 2 "{tmp_path}/a.c" 2\nint pid;\n'
    )
    found = declarations(text, lambda name: True)
    assert read_annotations(found, SYMBOLS).variables == {}


def test_members_of_exported_structs_have_comments_of_their_own(tmp_path: Path) -> None:
    notes = annotate(
        tmp_path,
        """
/// the event
struct event {
	/// process
	int pid;
	char comm[16]; ///< its command
	int (*call)(void); /// @unit "ns"
	int plain;
};
typedef struct { int x; /// across
} __attribute__((packed)) point_t;
struct other { int pid; /// not exported
};
""",
    )
    assert notes.members == {
        "event": {
            "pid": {"description": "process"},
            "comm": {"description": "its command"},
            "call": {"unit": "ns"},
        },
        "point_t": {"x": {"description": "across"}},
    }
    assert notes.variables == {}  # a struct is no variable, whatever its tag


def test_symbols_that_the_object_does_not_have_get_nothing(tmp_path: Path) -> None:
    notes = annotate(tmp_path, "/// a\nint nobody;\n/// b\nstatic int also;")
    assert notes == Annotations()


def test_a_file_that_is_not_there_is_no_matter() -> None:
    text = '# 1 "/nowhere/\\000.c"\n/// a\n\nint pid;\n'
    found = declarations(text, lambda name: True)
    assert read_annotations(found, SYMBOLS).variables == {"pid": {"description": "a"}}


@examples(300)
@given(C_LIKE | st.text(max_size=60))
def test_any_text_gives_annotations_or_an_error(text: str) -> None:
    marked = f'# 1 "/nowhere/x.c"\n{text}\nint pid;\nstruct event {{ int x; {text} }};'
    found = declarations(marked, lambda name: True)
    with suppress(InvalidAnnotation):
        read_annotations(found, SYMBOLS)
