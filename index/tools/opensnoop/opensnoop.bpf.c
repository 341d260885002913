// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Files as they are opened: open(2), openat(2) and openat2(2).
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/name.h>
#include <ebpm/number.h>
#include "opensnoop.h"

#define MAX_PENDING 10240

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid_target = 0;
/// @description Thread ID to trace; 0 traces all
/// @cmdarg {"short": "t"}
const volatile int tgid_target = 0;
/// @description User ID to trace; -1 traces all
/// @cmdarg {"short": "u"}
const volatile int uid_target = -1;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @cmdarg {"default": false, "short": "x", "long": "failed"}
/// @description Trace only calls that failed
const volatile bool targ_failed = false;
/// @description Text in the command to trace; an empty one traces all
/// @cmdarg {"short": "n"}
const volatile char name[16] __attribute__((aligned(8))) = "";

static __u64 first; /* time of the first event, ns */

/// @lost
__u64 lost_events = 0;

struct pending {
	const char *fname;
	int flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PENDING);
	__type(key, __u32);
	__type(value, struct pending);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} events SEC(".maps");

static int enter(const char *fname, int flags)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct pending call = {.fname = fname, .flags = flags};

	if (pid_target && id >> 32 != pid_target)
		return 0;
	if (tgid_target && tid != tgid_target)
		return 0;
	if (uid_target != -1 && (__u32)bpf_get_current_uid_gid() != uid_target)
		return 0;
	if (!comm_contains(name) || !in_cgroup(&cgroup))
		return 0;
	bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

static int leave(long ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct pending *call = bpf_map_lookup_elem(&calls, &tid);
	__u64 now = bpf_ktime_get_ns();
	struct event *event;

	if (!call)
		return 0;
	if (targ_failed && ret >= 0)
		goto out;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	if (!first)
		first = now;
	event->ts = now > first ? (now - first) / 1000000 : 0;
	event->pid = id >> 32;
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	event->flags = call->flags;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_user_str(event->fname, sizeof(event->fname), call->fname) < 0)
		event->fname[0] = 0;
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

/* arm64 has no open(2). */
/// @alternative open 1 optional
SEC("tracepoint/syscalls/sys_enter_open")
int open_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[0], ctx->args[1]);
}

/// @alternative open 1 optional
SEC("tracepoint/syscalls/sys_exit_open")
int open_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_openat")
int openat_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[1], ctx->args[2]);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int openat_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_openat2")
int openat2_entry(struct trace_event_raw_sys_enter *ctx)
{
	__u64 flags = 0; /* the first member of struct open_how */

	bpf_probe_read_user(&flags, sizeof(flags), (const void *)ctx->args[2]);
	return enter((const char *)ctx->args[1], flags);
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int openat2_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @brief Trace the files that processes open.
/// @version 1.0.0
char LICENSE[] SEC("license") = "Dual BSD/GPL";
