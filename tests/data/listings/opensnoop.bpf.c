// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The variables of the tool in the manuals, for its help.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

/// Process ID to trace
const volatile pid_t pid_target = 0;
/// Thread ID to trace
const volatile pid_t tgid_target = 0;
/// @description User ID to trace
const volatile uid_t uid_target = 0;
/// @cmdarg {"default": false, "short": "f", "long": "failed"}
/// @description trace only failed events
const volatile bool targ_failed = false;

SEC("tracepoint/syscalls/sys_enter_openat")
int run(void *ctx)
{
	return pid_target + tgid_target + uid_target + targ_failed;
}

/// @brief Trace open family syscalls.
char LICENSE[] SEC("license") = "GPL";
