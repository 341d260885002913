// A program that no verifier accepts.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("tracepoint/syscalls/sys_enter_getpgid")
int reads_anywhere(struct trace_event_raw_sys_enter *ctx)
{
	return *(volatile int *)ctx->args[0];
}

char LICENSE[] SEC("license") = "GPL";
