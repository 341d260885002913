"""From source to package, with the real compiler."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ebpm.btf.canonical import Extension
from ebpm.btf.elf import read_elf
from ebpm.btf.parse import Btf
from ebpm.btf.types import Function, Struct
from ebpm.build import pack
from ebpm.build.compile import Workbench
from ebpm.build.pack import BuildResult, find_source
from ebpm.errors import (
    BuildFailed,
    EbpmError,
    HeadersMissing,
    InvalidAnnotation,
    InvalidObject,
    TargetNotFound,
)
from ebpm.oci.digest import Digest
from ebpm.oci.platform import Platform
from ebpm.package.describe import describe
from ebpm.package.exports import export_layout
from ebpm.package.model import Package
from tests import sources

pytestmark = pytest.mark.needs("compiler")

HEAD = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
"""
KERNEL = HEAD.replace("<linux/bpf.h>", '"vmlinux.h"')


def program(body: str = "", section: str = "tp/x/y") -> str:
    return f'SEC("{section}") int run(void *ctx) {{ {body} return 0; }}\n'


def buffer(name: str = "rb") -> str:
    return (
        f"struct {{ __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); }} {name} "
        'SEC(".maps");\n'
    )


def send(struct: str, to: str = "rb") -> str:
    return f"{{ {struct} e = {{}}; bpf_ringbuf_output(&{to}, &e, sizeof(e), 0); }}"


numbers = itertools.count()


def build(files: dict[str, str | bytes] | str, *headers: str, **options: Any) -> BuildResult:
    """Build a source, alone or with what it includes, in a folder of its own."""
    place = sources.folder() / f"build{next(numbers)}"
    named = {"tool.bpf.c": files} if isinstance(files, str) else files
    return sources.build(place, named, *headers, **options)  # type: ignore[arg-type]


# --- what comments say ---------------------------------------------------------------------------

EDGES = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/// banner of the file

#define MAP(name, kind, size) struct { \\
	__uint(type, kind); \\
	__uint(max_entries, size); \\
} name SEC(".maps")

/// @sample {"interval": 1000,
///          "type": "log2_hist"}
MAP(hist, BPF_MAP_TYPE_RINGBUF, 4096);

/**
 * Starts by pid.
 *
 * @unit "ns"
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} starts SEC(".maps");

#if 0
/// dead
const volatile int dead;
#endif

/// two \\
    lines
const volatile int first = 1, second = 2;
const char *url = "http://x /* no */ /// no"; /// trailing
/// kept
#ifdef __bpf__
const volatile int kept;
#endif
/// detached
#define X 1
const volatile int detached;
/* as the compiler writes it:
# 1 "nowhere.h" 1
*/
/// caf\xe9
const volatile int latin;

/// removes files
SEC("kprobe/do_unlinkat")
int BPF_KPROBE(do_unlinkat, int dfd, struct filename *name)
{
	struct { int pid; } e = { first + second + kept + detached + latin };
	bpf_printk("%s", url);
	bpf_ringbuf_output(&hist, &e, sizeof(e), 0);
	return 0;
}

