// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF programs as they are loaded into the kernel, by whom, and what came of it.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <ebpm/cgroup.h>
#include <ebpm/number.h>
#include "bpfload.h"

/// @description Process ID to trace; 0 traces all
/// @cmdarg {"short": "p"}
const volatile int pid = 0;
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

/// @lost
__u64 lost_events = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct program);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_bpf")
int bpf_entry(struct trace_event_raw_sys_enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	const union bpf_attr *attr = (const void *)ctx->args[1];
	struct program program = {};
	__u32 tid = id;

	if (ctx->args[0] != BPF_PROG_LOAD || (pid && id >> 32 != pid) ||
	    !in_cgroup(&cgroup))
		return 0;
	bpf_probe_read_user(&program.type, sizeof(program.type), &attr->prog_type);
	bpf_probe_read_user(&program.insns, sizeof(program.insns), &attr->insn_cnt);
	bpf_probe_read_user(program.name, sizeof(program.name), attr->prog_name);
	bpf_map_update_elem(&calls, &tid, &program, BPF_ANY);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_bpf")
int bpf_exit(struct trace_event_raw_sys_exit *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;
	struct program *program = bpf_map_lookup_elem(&calls, &tid);
	struct event *event;

	if (!program)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	event->pid = id >> 32;
	event->uid = bpf_get_current_uid_gid();
	event->ret = ctx->ret;
	event->insns = program->insns;
	event->type = program->type;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	__builtin_memcpy(event->prog, program->name, sizeof(event->prog));
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

/// @brief Trace the BPF programs that are loaded.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
