// Every kind of CO-RE relocation but those for type ids.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct___other { int pid; int no_such_member; } __attribute__((preserve_access_index));
struct sk_buff___mine { union { struct sock *sk; }; } __attribute__((preserve_access_index));
struct no_such_struct { int member; } __attribute__((preserve_access_index));
enum bpf_map_type___mine { BPF_MAP_TYPE_HASH___mine = 77, BPF_MAP_TYPE_NO_SUCH = 78 };
typedef int (*bpf_func_t___mine)(const void *, const struct bpf_insn *);
typedef struct { long counter; } __attribute__((preserve_access_index)) atomic64_t___mine;
struct list_head___match { struct list_head *next, *prev; } __attribute__((preserve_access_index));

__u64 found[32];

SEC("raw_tp/sys_enter")
int on_enter(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___other *other = (void *)task;
	struct sk_buff___mine *skb = (void *)task;
	struct no_such_struct *none = (void *)task;

	found[0] = BPF_CORE_READ(task, mm, start_stack);
	found[1] = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
	found[2] = bpf_core_field_exists(other->pid) + 2 * bpf_core_field_exists(other->no_such_member);
	found[3] = BPF_CORE_READ(task, comm[3]);
	found[4] = bpf_core_field_size(task->comm);
	found[5] = bpf_core_field_offset(skb->sk);
	found[6] = bpf_core_field_exists(none->member);
	found[7] = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_HASH___mine);
	found[8] = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_HASH___mine);
	found[9] = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_NO_SUCH);
	found[10] = bpf_core_type_exists(struct task_struct) + 2 * bpf_core_type_exists(struct no_such_struct);
	found[11] = bpf_core_type_size(struct sk_buff);
	found[12] = bpf_core_type_exists(bpf_func_t___mine);
	found[13] = BPF_CORE_READ(task, signal, shared_pending.signal.sig[0]);
	found[14] = bpf_core_field_exists(((atomic64_t___mine *)task)->counter);
	found[15] = BPF_CORE_READ(task, cred, usage.counter);
	found[16] = bpf_core_type_matches(struct list_head___match);
	found[17] = BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork);
	found[18] = BPF_CORE_READ((struct pt_regs *)ctx, orig_ax);
	found[19] = bpf_core_type_matches(enum bpf_map_type___mine);
	found[20] = bpf_core_type_exists(enum pid_type);
	found[21] = BPF_CORE_READ((struct sock *)ctx, __sk_common.skc_daddr);
	found[22] = bpf_core_type_matches(struct task_struct___other);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
