// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The life of processes: a row when a program starts, a row when its process ends.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "bootstrap.h"

/// @description Report no starts, and only ends of processes that lived as many nanoseconds
/// @cmdarg {"short": "d"}
const volatile unsigned long long min_duration_ns = 0;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} rb SEC(".maps");

static struct event *new_event(__u32 pid)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event *event = bpf_ringbuf_reserve(&rb, sizeof(*event), 0);

	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->pid = pid;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	return event;
}

SEC("tp/sched/sched_process_exec")
int handle_exec(struct trace_event_raw_sched_process_exec *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 now = bpf_ktime_get_ns();
	struct event *event;

	bpf_map_update_elem(&started, &pid, &now, BPF_ANY);
	if (min_duration_ns)
		return 0;
	event = new_event(pid);
	if (!event)
		return 0;
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename),
				  (void *)ctx + (ctx->__data_loc_filename & 0xffff));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp/sched/sched_process_exit")
int handle_exit(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), *start, duration = 0;
	__u32 pid = id >> 32, thread = id;
	struct task_struct *task;
	struct event *event;

	if (pid != thread) /* a thread; the process goes on */
		return 0;
	start = bpf_map_lookup_elem(&started, &pid);
	if (start)
		duration = bpf_ktime_get_ns() - *start;
	bpf_map_delete_elem(&started, &pid);
	if (min_duration_ns && (!start || duration < min_duration_ns))
		return 0;
	event = new_event(pid);
	if (!event)
		return 0;
	task = (struct task_struct *)bpf_get_current_task();
	event->exit_event = 1;
	event->duration_ns = duration;
	event->exit_code = (BPF_CORE_READ(task, exit_code) >> 8) & 0xff;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace processes as they start a program and as they end.
/// @version 1.0.0
char LICENSE[] SEC("license") = "Dual BSD/GPL";
