// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Programs as they are started. At sched_process_exec the new image is in place, so the arguments
// are read from where the kernel has just put them: mm->arg_start to mm->arg_end.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/name.h>
#include "execsnoop.h"

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

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("tracepoint/sched/sched_process_exec")
int handle_exec(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 pid = bpf_get_current_pid_tgid() >> 32, uid = bpf_get_current_uid_gid();
	unsigned long start, end, size;
	__u64 *words;
	struct event *event;

	if (pid_target && pid != pid_target)
		return 0;
	if (uid_target != -1 && uid != uid_target)
		return 0;
	if (!comm_contains(name) || !in_cgroup(&cgroup))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		return 0;
	}
	event->pid = pid;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = uid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	start = BPF_CORE_READ(task, mm, arg_start);
	end = BPF_CORE_READ(task, mm, arg_end);
	size = end - start;
	if (size > ARGS_LEN)
		size = ARGS_LEN;
	__builtin_memset(event->args, 0, sizeof(event->args));
	bpf_probe_read_user(event->args, size, (void *)start);
	/* Arguments end with NUL each: spaces between them make one line. Eight bytes at a time and
	   without a branch, for verifiers before Linux 6.12 follow both ways of each. */
	words = (__u64 *)event->args;
	for (int i = 0; i < ARGS_LEN / 8; i++) {
		__u64 low = words[i] & LOW_BITS, zeros = ~((low + LOW_BITS) | words[i] | LOW_BITS);

		words[i] |= zeros >> 2; /* 0x80 in each byte that is NUL, to 0x20 */
	}
	event->args[(size - 1) & (ARGS_LEN - 1)] = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @brief Trace the programs that are started, with their arguments.
/// @version 1.0.0
char LICENSE[] SEC("license") = "Dual BSD/GPL";
