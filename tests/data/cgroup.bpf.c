// Says of each getpgid(2) what the header knows of the caller's cgroup.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>

/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

struct event {
	struct ebpm_cgroup wanted;
	__u64 own;
	bool in;
	bool task_in;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tp/syscalls/sys_enter_getpgid")
int getpgid(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event *event;

	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	event->wanted.id = cgroup.id;
	event->own = bpf_get_current_cgroup_id();
	event->in = in_cgroup(&cgroup);
	event->task_in = task_in_cgroup(task, &cgroup);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
