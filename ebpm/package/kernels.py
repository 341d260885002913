"""Since which kernel there is what: helpers, types of maps, kinds of sections, features.

One table for all that compare a package with kernels. A version is a pair: (5, 8). Helpers and
types of maps have numbers in the order in which they came, so the tables name them in that order
(``enum bpf_func_id`` and ``enum bpf_map_type`` of include/uapi/linux/bpf.h in each release).
Distributions carry things back: what a table says is true of kernel.org's kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Version: TypeAlias = tuple[int, int]


def _numbered(groups: dict[Version, str]) -> Iterator[tuple[int, tuple[str, Version]]]:
    return enumerate(
        ((name, since) for since, names in groups.items() for name in names.split()), 1
    )


_HELPERS: dict[Version, str] = {
    (3, 19): "map_lookup_elem map_update_elem map_delete_elem",
    (4, 1): (
        "probe_read ktime_get_ns trace_printk get_prandom_u32 get_smp_processor_id "
        "skb_store_bytes l3_csum_replace l4_csum_replace"
    ),
    (4, 2): "tail_call clone_redirect get_current_pid_tgid get_current_uid_gid get_current_comm",
    (4, 3): (
        "get_cgroup_classid skb_vlan_push skb_vlan_pop skb_get_tunnel_key skb_set_tunnel_key "
        "perf_event_read"
    ),
    (4, 4): "redirect get_route_realm perf_event_output",
    (4, 5): "skb_load_bytes",
    (4, 6): "get_stackid csum_diff skb_get_tunnel_opt skb_set_tunnel_opt",
    (4, 8): (
        "skb_change_proto skb_change_type skb_under_cgroup get_hash_recalc get_current_task "
        "probe_write_user"
    ),
    (4, 9): "current_task_under_cgroup skb_change_tail skb_pull_data csum_update set_hash_invalid",
    (4, 10): "get_numa_node_id skb_change_head xdp_adjust_head",
    (4, 11): "probe_read_str",
    (4, 12): "get_socket_cookie get_socket_uid",
    (4, 13): "set_hash setsockopt skb_adjust_room",
    (4, 14): "redirect_map sk_redirect_map sock_map_update",
    (4, 15): "xdp_adjust_meta perf_event_read_value perf_prog_read_value getsockopt",
    (4, 16): "override_return sock_ops_cb_flags_set",
    (4, 17): "msg_redirect_map msg_apply_bytes msg_cork_bytes msg_pull_data bind",
    (4, 18): (
        "xdp_adjust_tail skb_get_xfrm_state get_stack skb_load_bytes_relative fib_lookup "
        "sock_hash_update msg_redirect_hash sk_redirect_hash lwt_push_encap "
        "lwt_seg6_store_bytes lwt_seg6_adjust_srh lwt_seg6_action rc_repeat rc_keydown "
        "skb_cgroup_id get_current_cgroup_id"
    ),
    (4, 19): "get_local_storage sk_select_reuseport skb_ancestor_cgroup_id",
    (4, 20): (
        "sk_lookup_tcp sk_lookup_udp sk_release map_push_elem map_pop_elem map_peek_elem "
        "msg_push_data"
    ),
    (5, 0): "msg_pop_data rc_pointer_rel",
    (5, 1): "spin_lock spin_unlock sk_fullsock tcp_sock skb_ecn_set_ce get_listener_sock",
    (5, 2): (
        "skc_lookup_tcp tcp_check_syncookie sysctl_get_name sysctl_get_current_value "
        "sysctl_get_new_value sysctl_set_new_value strtol strtoul sk_storage_get "
        "sk_storage_delete"
    ),
    (5, 3): "send_signal",
    (5, 4): "tcp_gen_syncookie",
    (5, 5): (
        "skb_output probe_read_user probe_read_kernel probe_read_user_str probe_read_kernel_str"
    ),
    (5, 6): "tcp_send_ack send_signal_thread jiffies64",
    (5, 7): (
        "read_branch_records get_ns_current_pid_tgid xdp_output get_netns_cookie "
        "get_current_ancestor_cgroup_id sk_assign"
    ),
    (5, 8): (
        "ktime_get_boot_ns seq_printf seq_write sk_cgroup_id sk_ancestor_cgroup_id "
        "ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query "
        "csum_level"
    ),
    (5, 9): (
        "skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock "
        "skc_to_udp6_sock get_task_stack"
    ),
    (5, 10): (
        "load_hdr_opt store_hdr_opt reserve_hdr_opt inode_storage_get inode_storage_delete "
        "d_path copy_from_user snprintf_btf seq_printf_btf skb_cgroup_classid redirect_neigh "
        "per_cpu_ptr this_cpu_ptr redirect_peer"
    ),
    (5, 11): (
        "task_storage_get task_storage_delete get_current_task_btf bprm_opts_set "
        "ktime_get_coarse_ns ima_inode_hash sock_from_file"
    ),
    (5, 12): "check_mtu",
    (5, 13): "for_each_map_elem snprintf",
    (5, 14): "sys_bpf btf_find_by_name_kind sys_close",
    (5, 15): (
        "timer_init timer_set_callback timer_start timer_cancel get_func_ip get_attach_cookie "
        "task_pt_regs"
    ),
    (5, 16): "get_branch_snapshot trace_vprintk skc_to_unix_sock kallsyms_lookup_name",
    (5, 17): "find_vma loop strncmp get_func_arg get_func_ret get_func_arg_cnt",
    (5, 18): (
        "get_retval set_retval xdp_get_buff_len xdp_load_bytes xdp_store_bytes "
        "copy_from_user_task skb_set_tstamp ima_file_hash"
    ),
    (5, 19): (
        "kptr_xchg map_lookup_percpu_elem skc_to_mptcp_sock dynptr_from_mem "
        "ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr dynptr_read "
        "dynptr_write dynptr_data"
    ),
    (6, 0): (
        "tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 "
        "tcp_raw_check_syncookie_ipv6"
    ),
    (6, 1): "ktime_get_tai_ns user_ringbuf_drain",
    (6, 2): "cgrp_storage_get cgrp_storage_delete",
}
HELPERS: dict[int, tuple[str, Version]] = dict(_numbered(_HELPERS))
"""Number of a helper: its name without ``bpf_``, and the first kernel that has it."""

_MAP_TYPES: dict[Version, str] = {
    (3, 19): "hash array",
    (4, 2): "prog_array",
    (4, 3): "perf_event_array",
    (4, 6): "percpu_hash percpu_array stack_trace",
    (4, 8): "cgroup_array",
    (4, 10): "lru_hash lru_percpu_hash",
    (4, 11): "lpm_trie",
    (4, 12): "array_of_maps hash_of_maps",
    (4, 14): "devmap sockmap",
    (4, 15): "cpumap",
    (4, 18): "xskmap sockhash",
    (4, 19): "cgroup_storage reuseport_sockarray",
    (4, 20): "percpu_cgroup_storage queue stack",
    (5, 2): "sk_storage",
    (5, 4): "devmap_hash",
    (5, 6): "struct_ops",
    (5, 8): "ringbuf",
    (5, 10): "inode_storage",
    (5, 11): "task_storage",
    (5, 16): "bloom_filter",
    (6, 1): "user_ringbuf",
    (6, 2): "cgrp_storage",
    (6, 9): "arena",
    (6, 19): "insn_array",
}
MAP_TYPES: dict[int, tuple[str, Version]] = dict(_numbered(_MAP_TYPES))
"""``enum bpf_map_type``: its name, and the first kernel that has it."""

SECTIONS: dict[str, Version] = {
    "socket": (3, 19),
    "kprobe": (4, 1),
    "kretprobe": (4, 1),
    "ksyscall": (4, 1),
    "kretsyscall": (4, 1),
    "uprobe": (4, 3),
    "uretprobe": (4, 3),
    "usdt": (4, 20),
    "tc": (4, 1),
    "tc/ingress": (4, 1),
    "tc/egress": (4, 1),
    "classifier": (4, 1),
    "action": (4, 1),
    "tracepoint": (4, 7),
    "tp": (4, 7),
    "xdp": (4, 8),
    "perf_event": (4, 9),
    "cgroup/skb": (4, 10),
    "cgroup_skb/ingress": (4, 10),
    "cgroup_skb/egress": (4, 10),
    "cgroup/sock": (4, 10),
    "cgroup/sock_create": (4, 10),
    "lwt_in": (4, 10),
    "lwt_out": (4, 10),
    "lwt_xmit": (4, 10),
    "sockops": (4, 13),
    "sk_skb": (4, 14),
    "sk_skb/stream_parser": (4, 14),
    "sk_skb/stream_verdict": (4, 14),
    "cgroup/dev": (4, 15),
    "raw_tracepoint": (4, 17),
    "raw_tp": (4, 17),
    "sk_msg": (4, 17),
    "cgroup/bind4": (4, 17),
    "cgroup/bind6": (4, 17),
    "cgroup/connect4": (4, 17),
    "cgroup/connect6": (4, 17),
    "cgroup/post_bind4": (4, 17),
    "cgroup/post_bind6": (4, 17),
    "cgroup/sendmsg4": (4, 18),
    "cgroup/sendmsg6": (4, 18),
    "lirc_mode2": (4, 18),
    "lwt_seg6local": (4, 18),
    "sk_reuseport": (4, 19),
    "flow_dissector": (4, 20),
    "cgroup/recvmsg4": (5, 2),
    "cgroup/recvmsg6": (5, 2),
    "cgroup/sysctl": (5, 2),
    "raw_tracepoint.w": (5, 2),
    "raw_tp.w": (5, 2),
    "cgroup/getsockopt": (5, 3),
    "cgroup/setsockopt": (5, 3),
    "tp_btf": (5, 5),
    "fentry": (5, 5),
    "fexit": (5, 5),
    "freplace": (5, 6),
    "struct_ops": (5, 6),
    "fmod_ret": (5, 7),
    "lsm": (5, 7),
    "iter": (5, 8),
    "xdp/devmap": (5, 8),
    "cgroup/getpeername4": (5, 8),
    "cgroup/getpeername6": (5, 8),
    "cgroup/getsockname4": (5, 8),
    "cgroup/getsockname6": (5, 8),
    "xdp/cpumap": (5, 9),
    "sk_lookup": (5, 9),
    "cgroup/sock_release": (5, 9),
    "sk_skb/verdict": (5, 13),
    "syscall": (5, 14),
    "sk_reuseport/migrate": (5, 14),
    "kprobe.multi": (5, 18),
    "kretprobe.multi": (5, 18),
    "lsm_cgroup": (6, 0),
    "netfilter": (6, 4),
    "tcx/ingress": (6, 6),
    "tcx/egress": (6, 6),
    "uprobe.multi": (6, 6),
    "uretprobe.multi": (6, 6),
    "netkit/primary": (6, 7),
    "netkit/peer": (6, 7),
    "cgroup/connect_unix": (6, 7),
    "cgroup/sendmsg_unix": (6, 7),
    "cgroup/recvmsg_unix": (6, 7),
    "cgroup/getpeername_unix": (6, 7),
    "cgroup/getsockname_unix": (6, 7),
    "kprobe.session": (6, 10),
    "uprobe.session": (6, 13),
}
"""The word of a section (:mod:`ebpm.package.sections`), and the first kernel that attaches it.

Plain ``usdt`` counts from the reference counters of uprobes; the cookie that libbpf prefers came
with 5.15.
"""

SLEEPABLE: Version = (5, 10)  # sections that end in .s; sleepable uprobes came with 6.0
SLEEPABLE_UPROBE: Version = (6, 0)
XDP_FRAGS: Version = (5, 18)
GLOBAL_DATA: Version = (5, 2)  # .rodata, .data, .bss as maps
BTF_VMLINUX: Version = (5, 4)  # /sys/kernel/btf/vmlinux
SUBPROGRAMS: Version = (4, 16)  # calls from one function of BPF to another
BOUNDED_LOOPS: Version = (5, 3)
ATOMIC_FETCH: Version = (5, 12)  # atomic operations that give a value: exchange, fetch and add
JUMP32: Version = (5, 1)  # BPF_JMP32, which compilers use from -mcpu=v3 on
KFUNCS: Version = (5, 13)  # functions of the kernel called by name
CALLBACKS: Version = (5, 13)  # functions of BPF given to helpers
