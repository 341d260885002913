// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Tasks that waited long for a CPU.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include <ebpm/task.h>
#include "runqslower.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Thread ID to trace; 0 traces all
/// @cmdarg {"short": "t"}
const volatile int tid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Least time to report, microseconds
/// @cmdarg {"short": "m"}
const volatile unsigned long long min_us = 10000;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} runnable SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static void enqueued(struct task_struct *task)
{
	__u32 thread = BPF_CORE_READ(task, pid);
	__u64 now = bpf_ktime_get_ns();

	if (!thread || (pid && BPF_CORE_READ(task, tgid) != pid) || (tid && thread != tid) ||
	    !task_in_cgroup(task, &cgroup))
		return;
	bpf_map_update_elem(&runnable, &thread, &now, BPF_ANY);
}

SEC("raw_tp/sched_wakeup")
int BPF_PROG(woken, struct task_struct *task)
{
	enqueued(task);
	return 0;
}

SEC("raw_tp/sched_wakeup_new")
int BPF_PROG(woken_new, struct task_struct *task)
{
	enqueued(task);
	return 0;
}

SEC("raw_tp/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 thread = BPF_CORE_READ(next, pid);
	struct event *event;
	__u64 *since, waited;

	if (task_state(prev) == TASK_RUNNING)
		enqueued(prev);
	since = bpf_map_lookup_elem(&runnable, &thread);
	if (!since)
		return 0;
	waited = (bpf_ktime_get_ns() - *since) / 1000;
	bpf_map_delete_elem(&runnable, &thread);
	if (waited < min_us)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = BPF_CORE_READ(next, tgid);
	event->tid = thread;
	event->lat_us = waited;
	event->prev_tid = BPF_CORE_READ(prev, pid);
	BPF_CORE_READ_STR_INTO(&event->comm, next, comm);
	BPF_CORE_READ_STR_INTO(&event->prev, prev, comm);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace tasks that wait long for a CPU.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
