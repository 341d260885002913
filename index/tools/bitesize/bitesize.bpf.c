// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How large block I/O is, by the command that issues it.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/block.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include <ebpm/name.h>
#include "bitesize.h"

/// @description Disk to trace, as nvme0n1; an empty one traces all
/// @cmdarg {"short": "d"}
const volatile char disk[32] __attribute__((aligned(8))) = "";
/// @description Command to trace, by its beginning; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile char comm[16] __attribute__((aligned(8))) = "";
/// @description Cgroup to trace, with those below it; an empty one traces all
const volatile struct ebpm_cgroup cgroup = {};

/// @sample {"interval": 1000, "type": "log2_hist", "clear_map": true, "unit": "kbytes"}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct issuer);
	__type(value, struct hist);
} hists SEC(".maps");

static struct hist zero;

SEC("raw_tp/block_rq_issue")
int request_issued(struct bpf_raw_tracepoint_args *ctx)
{
	struct request *request = issued_request(ctx);
	__u32 slot = hist_slot(BPF_CORE_READ(request, __data_len) / 1024);
	struct issuer key __attribute__((aligned(8))) = {};
	struct hist *hist;

	bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (!name_begins(key.comm, comm, 2) || !of_disk(request, disk) ||
	    !in_cgroup(&cgroup))
		return 0;
	hist = lookup_or_init(&hists, &key, &zero);
	if (hist)
		__atomic_fetch_add(&hist->slots[slot], 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show how large block I/O is, as a histogram for each command.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
