"""Programs that go elsewhere than their section says.

libbpf decides by the section's name: when it opens the object, and again in its own
``bpf_program__attach``. It lets one set the type, the attach type and the target before the load,
and has an attach function for each kind; those are used here. The other way, to rename sections in
the object's bytes, would have to take apart sections of several programs, and to rewrite .BTF.ext,
which names sections too; and the bytes that are loaded would not be those that were hashed.

On the path of ``ebpm run``: imports nothing heavy.
"""

from __future__ import annotations

import errno
import os
from ctypes import byref, sizeof

from ebpm.runtime.libbpf.binding import LibbpfError
from ebpm.runtime.libbpf.structs import KprobeMultiOptions, KprobeOptions, KsyscallOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ebpm.runtime.libbpf.binding import Link, Program

_TRACED = ("tp_btf", "fentry", "fexit", "fmod_ret", "freplace")


def retype(
    program: Program, kind: int | None, attach_type: int, flags: int, target: str | None
) -> None:
    """Tell libbpf, before the load, what its section's name does not say of a program.

    Args:
        program: of an open object.
        kind: enum bpf_prog_type; None where the section's kind of hook stays.
        attach_type: enum bpf_attach_type, of another kind.
        flags: BPF_F_SLEEPABLE and the like, of another kind.
        target: the function or tracepoint that the kernel's BTF is searched for.

    Raises:
        LibbpfError: the kernel's BTF has no such target, or cannot be read.
    """
    if kind is not None:
        # libbpf forgets what the section said only when the type changes: first to none.
        for one in (0, kind):
            program.set("bpf_program__set_type", one)
        program.set("bpf_program__set_expected_attach_type", attach_type)
        program.set("bpf_program__set_flags", flags)
    if target is not None:
        program.set("bpf_program__set_attach_target", 0, target.encode())


def attach_to(program: Program, section: str) -> Link:
    """Attach a loaded program to what a section's name says, not necessarily its own.

    Those that take options (uprobes, USDT, tc, xdp, …) are not attached by their sections' names.

    Raises:
        LibbpfError: EINVAL where the name is malformed, EOPNOTSUPP where no function of libbpf
            attaches such programs by a name.
    """
    word, _, target = section.removeprefix("?").partition("/")
    word = word.removesuffix(".s")
    name = target.encode()
    if word in ("tracepoint", "tp"):
        category, _, event = target.partition("/")
        arguments = (category.encode(), event.encode())
        return program.link("bpf_program__attach_tracepoint", *arguments)
    if word.removesuffix(".w") in ("raw_tracepoint", "raw_tp"):
        return program.link("bpf_program__attach_raw_tracepoint", name)
    if word in _TRACED:
        return program.link("bpf_program__attach_trace")
    if word == "lsm":
        return program.link("bpf_program__attach_lsm")
    if word in ("kprobe", "kretprobe"):
        return _attach_kprobe(program, target, word == "kretprobe")
    if word in ("ksyscall", "kretsyscall"):
        call = KsyscallOptions(sz=sizeof(KsyscallOptions), retprobe=word == "kretsyscall")
        return program.link("bpf_program__attach_ksyscall", name, byref(call))
    if word in ("kprobe.multi", "kretprobe.multi", "kprobe.session"):
        many = KprobeMultiOptions(sz=sizeof(KprobeMultiOptions))
        many.retprobe, many.session = word == "kretprobe.multi", word == "kprobe.session"
        return program.link("bpf_program__attach_kprobe_multi_opts", name, byref(many))
    raise LibbpfError(errno.EOPNOTSUPP, "bpf_program__attach", os.strerror(errno.EOPNOTSUPP))


def _attach_kprobe(program: Program, target: str, returns: bool) -> Link:
    function, offset = _with_offset(target)
    options = KprobeOptions(sz=sizeof(KprobeOptions), offset=offset, retprobe=returns)
    return program.link("bpf_program__attach_kprobe_opts", function.encode(), byref(options))


def _with_offset(text: str) -> tuple[str, int]:
    """Take ``function+0x10`` apart."""
    name, plus, offset = text.rpartition("+")
    try:
        return (name, int(offset, 0)) if plus else (text, 0)
    except ValueError:
        return text, 0  # a name of C++
