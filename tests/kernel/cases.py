"""What the kernels are asked: one small tool for each kind of hook.

Every tool reports through a ring buffer, unless its case says otherwise. Read on the host, which
compiles them, and in the guest (guest.py), which has nothing but Python and ebpm's run path:
imports nothing of ours.
"""

from __future__ import annotations

COMMON = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/usdt.bpf.h>

struct event { __u32 value; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); } events SEC(".maps");
const volatile __u32 watched = 0;

static __always_inline int mine(void)
{
	return watched == bpf_get_current_pid_tgid() >> 32;
}

static __always_inline int report(__u32 value)
{
	struct event event = {.value = value};
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
"""

CONGESTION = r"""
SEC("struct_ops/init") void BPF_PROG(cc_init, struct sock *sk) { report(1); }
SEC("struct_ops/ssthresh") __u32 BPF_PROG(cc_ssthresh, struct sock *sk) { return 10; }
SEC("struct_ops/undo") __u32 BPF_PROG(cc_undo, struct sock *sk) { return 10; }
SEC("struct_ops/avoid") void BPF_PROG(cc_avoid, struct sock *sk, __u32 ack, __u32 acked) {}
SEC("%s") struct tcp_congestion_ops cc = {
	.init = (void *)cc_init, .ssthresh = (void *)cc_ssthresh, .undo_cwnd = (void *)cc_undo,
	.cong_avoid = (void *)cc_avoid, .name = "bpf_ebpm",
};
"""


class Case:
    """One kind of hook.

    Args:
        name: as the table of docs/compatibility.md calls it.
        code: C, after COMMON; the program under test is ``p``.
        scene: the function of guest.py that sets it up and makes it fire.
        attach: a hook for the program, as --attach takes it.
        since: the Linux that it came with, where that is later than 5.10.
        arm64: the same on arm64, where it came later.
        option: of the kernel's configuration, which may be missing whatever the version.
        alone: it has an object of its own; the others share one, of which each loads its program.
    """

    def __init__(
        self,
        name: str,
        code: str,
        scene: str,
        attach: str = "",
        *,
        since: str = "5.10",
        arm64: str = "",
        option: str = "",
        alone: bool = False,
    ) -> None:
        self.name = name
        self.code = code
        self.scene = scene
        self.attach = attach
        self.since = since
        self.arm64 = arm64 or since
        self.option = option
        self.alone = alone

    @property
    def file(self) -> str:
        """A file's name for it."""
        return self.name.replace("/", "-").replace(" ", "-")


def _program(section: str, body: str = "return mine() ? report(1) : 0;") -> str:
    return f'SEC("{section}") int p(void *ctx) {{ {body} }}\n'


def _always(section: str, result: int = 0, context: str = "void") -> str:
    return f'SEC("{section}") int p({context} *ctx) {{ report(1); return {result}; }}\n'


_SYSCALL_ARGUMENTS = "struct pt_regs *regs, long id"
_FILE_OPEN = "struct file *file"
CASES = (
    # --- tracing
    Case("tracepoint", _program("tp/syscalls/sys_enter_getppid"), "getppid"),
    Case("raw_tp", _program("raw_tp/sys_enter"), "getppid"),
    Case("raw_tp.w", _program("raw_tp.w/sys_enter"), "getppid"),
    Case(
        "tp_btf",
        f'SEC("tp_btf/sys_enter") int BPF_PROG(p, {_SYSCALL_ARGUMENTS}) '
        "{ return mine() ? report(1) : 0; }",
        "getppid",
    ),
    Case("kprobe", _program("kprobe/do_sys_openat2"), "opens"),
    Case("kretprobe", _program("kretprobe/do_sys_openat2"), "opens"),
    Case("ksyscall", _program("ksyscall/getppid"), "getppid"),
    Case(
        "kprobe.multi",
        _program("kprobe.multi/do_sys_openat*"),
        "opens",
        since="5.18",
        arm64="6.14",
        option="CONFIG_FPROBE",
    ),
    Case(
        "kprobe.session",
        _program("kprobe.session/do_sys_openat*"),
        "opens",
        since="6.10",
        arm64="6.14",
        option="CONFIG_FPROBE",
    ),
    Case("fentry", _program("fentry/do_sys_openat2"), "opens", arm64="6.4"),
    Case("fexit", _program("fexit/do_sys_openat2"), "opens", arm64="6.4"),
    Case(
        "fmod_ret",
        f'SEC("fmod_ret/security_file_open") int BPF_PROG(p, {_FILE_OPEN}, int ret) '
        "{ if (mine()) report(1); return ret; }",
        "opens",
        arm64="6.4",
    ),
    Case("lsm", _program("lsm/file_open"), "opens", arm64="6.4"),
    Case("lsm.s", _program("lsm.s/file_open"), "opens", since="5.11", arm64="6.4"),
    Case("lsm that is not active", _program("lsm/file_open"), "no_lsm"),
    Case("uprobe", _program("uprobe/libc.so.6:getppid"), "getppid"),
    Case("uprobe, binary and pid", _program("uprobe"), "uprobe_options"),
    Case("uretprobe", _program("uretprobe/libc.so.6:getppid"), "getppid"),
    Case("uprobe.s", _program("uprobe.s/libc.so.6:getppid"), "getppid", since="6.0"),
    Case("uprobe.multi", _program("uprobe.multi/libc.so.6:getpp*"), "getppid", since="6.6"),
    Case(
        "usdt",
        'SEC("usdt") int BPF_USDT(p, long number) { return mine() ? report(number) : 0; }',
        "usdt",
    ),
    Case("perf_event", _program("perf_event"), "spin", "frequency=999"),
    Case(
        "perf_event, software clock",
        _program("perf_event"),
        "spin",
        "type=software,config=cpu-clock,period=1000000",
    ),
    # --- moved: the hook of the section is never triggered
    Case(
        "tracepoint, moved",
        _program("tp/syscalls/sys_enter_nothing"),
        "getppid",
        "tracepoint/syscalls/sys_enter_getppid",
    ),
    Case("tp_btf, moved", _program("tp_btf/no_such_tracepoint"), "getppid", "tp_btf/sys_enter"),
    Case("kprobe, moved", _program("kprobe/no_such_function"), "opens", "kprobe/do_sys_openat2"),
    Case(
        "kprobe, moved to kretprobe",
        _program("kprobe/no_such_function"),
        "opens",
        "kretprobe/do_sys_openat2",
    ),
    Case("kprobe, moved to uprobe", _program("kprobe"), "getppid", "uprobe/libc.so.6:getppid"),
    Case(
        "fentry, moved to fexit",
        _program("fentry/no_such_function"),
        "opens",
        "fexit/do_sys_openat2",
        arm64="6.4",
    ),
    Case("lsm, moved", _program("lsm/no_such_hook"), "opens", "lsm/file_open", arm64="6.4"),
    # --- network interfaces
    Case("xdp", _always("xdp", 2), "veth"),
    Case("xdp, generic", _always("xdp", 2), "veth", "mode=generic"),
    Case("xdp, native", _always("xdp", 2), "veth", "mode=native"),
    Case("xdp.frags", _always("xdp.frags", 2), "veth", since="5.18"),
    Case("tc ingress", _always("tc"), "veth"),
    Case("tc egress", _always("tc"), "veth_egress", "direction=egress"),
    Case("tcx ingress", _always("tcx/ingress"), "veth", since="6.6"),
    Case("tcx egress", _always("tcx/egress"), "veth_egress", since="6.6"),
    Case(
        "netkit",
        _always("netkit/primary"),
        "netkit",
        since="6.7",
        option="CONFIG_NETKIT",
    ),
    Case("netfilter", _always("netfilter", 1), "loopback", "hook=input", since="6.4"),
    Case("lwt_xmit", _always("lwt_xmit"), "lwt", "route=10.8.0.0/16,via=10.9.9.2"),
    Case("flow_dissector", _always("flow_dissector"), "veth_netns"),
    # --- sockets
    Case("socket", _always("socket"), "loopback"),
    Case("socket of a process", _always("socket"), "socket_of"),
    Case("sk_reuseport", _always("sk_reuseport", 1), "reuseport"),
    Case("sk_lookup", _always("sk_lookup", 1), "netns"),
    Case("sk_msg", _always("sk_msg", 1), "sockmap"),
    Case("sk_skb", _always("sk_skb/stream_verdict", 1), "sockmap"),
    # --- cgroups
    Case("cgroup_skb", _always("cgroup_skb/ingress", 1), "cgroup"),
    Case("cgroup/skb, egress", _always("cgroup/skb", 1), "cgroup", "direction=egress"),
    Case("cgroup/sock_create", _always("cgroup/sock_create", 1), "cgroup"),
    Case("cgroup/connect4", _always("cgroup/connect4", 1), "cgroup"),
    Case("cgroup/bind4", _always("cgroup/bind4", 1), "cgroup"),
    Case("cgroup/sendmsg4", _always("cgroup/sendmsg4", 1), "cgroup"),
    Case("cgroup/connect_unix", _always("cgroup/connect_unix", 1), "cgroup_unix", since="6.7"),
    Case("cgroup/sysctl", _always("cgroup/sysctl", 1), "cgroup"),
    Case("cgroup/setsockopt", _always("cgroup/setsockopt", 1), "cgroup"),
    Case("cgroup/dev", _always("cgroup/dev", 1), "cgroup"),
    Case("sockops", _always("sockops", 1), "cgroup"),
    Case(
        "lsm_cgroup",
        _always("lsm_cgroup/socket_bind", 1),
        "cgroup",
        since="6.0",
        arm64="6.4",
    ),
    # --- programs that wait for nobody
    Case(
        "iter",
        'SEC("iter/task") int p(struct bpf_iter__task *ctx) {\n'
        "	struct task_struct *task = ctx->task;\n"
        "	if (task)\n"
        '		BPF_SEQ_PRINTF(ctx->meta->seq, "%d %s\\n", task->tgid, task->comm);\n'
        "	return 0;\n}\n",
        "iterator",
    ),
    Case(
        "iter, one process",
        'SEC("iter/task") int p(struct bpf_iter__task *ctx) {\n'
        "	struct task_struct *task = ctx->task;\n"
        "	if (task)\n"
        '		BPF_SEQ_PRINTF(ctx->meta->seq, "%d %s\\n", task->tgid, task->comm);\n'
        "	return 0;\n}\n",
        "iterator_of_process",
        since="6.1",
    ),
    Case(
        "iter, one map",
        'SEC("iter/bpf_map_elem") int p(struct bpf_iter__bpf_map_elem *ctx) {\n'
        "	__u32 *key = ctx->key;\n"
        "	if (key)\n"
        '		BPF_SEQ_PRINTF(ctx->meta->seq, "%d\\n", *key);\n'
        "	return 0;\n}\n",
        "iterator_of_map",
        "map=numbers",
    ),
    Case("struct_ops", CONGESTION % ".struct_ops", "congestion", arm64="6.0", alone=True),
    Case("struct_ops.link", CONGESTION % ".struct_ops.link", "congestion", since="6.4", alone=True),
    Case("syscall", _always("syscall", 42), "syscall", since="5.14"),
    Case(
        "freplace",
        _always("freplace/replaceable", 2, "struct xdp_md"),
        "freplace",
        arm64="6.0",
        alone=True,
    ),
    # --- sections of older packages
    Case("socket1", _always("socket1"), "loopback"),
    Case("classifier/ingress", _always("classifier/ingress"), "veth"),
    Case("xdp/my_program", _always("xdp/my_program", 2), "veth"),
    Case("perf_event_1", _program("perf_event_1"), "spin", "frequency=999"),
    # --- and what else a tool may be
    Case(
        "perf buffer",
        "struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);"
        ' __uint(value_size, 4); } buffer SEC(".maps");\n'
        'SEC("tp/syscalls/sys_enter_getppid") int p(void *ctx) {\n'
        "	struct event event = {.value = 1};\n"
        "	if (mine())\n"
        "		bpf_perf_event_output(ctx, &buffer, BPF_F_CURRENT_CPU, &event, sizeof(event));\n"
        "	return 0;\n}\n",
        "getppid",
        alone=True,
    ),
    Case(
        "alternatives",
        "/// @alternative open 1\n"
        'SEC("fentry.s/no_such_function") int first(void *ctx) { return report(10); }\n'
        "/// @alternative open 2\n"
        'SEC("fentry/do_sys_openat2") int second(void *ctx) { return mine() ? report(2) : 0; }\n'
        "/// @alternative open 3\n"
        'SEC("kprobe/do_sys_openat2") int third(void *ctx) { return mine() ? report(3) : 0; }\n',
        "alternatives",
        alone=True,
    ),
    Case("function that is not there", _program("kprobe/do_sys_openatt2"), "no_function"),
)  # fmt: skip
TARGET = r"""
__noinline int replaceable(struct xdp_md *ctx) { volatile int result = 1; return result; }
SEC("xdp") int target(struct xdp_md *ctx) { return replaceable(ctx) ? XDP_PASS : XDP_DROP; }
"""
"""What freplace replaces a function of."""
