// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How long block I/O takes, from being issued to the device to being completed.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/block.h>
#include <ebpm/cgroup.h>
#include <ebpm/hist.h>
#include "biolatency.h"

/// @description A histogram for each disk
/// @cmdarg {"short": "D"}
const volatile bool per_disk = false;
/// @description A histogram for each kind of request, as RA, WS or WFS
/// @cmdarg {"short": "F"}
const volatile bool per_flags = false;
/// @description Begin when a request is queued, not when it is issued
/// @cmdarg {"short": "Q"}
const volatile bool queued = false;
/// @description Count milliseconds instead of microseconds
/// @cmdarg {"short": "m"}
const volatile bool milliseconds = false;
/// @description Disk to trace, as nvme0n1; an empty one traces all
/// @cmdarg {"short": "d"}
const volatile char disk[32] __attribute__((aligned(8))) = "";
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct request *);
	__type(value, __u64);
} issued SEC(".maps");

/// @sample {"interval": 1000, "type": "log2_hist", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct disk);
	__type(value, struct hist);
} hists SEC(".maps");

static struct hist zero;

static int begin(struct request *request, __u64 how)
{
	__u64 now = bpf_ktime_get_ns();

	if (!of_disk(request, disk) || !in_cgroup(&cgroup))
		return 0;
	bpf_map_update_elem(&issued, &request, &now, how);
	return 0;
}

SEC("raw_tp/block_rq_issue")
int request_issued(struct bpf_raw_tracepoint_args *ctx)
{
	return begin(issued_request(ctx), queued ? BPF_NOEXIST : BPF_ANY);
}

/* Not called for requests that pass the scheduler by. */
/// @when queued
SEC("raw_tp/block_rq_insert")
int request_inserted(struct bpf_raw_tracepoint_args *ctx)
{
	return begin(issued_request(ctx), BPF_ANY);
}

SEC("raw_tp/block_rq_complete")
int request_completed(struct bpf_raw_tracepoint_args *ctx)
{
	struct request *request = (struct request *)ctx->args[0];
	__u64 *since = bpf_map_lookup_elem(&issued, &request), took;
	struct disk key = {};
	struct hist *hist;

	if (!since)
		return 0;
	took = (bpf_ktime_get_ns() - *since) / (milliseconds ? 1000000U : 1000U);
	bpf_map_delete_elem(&issued, &request);
	if (per_disk)
		block_disk_name(key.disk, request);
	if (per_flags) {
		__u64 flags = request_flags(request);

		__builtin_memcpy(key.flags, &flags, sizeof(key.flags));
	}
	hist = lookup_or_init(&hists, &key, &zero);
	if (hist)
		__atomic_fetch_add(&hist->slots[hist_slot(took)], 1, __ATOMIC_RELAXED);
	return 0;
}

/// @brief Show how long block I/O takes, as a histogram.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
