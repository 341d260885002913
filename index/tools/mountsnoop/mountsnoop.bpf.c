// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Mounts and unmounts: mount(2) and umount2(2).
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/number.h>
#include "mountsnoop.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

/// @lost
__u64 lost_events = 0;

struct call {
	const char *source, *target, *type;
	__u64 flags, started;
	bool unmount;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static int enter(struct call *call)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;

	if ((pid && id >> 32 != pid) || !in_cgroup(&cgroup))
		return 0;
	call->started = bpf_ktime_get_ns();
	bpf_map_update_elem(&calls, &tid, call, BPF_ANY);
	return 0;
}

static int leave(int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct call *call = bpf_map_lookup_elem(&calls, &tid);
	struct event *event;

	if (!call)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->pid = id >> 32;
	event->ret = ret;
	event->us = (bpf_ktime_get_ns() - call->started) / 1000;
	event->flags = call->flags;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->op = call->unmount ? UNMOUNT : MOUNT;
	if (call->type)
		bpf_probe_read_user_str(event->type, sizeof(event->type), call->type);
	if (call->source)
		bpf_probe_read_user_str(event->source, sizeof(event->source), call->source);
	bpf_probe_read_user_str(event->target, sizeof(event->target), call->target);
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_mount")
int mount_entry(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.source = (const char *)ctx->args[0],
		.target = (const char *)ctx->args[1],
		.type = (const char *)ctx->args[2],
		.flags = ctx->args[3],
	};

	return enter(&call);
}

SEC("tracepoint/syscalls/sys_exit_mount")
int mount_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_umount")
int umount_entry(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.target = (const char *)ctx->args[0],
		.flags = ctx->args[1],
		.unmount = true,
	};

	return enter(&call);
}

SEC("tracepoint/syscalls/sys_exit_umount")
int umount_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @brief Trace mounts and unmounts.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
