// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which files are read and written most, by process. Read off the system calls and not the file
// system, so one object serves every kernel and every file system.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/file.h>
#include <ebpm/hist.h>
#include "filetop.h"

#define READ 0
#define WRITE 1

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Count pipes, sockets and devices as well
/// @cmdarg {"short": "a"}
const volatile bool all_files = false;

struct call {
	__u32 fd;
	__u32 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

/// @sample {"interval": 1000, "clear_map": true,
///          "sort": "reads+writes+r_bytes+w_bytes", "limit": 20,
///          "cmdarg": {"sort": {"short": "s"}, "limit": {"short": "r"}}}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct file_id);
	__type(value, struct traffic);
} files SEC(".maps");

static struct traffic zero;

static int enter(__u32 fd, __u32 kind)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct call call = {.fd = fd, .kind = kind};
	__u32 tid = id;

	if ((!pid || id >> 32 == pid) && in_cgroup(&cgroup))
		bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

static int leave(long ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct call *call = bpf_map_lookup_elem(&calls, &tid);
	struct file_id key = {};
	struct traffic *traffic;
	struct file *file;

	if (!call)
		return 0;
	file = file_of(call->fd);
	if (ret < 0 || !file || (!all_files && !is_regular(file)))
		goto out;
	key.pid = id >> 32;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	file_name(key.file, file);
	traffic = lookup_or_init(&files, &key, &zero);
	if (!traffic)
		goto out;
	if (call->kind == READ) {
		__atomic_fetch_add(&traffic->reads, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&traffic->r_bytes, ret, __ATOMIC_RELAXED);
	} else {
		__atomic_fetch_add(&traffic->writes, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&traffic->w_bytes, ret, __ATOMIC_RELAXED);
	}
out:
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_read")
int read_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], READ);
}

SEC("tracepoint/syscalls/sys_exit_read")
int read_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_pread64")
int pread64_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], READ);
}

SEC("tracepoint/syscalls/sys_exit_pread64")
int pread64_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_readv")
int readv_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], READ);
}

SEC("tracepoint/syscalls/sys_exit_readv")
int readv_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_write")
int write_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], WRITE);
}

SEC("tracepoint/syscalls/sys_exit_write")
int write_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_pwrite64")
int pwrite64_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], WRITE);
}

SEC("tracepoint/syscalls/sys_exit_pwrite64")
int pwrite64_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_writev")
int writev_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter(ctx->args[0], WRITE);
}

SEC("tracepoint/syscalls/sys_exit_writev")
int writev_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @brief Show which files are read and written most.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
