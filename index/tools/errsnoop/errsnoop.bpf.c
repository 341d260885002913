// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// System calls that fail, whichever they are.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/number.h>
#include "errsnoop.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description The only error to report; 0 reports all
/// @cmdarg {"short": "e"}
const volatile ebpm_errno error = 0;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("tracepoint/raw_syscalls/sys_exit")
int syscall_left(struct trace_event_raw_sys_exit *ctx)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	if (ctx->ret >= 0 || ctx->ret < -4095 || (pid && process != pid))
		return 0;
	if ((error && ctx->ret != -error) || !in_cgroup(&cgroup))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = process;
	event->syscall = ctx->id;
	event->ret = ctx->ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace the system calls that fail.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
