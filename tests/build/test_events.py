"""Which struct each buffer carries, by the calls that fill it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpm.build.events import buffer_types, header_types
from ebpm.build.scanner import declarations
from tests.build.test_scanner import C_LIKE
from tests.strategies import examples


def used(body: str, *, outside: str = "") -> dict[str, list[str]]:
    """Find what a function's body writes to buffers."""
    text = f'# 1 "x.c"\n{outside}\nint run(void *ctx) {{ {body} }}\n'
    return buffer_types(declarations(text, lambda name: True), ("rb", "pb"))


@pytest.mark.parametrize(
    "body",
    [
        "struct event *e; e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);",
        "struct event *e = bpf_ringbuf_reserve(&rb, sizeof *e, 0);",
        "void *p = bpf_ringbuf_reserve(&rb, sizeof(struct event), 0);",
        "const struct event *e = bpf_ringbuf_reserve(&rb, sizeof(e[0]), 0);",
        "struct event *e = bpf_ringbuf_reserve(&rb, sizeof(*e) + len, 0);",
        "struct event *e = bpf_ringbuf_reserve(&rb, 64, 0);",
        "struct event *e; e = (struct event *)bpf_ringbuf_reserve(&rb, 64, 0);",
        "struct event *e; if (!(e = bpf_ringbuf_reserve(&rb, 64, 0))) return 0;",
        "struct event e = {}; bpf_ringbuf_output(&rb, &e, sizeof(e), 0);",
        "struct event e = {.pid = 1}; bpf_ringbuf_output(&rb, &e, 64, 0);",
        "struct event *e = get(); bpf_ringbuf_output(&rb, (void *)e, len, 0);",
        "struct event e; bpf_perf_event_output(ctx, &rb, 0xffffffffULL, &e, sizeof(e));",
        "struct event *e = f(); bpf_perf_event_output(ctx, &rb, 0, e, (&((struct x *)0)->b));",
        "struct event e[1]; bpf_skb_output(ctx, &rb, 0, e, sizeof(e));",
        "struct event volatile e; bpf_xdp_output(ctx, &rb, 0, &e, sizeof(struct event));",
        "event_t *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);",
        "event_t e = {}; bpf_ringbuf_output(&rb, &e, sizeof(event_t), 0);",
        "again_t *e = get(); bpf_ringbuf_output(&rb, buf, sizeof(*e), 0);",
        "void *p = bpf_ringbuf_reserve(&rb, sizeof(struct event) + len, 0);",
        "void *p = bpf_ringbuf_reserve(&rb, sizeof global, 0);",
        "bpf_ringbuf_output(&rb, buf, sizeof(struct event), 0);",
        "bpf_perf_event_output(ctx, &rb, 0, buf, sizeof(struct event));",
        "bpf_skb_output(ctx, &rb, 0, buf, sizeof(struct event));",
        "bpf_xdp_output(ctx, &rb, 0, buf, sizeof(struct event));",
        "struct other o; bpf_ringbuf_output(&rb, &o, sizeof(struct event), 0);",
        "struct event *e = f(); odd_order(0, len, e);",
        "odd_order(0, sizeof(struct event), buf);",
        "struct event *e = reserve_buf(sizeof(*e));",
        "struct event *e = f(); submit_buf(ctx, e, sizeof(*e));",
        "struct event *e = f(); submit_buf(ctx, e, len);",
        "send(ctx, &global);",
        "bpf_ringbuf_output((void *)&rb, &global, 64, 0);",
    ],
)
def test_the_struct_that_a_call_speaks_of_is_found(body: str) -> None:
    outside = """
struct event { int pid; };
typedef struct event event_t;
typedef event_t again_t;
struct event global;
static void *reserve_buf(unsigned long size) { return bpf_ringbuf_reserve(&rb, size, 0); }
static __attribute__((always_inline)) long submit_buf(void *ctx, void *buf, unsigned size)
{ return bpf_perf_event_output(ctx, &rb, 0, buf, size); }
static long odd_order(int flags, unsigned n, void *d) { return bpf_ringbuf_output(&rb, d, n, 0); }
static void send(void *ctx, struct event *e) { bpf_perf_event_output(ctx, &rb, 0, e, sizeof(*e)); }
"""
    assert used(body, outside=outside) == {"rb": ["struct event"]}


