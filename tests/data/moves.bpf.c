// One program of each kind that can be moved; each reports its number for the watched process.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event { unsigned int which; };

/// @cmdarg {"long": "pid"}
const volatile int watched = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

static int report(unsigned int which)
{
	struct event *e;

	if (watched != bpf_get_current_pid_tgid() >> 32)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->which = which;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getsid")
int on_tracepoint(void *ctx) { return report(1); }

/* in the same section as the one before */
SEC("tracepoint/syscalls/sys_enter_getsid")
int on_second(void *ctx) { return report(2); }

SEC("raw_tp/sched_process_exec")
int on_raw(void *ctx) { return report(3); }

SEC("tp_btf/sched_process_exec")
int on_typed(void *ctx) { return report(4); }

SEC("uprobe/libc.so.6:getsid")
int on_function(void *ctx) { return report(5); }

SEC("uprobe")
int on_nothing(void *ctx) { return report(6); }

SEC("kprobe")
int on_kernel(void *ctx) { return report(7); }

/* reads what system calls of one argument do not have */
SEC("tracepoint/syscalls/sys_enter_mmap")
int on_many(struct trace_event_raw_sys_enter *ctx) { return report(ctx->args[5] ? 8 : 9); }

char LICENSE[] SEC("license") = "GPL";
