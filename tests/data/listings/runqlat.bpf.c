// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The variables of the tool in the manuals, for its help.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

const volatile bool filter_cg = false;
const volatile bool targ_per_process = false;
const volatile bool targ_per_thread = false;
const volatile bool targ_per_pidns = false;
const volatile bool targ_ms = false;
const volatile pid_t targ_tgid = 0;

SEC("raw_tp/sched_switch")
int run(void *ctx)
{
	return filter_cg + targ_per_process + targ_per_thread + targ_per_pidns + targ_ms + targ_tgid;
}

char LICENSE[] SEC("license") = "GPL";
