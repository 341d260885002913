"""The only C signatures in the code base, transcribed from libbpf.h and bpf.h (libbpf >= 1.0)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p

from ebpm.runtime.libbpf.structs import (
    Btf,
    BtfDump,
    KprobeMultiOptions,
    KprobeOptions,
    KsyscallOptions,
    Link,
    LinkCreateOptions,
    Map,
    Object,
    OpenOptions,
    Program,
    TcHook,
    TcOptions,
    TestRunOptions,
    UprobeMultiOptions,
    UprobeOptions,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

OBJECT, PROGRAM, MAP, LINK = POINTER(Object), POINTER(Program), POINTER(Map), POINTER(Link)
BTF, BTF_DUMP = POINTER(Btf), POINTER(BtfDump)

PrintFunction = ctypes.CFUNCTYPE(c_int, c_int, c_void_p, c_void_p)
"""``int (*libbpf_print_fn_t)(enum libbpf_print_level, const char *, va_list)``; a va_list argument
is a pointer on every architecture that BPF runs on (psABI of x86-64, AArch64, RISC-V, s390x)."""

PROTOTYPES: Final[dict[str, tuple[Any, list[Any]]]] = {  # name: (restype, argtypes)
    # __u32 libbpf_major_version(void), libbpf_minor_version(void)
    "libbpf_major_version": (c_uint32, []),
    "libbpf_minor_version": (c_uint32, []),
    # const char *libbpf_version_string(void)
    "libbpf_version_string": (c_char_p, []),
    # libbpf_print_fn_t libbpf_set_print(libbpf_print_fn_t fn)
    "libbpf_set_print": (c_void_p, [PrintFunction]),
    # int libbpf_strerror(int err, char *buf, size_t size)
    "libbpf_strerror": (c_int, [c_int, c_char_p, c_size_t]),
    # struct bpf_object *bpf_object__open_mem(const void *buf, size_t sz, const struct … *opts)
    "bpf_object__open_mem": (OBJECT, [c_char_p, c_size_t, POINTER(OpenOptions)]),
    # int bpf_object__load(struct bpf_object *obj)
    "bpf_object__load": (c_int, [OBJECT]),
    # void bpf_object__close(struct bpf_object *obj)
    "bpf_object__close": (None, [OBJECT]),
    # struct bpf_program *bpf_object__next_program(const struct bpf_object *, struct bpf_program *)
    "bpf_object__next_program": (PROGRAM, [OBJECT, PROGRAM]),
    # struct bpf_map *bpf_object__next_map(const struct bpf_object *, const struct bpf_map *)
    "bpf_object__next_map": (MAP, [OBJECT, MAP]),
    # struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *, const char *name)
    "bpf_object__find_map_by_name": (MAP, [OBJECT, c_char_p]),
    # const char *bpf_program__name(const struct bpf_program *prog)
    "bpf_program__name": (c_char_p, [PROGRAM]),
    # const char *bpf_program__section_name(const struct bpf_program *prog)
    "bpf_program__section_name": (c_char_p, [PROGRAM]),
    # int bpf_program__fd(const struct bpf_program *prog)
    "bpf_program__fd": (c_int, [PROGRAM]),
    # enum bpf_prog_type bpf_program__type(const struct bpf_program *prog)
    "bpf_program__type": (c_int, [PROGRAM]),
    # enum bpf_attach_type bpf_program__expected_attach_type(const struct bpf_program *prog)
    "bpf_program__expected_attach_type": (c_int, [PROGRAM]),
    # int libbpf_prog_type_by_name(const char *, enum bpf_prog_type *, enum bpf_attach_type *)
    "libbpf_prog_type_by_name": (c_int, [c_char_p, POINTER(c_int), POINTER(c_int)]),
    # struct bpf_link *bpf_program__attach(const struct bpf_program *prog)
    "bpf_program__attach": (LINK, [PROGRAM]),
    # int bpf_program__set_type(struct bpf_program *prog, enum bpf_prog_type type)
    "bpf_program__set_type": (c_int, [PROGRAM, c_int]),
    # int bpf_program__set_expected_attach_type(struct bpf_program *, enum bpf_attach_type type)
    "bpf_program__set_expected_attach_type": (c_int, [PROGRAM, c_int]),
    # int bpf_program__set_flags(struct bpf_program *prog, __u32 flags)
    "bpf_program__set_flags": (c_int, [PROGRAM, c_uint32]),
    # int bpf_program__set_autoload(struct bpf_program *prog, bool autoload)
    "bpf_program__set_autoload": (c_int, [PROGRAM, c_bool]),
    # int bpf_program__set_attach_target(struct bpf_program *, int attach_prog_fd, const char *name)
    "bpf_program__set_attach_target": (c_int, [PROGRAM, c_int, c_char_p]),
    # struct bpf_link *bpf_program__attach_tracepoint(const …, const char *cat, const char *name)
    "bpf_program__attach_tracepoint": (LINK, [PROGRAM, c_char_p, c_char_p]),
    # struct bpf_link *bpf_program__attach_raw_tracepoint(const …, const char *tp_name)
    "bpf_program__attach_raw_tracepoint": (LINK, [PROGRAM, c_char_p]),
    # struct bpf_link *bpf_program__attach_trace(const …), attach_lsm(const …)
    "bpf_program__attach_trace": (LINK, [PROGRAM]),
    "bpf_program__attach_lsm": (LINK, [PROGRAM]),
    # struct bpf_link *bpf_program__attach_iter(const …, const struct bpf_iter_attach_opts *opts)
    "bpf_program__attach_iter": (LINK, [PROGRAM, c_void_p]),
    # struct bpf_link *bpf_program__attach_kprobe_opts(const …, const char *, const struct … *opts)
    "bpf_program__attach_kprobe_opts": (LINK, [PROGRAM, c_char_p, POINTER(KprobeOptions)]),
    # struct bpf_link *bpf_program__attach_ksyscall(const …, const char *, const struct … *opts)
    "bpf_program__attach_ksyscall": (LINK, [PROGRAM, c_char_p, POINTER(KsyscallOptions)]),
    # struct bpf_link *bpf_program__attach_kprobe_multi_opts(const …, const char *pattern, const …)
    "bpf_program__attach_kprobe_multi_opts": (
        LINK,
        [PROGRAM, c_char_p, POINTER(KprobeMultiOptions)],
    ),
    # struct bpf_link *bpf_program__attach_uprobe_opts(const …, pid_t, const char *path, size_t, …)
    "bpf_program__attach_uprobe_opts": (
        LINK,
        [PROGRAM, c_int, c_char_p, c_size_t, POINTER(UprobeOptions)],
    ),
    # struct bpf_link *bpf_program__attach_uprobe_multi(const …, pid_t, path, pattern, const …)
    "bpf_program__attach_uprobe_multi": (
        LINK,
        [PROGRAM, c_int, c_char_p, c_char_p, POINTER(UprobeMultiOptions)],
    ),
    # struct bpf_link *bpf_program__attach_usdt(const …, pid_t, path, provider, name, const … *opts)
    "bpf_program__attach_usdt": (
        LINK,
        [PROGRAM, c_int, c_char_p, c_char_p, c_char_p, c_void_p],
    ),
    # struct bpf_link *bpf_program__attach_perf_event(const struct bpf_program *prog, int pfd)
    "bpf_program__attach_perf_event": (LINK, [PROGRAM, c_int]),
    # struct bpf_link *bpf_map__attach_struct_ops(const struct bpf_map *map)
    "bpf_map__attach_struct_ops": (LINK, [MAP]),
    # int bpf_link__fd(const struct bpf_link *link)
    "bpf_link__fd": (c_int, [LINK]),
    # int bpf_iter_create(int link_fd)
    "bpf_iter_create": (c_int, [c_int]),
    # int bpf_prog_attach(int prog_fd, int attachable_fd, enum bpf_attach_type, unsigned int flags)
    "bpf_prog_attach": (c_int, [c_int, c_int, c_int, c_uint32]),
    # int bpf_prog_detach2(int prog_fd, int attachable_fd, enum bpf_attach_type type)
    "bpf_prog_detach2": (c_int, [c_int, c_int, c_int]),
    # int bpf_prog_get_fd_by_id(__u32 id)
    "bpf_prog_get_fd_by_id": (c_int, [c_uint32]),
    # int bpf_obj_get(const char *pathname)
    "bpf_obj_get": (c_int, [c_char_p]),
    # int bpf_prog_test_run_opts(int prog_fd, struct bpf_test_run_opts *opts)
    "bpf_prog_test_run_opts": (c_int, [c_int, POINTER(TestRunOptions)]),
    # int bpf_link__destroy(struct bpf_link *link)
    "bpf_link__destroy": (c_int, [LINK]),
    # const char *bpf_map__name(const struct bpf_map *map)
    "bpf_map__name": (c_char_p, [MAP]),
    # int bpf_map__fd(const struct bpf_map *map)
    "bpf_map__fd": (c_int, [MAP]),
    # enum bpf_map_type bpf_map__type(const struct bpf_map *map)
    "bpf_map__type": (c_int, [MAP]),
    # __u32 bpf_map__map_flags(const struct bpf_map *map)
    "bpf_map__map_flags": (c_uint32, [MAP]),
    # __u32 bpf_map__max_entries(const struct bpf_map *map)
    "bpf_map__max_entries": (c_uint32, [MAP]),
    # __u32 bpf_map__key_size(const struct bpf_map *map)
    "bpf_map__key_size": (c_uint32, [MAP]),
    # __u32 bpf_map__value_size(const struct bpf_map *map)
    "bpf_map__value_size": (c_uint32, [MAP]),
    # int bpf_map__set_max_entries(struct bpf_map *map, __u32 max_entries)
    "bpf_map__set_max_entries": (c_int, [MAP, c_uint32]),
    # const void *bpf_map__initial_value(struct bpf_map *map, size_t *psize)
    "bpf_map__initial_value": (c_void_p, [MAP, POINTER(c_size_t)]),
    # int bpf_map__set_pin_path(struct bpf_map *map, const char *path)
    "bpf_map__set_pin_path": (c_int, [MAP, c_char_p]),
    # int bpf_map_lookup_elem(int fd, const void *key, void *value)
    "bpf_map_lookup_elem": (c_int, [c_int, c_void_p, c_void_p]),
    # int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
    "bpf_map_update_elem": (c_int, [c_int, c_void_p, c_void_p, c_uint64]),
    # int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)
    "bpf_map_lookup_and_delete_elem": (c_int, [c_int, c_void_p, c_void_p]),
    # int bpf_map_delete_elem(int fd, const void *key)
    "bpf_map_delete_elem": (c_int, [c_int, c_void_p]),
    # int bpf_map_get_next_key(int fd, const void *key, void *next_key)
    "bpf_map_get_next_key": (c_int, [c_int, c_void_p, c_void_p]),
    # int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values,
    #                          __u32 *count, const struct bpf_map_batch_opts *opts)
    "bpf_map_lookup_batch": (c_int, [c_int, *[c_void_p] * 4, POINTER(c_uint32), c_void_p]),
    # int bpf_map_lookup_and_delete_batch(…), of the same arguments
    "bpf_map_lookup_and_delete_batch": (
        c_int,
        [c_int, *[c_void_p] * 4, POINTER(c_uint32), c_void_p],
    ),
    # int bpf_link_create(int prog_fd, int target_fd, enum bpf_attach_type, const struct … *opts)
    "bpf_link_create": (c_int, [c_int, c_int, c_int, POINTER(LinkCreateOptions)]),
    # int bpf_xdp_attach(int ifindex, int prog_fd, __u32 flags, const struct … *opts)
    "bpf_xdp_attach": (c_int, [c_int, c_int, c_uint32, c_void_p]),
    # int bpf_xdp_detach(int ifindex, __u32 flags, const struct bpf_xdp_attach_opts *opts)
    "bpf_xdp_detach": (c_int, [c_int, c_uint32, c_void_p]),
    # int bpf_tc_hook_create(struct bpf_tc_hook *hook), bpf_tc_hook_destroy(…)
    "bpf_tc_hook_create": (c_int, [POINTER(TcHook)]),
    "bpf_tc_hook_destroy": (c_int, [POINTER(TcHook)]),
    # int bpf_tc_attach(const struct bpf_tc_hook *hook, struct bpf_tc_opts *opts)
    "bpf_tc_attach": (c_int, [POINTER(TcHook), POINTER(TcOptions)]),
    # int bpf_tc_detach(const struct bpf_tc_hook *hook, const struct bpf_tc_opts *opts)
    "bpf_tc_detach": (c_int, [POINTER(TcHook), POINTER(TcOptions)]),
    # struct btf *btf__parse(const char *path, struct btf_ext **btf_ext)
    "btf__parse": (BTF, [c_char_p, c_void_p]),
    # __u32 btf__type_cnt(const struct btf *btf)
    "btf__type_cnt": (c_uint32, [BTF]),
    # void btf__free(struct btf *btf)
    "btf__free": (None, [BTF]),
    # struct btf_dump *btf_dump__new(const struct btf *, btf_dump_printf_fn_t, void *, const … *)
    "btf_dump__new": (BTF_DUMP, [BTF, c_void_p, c_void_p, c_void_p]),
    # int btf_dump__dump_type(struct btf_dump *d, __u32 id)
    "btf_dump__dump_type": (c_int, [BTF_DUMP, c_uint32]),
    # void btf_dump__free(struct btf_dump *d)
    "btf_dump__free": (None, [BTF_DUMP]),
    # int libbpf_num_possible_cpus(void)
    "libbpf_num_possible_cpus": (c_int, []),
}