def test_a_nameless_struct_goes_by_its_typedef() -> None:
    outside = "typedef struct { int pid; } __attribute__((packed)) event_t, *event_p;"
    assert used("event_t *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);", outside=outside) == {
        "rb": ["event_t"]
    }


@pytest.mark.parametrize(
    "body",
    [
        "void *e = bpf_ringbuf_reserve(&rb, size, 0);",
        "bpf_ringbuf_output(&rb, buf, len, 0);",
        "bpf_ringbuf_output(&rb, &e->part, sizeof(e->part), 0);",
        "struct event *e = bpf_ringbuf_reserve(&elsewhere, sizeof(*e), 0);",
        "struct event *e = bpf_map_lookup_elem(&rb, &zero);",
        "struct event *e = bpf_ringbuf_reserve(ctx->map, sizeof(*e), 0);",
        "char e[64]; bpf_perf_event_output(ctx, &rb, 0, e, sizeof(e));",
        "int bpf_ringbuf_output;",
        "bpf_ringbuf_output();",
        "__u64 e; bpf_ringbuf_output(&rb, &e, sizeof(e), 0);",
        "event_p e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);",
        "doubled(sizeof(struct event));",
        "declared(sizeof(struct event));",
        "bpf_ringbuf_output(&rb, elsewhere, len, 0);",
    ],
)
def test_a_call_that_says_nothing_of_a_struct_is_passed_over(body: str) -> None:
    outside = """
typedef struct event *event_p;
static int doubled(int n) { return bpf_ringbuf_output(&rb, buf, 2 * n, 0); }
int declared(int n);
static int f(void) { struct event *elsewhere = 0; return 0; }
"""
    assert used(body, outside=outside) == {}


def test_each_buffer_has_its_own_structs_in_the_order_of_the_code() -> None:
    body = """
struct second s; struct first *f;
bpf_perf_event_output(ctx, &pb, 0, &s, sizeof(s));
f = bpf_ringbuf_reserve(&rb, sizeof(*f), 0);
bpf_ringbuf_output(&rb, &s, sizeof(s), 0);
f = bpf_ringbuf_reserve(&rb, sizeof(*f), 0);
"""
    assert used(body) == {"pb": ["struct second"], "rb": ["struct first", "struct second"]}


def test_a_local_variable_hides_a_global_one_of_its_name() -> None:
    assert used(
        "struct event *e = f(); bpf_ringbuf_output(&rb, e, len, 0);", outside="struct other *e;"
    ) == {"rb": ["struct event"]}


def test_of_two_variables_of_one_name_the_nearest_before_the_call_counts() -> None:
    body = """
{ struct first e; bpf_ringbuf_output(&rb, &e, sizeof(e), 0); }
{ struct second e; bpf_ringbuf_output(&pb, &e, sizeof(e), 0); }
"""
    assert used(body) == {"rb": ["struct first"], "pb": ["struct second"]}


def test_a_parameter_of_one_function_is_no_variable_of_another() -> None:
    outside = "static int f(struct event *e) { bpf_ringbuf_output(&rb, e, n, 0); return 0; }"
    assert used("void *e = 0; bpf_ringbuf_output(&pb, e, n, 0);", outside=outside) == {
        "rb": ["struct event"]
    }


HEADER = """
struct config { int a; };
enum kind { A };
typedef struct { int b; } event_t;
struct __attribute__((packed)) wire { int c; };
union either { int d; };
struct declared;
struct config twice(void);
typedef struct config config_t;
struct { int type; } map;
static inline struct config *get(void) { return 0; }
"""


def test_the_structs_of_a_header_are_listed_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    given = tmp_path / "inc" / "tool.h"
    given.write_text(HEADER)
    (tmp_path / "src").mkdir()
    text = f'# 1 "{tmp_path}/src/../inc/tool.h"\n{HEADER}# 1 "{tmp_path}/src/t.c" 2\n'
    found = declarations(text + "struct own { int x; };\n", lambda name: True)
    assert header_types(found, [given]) == ["struct config", "event_t", "struct wire"]
    assert header_types(found, []) == []


@examples(300)
@given(C_LIKE | st.text(max_size=60))
def test_any_text_gives_types_or_none(text: str) -> None:
    for body in (text, f"bpf_ringbuf_output(&rb, {text}", f"static int f(int n) {{ {text}"):
        found = declarations(f'# 1 "x.c"\n{body}\nint g(int n) {{ {body} }}', lambda name: True)
        buffer_types(found, ("rb",))
        header_types(found, [Path("x.c")])
