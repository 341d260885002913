// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Programs as they are started. At sched_process_exec the new image is in place, so the arguments
// are read from where the kernel has just put them: mm->arg_start to mm->arg_end.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/name.h>
#include <ebpm/number.h>
#include "execsnoop.h"

#define MOST_ARGS 20 /* of a call that failed */
#define LOW_BITS 0x7f7f7f7f7f7f7f7fULL

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid_target = 0;
/// @description User ID to trace; -1 traces all
/// @cmdarg {"short": "u"}
const volatile int uid_target = -1;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Text in the command to trace; an empty one traces all
/// @cmdarg {"short": "n"}
const volatile char name[16] __attribute__((aligned(8))) = "";
/// @description Text in the arguments to trace; an empty one traces all
/// @cmdarg {"short": "l"}
const volatile char line[32] __attribute__((aligned(8))) = "";
/// @description Most arguments to show; 0 shows what fits
/// @cmdarg {"long": "max-args"}
const volatile unsigned int max_args = 0;
/// @description Report calls that failed, too
/// @cmdarg {"short": "x"}
const volatile bool failed = false;

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

/* How many bytes the first arguments have; without a branch, as below. */
static __always_inline unsigned long size_of_first(const char *args)
{
	__u64 ended = 0, size = 0;

	for (int i = 0; i < ARGS_LEN; i++) {
		__u64 missing = ended - max_args;

		barrier_var(missing);
		size += missing >> 63;
		ended += name_is_zero(args[i]);
	}
	return size;
}

static __always_inline bool wanted(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32, uid = bpf_get_current_uid_gid();

	if (pid_target && pid != pid_target)
		return false;
	if (uid_target != -1 && uid != uid_target)
		return false;
	return comm_contains(name) && in_cgroup(&cgroup);
}

static __always_inline struct event *begin(int ret)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	__builtin_memset(event->args, 0, sizeof(event->args));
	return event;
}

/* Arguments end with NUL each: spaces between them make one line. Eight bytes at a time and without a
   branch, for verifiers before Linux 6.12 follow both ways of each. */
static __always_inline void end(struct event *event, unsigned long size)
{
	__u64 *words = (__u64 *)event->args;

	if (max_args) {
		unsigned long most = size_of_first(event->args);

		size = most < size ? most : size;
	}
	for (int i = 0; i < ARGS_LEN / 8; i++) {
		__u64 low = words[i] & LOW_BITS, zeros = ~((low + LOW_BITS) | words[i] | LOW_BITS);

		words[i] |= zeros >> 2; /* 0x80 in each byte that is NUL, to 0x20 */
	}
	event->args[(size - 1) & (ARGS_LEN - 1)] = 0;
	if (text_contains(event->args, ARGS_LEN / 8, line))
		bpf_ringbuf_submit(event, 0);
	else
		bpf_ringbuf_discard(event, 0);
}

SEC("tracepoint/sched/sched_process_exec")
int handle_exec(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	unsigned long start, size;
	struct event *event;

	if (!wanted())
		return 0;
	event = begin(0);
	if (!event)
		return 0;
	start = BPF_CORE_READ(task, mm, arg_start);
	size = BPF_CORE_READ(task, mm, arg_end) - start;
	if (size > ARGS_LEN)
		size = ARGS_LEN;
	bpf_probe_read_user(event->args, size, (void *)start);
	end(event, size);
	return 0;
}

/* --- calls that failed: what they were given is where the caller has it ------------------------ */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, const char *const *);
} calls SEC(".maps");

struct joined {
	char text[2 * ARGS_LEN]; /* whose second half may be written to, and is not read */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct joined);
} joining SEC(".maps");

static int enter(const char *const *argv)
{
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&calls, &tid, &argv, BPF_ANY);
	return 0;
}

static int leave(long ret)
{
	__u32 tid = bpf_get_current_pid_tgid(), first = 0;
	const char *const *argv, *const **call = bpf_map_lookup_elem(&calls, &tid);
	struct joined *joined = bpf_map_lookup_elem(&joining, &first);
	struct event *event;
	__u64 at = 0;

	if (!call || !joined)
		return 0;
	argv = *call;
	bpf_map_delete_elem(&calls, &tid);
	if (ret >= 0 || !wanted())
		return 0;
	event = begin(ret);
	if (!event)
		return 0;
	for (int i = 0; i < MOST_ARGS && at < ARGS_LEN; i++) {
		const char *arg = NULL;
		long size;

		bpf_probe_read_user(&arg, sizeof(arg), &argv[i]);
		size = bpf_probe_read_user_str(joined->text + at, ARGS_LEN, arg);
		if (!arg || size <= 0)
			break;
		at += size;
	}
	if (at > ARGS_LEN)
		at = ARGS_LEN;
	bpf_probe_read_kernel(event->args, at, joined->text);
	end(event, at);
	return 0;
}

/// @when failed
SEC("tracepoint/syscalls/sys_enter_execve")
int execve_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *const *)ctx->args[1]);
}

/// @when failed
SEC("tracepoint/syscalls/sys_exit_execve")
int execve_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @when failed
SEC("tracepoint/syscalls/sys_enter_execveat")
int execveat_entry(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *const *)ctx->args[2]);
}

/// @when failed
SEC("tracepoint/syscalls/sys_exit_execveat")
int execveat_exit(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// @brief Trace the programs that are started, with their arguments.
/// @version 1.0.0
char LICENSE[] SEC("license") = "Dual BSD/GPL";