/// follows programs
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t pid)
{
	return pid;
}
/// @brief Edges.
/// @version 0.1
char LICENSE[] SEC("license") = "GPL";
"""


@functools.cache
def edges(newline: str = "\n", folder: str = "edges") -> BuildResult:
    text = EDGES.replace("\n", newline).encode("latin-1")
    return build({f"{folder}/edges.bpf.c": text})


def test_every_kind_of_comment_finds_what_it_speaks_of() -> None:
    package = edges().package
    described = {one.name: one.description for _, one in package.variables}
    assert described == {
        "first": "two lines",
        "second": "two lines",
        "url": "trailing",
        "kept": "kept",
        "detached": None,
        "latin": "caf�",
    }
    maps = {one.name: one for one in package.maps}
    sample = maps["hist"].sample
    assert sample is not None
    assert (sample.interval, sample.type) == (1000, "log2_hist")
    assert (maps["starts"].description, maps["starts"].extra) == ("Starts by pid.", {"unit": "ns"})
    assert {one.name: one.description for one in package.programs} == {
        "do_unlinkat": "removes files",
        "on_exec": "follows programs",
    }
    assert (package.documentation.brief, package.version) == ("Edges.", "0.1")


def test_a_source_with_carriage_returns_gives_the_same_package() -> None:
    unix, dos = edges().package, edges("\r\n").package
    assert dos.build is not None
    assert unix.build is not None
    assert dos.build.inputs["edges.bpf.c"] != unix.build.inputs["edges.bpf.c"]
    assert replace(dos, objects=(), build=None) == replace(unix, objects=(), build=None)


def test_a_bad_annotation_is_named_with_its_file_and_line() -> None:
    text = (
        HEAD + "\n/// fine\n/// @cmdarg {\n///   short: 1}\nconst volatile int a;\n" + program("a;")
    )
    with pytest.raises(InvalidAnnotation, match=r"tool\.bpf\.c:7: @cmdarg: not valid JSON"):
        build(text)
    with pytest.raises(InvalidAnnotation, match=r"tool\.bpf\.c: a\.cmdarg is not an object"):
        build(HEAD + "/// @cmdarg 5\nconst volatile int a;\n" + program("a;"))


def test_what_the_object_says_is_not_changed_by_a_comment() -> None:
    text = HEAD + "/// @type char\n/// @value 7\nconst volatile int a;\n"
    text += "/// \\attach called when a process exits\n" + program("a;")
    made = build(text)
    (_, variable), (one,) = made.package.variables[0], made.package.programs
    assert (variable.type, variable.value) == ("int", 7)
    assert one.attach == "tp/x/y"
    assert "tool.bpf.c: warning: @type of a is not taken" in made.warnings
    assert "warning: @attach of run is not taken" in made.warnings


def test_options_of_a_hook_stand_in_a_comment() -> None:
    with pytest.raises(InvalidAnnotation, match=r"@attach: .*'a'"):
        build(HEAD + "/// @attach tp/x/y,a=1\n" + program())
    hook = "perf_event,type=software,config=page-faults,period=1"
    made = build(HEAD + f"/// @attach {hook}\n" + program(section="perf_event"))
    assert made.package.programs[0].attach == hook
    assert not made.warnings


# --- the same bytes ------------------------------------------------------------------------------


LOCAL = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
struct my_inner { __u32 a; union { __u64 wide; char text[12]; }; };
typedef struct my_node { struct my_node *next; const struct task_struct *task; } my_node_t;
typedef struct {
	pid_t pid;
	struct my_inner inner[2];
	my_node_t *head;
	char comm[TASK_COMM_LEN];
	enum pid_type kind;
} event_t;
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } rb SEC(".maps");
SEC("tp/sched/sched_process_exec")
int run(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	event_t *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);
	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	e->pid = BPF_CORE_READ(task, real_parent, tgid);
	bpf_ringbuf_submit(e, 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
""".replace("TASK_COMM_LEN", "16")


@functools.cache
def local(folder: str = "local") -> Package:
    return build({f"{folder}/local.bpf.c": LOCAL}).package


