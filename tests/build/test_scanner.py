"""Preprocessed C cut into declarations: their names, members and doc comments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.build.scanner import Declaration, Kind, declarations, files, tokens
from tests.strategies import examples


def scan(text: str) -> list[Declaration]:
    return declarations(f'# 1 "tool.bpf.c"\n{text}', lambda name: True)


def one(text: str) -> Declaration:
    (found,) = scan(text)
    return found


def texts(found: Declaration) -> list[str]:
    """Give the text of the comments before and after a declaration."""
    return [" ".join(doc.lines).strip() for doc in found.before + found.after]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("const volatile int pid = 0;", ["const", "volatile", "int", "pid"]),
        ("int a = first, b[second] = {third}, *c = &fourth;", ["int", "a", "b", "c"]),
        ("struct event event = {};", ["struct", "event", "event"]),
        ('char LICENSE[] __attribute__((section("license"), used)) = "GPL";', ["char", "LICENSE"]),
        ("int run(struct pt_regs *ctx) { int inner = 1; return inner; }", ["int", "run"]),
        ("typeof(run(0)) run(struct pt_regs *ctx) { return 1; }", ["run"]),
        ("static __attribute__((noinline)) int get(int n) { return 0; }", ["static", "int", "get"]),
        ("enum mode { A = 1, B } mode = A;", ["enum", "mode", "mode"]),
        ("int x = (struct s){.a = 1}.a, y;", ["int", "x", "y"]),
        ('extern int HZ __attribute__((section(".kconfig")));', ["extern", "int", "HZ"]),
        ("int (*fp)(int a);", ["int"]),
    ],
)
def test_names_are_those_outside_brackets_and_initialisers(text: str, names: list[str]) -> None:
    assert one(text).names == names


def test_declarations_end_at_semicolons_and_function_bodies() -> None:
    text = (
        "struct a { int x; } v; int f(void) { if (1) { g(); } }\nint g(int); ; struct b;\n"
        "struct s *h(void) __attribute__((noinline)) { return 0; }\nint last[] = { 1, 2 };"
    )
    found = [(one.names[-1], one.line, one.end) for one in scan(text)]
    assert found == [
        ("v", 1, 1),
        ("f", 1, 1),
        ("g", 2, 2),
        ("b", 2, 2),
        ("h", 3, 3),
        ("last", 4, 4),
    ]


@pytest.mark.parametrize(
    ("text", "tag", "name"),
    [
        ("struct event { int a; };", ("struct", "event"), "struct event"),
        ("struct __attribute__((packed)) event { int a; };", ("struct", "event"), "struct event"),
        ("struct event { int a; } __attribute__((packed));", ("struct", "event"), "struct event"),
        ("typedef struct { int a; } event_t;", ("struct", ""), "event_t"),
        ("typedef struct { int a; } __attribute__((packed)) event_t;", ("struct", ""), "event_t"),
        ("typedef struct { int a; } event_t __attribute__((packed));", ("struct", ""), "event_t"),
        ("typedef struct __attribute__((packed)) { int a; } event_t;", ("struct", ""), "event_t"),
        ("typedef struct { int a; } event_t, *event_p;", ("struct", ""), "event_t"),
        ("typedef struct { int a; } *event_p;", ("struct", ""), None),
        ("typedef struct event { int a; } event_t;", ("struct", "event"), "struct event"),
        ("struct { int a; } map;", ("struct", ""), None),
        ("union event { int a; };", ("union", "event"), None),
        ("enum event { A };", ("enum", "event"), None),
        ("struct event;", None, None),
        ("struct event e = { 1 };", None, None),
        ("struct event *get(void) { return 0; }", None, None),
        ("struct empty { };", ("struct", "empty"), None),
        ("static const struct event { int a; } e = { 1 };", ("struct", "event"), "struct event"),
    ],
)
def test_a_struct_is_known_by_its_tag_or_its_typedef(
    text: str, tag: tuple[str, str] | None, name: str | None
) -> None:
    found = one(text)
    assert (found.tag, found.type_name) == (tag, name)


@pytest.mark.parametrize(
    ("text", "alias"),
    [
        ("typedef unsigned int u32;", "u32"),
        ("typedef struct event event_t;", "event_t"),
        ("typedef struct event event_t __attribute__((aligned(8)));", "event_t"),
        ("typedef struct event *event_p;", None),
        ("typedef char name_t[16];", None),
        ("typedef int (*callback_t)(int);", None),
        ("struct event event_t;", None),
        ("typedef struct { int a; };", None),
    ],
)
def test_a_typedef_of_something_by_value_has_an_alias(text: str, alias: str | None) -> None:
    assert one(text).alias == alias


def test_members_have_their_last_name_and_their_comments() -> None:
    found = one(
        """struct event {
	/// before pid
	int pid ///< after pid
	;
	char comm[SIZE] __attribute__((aligned(8))); /// command
	unsigned low : 3, high : WIDTH; /** both */
	struct { int deep; /// not ours
	} inner;
	int (*call)(int argument); ///< callback
	/** before last */
	union { int a; } ; long last;
	/// nobody's
};"""
    )
    members = [
        (one.names[-1], [" ".join(doc.lines).strip() for doc in one.docs]) for one in found.members
    ]
    assert members == [
        ("pid", ["before pid", "after pid"]),
        ("comm", ["command"]),
        ("low", []),
        ("high", ["both"]),
        ("inner", []),
        ("call", ["callback"]),
        ("union", ["before last"]),
        ("last", []),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("comment", "lines", "trailing", "block"),
    [
        ("/// text", (" text",), False, False),
        ("//! text", (" text",), False, False),
        ("///< text", (" text",), True, False),
        ("//!< text", (" text",), True, False),
        ("/** text */", (" text",), False, True),
        ("/*! text */", (" text",), False, True),
        ("/**< text */", (" text",), True, True),
        ("/**\n * one\n *   two\n\n x\n */", ("", "one", "  two", "", " x", ""), False, True),
        ("/** one\r\n * two\r\n */", (" one", "two", ""), False, True),
        ("/// one \\\n two", (" one", " two"), False, False),
        ("/// one \\\r\n two", (" one", " two"), False, False),
        ("/// trailing spaces  \t", (" trailing spaces",), False, False),
        ("/**text**/", ("text*",), False, True),
        ("///", ("",), False, False),
    ],
)
def test_every_form_of_doc_comment_is_read(
    comment: str, lines: tuple[str, ...], trailing: bool, block: bool
) -> None:
    first, second = scan(f"int before;\n{comment}\nint after;")
    (doc,) = first.after if trailing else second.before
    assert (doc.lines, doc.trailing, doc.block) == (lines, trailing, block)
    assert (doc.line, doc.end) == (2, 1 + len(lines))


@pytest.mark.parametrize(
    "comment", ["// plain", "/* plain */", "//// banner", "/***/", "/**/", "/*** stars ***/", "//"]
)
def test_other_comments_are_none(comment: str) -> None:
    assert texts(one(f"{comment}\nint after; {comment}")) == []


def test_a_comment_on_the_line_of_the_end_belongs_to_what_ended() -> None:
    found = scan(
        "int a; /// of a\nint b; /** of b\n * too */ int c;\n/// of d\nint d;\n///< of d too\n"
    )
    assert [texts(one) for one in found] == [["of a"], ["of b too"], [], ["of d", "of d too"]]


def test_comments_inside_a_declaration_belong_to_it_unless_brackets_hold_them() -> None:
    found = one(
        "int /// kind\n f(int a, /** first */ int b) /// result\n{ /// inside\n return 0; }"
    )
    assert texts(found) == ["kind", "result"]


def test_what_looks_like_a_comment_in_a_string_is_none() -> None:
    found = scan('char *a = "/// no"; char b = \'"\'; char *c = "\\"/** no */"; /// yes\nint d;')
    assert [texts(one) for one in found] == [[], [], ["yes"], []]


def test_directives_are_no_tokens() -> None:
    found = scan("#pragma clang diagnostic push \\\n more\nint a;\n  # pragma x\nint b; # stray\n")
    assert [one.names for one in found] == [["int", "a"], ["int", "b"]]
    assert [one.line for one in found] == [3, 5]


def test_line_markers_tell_file_and_line() -> None:
    text = '# 10 "a.h" 1\nint x;\n# 3 "dir/b \\"c\\".h"\n\nint y;\n#line 7 "z.c"\nint z;\n'
    found = [(one.names[-1], one.file, one.line) for one in scan(text)]
    assert found == [("x", "a.h", 10), ("y", 'dir/b "c".h', 4), ("z", "z.c", 7)]


def test_only_wanted_files_are_read() -> None:
    text = '# 1 "a.c"\nint a;\n# 1 "b.h" 1\nint b;\n# 3 "a.c" 2\nint c;\n'
    found = declarations(text, lambda name: name == "a.c")
    assert [(one.names[-1], one.line) for one in found] == [("a", 1), ("c", 3)]


def test_files_are_listed_once_in_their_order_and_the_compilers_own_are_not() -> None:
    text = '# 1 "b.c"\n# 1 "<built-in>" 1\n# 1 "a.h" 1\nint x;\n# 2 "b.c" 2\n'
    assert files(text) == ["b.c", "a.h"]


def test_file_names_are_read_as_clang_escapes_them() -> None:
    text = '# 1 "/d\\303\\251/a \\\\ \\"b\\".c"\nint x;\n'
    assert files(text) == ['/dé/a \\ "b".c']
    assert one_file(text) == '/dé/a \\ "b".c'


def one_file(text: str) -> str:
    (found,) = declarations(text, lambda name: True)
    return found.file


def test_a_comment_that_shows_line_markers_is_not_taken_for_them() -> None:
    text = '# 1 "a.c"\n/* as in\n# 1 "evil.c"\nthis */\nchar *s = "/*";\n# 9 "b.h" 1\nint b;\n'
    assert files(text) == ["a.c", "b.h"]
    found = declarations(text, lambda name: True)
    assert [(one.names[-1], one.file, one.line) for one in found] == [
        ("s", "a.c", 4),
        ("b", "b.h", 9),
    ]


@pytest.mark.parametrize(
    "text",
    [
        'char a[] = "/* *";',
        "// it's /* open",
        "/* \"quoted */ char c = '\"';",
        "char b = '/'; /* x */",
    ],
)
def test_half_a_comment_inside_something_else_hides_no_marker(text: str) -> None:
    assert files(f'# 1 "a.c"\n{text}\n# 9 "b.h" 1\nint b;\n') == ["a.c", "b.h"]


def test_a_file_with_carriage_returns_is_read_as_one_without() -> None:
    text = "/// one\n/// two\nint a; /// three\n/** four\n * five\n */\n"
    text += "struct s {\n\tint m; /// six\n};\n"
    plain, dos = scan(text), scan(text.replace("\n", "\r\n"))
    assert [(one.names, texts(one), one.line) for one in dos] == [
        (one.names, texts(one), one.line) for one in plain
    ]
    assert [m.docs[0].lines for one in dos for m in one.members] == [(" six",)]


def test_tokens_have_their_kinds() -> None:
    kinds = [(token.kind, token.text) for token in tokens("a1 0x1fUL \"s\" 'c' += // end")]
    assert kinds == [
        (Kind.NAME, "a1"),
        (Kind.NUMBER, "0x1fUL"),
        (Kind.STRING, '"s"'),
        (Kind.STRING, "'c'"),
        (Kind.MARK, "+"),
        (Kind.MARK, "="),
        (Kind.COMMENT, "// end"),
    ]


PIECES = (
    *("struct ", "typedef ", "x", "y ", "{", "}", "(", ")", "[", "]", ";", ",", "=", ":", "*"),
    *(
        '"',
        "'",
        "\n",
        "\r\n",
        "\\\n",
        "/*",
        "*/",
        "//",
        "/// d",
        "/** b */",
        "///<",
        "#",
        "\\",
        " ",
    ),
    '# 1 "f"\n',
)
C_LIKE = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@examples(400)
@given(C_LIKE | st.text(max_size=60))
def test_any_text_is_cut_somehow(text: str) -> None:
    for found in scan(text):
        assert found.tokens
        assert found.end >= found.line or "#" in text
        assert found.type_name is None or found.members
    files(text)
