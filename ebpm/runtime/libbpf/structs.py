"""C structures that libbpf's functions take, and its opaque handles.

Transcribed from libbpf 1.0's libbpf.h and bpf.h; ``sz`` first makes them work with later versions.
"""

from __future__ import annotations

import ctypes


class Object(ctypes.Structure):
    """Opaque ``struct bpf_object``: its own type, so that handles cannot be swapped."""


class Program(ctypes.Structure):
    """Opaque ``struct bpf_program``."""


class Map(ctypes.Structure):
    """Opaque ``struct bpf_map``."""


class Link(ctypes.Structure):
    """Opaque ``struct bpf_link``."""


class Btf(ctypes.Structure):
    """Opaque ``struct btf``."""


class BtfDump(ctypes.Structure):
    """Opaque ``struct btf_dump``."""


class OpenOptions(ctypes.Structure):
    """``struct bpf_object_open_opts``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
        ("_attach_prog_fd", ctypes.c_uint32),
        ("kconfig", ctypes.c_char_p),
        ("btf_custom_path", ctypes.c_char_p),
    )


class LinkCreateOptions(ctypes.Structure):
    """``struct bpf_link_create_opts`` as far as its first members."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("iter_info", ctypes.c_void_p),
        ("iter_info_len", ctypes.c_uint32),
        ("target_btf_id", ctypes.c_uint32),
    )


class NetfilterLinkOptions(ctypes.Structure):
    """``struct bpf_link_create_opts`` with what a link to netfilter needs (libbpf 1.3)."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("iter_info", ctypes.c_void_p),
        ("iter_info_len", ctypes.c_uint32),
        ("target_btf_id", ctypes.c_uint32),
        ("pf", ctypes.c_uint32),
        ("hook", ctypes.c_uint32),
        ("priority", ctypes.c_int32),
        ("netfilter_flags", ctypes.c_uint32),
    )


class KprobeOptions(ctypes.Structure):
    """``struct bpf_kprobe_opts``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("bpf_cookie", ctypes.c_uint64),
        ("offset", ctypes.c_size_t),
        ("retprobe", ctypes.c_bool),
        ("attach_mode", ctypes.c_int),
    )


class KsyscallOptions(ctypes.Structure):
    """``struct bpf_ksyscall_opts``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("bpf_cookie", ctypes.c_uint64),
        ("retprobe", ctypes.c_bool),
    )


class UprobeOptions(ctypes.Structure):
    """``struct bpf_uprobe_opts``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("ref_ctr_offset", ctypes.c_size_t),
        ("bpf_cookie", ctypes.c_uint64),
        ("retprobe", ctypes.c_bool),
        ("func_name", ctypes.c_char_p),
        ("attach_mode", ctypes.c_int),
        ("_rest", ctypes.c_int),
    )


class KprobeMultiOptions(ctypes.Structure):
    """``struct bpf_kprobe_multi_opts``: of libbpf 1.0 all but ``session``, which came with 1.5."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("syms", ctypes.c_void_p),
        ("addrs", ctypes.c_void_p),
        ("cookies", ctypes.c_void_p),
        ("cnt", ctypes.c_size_t),
        ("retprobe", ctypes.c_bool),
        ("session", ctypes.c_bool),
    )


class UprobeMultiOptions(ctypes.Structure):
    """``struct bpf_uprobe_multi_opts`` of libbpf 1.3."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("syms", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("ref_ctr_offsets", ctypes.c_void_p),
        ("cookies", ctypes.c_void_p),
        ("cnt", ctypes.c_size_t),
        ("retprobe", ctypes.c_bool),
    )


class TaskIteratorInfo(ctypes.Structure):
    """``union bpf_iter_link_info`` (include/uapi/linux/bpf.h) for tasks; ``tid`` is ``map_fd``."""

    _fields_ = (
        ("tid", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("pid_fd", ctypes.c_uint32),
        ("_rest", ctypes.c_uint32),
    )


class IteratorOptions(ctypes.Structure):
    """``struct bpf_iter_attach_opts``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("link_info", ctypes.POINTER(TaskIteratorInfo)),
        ("link_info_len", ctypes.c_uint32),
    )


class TestRunOptions(ctypes.Structure):
    """``struct bpf_test_run_opts``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
    )


class TcHook(ctypes.Structure):
    """``struct bpf_tc_hook``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("ifindex", ctypes.c_int),
        ("attach_point", ctypes.c_int),
        ("parent", ctypes.c_uint32),
    )


class TcOptions(ctypes.Structure):
    """``struct bpf_tc_opts``."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("prog_fd", ctypes.c_int),
        ("flags", ctypes.c_uint32),
        ("prog_id", ctypes.c_uint32),
        ("handle", ctypes.c_uint32),
        ("priority", ctypes.c_uint32),
    )


class PerfEventAttr(ctypes.Structure):
    """``struct perf_event_attr`` up to PERF_ATTR_SIZE_VER5 (include/uapi/linux/perf_event.h)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),  # or sample_freq
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),  # the bitfield: disabled, inherit, …, watermark is bit 14
        ("wakeup", ctypes.c_uint32),  # wakeup_events or wakeup_watermark
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
        ("branch_sample_type", ctypes.c_uint64),
        ("sample_regs_user", ctypes.c_uint64),
        ("sample_stack_user", ctypes.c_uint32),
        ("clockid", ctypes.c_int32),
        ("sample_regs_intr", ctypes.c_uint64),
        ("aux_watermark", ctypes.c_uint32),
        ("sample_max_stack", ctypes.c_uint16),
        ("_reserved_2", ctypes.c_uint16),
    )
