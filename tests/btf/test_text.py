"""Types written as C writes them."""

from __future__ import annotations

import pytest

from ebpm.btf import types as t
from ebpm.btf.text import type_text
from ebpm.errors import InvalidBtf
from tests.synthetic import Types


def texts() -> dict[str, int]:
    """Give a type for each text that it should have."""
    types = Types()
    number, char = types.integer("int"), types.char()
    unsigned = types.integer("unsigned int", 4, 0)
    task = types.add(t.KIND_FWD, "task_struct")
    event = types.struct("event", 8)
    text = types.pointer(types.const(char))
    callback = types.function_type(number, ("a", unsigned), ("b", types.pointer()))
    user = types.add(t.KIND_TYPE_TAG, "user", char)
    made = {
        "unsigned int": unsigned,
        "char[16]": types.array(char, 16),
        "int[2][3]": types.array(types.array(number, 3), 2),
        "struct event": event,
        "struct task_struct *": types.pointer(task),
        "struct event *[4]": types.array(types.pointer(event), 4),
        "int (*)[4]": types.pointer(types.array(number, 4)),
        "const char *": text,
        "const char **": types.pointer(text),
        "const char *const *": types.pointer(types.const(text)),
        "const char *[2]": types.array(types.const(text), 2),
        "const char *const (*)[2]": types.pointer(types.array(types.const(text), 2)),
        "void *": types.pointer(),
        "const void *": types.pointer(types.const(0)),
        "int (*)(unsigned int, void *)": types.pointer(callback),
        "int (*[3])(unsigned int, void *)": types.array(types.pointer(callback), 3),
        "void (*)(void)": types.pointer(types.function_type(0)),
        "int (*)(const char *, ...)": types.pointer(
            types.function_type(number, ("format", text), ("", 0))
        ),
        "struct {...}": types.struct("", 4),
        "union {...}": types.struct("", 4, union=True),
        "enum {...}": types.enum("", {"A": 0}),
        "enum mode": types.enum("mode", {"A": 0}),
        "pid_t": types.typedef("pid_t", number),
        "pid_t[2]": types.array(types.const(types.typedef("pid_t", number)), 2),
        "union either *": types.pointer(types.add(t.KIND_FWD, "either", flag=True)),
        "char *": types.pointer(user),
        "double": types.add(t.KIND_FLOAT, "double", 8),
        "void": 0,
    }
    texts.btf = types.btf()  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("expected", texts())
def test_a_type_is_written_as_c_writes_it(expected: str) -> None:
    made = texts()
    assert type_text(texts.btf, made[expected]) == expected  # type: ignore[attr-defined]


def test_outermost_qualifiers_are_left_out() -> None:
    types = Types()
    number = types.integer("int")
    both = types.const(types.add(t.KIND_VOLATILE, "", number))
    array = types.const(types.array(number, 2))
    assert type_text(types.btf(), both) == "int"
    assert type_text(types.btf(), array) == "int[2]"


def test_a_qualifier_of_itself_is_refused() -> None:
    types = Types()
    types.const(2)
    types.const(1)
    with pytest.raises(InvalidBtf, match="too deeply"):
        type_text(types.btf(), 1)


def test_functions_that_take_functions_that_take_functions_are_refused() -> None:
    """Forty records of eight parameters each would be written as 8**20 words."""
    types = Types()
    last = types.integer("int")
    for _ in range(20):
        last = types.pointer(types.function_type(last, *[("", last)] * 8))
    with pytest.raises(InvalidBtf, match="too deeply"):
        type_text(types.btf(), last)
