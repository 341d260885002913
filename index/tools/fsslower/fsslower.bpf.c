// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads, writes, opens and syncs of files that took long, read off the system calls, so that one
// object serves every file system.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/file.h>
#include "fsslower.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
const volatile struct ebpm_cgroup cgroup = {};
/// @description Least time to report, milliseconds; 0 reports all
/// @cmdarg {"short": "m"}
const volatile unsigned int min_ms = 10;

/// @lost
__u64 lost_events = 0;

struct call {
	__u64 started;
	__u32 fd;
	__u32 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

static int enter(__u32 fd, __u32 kind)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct call call = {.started = bpf_ktime_get_ns(), .fd = fd, .kind = kind};
	__u32 tid = id;

	if ((!pid || id >> 32 == pid) && in_cgroup(&cgroup))
		bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

static int leave(long ret)
{
	__u64 id = bpf_get_current_pid_tgid(), took;
	__u32 tid = id;
	struct call *call = bpf_map_lookup_elem(&calls, &tid);
	struct event *event;
	struct file *file;

	if (!call)
		return 0;
	took = bpf_ktime_get_ns() - call->started;
	if (took < min_ms * 1000000ULL)
		goto out;
	file = file_of(call->kind == SLOW_OPEN ? ret : call->fd);
	if (ret < 0 || !file || !is_regular(file))
		goto out;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	event->pid = id >> 32;
	event->op = call->kind;
	event->bytes = call->kind == SLOW_READ || call->kind == SLOW_WRITE ? ret : 0;
	event->us = took / 1000;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	file_name(event->file, file);
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_read")
int read_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_READ);
}

SEC("tracepoint/syscalls/sys_exit_read")
int read_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_pread64")
int pread64_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_READ);
}

SEC("tracepoint/syscalls/sys_exit_pread64")
int pread64_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_readv")
int readv_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_READ);
}

SEC("tracepoint/syscalls/sys_exit_readv")
int readv_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_write")
int write_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_WRITE);
}

SEC("tracepoint/syscalls/sys_exit_write")
int write_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_pwrite64")
int pwrite64_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_WRITE);
}

SEC("tracepoint/syscalls/sys_exit_pwrite64")
int pwrite64_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_writev")
int writev_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_WRITE);
}

SEC("tracepoint/syscalls/sys_exit_writev")
int writev_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_openat")
int openat_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_OPEN);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int openat_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_fsync")
int fsync_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_SYNC);
}

SEC("tracepoint/syscalls/sys_exit_fsync")
int fsync_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_fdatasync")
int fdatasync_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], SLOW_SYNC);
}

SEC("tracepoint/syscalls/sys_exit_fdatasync")
int fdatasync_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @brief Trace the operations on files that take long.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
