// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Commands as people type them into bash, before they are run.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bashreadline.h"

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("uretprobe//bin/bash:readline")
int BPF_URETPROBE(line_read, const char *line)
{
	struct event *event;

	if (!line)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = bpf_get_current_pid_tgid() >> 32;
	if (bpf_probe_read_user_str(event->line, sizeof(event->line), line) < 0)
		event->line[0] = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace the commands that people type into bash.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
