// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Processes that the kernel kills for want of memory: who asked for memory, and who was killed.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "oomkill.h"

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("tracepoint/oom/mark_victim")
int victim_marked(struct trace_event_raw_mark_victim *ctx)
{
	struct event *event;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->fpid = bpf_get_current_pid_tgid() >> 32;
	event->tpid = ctx->pid;
	bpf_get_current_comm(event->fcomm, sizeof(event->fcomm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace the processes that the kernel kills for want of memory.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
