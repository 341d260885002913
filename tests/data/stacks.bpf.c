// Stack traces: getpgid(N) of the watched process sends its stacks (1), counts their ids (2).
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define DEPTH 32

struct stack_event {
	u32 pid;
	u32 cpu_id;
	char comm[16];
	s32 kstack_sz;
	s32 ustack_sz;
	u64 kstack[DEPTH];
	u64 ustack[DEPTH];
};
struct stack_key { u32 pid; s32 user_stack_id; s32 kern_stack_id; char comm[16]; };

const volatile int target_pid = 0;

/// @intepreter {"stack_trace": {}}
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__uint(key_size, sizeof(u32));
	__uint(value_size, DEPTH * sizeof(u64));
} stackmap SEC(".maps");

/// @sample {"interval": 200}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct stack_key);
	__type(value, u64);
} counts SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct trace_event_raw_sys_enter *ctx)
{
	struct stack_event *e;
	struct stack_key key = {};
	u64 zero = 0, *count;

	if (target_pid != bpf_get_current_pid_tgid() >> 32)
		return 0;
	if (ctx->args[0] == 2) {
		key.pid = target_pid;
		bpf_get_current_comm(key.comm, sizeof(key.comm));
		key.kern_stack_id = bpf_get_stackid(ctx, &stackmap, 0);
		key.user_stack_id = bpf_get_stackid(ctx, &stackmap, BPF_F_USER_STACK);
		bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&counts, &key);
		if (count)
			__sync_fetch_and_add(count, 1);
		return 0;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->pid = target_pid;
	e->cpu_id = bpf_get_smp_processor_id();
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->kstack_sz = bpf_get_stack(ctx, e->kstack, sizeof(e->kstack), 0);
	e->ustack_sz = bpf_get_stack(ctx, e->ustack, sizeof(e->ustack), BPF_F_USER_STACK);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
