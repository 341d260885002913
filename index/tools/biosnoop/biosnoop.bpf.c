// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Each block I/O, with who caused it, how large it was and how long it took.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <ebpm/block.h>
#include <ebpm/cgroup.h>
#include "biosnoop.h"

/// @description Disk to trace, as nvme0n1; an empty one traces all
/// @cmdarg {"short": "d"}
const volatile char disk[32] __attribute__((aligned(8))) = "";
/// @description Cgroup to trace, with those below it; an empty one traces all
/// @cmdarg {"short": "c"}
const volatile struct ebpm_cgroup cgroup = {};
/// @description Measure the time in the queue, too
/// @cmdarg {"short": "Q"}
const volatile bool queued = false;

/// @lost
__u64 lost_events = 0;

struct start {
	__u64 inserted;
	__u64 at;
	__u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct request *);
	__type(value, struct start);
} issued SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

/* Who issues is as a rule who caused it, and who puts it into the queue even more; write-back is
   issued by kernel threads. */
static int begin(struct request *request, __u64 inserted, __u64 issued_at)
{
	struct start start = {.inserted = inserted, .at = issued_at};

	if (!of_disk(request, disk) || !in_cgroup(&cgroup))
		return 0;
	start.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(start.comm, sizeof(start.comm));
	bpf_map_update_elem(&issued, &request, &start, BPF_ANY);
	return 0;
}

/* Not called for requests that pass the scheduler by. */
/// @when queued
SEC("raw_tp/block_rq_insert")
int request_inserted(struct bpf_raw_tracepoint_args *ctx)
{
	return begin(issued_request(ctx), bpf_ktime_get_ns(), 0);
}

SEC("raw_tp/block_rq_issue")
int request_issued(struct bpf_raw_tracepoint_args *ctx)
{
	struct request *request = issued_request(ctx);
	__u64 now = bpf_ktime_get_ns();
	struct start *start = NULL;

	if (queued)
		start = bpf_map_lookup_elem(&issued, &request);
	if (!start || start->at)
		return begin(request, now, now);
	start->at = now;
	return 0;
}

SEC("raw_tp/block_rq_complete")
int request_completed(struct bpf_raw_tracepoint_args *ctx)
{
	struct request *request = (struct request *)ctx->args[0];
	struct start *start = bpf_map_lookup_elem(&issued, &request);
	struct event *event;

	if (!start || !start->at)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__atomic_fetch_add(&lost_events, 1, __ATOMIC_RELAXED);
		goto out;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->pid = start->pid;
	__builtin_memcpy(event->comm, start->comm, sizeof(event->comm));
	block_disk_name(event->disk, request);
	event->op = BPF_CORE_READ(request, cmd_flags) & 0xff;
	event->sector = BPF_CORE_READ(request, __sector);
	event->bytes = (unsigned int)ctx->args[2];
	event->lat_us = (bpf_ktime_get_ns() - start->at) / 1000;
	event->queue_us = (start->at - start->inserted) / 1000;
	bpf_ringbuf_submit(event, 0);
out:
	bpf_map_delete_elem(&issued, &request);
	return 0;
}

/// @brief Trace block I/O with who caused it and how long it took.
/// @version 1.0.0
char LICENSE[] SEC("license") = "GPL";
