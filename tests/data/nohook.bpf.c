// A tracepoint that no kernel has.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("tracepoint/syscalls/sys_enter_kil")
int never(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
