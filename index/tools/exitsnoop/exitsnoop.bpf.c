// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Processes as they end: how long they lived, with which status or by which signal.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/number.h>
#include "exitsnoop.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Report only processes that ended with an error or by a signal
/// @cmdarg {"short": "x"}
const volatile bool failed = false;
/// @description Report each thread
/// @cmdarg {"short": "T"}
const volatile bool threaded = false;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("tracepoint/sched/sched_process_exit")
int process_exit(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 id = bpf_get_current_pid_tgid();
	__u32 process = id >> 32, thread = id;
	int code = BPF_CORE_READ(task, exit_code);
	struct event *event;

	if ((pid && process != pid) || !in_cgroup(&cgroup))
		return 0;
	if (!threaded && process != thread)
		return 0;
	if (failed && !code)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = process;
	event->tid = thread;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->status = code >> 8 & 0xff;
	event->signal = code & 0x7f;
	event->core = code >> 7 & 1;
	event->age_ms = (bpf_ktime_get_ns() - BPF_CORE_READ(task, start_time)) / 1000000;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace processes as they end, and how.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
