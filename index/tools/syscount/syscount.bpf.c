// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How often system calls are made, and how long they take, by call or by process.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/number.h>
#include "syscount.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Count by process and not by system call
/// @cmdarg {"short": "P"}
const volatile bool process = false;
/// @description Count only calls that failed
/// @cmdarg {"short": "x"}
const volatile bool failures = false;
/// @description Count only calls that failed with this error; 0 counts all
/// @cmdarg {"short": "e"}
const volatile ebpm_errno error = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} entered SEC(".maps");

/// @sample {"interval": 1000, "clear_map": true, "sort": "count", "limit": 10,
///          "cmdarg": {"sort": {}, "limit": {"short": "T", "long": "top"}}}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct call);
	__type(value, struct calls);
} counts SEC(".maps");

static struct calls zero;

SEC("tracepoint/raw_syscalls/sys_enter")
int syscall_entered(struct trace_event_raw_sys_enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	__u32 tid = id;

	if ((!pid || id >> 32 == pid) && in_cgroup(&cgroup))
		bpf_map_update_elem(&entered, &tid, &now, BPF_ANY);
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_exit")
int syscall_left(struct trace_event_raw_sys_exit *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), *since, took;
	struct call key = {.syscall = -1};
	struct calls *calls;
	__u32 tid = id;

	since = bpf_map_lookup_elem(&entered, &tid);
	if (!since)
		return 0;
	took = bpf_ktime_get_ns() - *since;
	bpf_map_delete_elem(&entered, &tid);
	if ((failures && ctx->ret >= 0) || (error && ctx->ret != -error))
		return 0;
	if (process) {
		key.pid = id >> 32;
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	} else {
		key.syscall = ctx->id;
	}
	calls = lookup_or_init(&counts, &key, &zero);
	if (!calls)
		return 0;
	__atomic_fetch_add(&calls->count, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&calls->total_ns, took, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Count system calls, and the time that they take.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
