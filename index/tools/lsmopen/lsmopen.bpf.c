// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Files that are opened, seen where security modules decide on it: whatever way a file is opened,
// this is passed. Only watches.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include <ebpm/file.h>
#include "lsmopen.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("lsm/file_open")
int BPF_PROG(opened, struct file *file)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	if ((pid && process != pid) || !in_cgroup(&cgroup))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = process;
	event->uid = bpf_get_current_uid_gid();
	event->flags = BPF_CORE_READ(file, f_flags);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	file_name(event->file, file);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace the files that are opened, where security modules decide on it.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