FOLDERS = ["x", "a much longer folder/with spaces", "ünïcode", "equals=sign"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_object_does_not_depend_on_its_folder(folder: str) -> None:
    assert local(folder) == local()


def test_objects_of_each_architecture_do_not_depend_on_their_folder() -> None:
    assert edges("\n", "elsewhere/and deeper").package == edges().package


def test_many_types_of_the_kernel_do_not_depend_on_the_folder() -> None:
    other = build({"some/longer/way/kinds.bpf.c": sources.KINDS})
    assert other.package == sources.built("kinds.bpf.c").package


def test_an_object_holds_no_path_of_the_machine() -> None:
    packages = [local("equals=sign"), edges().package, sources.built("kinds.bpf.c").package]
    objects = [one.data for package in packages for one in package.objects]
    assert len(objects) == 4
    for data in objects:
        for path in (str(sources.folder()), "ebpm-headers", "ebpm-build", "/usr/include", "/tmp"):
            assert path.encode() not in data


def test_an_object_does_not_depend_on_the_folder_one_stands_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The compiler copies lines of files that it finds; relative names it seeks where it runs."""
    files: dict[str, str | bytes] = {
        "tool.bpf.c": HEAD + "#include <code.h>\nint x;\n" + program("return twice(x);"),
        "inc/code.h": "static inline int twice(int n) { return n + n; }\n",
    }
    sources.write(tmp_path, files)
    made = []
    for folder, flag in (
        (tmp_path, "-Iinc"),
        (tmp_path / "inc", "-I."),
        (Path("/"), f"-I{tmp_path}/inc"),
    ):
        monkeypatch.chdir(folder)
        result = pack.build(tmp_path / "tool.bpf.c", compiler=sources.compiler(), cflags=[flag])
        made.append(result.package)
    assert made[0].objects == made[1].objects == made[2].objects
    assert made[0].build is not None
    assert made[2].build is not None
    assert made[0].build.inputs == made[2].build.inputs
    assert b"return twice(x);" in made[0].objects[0].data
    assert b"static inline int twice" in made[0].objects[0].data


def test_code_of_libbpfs_headers_has_its_lines_too() -> None:
    jumps = "struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);"
    jumps += ' __type(key, __u32); __type(value, __u32); } jumps SEC(".maps");\n'
    text = HEAD + jumps + program("bpf_tail_call_static(ctx, &jumps, 0);")
    data = build(text).package.objects[0].data
    assert b"include/bpf/bpf_helpers.h" in data
    assert b"asm volatile(" in data


def test_code_of_the_compilers_own_headers_leaves_no_path() -> None:
    text = HEAD + "#include <linux/swab.h>\nunsigned x;\n" + program("__swahw32s(&x);")
    data = build(text).package.objects[0].data
    resources = sources.compiler().resources
    assert resources is not None
    assert str(resources).encode() not in data
    assert b"compiler/libc/include/any-linux-any/linux/swab.h" in data


def test_a_folder_given_with_a_flag_does_not_reach_the_object(tmp_path: Path) -> None:
    code = "static inline int helper(int *p) { return p ? *p : 0; }\n"
    sources.write(tmp_path, {"include/helper.h": code})
    text = HEAD + '#include "helper.h"\nint x;\n' + program("return helper(&x);")
    for flags in ([f"-I{tmp_path}/include"], ["-isystem", f"{tmp_path}/include"]):
        made = build(text, cflags=flags).package
        assert str(tmp_path).encode() not in made.objects[0].data
        assert b"include0/helper.h" in made.objects[0].data


# --- one object or several -----------------------------------------------------------------------


def test_a_source_that_does_not_ask_for_the_architecture_serves_all() -> None:
    package = build(HEAD + program()).package
    (one,) = package.objects
    assert (one.platform, one.portable) == (None, True)
    (alone,) = build(HEAD + program(), architectures=["arm64"]).package.objects
    assert (alone.platform, alone.portable) == (None, True)


def test_the_other_byte_order_has_an_object_of_its_own() -> None:
    package = build(HEAD + program(), architectures=["amd64", "s390x"]).package
    orders = {one.platform.architecture: one.data[5] for one in package.objects if one.platform}
    assert orders == {"amd64": 1, "s390x": 2}  # ELFDATA2LSB, ELFDATA2MSB


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "#ifdef __TARGET_ARCH_x86\nconst volatile int wide = 1;\n#endif\n" + program(),
        KERNEL
        + '#include <bpf/bpf_tracing.h>\nSEC("kprobe/f") int run(struct pt_regs *ctx)'
        + "{ return PT_REGS_PARM1(ctx); }\n",
    ],
    ids=["ifdef", "registers"],
)
def test_a_source_that_asks_for_the_architecture_gives_an_object_for_each(text: str) -> None:
    package = build(text).package
    assert [str(one.platform) for one in package.objects] == ["linux/amd64", "linux/arm64"]
    assert not any(one.portable for one in package.objects)
    assert package.objects[0].data != package.objects[1].data
    (alone,) = build(text, architectures=["arm64"]).package.objects
    assert alone == package.objects[1]


def test_a_header_that_asks_for_the_architecture_counts_as_the_source() -> None:
    files = {
        "tool.bpf.c": HEAD + '#include "arch.h"\n' + program(),
        "arch.h": "// __TARGET_ARCH_x86\n",
    }
    assert len(build(files).package.objects) == 2  # type: ignore[arg-type]


def test_an_architecture_twice_is_one() -> None:
    text = HEAD + "// __TARGET_ARCH_x86\n" + program()
    package = build(text, architectures=["amd64", "amd64"]).package
    assert [one.platform for one in package.objects] == [Platform("linux", "amd64")]


def test_a_source_for_one_architecture_fails_with_the_way_to_build_for_the_other() -> None:
    text = HEAD + "#ifdef __TARGET_ARCH_arm64\n#error not for arm64\n#endif\n" + program()
    with pytest.raises(BuildFailed, match=r"cannot compile tool\.bpf\.c for arm64") as caught:
        build(text)
    assert "it compiles for amd64: --arch amd64" in caught.value.hint
    assert "not for arm64" in (caught.value.detail or "")
    assert len(build(text, architectures=["amd64"]).package.objects) == 1


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(HeadersMissing, match=r"no vmlinux\.h for sparc64") as caught:
        build(HEAD + program(), architectures=["sparc64"])
    assert "amd64, arm64" in caught.value.hint


def test_a_flag_that_fixes_the_architecture_is_refused_for_a_build_of_several() -> None:
    flags = {"cflags": ["-D__TARGET_ARCH_x86"]}
    with pytest.raises(BuildFailed, match="-D__TARGET_ARCH_x86 is of one architecture") as caught:
        build(HEAD + program(), **flags)
    assert "--arch" in caught.value.hint
    with pytest.raises(BuildFailed, match="is of one architecture"):
        build(HEAD + program(), architectures=["arm64"], **flags)
    (one,) = build(HEAD + program(), architectures=["amd64"], **flags).package.objects
    assert one.platform == Platform("linux", "amd64")


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "detail", "hint"),
    [
        ('#include "nope.h"\n' + HEAD, "'nope.h' file not found", "--cflag=-IFOLDER"),
        ("#include <bpf/vmlinux.h>\n" + HEAD, "'bpf/vmlinux.h' file not found", "--cflag=-IFOLDER"),
        (KERNEL + program("struct no_such x; x.a = 1;"), "incomplete type", "--vmlinux host"),
        (KERNEL + program("gone_t x;"), "gone_t", "--vmlinux host"),
        (KERNEL + "struct task_struct { int a; };\n", "redefinition", "rename your own"),
        (HEAD + "int x\n", "expected ';'", "correct the source where the compiler points"),
    ],
)
def test_errors_show_the_compilers_words_and_a_hint(text: str, detail: str, hint: str) -> None:
    with pytest.raises(BuildFailed, match=r"^cannot compile tool\.bpf\.c$") as caught:
        build(text, architectures=["amd64"])
    assert detail in (caught.value.detail or "")
    assert "tool.bpf.c:" in (caught.value.detail or "")
    assert hint in caught.value.hint


def test_an_error_in_a_folder_with_an_equals_sign_names_that_folder() -> None:
    with pytest.raises(BuildFailed) as caught:
        build({"a=b/tool.bpf.c": "int x\n"}, architectures=["amd64"])
    assert "a=b/tool.bpf.c:1:" in (caught.value.detail or "")


def test_a_plain_error_is_not_one_of_an_architecture() -> None:
    with pytest.raises(BuildFailed) as caught:
        build(HEAD + "int x\n")
    assert "amd64" not in caught.value.message + caught.value.hint


def test_a_source_without_anything_in_it_is_refused() -> None:
    with pytest.raises(InvalidObject, match="no type information") as caught:
        build("")
    assert "defines no program" in caught.value.hint


def test_warnings_are_kept_and_do_not_fail() -> None:
    made = build(HEAD + program("int unused;"))
    assert "warning: unused variable 'unused'" in made.warnings
    assert build(HEAD + program()).warnings == ""


def test_flags_of_ones_own_come_after_ours() -> None:
    made = build(HEAD + program("return VALUE;"), cflags=["-DVALUE=1", "-O1"])
    assert made.package.build is not None
    assert made.package.build.flags[-2:] == ("-DVALUE=1", "-O1")
    with pytest.raises(BuildFailed):
        build(HEAD + program("return VALUE;"))


def test_a_header_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    source = sources.write(tmp_path, {"tool.bpf.c": HEAD})
    with pytest.raises(TargetNotFound, match=r"absent\.h does not exist"):
        pack.build(source, [tmp_path / "absent.h"], compiler=sources.compiler())


# --- export types --------------------------------------------------------------------------------


def exports(package: Package) -> dict[str, list[str]]:
    return {one.name: [member.name for member in one.members] for one in package.exports}


def test_an_event_that_only_the_code_mentions_is_described_and_the_object_stays_clean() -> None:
    package = local()
    (event,) = package.exports
    assert event.name == "event_t"
    assert [(one.name, one.type) for one in event.members] == [
        ("pid", "pid_t"),
        ("inner", "struct my_inner[2]"),
        ("head", "my_node_t *"),
        ("comm", "char[16]"),
        ("kind", "enum pid_type"),
    ]
    facts = describe(package.objects[0].data)
    layout = export_layout(facts, event)
    assert layout is not None
    assert (layout.size, event.size) == (88, 88)
    assert facts.variables == ()
    assert [one.name for one in package.maps] == ["rb"]
    assert b"__ebpm_export" not in package.objects[0].data


def test_line_and_function_information_of_an_object_with_added_types_is_right() -> None:
    elf = read_elf(local().objects[0].data)
    section, extra = elf.section(".BTF"), elf.section(".BTF.ext")
    assert section is not None
    assert extra is not None
    btf, extension = Btf(section.data), Extension("<", extra.data)
    kinds = [btf[extension.word(at)] for at in extension.types]
    assert {one.name for one in kinds if isinstance(one, Function)} == {"run"}
    assert {one.name for one in kinds if isinstance(one, Struct)} == {"task_struct"}
    texts = {btf.string(extension.word(at)) for at in extension.strings}
    assert {"src/local.bpf.c", "tp/sched/sched_process_exec"} <= texts
    assert "	__builtin_memset(e, 0, sizeof(*e));" in texts


@pytest.mark.needs("bpf")
def test_an_object_with_added_types_is_loaded() -> None:
    from ebpm.runtime.libbpf.binding import BpfObject, Libbpf

    opened = BpfObject(Libbpf(), local().objects[0].data, "local_bpf")
    try:
        opened.load()
    finally:
        opened.close()


def test_structs_of_a_header_follow_those_that_the_code_sends() -> None:
    header = """\
struct config { int level; };
struct event {
	int pid; /// process
	char comm[16];
} __attribute__((packed));
typedef struct { long late; } extra_t;
"""
    text = HEAD + '#include "tool.h"\n' + buffer() + program(send("struct event"))
    package = build({"tool.bpf.c": text, "tool.h": header}, "tool.h").package
    assert exports(package) == {"event": ["pid", "comm"], "config": ["level"], "extra_t": ["late"]}
    assert package.exports[0].name == "event"
    assert package.exports[0].members[0].description == "process"
    assert not package.multiple_exports
    without = build({"tool.bpf.c": text, "tool.h": header}).package
    assert list(exports(without)) == ["event"]


def test_a_header_in_another_folder_is_found_by_the_file_it_is() -> None:
    files: dict[str, str | bytes] = {
        "src/tool.bpf.c": HEAD + '#include "../inc/tool.h"\n' + program(),
        "inc/tool.h": "struct event { int pid; ///< process\n};\n",
    }
    made = build(files, "inc/tool.h")
    assert exports(made.package) == {"event": ["pid"]}
    assert made.package.exports[0].members[0].description == "process"
    assert made.warnings == ""


def test_a_header_that_the_source_does_not_include_is_remarked_on() -> None:
    made = build({"tool.bpf.c": HEAD + program(), "tool.h": "struct event { int a; };"}, "tool.h")
    assert exports(made.package) == {}
    assert "tool.bpf.c: warning: it does not include tool.h" in made.warnings


def test_events_sent_by_a_function_of_a_header_are_found() -> None:
    """As bcc's tools do, with compat.bpf.h."""
    compat = buffer("events") + (
        "static inline long submit(void *ctx, void *data, __u64 size)\n"
        "{ return bpf_ringbuf_output(&events, data, size, 0); }\n"
    )
    text = HEAD + '#include "compat.bpf.h"\nstruct event { int pid; };\n'
    text += program("struct event e = {}; submit(ctx, &e, sizeof(e));")
    assert exports(build({"tool.bpf.c": text, "compat.bpf.h": compat}).package) == {
        "event": ["pid"]
    }


def test_each_of_several_buffers_says_what_it_carries() -> None:
    text = HEAD + buffer("opens") + buffer("closes") + buffer("again")
    text += "struct opened { int fd; char name[8]; };\ntypedef struct { long fd; } closed_t;\n"
    text += "// __TARGET_ARCH_x86: so that there are two objects\n"
    body = send("struct opened", "opens") + send("closed_t", "closes")
    package = build(text + program(body + send("struct opened", "again"))).package
    assert package.multiple_exports
    ids = {one.name: one.type_id for one in package.exports}
    carried = {one.name: one.export for one in package.maps if one.export}
    assert carried == {
        "opens": {"btf_type_id": ids["opened"]},
        "closes": {"btf_type_id": ids["closed_t"]},
        "again": {"btf_type_id": ids["opened"]},
    }
    for one in package.objects:
        facts = describe(one.data)
        layouts = {export.name: export_layout(facts, export) for export in package.exports}
        assert {name: layout and layout.size for name, layout in layouts.items()} == {
            "opened": 12,
            "closed_t": 8,
        }


def test_a_struct_inside_a_function_is_left_out_with_a_remark() -> None:
    body = "struct inner { int a; };" + send("struct inner")
    made = build(HEAD + buffer() + program(body))
    assert exports(made.package) == {}
    assert "struct inner has no type information" in made.warnings
    text = HEAD + buffer() + buffer("other") + "struct outer { int b; };\n"
    both = build(text + program(body + send("struct outer", "other")))
    assert exports(both.package) == {"outer": ["b"]}
    assert "struct inner has no type information" in both.warnings


def test_a_package_without_buffers_exports_nothing() -> None:
    package = build(HEAD + program()).package
    assert (package.exports, package.multiple_exports) == ((), False)


# --- metadata ------------------------------------------------------------------------------------


def test_the_inputs_are_recorded_by_their_digests() -> None:
    header = "struct event { int pid; };\n"
    text = KERNEL + '#include "inc/tool.h"\n' + program()
    package = build({"tool.bpf.c": text, "inc/tool.h": header}).package
    assert package.build is not None
    inputs = package.build.inputs
    assert inputs["tool.bpf.c"] == str(Digest.of(text.encode()))
    assert inputs["inc/tool.h"] == str(Digest.of(header.encode()))
    assert {"include/vmlinux.h", "include/bpf/bpf_helpers.h"} <= set(inputs)
    assert not any(name.startswith(("/", "system/")) for name in inputs)
    assert package.build.compiler == sources.compiler().version
    assert package.build.flags == ("-g", "-O2", "-mcpu=v3", "-Wall")


def test_the_version_is_the_tools_own_or_the_one_given() -> None:
    text = HEAD.replace("char LICENSE", "/// @version 1.2\nchar LICENSE")
    assert build(text + program()).package.version == "1.2"
    assert build(text + program(), version="2.0").package.version == "2.0"
    assert build(HEAD + program()).package.version is None


def test_a_source_without_a_license_has_none() -> None:
    text = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n" + program()
    package = build(text).package
    assert package.license is None
    assert package.documentation.brief is None


@pytest.mark.parametrize(
    ("file", "name", "object_name"),
    [
        ("fentry-link.bpf.c", "fentry-link", "fentry_link_bpf"),
        ("my.tool.v1.bpf.c", "my", "my_bpf"),
        ("plain.c", "plain", "plain_bpf"),
        ("with space.bpf.c", "with space", "with_space_bpf"),
        ("é.bpf.c", "é", "___bpf"),
        (b"caf\xe9.bpf.c".decode("utf-8", "surrogateescape"), "caf�", "caf____bpf"),
    ],
)
def test_the_tool_is_named_after_its_file(file: str, name: str, object_name: str) -> None:
    package = build({file: HEAD + program()}).package
    assert (package.name, package.object_name) == (name, object_name)
    assert package.build is not None
    assert any(one.endswith((".bpf.c", "plain.c")) for one in package.build.inputs)
    assert not any("\udce9" in one for one in package.build.inputs)


def test_a_vmlinux_header_of_ones_own_is_used() -> None:
    own = "typedef unsigned int __u32; typedef unsigned long long __u64; struct own { __u32 a; };\n"
    own += "typedef unsigned char __u8; typedef unsigned short __u16; typedef int __s32;\n"
    own += "typedef long long __s64; typedef __u16 __be16; typedef __u32 __be32, __wsum;\n"
    own += "enum { BPF_MAP_TYPE_RINGBUF = 27 };\n"
    text = KERNEL + buffer() + program(send("struct own"))
    beside = build({"tool.bpf.c": text, "vmlinux.h": own}).package
    assert beside.build is not None
    assert "vmlinux.h" in beside.build.inputs
    assert exports(beside) == {"own": ["a"]}
    given = build(text, vmlinux=own.encode()).package
    assert given.build is not None
    assert given.build.inputs["include/vmlinux.h"] == beside.build.inputs["vmlinux.h"]
    assert given.objects == beside.objects


def test_files_beside_the_source_are_its_own_wherever_it_lies() -> None:
    own = ["/usr/src/tool/tool.bpf.c", "/usr/src/tool/inc/a.h", "/home/c.h"]
    with Workbench(Path(own[0]), sources.compiler()) as bench:
        foreign = [f"{bench.headers('amd64').folder}/vmlinux.h", "/usr/include/b.h"]
        foreign.append(f"{sources.compiler().resources}/include/stddef.h")
        text = "".join(f'# 1 "{name}"\n' for name in [*foreign, *own])
        assert [str(path) for path in bench.own_files(text)] == own


def test_a_source_that_names_a_file_that_is_not_there_is_built() -> None:
    package = build(HEAD + '#line 5 "gone.c"\n/// doc\nconst volatile int a;\n' + program()).package
    assert package.build is not None
    assert "gone.c" not in package.build.inputs


# --- sources -------------------------------------------------------------------------------------


def test_a_folder_with_one_source_is_that_source_and_its_header(tmp_path: Path) -> None:
    sources.write(tmp_path, {"tool.bpf.c": HEAD, "tool.h": "", "other.h": "", "tool.c": ""})
    assert find_source(tmp_path) == (tmp_path / "tool.bpf.c", [tmp_path / "tool.h"])
    (tmp_path / "tool.h").unlink()
    assert find_source(tmp_path) == (tmp_path / "tool.bpf.c", [])
    assert find_source(tmp_path / "tool.bpf.c") == (tmp_path / "tool.bpf.c", [])


def test_a_folder_without_a_source_or_with_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetNotFound, match=r"has not one \.bpf\.c file but none"):
        find_source(tmp_path)
    sources.write(tmp_path, {"b.bpf.c": "", "a.bpf.c": ""})
    with pytest.raises(TargetNotFound, match=r"but a\.bpf\.c, b\.bpf\.c") as caught:
        find_source(tmp_path)
    assert caught.value.hint == "name the file itself"
    with pytest.raises(TargetNotFound, match="absent does not exist"):
        find_source(tmp_path / "absent")
    (tmp_path / "README.md").touch()
    with pytest.raises(TargetNotFound, match=r"README\.md is no C source"):
        find_source(tmp_path / "README.md")


def test_whatever_fails_leaves_no_temporary_folder(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for text in (HEAD + program(), "int x\n"):
        try:
            build(text, architectures=["amd64"])
        except EbpmError as error:
            assert isinstance(error, BuildFailed)  # noqa: PT017
    assert list(tmp_path.iterdir()) == []
