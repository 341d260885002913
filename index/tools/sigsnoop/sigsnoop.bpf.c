// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Signals as they are sent: the arguments at the entry of kill(2), tkill(2) and tgkill(2) wait for
// the result at their exit.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/number.h>
#include "sigsnoop.h"

#define MAX_PENDING 10240

/// @description Process ID of the sender to trace; 0 traces all
/// @cmdarg {"short": "p", "long": "filtered_pid"}
const volatile int filtered_pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Signal to trace; 0 traces all
/// @cmdarg {"short": "s"}
const volatile ebpm_signal target_signal = 0;
/// @description Trace only system calls that failed
/// @cmdarg {"short": "x"}
const volatile bool failed_only = false;

/// @lost
__u64 lost_events = 0;

struct pending {
	int tpid;
	int sig;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PENDING);
	__type(key, __u32);
	__type(value, struct pending);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static int enter(int tpid, int sig)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct pending call = {.tpid = tpid, .sig = sig};

	if ((filtered_pid && id >> 32 != filtered_pid) || !in_cgroup(&cgroup))
		return 0;
	if (target_signal && sig != target_signal)
		return 0;
	bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

static int leave(long ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct pending *call = bpf_map_lookup_elem(&calls, &tid);
	struct event *event;

	if (!call)
		return 0;
	if (failed_only && ret >= 0)
		goto out;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	event->pid = id >> 32;
	event->tpid = call->tpid;
	event->sig = call->sig;
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_kill")
int kill_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_exit_kill")
int kill_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_tkill")
int tkill_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_exit_tkill")
int tkill_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_tgkill")
int tgkill_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[1], ctx->args[2]);
}

SEC("tracepoint/syscalls/sys_exit_tgkill")
int tgkill_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @brief Trace the signals that processes send, and what came of it.
/// @version 1.0.0
char LICENSE[] SEC("license") = "Dual BSD/GPL";
