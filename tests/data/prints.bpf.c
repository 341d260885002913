// A program that reports by bpf_printk alone: getpgid(N) of the watched process prints.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

const volatile int target_pid = 0;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct trace_event_raw_sys_enter *ctx)
{
	char text[] = "on the stack: %d\n";
	char comm[16];

	if (target_pid != bpf_get_current_pid_tgid() >> 32)
		return 0;
	bpf_get_current_comm(comm, sizeof(comm));
	bpf_printk("getpgid(%d) by %s", (int)ctx->args[0], comm);
	bpf_printk("four: %d %u %x %llx\n", -1, 2, 0xab, 1ULL << 40);
	bpf_trace_printk(text, sizeof(text), 7);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
