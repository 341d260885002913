// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Files that are deleted soon after they were made, and how long they lived.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpm/cgroup.h>
#include "filelife.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct dentry *);
	__type(value, __u64);
} born SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static int made(struct dentry *dentry)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	__u64 now = bpf_ktime_get_ns();

	if ((!pid || process == pid) && in_cgroup(&cgroup))
		bpf_map_update_elem(&born, &dentry, &now, BPF_ANY);
	return 0;
}

static int deleted(struct dentry *dentry)
{
	__u64 *since = bpf_map_lookup_elem(&born, &dentry), now = bpf_ktime_get_ns();
	struct event *event;

	if (!since)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->age_ms = (now - *since) / 1000000;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_probe_read_kernel_str(event->file, sizeof(event->file),
				  BPF_CORE_READ(dentry, d_name.name));
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&born, &dentry);
	return 0;
}

/* (inode, dentry, mode): what every file system is asked through */
SEC("kprobe/security_inode_create")
int BPF_KPROBE(create_entry, struct inode *folder, struct dentry *dentry)
{
	return made(dentry);
}

/* (inode, dentry) */
SEC("kprobe/security_inode_unlink")
int BPF_KPROBE(unlink_entry, struct inode *folder, struct dentry *dentry)
{
	return deleted(dentry);
}

/// @brief Trace files that are deleted soon after they were made.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
