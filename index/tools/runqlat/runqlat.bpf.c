// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How long tasks wait for a CPU: from being runnable (woken, or switched out while still running)
// to being switched in.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/task.h>
#include "runqlat.h"

#define MAX_ENTRIES 10240

/// @description A histogram for each process
/// @cmdarg {"short": "P"}
const volatile bool targ_per_process = false;
/// @description A histogram for each thread
/// @cmdarg {"short": "L"}
const volatile bool targ_per_thread = false;
/// @description A histogram for each PID namespace
const volatile bool targ_per_pidns = false;
/// @description Count milliseconds instead of microseconds
/// @cmdarg {"short": "m"}
const volatile bool targ_ms = false;
/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int targ_tgid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} runnable SEC(".maps");

/// @sample {"interval": 1000, "type": "log2_hist", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, __u32);
	__type(value, struct hist);
} hists SEC(".maps");

static struct hist zero;

static void enqueued(struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, pid);
	__u64 now = bpf_ktime_get_ns();

	if (!pid || (targ_tgid && BPF_CORE_READ(task, tgid) != targ_tgid) ||
	    !task_in_cgroup(task, &cgroup))
		return;
	bpf_map_update_elem(&runnable, &pid, &now, BPF_ANY);
}

SEC("raw_tp/sched_wakeup")
int BPF_PROG(handle_sched_wakeup, struct task_struct *task)
{
	enqueued(task);
	return 0;
}

SEC("raw_tp/sched_wakeup_new")
int BPF_PROG(handle_sched_wakeup_new, struct task_struct *task)
{
	enqueued(task);
	return 0;
}

SEC("raw_tp/sched_switch")
int BPF_PROG(handle_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 pid = BPF_CORE_READ(next, pid), key = -1;
	__u64 *since;
	struct hist *hist;
	__u64 waited;

	if (task_state(prev) == TASK_RUNNING)
		enqueued(prev);
	since = bpf_map_lookup_elem(&runnable, &pid);
	if (!since)
		return 0;
	waited = bpf_ktime_get_ns();
	waited = waited > *since ? waited - *since : 0; /* the clocks of two CPUs */
	bpf_map_delete_elem(&runnable, &pid);
	if (targ_per_process)
		key = BPF_CORE_READ(next, tgid);
	else if (targ_per_thread)
		key = pid;
	else if (targ_per_pidns)
		key = task_pid_namespace(next);
	hist = lookup_or_init(&hists, &key, &zero);
	if (!hist)
		return 0;
	if (!hist->comm[0])
		BPF_CORE_READ_STR_INTO(&hist->comm, next, comm);
	waited /= targ_ms ? 1000000U : 1000U;
	__atomic_fetch_add(&hist->slots[hist_slot(waited)], 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show how long tasks wait for a CPU, as a histogram.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
