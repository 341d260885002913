"""The formats that an object prints by, read from its code."""

from __future__ import annotations

import pytest

from ebpm.api import Workspace
from ebpm.package.describe import describe
from ebpm.package.printk import printed_formats
from tests.conftest import ROOT

pytestmark = pytest.mark.needs("compiler")


def formats(source: str) -> list[str] | None:
    package = Workspace().build(source, architectures=["amd64"]).package
    return printed_formats(describe(package.objects[0].data))


def test_formats_are_found_in_sections_and_on_the_stack() -> None:
    assert formats(str(ROOT / "tests/data/prints.bpf.c")) == [
        "getpgid(%d) by %s",
        "four: %d %u %x %llx",
        "on the stack: %d",
    ]


def test_a_program_that_does_not_print_has_none() -> None:
    assert formats(str(ROOT / "tests/data/streams.bpf.c")) == []


def test_a_format_that_is_computed_is_not_known(tmp_path) -> None:
    (tmp_path / "computed.bpf.c").write_text(
        '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'
        'char form[32] = "a %d"; int length = 5;\n'
        'SEC("tracepoint/syscalls/sys_enter_getpgid") int f(void *ctx)\n'
        "{ char text[32]; bpf_probe_read_kernel(text, sizeof(text), form);\n"
        "  bpf_trace_printk(text, length & 31, 1); return 0; }\n"
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    assert formats(str(tmp_path / "computed.bpf.c")) is None
