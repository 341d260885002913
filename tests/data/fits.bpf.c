// One program for each CASE: a relocation that finds its match on any kernel, or on none.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define RELOCATED __attribute__((preserve_access_index))

struct task_struct___other { int no_such_member; } RELOCATED;
struct task_struct___flavour { int pid; int tgid; } RELOCATED;
struct task_struct___wrong { struct { long inner; } pid; } RELOCATED;
struct mm_struct___far { struct { struct { unsigned long start_code; }; }; } RELOCATED;
struct no_such_struct { int member; } RELOCATED;
struct file___pointer { int f_op; } RELOCATED;
enum bpf_map_type___other { BPF_MAP_TYPE_HASH___other = 77, NO_SUCH_TYPE_OF_MAP = 99 };

unsigned long long result = 0;

SEC("raw_tp/sys_enter")
int on_enter(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	void *any = task;

#if CASE == 0 /* a member of another name */
	result = BPF_CORE_READ((struct task_struct___other *)any, no_such_member);
#elif CASE == 1 /* one that is only read where it is there */
	if (bpf_core_field_exists(((struct task_struct___other *)0)->no_such_member))
		result = BPF_CORE_READ((struct task_struct___other *)any, no_such_member);
#elif CASE == 2 /* a flavour of a struct, with a part of its members */
	result = BPF_CORE_READ((struct task_struct___flavour *)any, tgid);
#elif CASE == 3 /* a member that is there and of another kind */
	result = BPF_CORE_READ((struct task_struct___wrong *)any, pid.inner);
#elif CASE == 4 /* through anonymous structs, on both sides */
	struct mm_struct___far *mm = (void *)BPF_CORE_READ(task, mm);
	result = BPF_CORE_READ(mm, start_code);
#elif CASE == 5 /* a struct that is not there */
	result = BPF_CORE_READ((struct no_such_struct *)any, member);
#elif CASE == 6 /* the same, guarded by the type */
	if (bpf_core_type_exists(struct no_such_struct))
		result = BPF_CORE_READ((struct no_such_struct *)any, member);
#elif CASE == 7 /* an enumerator, by a flavour */
	result = bpf_core_enum_value(enum bpf_map_type___other, BPF_MAP_TYPE_HASH___other);
#elif CASE == 8 /* an enumerator that is not there */
	result = bpf_core_enum_value(enum bpf_map_type___other, NO_SUCH_TYPE_OF_MAP);
#elif CASE == 9 /* sizes */
	result = bpf_core_type_size(struct task_struct) + bpf_core_field_size(task->comm);
#elif CASE == 10 /* the size of what is not there */
	result = bpf_core_type_size(struct no_such_struct);
#elif CASE == 11 /* an int where the kernel has a pointer */
	result = BPF_CORE_READ((struct file___pointer *)any, f_op);
#elif CASE == 12 /* an element within an array, and a bitfield */
	result = BPF_CORE_READ(task, comm[3]) + BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
#endif
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
