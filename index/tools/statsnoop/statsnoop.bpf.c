// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Files that processes ask the properties of: stat(2) and its family.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/number.h>
#include "statsnoop.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Report only calls that failed
/// @cmdarg {"short": "x"}
const volatile bool failed = false;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, const char *);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static int enter(const char *path)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;

	if ((!pid || id >> 32 == pid) && in_cgroup(&cgroup))
		bpf_map_update_elem(&calls, &tid, &path, BPF_ANY);
	return 0;
}

static int leave(int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	const char **path = bpf_map_lookup_elem(&calls, &tid), *from;
	struct event *event;

	if (!path)
		return 0;
	from = *path;
	bpf_map_delete_elem(&calls, &tid);
	if (failed && ret >= 0)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = id >> 32;
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_user_str(event->path, sizeof(event->path), from) < 0)
		event->path[0] = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_statfs")
int statfs_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[0]);
}

SEC("tracepoint/syscalls/sys_exit_statfs")
int statfs_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/* arm64 has neither stat(2) nor lstat(2). */
/// @alternative stat 1 optional
SEC("tracepoint/syscalls/sys_enter_newstat")
int newstat_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[0]);
}

/// @alternative stat 1 optional
SEC("tracepoint/syscalls/sys_exit_newstat")
int newstat_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @alternative stat 1 optional
SEC("tracepoint/syscalls/sys_enter_newlstat")
int newlstat_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[0]);
}

/// @alternative stat 1 optional
SEC("tracepoint/syscalls/sys_exit_newlstat")
int newlstat_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_newfstatat")
int newfstatat_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_exit_newfstatat")
int newfstatat_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_statx")
int statx_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_exit_statx")
int statx_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @brief Trace the files that processes call stat(2) and its family on.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
