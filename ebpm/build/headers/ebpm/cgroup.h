/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EBPM_CGROUP_H
#define EBPM_CGROUP_H

#include <bpf/bpf_core_read.h>

#define CGROUP_DEPTH 32

/* An option of this type takes the path of a control group (cgroup2). The run puts the group's ID
   here, 0 where none is given, and the group itself into the array below. */
struct ebpm_cgroup {
	__u64 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebpm_cgroups SEC(".maps");

/* Whether the current task is in the option's group or one below it, or none is given: Linux 4.9, at
   any depth for the price of one. */
static __always_inline bool in_cgroup(const volatile struct ebpm_cgroup *wanted)
{
	return !wanted->id || bpf_current_task_under_cgroup(&ebpm_cgroups, 0) == 1;
}

/* The same of any task, for hooks at which it is not the current one; from group to group upwards. */
static __always_inline bool task_in_cgroup(struct task_struct *task,
					   const volatile struct ebpm_cgroup *wanted)
{
	__u64 id = wanted->id;
	struct cgroup *group;

	if (!id)
		return true;
	group = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	for (int i = 0; i < CGROUP_DEPTH && group; i++) {
		if (BPF_CORE_READ(group, kn, id) == id)
			return true;
		group = BPF_CORE_READ(group, self.parent, cgroup);
	}
	return false;
}

#endif
