/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_TASK_H
#define EBPM_TASK_H

#include <bpf/bpf_core_read.h>

#define TASK_RUNNING 0

struct task_struct___before_5_14 {
	volatile long state;
} __attribute__((preserve_access_index));

/* What a task waits for, or TASK_RUNNING; the member has another name since Linux 5.14. */
static __always_inline long task_state(struct task_struct *task)
{
	struct task_struct___before_5_14 *older = (void *)task;

	if (bpf_core_field_exists(older->state))
		return BPF_CORE_READ(older, state);
	return BPF_CORE_READ(task, __state);
}

/* The inode number of a task's PID namespace, as readlink /proc/PID/ns/pid shows it. */
static __always_inline __u32 task_pid_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	unsigned int level = BPF_CORE_READ(pid, level);
	struct pid_namespace *space;

	bpf_core_read(&space, sizeof(space), &pid->numbers[level].ns);
	return BPF_CORE_READ(space, ns.inum);
}

#endif
